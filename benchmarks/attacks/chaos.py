"""Kills servers and jobs at random, and looks whether anything was lost: see `benchmarks.chaos`."""

import collections
import contextlib
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from benchmarks.measuring.ports import free_port
from serving.export import export
from tf_talking.config import Config, get_preset
from tf_talking.config.overrides import replace_losses
from tf_talking.dataset.folder import DatasetFolder
from tf_talking.media.video_reader import read_frames
from tf_talking.media.video_writer import VideoWriter
from tf_talking.people.card import PersonCard
from tf_talking.procedural.identity import Identity
from tf_talking.procedural.motion import pose_track
from tf_talking.procedural.render import render_raw
from training.meta.step import MetaTrainer

_SIZE = 256  # of the drawn videos, pixels
_PATIENCE = 600  # seconds; a command that takes longer hangs
_HALF_WRITTEN = re.compile(r"\..*\.tmp(\..*)?$|.*\.tempstate.*|ckpt-\d+_temp")


def tiny_config() -> Config:
    """The preset `tiny` for faces that MediaPipe finds, without files of weights."""
    config = get_preset("tiny")
    return replace_losses(config, content_vgg19=0.0, content_face=0.0, face_features="none")


class Scene:
    """The inputs: an untrained model, exported; films of drawn people; what undisturbed jobs make.

    Args:
      folder: where all of it is written.
      jobs: that there will be; what others need is not made.
      frames: of the driving film.
      clips: films to preprocess.
      epochs: of fine-tuning.
    """

    def __init__(
        self, folder: pathlib.Path, jobs: tuple[str, ...], frames: int = 75, clips: int = 12, epochs: int = 30
    ):
        self.folder, self.frames, self.epochs = folder, frames, epochs
        trainer = MetaTrainer(tiny_config(), 4, dict, tf.distribute.get_strategy())
        self.checkpoint = trainer.checkpoint.write(str(folder / "ckpt-0"))
        self.driving, self.clips = folder / "driving.mp4", folder / "clips"
        self.clips.mkdir()
        _film(self.driving, 0, frames)
        for number in range(clips):
            _film(self.clips / f"{number}.mp4", number, 12)
        self.serving = folder / "serving"
        export(self.checkpoint, str(self.serving))
        self.card = self.serving / "people/ann.npz"
        self.output = folder / "outputs"
        self.output.mkdir()
        undisturbed = folder / "undisturbed"
        self.run(self.finetune(self.serving, undisturbed / "ann", epochs=0, person="ann"))
        if "finetune" in jobs:
            self.run(self.finetune(undisturbed / "serving", undisturbed / "bob"))
            self.person = PersonCard.load(undisturbed / "serving/people/bob.npz")
        if "preprocess" in jobs:
            self.run(self.preprocess(undisturbed / "data"))
            self.dataset = DatasetFolder.open(undisturbed / "data")

    def run(self, arguments: list) -> None:
        """A command without chaos. Raises CalledProcessError."""
        subprocess.run(command(arguments), check=True, capture_output=True, text=True, timeout=_PATIENCE)

    def finetune(self, serving, output, epochs: int | None = None, person: str = "bob") -> list:
        """Arguments of `python -m`."""
        flags = {"checkpoint": self.checkpoint, "person": person, "video": self.driving, "num_frames": 4}
        flags |= {"serving": serving, "output": output, "backup_every": 2}
        flags["epochs"] = self.epochs if epochs is None else epochs
        return ["training.finetune", *_flags(flags)]

    def preprocess(self, output) -> list:
        """Arguments of `python -m`."""
        flags = {"input": self.clips, "output": output, "image_size": 64, "workers": 2, "videos_per_shard": 2}
        return ["training.preprocess", *_flags(flags)]


class Chaos:
    """Repeats jobs, kills, and counts.

    Attributes:
      stop: set when nothing new is to begin.
    """

    def __init__(self, scene: Scene, seed: int):
        self.scene, self.stop = scene, threading.Event()
        self._random = random.Random(seed)
        self._counts: collections.Counter = collections.Counter()
        self._faults: list[str] = []
        self._targets: list[str] = []

    def figures(self) -> dict:
        """Counts of what ran and what was killed, and every fault in words."""
        left = [str(path.relative_to(self.scene.folder)) for path in self.scene.folder.rglob("*")]
        left = [path for path in left if _HALF_WRITTEN.search(pathlib.Path(path).name)]
        self._faults += [f"left behind: {path}" for path in left]
        self._faults += [f"still running: {line}" for line in _running(self.scene.folder)]
        return {**dict(sorted(self._counts.items())), "faults": self._faults}

    @contextlib.contextmanager
    def servers(self) -> Iterator[None]:
        """Two servers, one of which is always about to be killed and started again."""
        ports = [free_port() for _ in range(2)]
        self._targets = [f"localhost:{port}" for port in ports]
        processes = [self._serve(port) for port in ports]
        killer = threading.Thread(target=self._kill_servers, args=(ports, processes))
        killer.start()
        try:
            yield
        finally:
            self.stop.set()
            killer.join()
            for process in processes:
                process.terminate()
                if process.wait(timeout=_PATIENCE) != 0:
                    self._faults.append(f"a server ended with {process.returncode} after SIGTERM")

    def repeat(self, name: str) -> None:
        """Runs a job again and again until `stop`."""
        number = 0
        while number == 0 or not self.stop.is_set():
            try:
                getattr(self, f"_{name}")(number)
            except Exception as error:  # a fault of the jobs is a figure, not the end
                self._faults.append(f"{name} {number}: {type(error).__name__}: {error}")
            self._counts[f"{name}_runs"] += 1
            number += 1

    def _serve(self, port: int) -> subprocess.Popen:
        arguments = ["serving.model_server", *_flags({"model_config_file": self.scene.serving / "models.config"})]
        process = subprocess.Popen(
            command([*arguments, f"--port={port}"]), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        if not process.stdout.readline():
            raise RuntimeError(f"the server at port {port} ended with {process.wait()}")
        return process

    def _kill_servers(self, ports: list[int], processes: list[subprocess.Popen]) -> None:
        while not self.stop.wait(self._random.uniform(2, 8)):
            which = self._random.randrange(2)
            how = self._random.choice([signal.SIGKILL, signal.SIGTERM])
            processes[which].send_signal(how)
            processes[which].wait()
            self._counts["servers_killed" if how == signal.SIGKILL else "servers_stopped"] += 1
            processes[which] = self._serve(ports[which])

    def _animate(self, number: int) -> None:
        """Every other run is killed; the others must be whole."""
        output = self.scene.output / "animate.mp4"
        self._draw("serving.animate", {"driving": self.scene.driving}, output, number % 2 == 1)

    def _webcam(self, number: int) -> None:
        output = self.scene.output / "webcam.mp4"
        self._draw("serving.webcam", {"source": self.scene.driving}, output, number % 2 == 1)

    def _draw(self, module: str, flags: dict, output: pathlib.Path, kill: bool) -> None:
        output.unlink(missing_ok=True)
        flags = {"person": self.scene.card, "server": ",".join(self._targets), "output": output, **flags}
        done, log = self._once([module, *_flags(flags)], kill)
        if not done and not kill:
            raise RuntimeError(log[-500:])
        if output.exists():
            found = sum(1 for _ in read_frames(output))
            if found != self.scene.frames:
                raise RuntimeError(f"{output.name} has {found} of {self.scene.frames} frames")
        elif done:
            raise RuntimeError(f"{output.name} is missing")

    def _finetune(self, number: int) -> None:
        root = self.scene.output / "finetune"
        shutil.rmtree(root, ignore_errors=True)
        self._until_done(self.scene.finetune(root / "serving", root / "out"))
        card = PersonCard.load(root / "serving/people/bob.npz")
        if not np.array_equal(card.adain_params, self.scene.person.adain_params):
            raise RuntimeError("another person than without kills")
        if card.fingerprint != self.scene.person.fingerprint:
            raise RuntimeError("another generator than without kills")

    def _preprocess(self, number: int) -> None:
        root = self.scene.output / "data"
        shutil.rmtree(root, ignore_errors=True)
        self._until_done(self.scene.preprocess(root))
        ours, theirs = DatasetFolder.open(root), self.scene.dataset
        if {e.video_id for e in ours.accepted} != {e.video_id for e in theirs.accepted}:
            raise RuntimeError(f"{len(ours.accepted)} of {len(theirs.accepted)} videos")
        for entry in theirs.accepted:
            ours_record, record = ours.read_video(entry.video_id), theirs.read_video(entry.video_id)
            if ours_record.frames != record.frames or not np.array_equal(ours_record.landmarks, record.landmarks):
                raise RuntimeError(f"{entry.video_id} is another than without kills")

    def _until_done(self, arguments: list) -> None:
        """Runs a command, killed now and then, until it ends by itself; the third time in peace."""
        for attempt in range(3):
            kill = attempt < 2
            done, log = self._once(arguments, kill)
            if done:
                return
            if not kill:
                raise RuntimeError(log[-500:])

    def _once(self, arguments: list, kill: bool) -> tuple[bool, str]:
        """Runs a command, and kills it or a child of it; (exit code 0, its stderr)."""
        process = subprocess.Popen(
            command(arguments), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
        )
        killer = threading.Timer(self._random.uniform(4, 30), self._kill, [process])
        if kill:
            killer.start()
        try:
            _, log = process.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        finally:
            killer.cancel()
        return process.returncode == 0, log

    def _kill(self, process: subprocess.Popen) -> None:
        victims = [process.pid, *_children(process.pid)]
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._random.choice(victims), signal.SIGKILL)
            self._counts["jobs_killed"] += 1


def command(arguments: list) -> list[str]:
    """The command line of `python -m`."""
    return [sys.executable, "-m", *map(str, arguments)]


def _flags(values: dict) -> list[str]:
    return [f"--{name}={value}" for name, value in values.items()]


def _film(path: pathlib.Path, person: int, frames: int) -> None:
    identity = Identity.sample(person)
    with VideoWriter(path) as writer:
        for pose in pose_track((person, 0), frames):
            writer.write(render_raw(identity, pose, _SIZE)[0])


def _children(pid: int) -> list[int]:
    found = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in found.read_text().split()] if found.exists() else []


def _running(folder: pathlib.Path, patience: float = 20.0) -> list[str]:
    """Command lines of processes that name the folder, but this one, after some patience."""
    end = time.monotonic() + patience
    while True:
        lines = []
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if str(folder) in line and int(path.parent.name) != os.getpid():
                    lines.append(line[:200])
        if not lines or time.monotonic() > end:
            return lines
        time.sleep(0.5)
