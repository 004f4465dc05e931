"""Frames/s of the input pipeline on one core: `python -m benchmarks.input_pipeline`.

For each preset (its frame size, K and batch) and each length of video, a dataset of procedural
people is made in a temporary folder and read with a thread pool of one thread. Printed are the
sampled frames (K+1 an episode) a second, the cores that the whole process used (reading waits on a
thread of its own, so it can be a little over one), and the multiple of what the training step
consumes: `--step_seconds` has the seconds of one step for each preset, as
`python -m benchmarks.train_step` measures them, `--batch_size` the batch of that step. The ratio is
that of frames a second of one core, whatever was used. A record is read whole, so long videos cost
more; their frames repeat, which costs the same as if they did not. Files come from the page cache.
The last line is JSON.
"""

import dataclasses
import itertools
import pathlib
import tempfile
import time

from absl import app, flags

from benchmarks.measuring.result import result
from tf_talking import program
from tf_talking.config import PRESETS, get_preset
from tf_talking.dataset.episodes import EpisodeDataset
from tf_talking.procedural import render as procedural
from tf_talking.procedural.folder import open_writer

FLAGS = flags.FLAGS
_RENDERED = 16  # different frames of each video
_WARM_UP = 3  # batches


def define_flags() -> None:
    """Flags of this command."""
    flags.DEFINE_list("presets", ["paper", "small"], f"Some of {', '.join(sorted(PRESETS))}.")
    flags.DEFINE_list("step_seconds", [], "Seconds of a training step, one for each preset.")
    flags.DEFINE_list("steps_per_second", [], "The same the other way round, instead of it.")
    flags.DEFINE_integer("batch_size", 0, "Episodes in a step; 0: the preset's.", lower_bound=0)
    flags.DEFINE_multi_integer("frames_per_video", [64, 300, 1000], "Length of the videos; repeatable.", lower_bound=2)
    flags.DEFINE_integer("videos", 8, "Videos, each of another person.", lower_bound=1)
    flags.DEFINE_float("seconds", 8.0, "Measuring time of each.", lower_bound=0.1)
    flags.DEFINE_enum("on_damage", "raise", ["raise", "skip"], "As in EpisodeDataset.")
    flags.DEFINE_bool("deterministic", True, "As in EpisodeDataset.dataset.")


def step_rates(count: int) -> list[float | None]:
    """Steps/s of each preset; None where neither flag was given."""
    if FLAGS.step_seconds and FLAGS.steps_per_second:
        raise app.UsageError("give --step_seconds or --steps_per_second, not both")
    given = FLAGS.step_seconds or FLAGS.steps_per_second
    if not given:
        return [None] * count
    try:
        rates = [float(text) for text in given]
    except ValueError:
        rates = []
    if len(rates) != count or min(rates) <= 0:
        raise app.UsageError(
            f"--step_seconds, --steps_per_second: got {','.join(given)}, expected a positive "
            f"number for each of the {count} presets"
        )
    return [1 / rate for rate in rates] if FLAGS.step_seconds else rates


def make_dataset(folder: pathlib.Path, size: int, frames_per_video: int) -> int:
    """Writes the videos, one a shard; returns the mean bytes of a frame."""
    writer = open_writer(folder, size)
    frame_bytes = 0.0
    for person in range(FLAGS.videos):
        video = procedural.render_video(person, min(_RENDERED, frames_per_video), size)
        frame_bytes += sum(map(len, video.frames)) / len(video.frames) / FLAGS.videos
        order = [i % len(video.frames) for i in range(frames_per_video)]
        frames = [video.frames[i] for i in order]
        writer.write_shard([dataclasses.replace(video, frames=frames, landmarks=video.landmarks[order])])
    return round(frame_bytes)


def measure(folder: pathlib.Path, k_shot: int, batch_size: int) -> dict[str, float]:
    """Reads for --seconds on one thread."""
    episodes = EpisodeDataset(folder, k_shot, batch_size, seed=0, on_damage=FLAGS.on_damage)
    dataset = episodes.dataset(deterministic=FLAGS.deterministic, parallel_reads=2, decode_threads=1, pool_threads=1)
    iterator = iter(dataset)
    for _ in range(_WARM_UP):
        next(iterator)
    batches, wall, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < FLAGS.seconds:
        next(iterator)
        batches += 1
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    frames = batches * batch_size * (k_shot + 1)
    return {
        "frames_per_second": frames / wall,
        "cores": cpu / wall,
        # What one core alone would give, should more than one have been at work.
        "frames_per_core_second": frames / max(wall, cpu),
    }


def main(argv):
    configs = [get_preset(name) for name in FLAGS.presets]
    rates = step_rates(len(configs))
    rows = []
    steps = zip(configs, rates, strict=True)
    for (config, rate), length in itertools.product(steps, FLAGS.frames_per_video):
        size, k_shot = config.model.image_size, config.train.k_shot
        batch_size = FLAGS.batch_size or config.train.batch_size
        with tempfile.TemporaryDirectory() as folder:
            frame_bytes = make_dataset(pathlib.Path(folder) / "data", size, length)
            figures = measure(pathlib.Path(folder) / "data", k_shot, batch_size)
        row = {
            "preset": config.name,
            "image_size": size,
            "k_shot": k_shot,
            "batch_size": batch_size,
            "frames_per_video": length,
            "frame_bytes": frame_bytes,
            **figures,
        }
        line = (
            f"{config.name}: {size} px, K={k_shot}, {length} frames a video: "
            f"{figures['frames_per_second']:.1f} frames/s on {figures['cores']:.2f} cores"
        )
        if rate:
            needed = rate * batch_size * (k_shot + 1)
            row["needed_frames_per_second"] = needed
            row["ratio"] = figures["frames_per_core_second"] / needed
            row["cores_for_the_need"] = needed / figures["frames_per_core_second"]
            line += f", {row['ratio']:.1f} times the {needed:.1f} that the step consumes"
        print(line, flush=True)
        rows.append(row)
    ratios = [row["ratio"] for row in rows if "ratio" in row]
    return result({"results": rows, "min_ratio": min(ratios, default=None)})


if __name__ == "__main__":
    program.run(main, define_flags)
