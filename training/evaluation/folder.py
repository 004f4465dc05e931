"""The folder of an evaluation: what was asked, what is finished, and all results as lines.

    evaluation.json     what decides the results; a second start with anything else is an error
    videos/<key>/       one finished video: results.jsonl, frames.json, strip.png, features.npz,
                        and of cross-reenactment cross.jsonl, cross.png
    results.jsonl       all lines, those over all videos last
    cross.jsonl         a line for each person, driving video and method
    report.md, report.html

A video's folder gets its name when it is whole, so a killed evaluation goes on with the next one.
"""

import dataclasses
import hashlib
import json
import pathlib
import re
import shutil
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import tqdm
from absl import logging

from tf_talking.config import from_json, to_json
from tf_talking.files import check_same, json_line, remove_unfinished, whole_folder, write_whole
from tf_talking.media.photos import write_png
from training.evaluation.lines import parse_line, to_lines

FACTS_FILE = "evaluation.json"
REAL = "real"  # key of the real frames among the features
_BY_SHOTS = ("shots", "seconds", "stops")  # of frames.json; JSON makes texts of their numbers


@dataclasses.dataclass(frozen=True)
class FinishedVideo:
    """What is known of a video, or of a photo that was driven, read from its folder once.

    Attributes:
      video_id, identity: whose.
      path: its folder.
      shots: T -> numbers of the few-shot frames.
      holdout: numbers of the hold-out frames.
      seconds: T -> method -> seconds of few-shot learning.
      stops: T -> "curves" and "best" epochs of the fine-tuned methods.
      rows, cross: results, and those of cross-reenactment; see `lines`.
    """

    video_id: str
    identity: str | None
    path: pathlib.Path
    shots: dict[int, list[int]]
    holdout: list[int] | None
    seconds: dict[int, dict[str, float]]
    stops: dict[int, dict]
    rows: list[dict]
    cross: list[dict]

    @classmethod
    def read(cls, path: pathlib.Path) -> "FinishedVideo":
        """What `write_video` wrote."""
        used = json.loads((path / "frames.json").read_text())
        by_shots = {name: {int(t): found for t, found in used.get(name, {}).items()} for name in _BY_SHOTS}
        rows, cross = (
            [parse_line(line) for line in file.read_text().splitlines()] if file.exists() else []
            for file in (path / "results.jsonl", path / "cross.jsonl")
        )
        known = {name: used.get(name) for name in ("video_id", "identity", "holdout")}
        return cls(path=path, rows=rows, cross=cross, **known, **by_shots)

    def features(self) -> dict[str, np.ndarray]:
        """Inception features, by `REAL` and `feature_key`."""
        with np.load(self.path / "features.npz") as file:
            return dict(file)


class EvaluationFolder:
    """Paths, and reading and writing of finished videos.

    Args:
      path: the folder; created by `start`.
    """

    def __init__(self, path: str | pathlib.Path):
        self.path = pathlib.Path(path)
        self.videos = self.path / "videos"

    def start(self, facts: dict) -> None:
        """Writes `facts`, or checks that the folder was made with the same ones.

        Raises:
          ValueError: it was not; names the field.
        """
        path = self.path / FACTS_FILE
        if path.is_file():
            before = json.loads(path.read_text())
            if "config" in before:  # through the config: fields that came later have their defaults
                config = from_json(json.dumps(before["config"]), f"{path} (its config)")
                before["config"] = json.loads(to_json(config))
            check_same(before, facts, path)
            remove_unfinished(self.videos)
            for leftover in self.videos.glob("*.tmp"):  # of earlier versions
                shutil.rmtree(leftover)
            return
        self.videos.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(facts, indent=2) + "\n")

    def read_facts(self) -> dict:
        """evaluation.json.

        Raises:
          ValueError: there is none.
        """
        path = self.path / FACTS_FILE
        if not path.is_file():
            raise ValueError(f"{path}: missing; expected a folder of training.evaluate")
        return json.loads(path.read_text())

    def video(self, video_id: str) -> pathlib.Path:
        """Folder of a finished video; readable, and no two videos have the same."""
        readable = re.sub(r"[^\w.-]+", "_", video_id)[-60:].strip("._")
        return self.videos / f"{readable}-{hashlib.sha256(video_id.encode()).hexdigest()[:8]}"

    def is_finished(self, video_id: str) -> bool:
        return self.video(video_id).is_dir()

    def unfinished(self, items: Sequence, name: Callable[[object], str], unit: str) -> Iterable:
        """Those of the items that are not finished, with a bar that tells how far it is.

        Args:
          items: what is evaluated.
          name: item -> its video_id.
          unit: what an item is called.
        """
        todo = [item for item in items if not self.is_finished(name(item))]
        if len(todo) < len(items):
            logging.info("%d of %d %ss are finished", len(items) - len(todo), len(items), unit)
        return tqdm.tqdm(todo, desc="evaluation", unit=unit)

    def write_video(
        self,
        video_id: str,
        rows: list[dict],
        frames: dict,
        strip: np.ndarray | None,
        features: dict[str, np.ndarray],
        cross: tuple[list[dict], np.ndarray] | None = None,
    ) -> None:
        """Writes a finished video.

        Args:
          video_id: of the dataset.
          rows: of `make_row`.
          frames: which frames were used and what took how long, for frames.json.
          strip: uint8 picture, or None.
          features: `REAL` and "METHOD T" -> Inception features [N, D]; empty without FID.
          cross: rows and strip of cross-reenactment.
        """
        with whole_folder(self.video(video_id)) as folder:
            (folder / "results.jsonl").write_text(to_lines(rows))
            (folder / "frames.json").write_text(json_line({"video_id": video_id, **frames}) + "\n")
            if strip is not None:
                write_png(folder / "strip.png", strip)
            if cross is not None:
                (folder / "cross.jsonl").write_text(to_lines(cross[0]))
                write_png(folder / "cross.png", cross[1])
            if features:
                np.savez(folder / "features.npz", **features)

    def read(self, video_ids: Iterable[str]) -> list[FinishedVideo]:
        """Finished videos, in this order."""
        return [FinishedVideo.read(self.video(video_id)) for video_id in video_ids]

    def read_all(self) -> list[FinishedVideo]:
        """Every finished video, sorted by video_id."""
        paths = [p for p in self.videos.glob("*") if re.fullmatch(r"(?!\.).*-[0-9a-f]{8}", p.name)]
        return sorted(map(FinishedVideo.read, paths), key=lambda video: video.video_id)

    def write_joined(self, name: str, videos: Iterable[FinishedVideo], more: Sequence[dict] = ()) -> None:
        """Writes a file of all lines of the videos' files of that name, and further rows."""
        paths = [video.path / name for video in videos]
        text = "".join(path.read_text() for path in paths if path.exists())
        write_whole(self.path / name, text + to_lines(list(more)))


def feature_key(method: str, shots: int) -> str:
    """Name of a method's features in features.npz."""
    return f"{method} {shots}"
