"""Frames a second of preprocessing: `python -m benchmarks.preprocess`.

The local runner, as `training.preprocess` runs it, on clips of 384 px (short side) made into
records of 256 px; then one process alone, to show where the CPU time goes. Without --input it
renders clips of procedural people. Start-up of the processes does not count. The last line is JSON.
"""

import dataclasses
import os
import pathlib
import tempfile
import time

from absl import app, flags
from tqdm import trange

from benchmarks.measuring.result import result
from tf_talking import program
from tf_talking.dataset.writer import DatasetWriter
from tf_talking.extraction import extract, inputs
from tf_talking.extraction.item import InputItem
from tf_talking.landmarks import crop
from tf_talking.landmarks.detectors import DETECTORS, get_detector
from tf_talking.media import jpeg, video_reader
from tf_talking.media.video_writer import VideoWriter
from tf_talking.procedural import render as procedural
from tf_talking.procedural.motion import pose_track
from training.preprocessing import local_runner

FLAGS = flags.FLAGS
FIRST_PERSON = 2_000_000  # of the rendered people


def define_flags() -> None:
    """Flags of this command."""
    flags.DEFINE_string("input", None, "Folder of clips; none: procedural ones are rendered.")
    flags.DEFINE_integer("clips", 8, "Clips.", lower_bound=2)
    flags.DEFINE_integer("frames", 100, "Frames of a clip, at most.", lower_bound=10)
    flags.DEFINE_integer("clip_size", 384, "Side of the rendered clips, pixels.", lower_bound=128)
    flags.DEFINE_integer("image_size", 256, "Side of the records' frames, pixels.", lower_bound=16)
    flags.DEFINE_integer("workers", 2, "Processes.", lower_bound=1)
    flags.DEFINE_enum("detector", "mediapipe", DETECTORS, "Detector.")
    flags.DEFINE_integer("detection_batch", None, "As in training.preprocess.", lower_bound=1)


def render_clips(folder: pathlib.Path, count: int, frames: int, size: int) -> None:
    """Writes uncropped videos of procedural people."""
    for number in trange(count, unit="clip", desc="render"):
        identity = procedural.Identity.sample(FIRST_PERSON + number)
        with VideoWriter(folder / f"clip{number}.mp4") as film:
            for pose in pose_track((FIRST_PERSON + number, 0), frames):
                film.write(procedural.render_raw(identity, pose, size)[0])


def profile(file: str, settings: extract.ExtractSettings, detector) -> dict[str, float]:
    """Milliseconds of CPU time a frame of each stage, in one process, its threads added up."""
    spent = dict.fromkeys(("decode", "detect", "crop", "encode"), 0.0)
    last = time.process_time()

    def lap(stage: str) -> None:
        nonlocal last
        now = time.process_time()
        spent[stage] += now - last
        last = now

    frames = usable = 0
    for frame in video_reader.read_frames(file, threads=1):
        lap("decode")
        found = detector.detect([frame])[0]
        lap("detect")
        frames += 1
        if found.landmarks is not None:
            image, _ = crop.crop_frame(frame, found.landmarks, settings.image_size)
            lap("crop")
            jpeg.encode(image)
            lap("encode")
            usable += 1
        if frames == settings.max_frames:
            break
    counts = {"decode": frames, "detect": frames, "crop": usable, "encode": usable}
    return {stage: 1e3 * spent[stage] / max(counts[stage], 1) for stage in spent}


def run(items: list[InputItem], spec: dict, settings, output: pathlib.Path):
    """The local runner on all items -> (Throughput, frames in records, seconds with start-up)."""
    writer = DatasetWriter(output, settings.image_size, spec["name"], spec["scheme"], 68)
    share = -(-len(items) // FLAGS.workers)
    units = [items[k : k + share] for k in range(0, len(items), share)]
    start = time.monotonic()
    measured = local_runner.run(units, writer, spec, settings, FLAGS.workers)
    seconds = time.monotonic() - start
    return measured, sum(entry.num_frames for entry in writer.entries), seconds


def main(argv):
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    spec = {"name": FLAGS.detector, "scheme": "ibug68"}
    batch = FLAGS.detection_batch or (16 if FLAGS.detector == "face_alignment" else 1)
    settings = extract.ExtractSettings(image_size=FLAGS.image_size, max_frames=FLAGS.frames, detection_batch=batch)
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary)
        source = pathlib.Path(FLAGS.input or root / "clips")
        if not FLAGS.input:
            source.mkdir()
            render_clips(source, FLAGS.clips, FLAGS.frames, FLAGS.clip_size)
        items = inputs.find_inputs([source])[: FLAGS.clips]
        if not items:
            raise app.UsageError(f"no clips in {source}")
        load = os.getloadavg()[0]
        measured, kept, seconds = run(items, spec, settings, root / "data")
        with get_detector(video=True, **spec) as detector:
            profile(items[0].files[0], dataclasses.replace(settings, max_frames=10), detector)
            stages = profile(items[0].files[0], settings, detector)
        sizes = [video_reader.probe(item.files[0]) for item in items]
    print(measured.describe(settings))
    facts = {
        "detector": FLAGS.detector,
        "input": "given" if FLAGS.input else "procedural",
        "clips": len(items),
        "median_short_side": sorted(min(s.width, s.height) for s in sizes)[len(sizes) // 2],
        "image_size": FLAGS.image_size,
        "processes": measured.processes,
        "frames": measured.frames,
        "usable_frames": kept,
        "frames_per_second": measured.rate,
        "frames_per_second_with_start_up": measured.frames / seconds,
        "stage_cpu_ms": stages,
        "frames_per_cpu_second": 1e3 / sum(stages.values()),
        "load_before": load,  # other work on the machine slows the rate, not CPU times
    }
    return result(facts)


if __name__ == "__main__":
    program.run(main, define_flags)
