"""Writes a dataset of procedural people: `python -m training.make_procedural --output DIR`.

Person number k looks the same in every dataset, so that datasets of different people follow from
--first_identity; --seed chooses how they move. Run again, it makes only the videos that are
missing; with a larger --num_identities it adds people.
"""

import concurrent.futures
import contextlib
import multiprocessing
import os
import pathlib
from collections.abc import Iterator

import cv2
import tqdm
from absl import app, flags, logging

from tf_talking.dataset.folder import ACCEPTED
from tf_talking.dataset.records import VideoRecord
from tf_talking.dataset.writer import DatasetWriter
from tf_talking.media.video import VideoWriter
from tf_talking.procedural import render as procedural

FLAGS = flags.FLAGS
flags.DEFINE_string("output", None, "Dataset folder; created, or continued where it exists.")
flags.DEFINE_integer("num_identities", 300, "People.", lower_bound=1)
flags.DEFINE_integer("first_identity", 0, "Number of the first person.", lower_bound=0)
flags.DEFINE_integer("videos_per_identity", 1, "Videos of each person.", 1, 1000)
flags.DEFINE_integer("frames_per_video", 24, "Frames, at 25 a second.", lower_bound=1)
flags.DEFINE_integer("image_size", 64, "Side of the cropped frames, pixels.", lower_bound=16)
flags.DEFINE_integer("seed", 0, "Chooses how the people move.", 0, 1_000_000)
flags.DEFINE_integer("workers", 0, "Processes; 0: one for each core.", lower_bound=0)
flags.DEFINE_string("video", None, "Also write the first person's first video, uncropped (.mp4).")

VIDEOS_PER_SHARD = 32
_FPS = 25
_RAW_VIDEO_SIZE = 512  # pixels

Job = tuple[int, int, int, int]  # arguments of procedural.render_video


def list_jobs(
    identities: range, videos_per_identity: int, num_frames: int, size: int, seed: int
) -> list[Job]:
    """Every video of the dataset, as (identity_seed, num_frames, size, track_seed)."""
    return [
        (identity, num_frames, size, seed * 1000 + video)
        for identity in identities
        for video in range(videos_per_identity)
    ]


def missing_jobs(writer: DatasetWriter, jobs: list[Job]) -> list[Job]:
    """The jobs whose video the folder does not hold.

    Raises:
        ValueError: it holds one of them with another number of frames.
    """
    frames = {e.video_id: e.num_frames for e in writer.entries if e.status == ACCEPTED}
    missing = []
    for job in jobs:
        name = procedural.video_id(job[0], job[3])
        found = frames.get(name)
        if found is None:
            missing.append(job)
        elif found != job[1]:
            raise ValueError(
                f"{writer.path}: video {name!r} has {found} frames, asked for are {job[1]} "
                "(--frames_per_video); take another output folder"
            )
    return missing


def _render(job: Job) -> VideoRecord:
    return procedural.render_video(*job)


@contextlib.contextmanager
def _rendered(jobs: list[Job], workers: int) -> Iterator[Iterator[VideoRecord]]:
    """Records in the order of the jobs; leaving early drops what has not been started."""
    if workers == 1:
        yield map(_render, jobs)
        return
    # Not forked: the parent may have TensorFlow's threads running.
    pool = concurrent.futures.ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,)
    )
    try:
        yield pool.map(_render, jobs, chunksize=2)
    finally:
        pool.shutdown(cancel_futures=True)


def make_dataset(writer: DatasetWriter, jobs: list[Job], workers: int) -> int:
    """Renders what is missing and writes it in shards; returns the number of new videos."""
    jobs = missing_jobs(writer, jobs)
    workers = min(workers or len(os.sched_getaffinity(0)), max(1, len(jobs) // 4))
    shard = []
    with _rendered(jobs, workers) as rendered:
        for record in tqdm.tqdm(rendered, total=len(jobs), unit="video", desc="procedural"):
            shard.append(record)
            if len(shard) == VIDEOS_PER_SHARD:
                writer.write_shard(shard)
                shard = []
    if shard:
        writer.write_shard(shard)
    return len(jobs)


def write_raw_video(path: pathlib.Path, identity_seed: int, num_frames: int, track: int) -> None:
    """Uncropped frames of one video as a film, for trying out the path of real videos."""
    identity = procedural.Identity.sample(identity_seed)
    poses = procedural.pose_track((identity_seed, track), num_frames)
    with VideoWriter(path, _FPS, _RAW_VIDEO_SIZE) as film:
        for pose in poses:
            film.write(procedural.render_raw(identity, pose, _RAW_VIDEO_SIZE)[0])


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    if not FLAGS.output and not FLAGS.video:
        raise app.UsageError("nothing to do: give --output DIR, --video FILE.mp4 or both")
    first, count = FLAGS.first_identity, FLAGS.num_identities
    if FLAGS.output:
        jobs = list_jobs(
            range(first, first + count),
            FLAGS.videos_per_identity,
            FLAGS.frames_per_video,
            FLAGS.image_size,
            FLAGS.seed,
        )
        writer = DatasetWriter(
            FLAGS.output,
            FLAGS.image_size,
            procedural.DETECTOR,
            procedural.SCHEME,
            procedural.NUM_POINTS,
        )
        made = make_dataset(writer, jobs, FLAGS.workers)
        logging.info("%s: %d new videos, %d were there", FLAGS.output, made, len(jobs) - made)
    if FLAGS.video:
        path = pathlib.Path(FLAGS.video)
        write_raw_video(path, first, FLAGS.frames_per_video, FLAGS.seed * 1000)
        logging.info("wrote %s", path)


if __name__ == "__main__":
    app.run(main)
