"""Dataset folders and films of procedural people."""

import concurrent.futures
import contextlib
import multiprocessing
import os
import pathlib
from collections.abc import Iterator

import cv2
from tqdm import tqdm

from tf_talking.dataset.folder import ACCEPTED
from tf_talking.dataset.records import VideoRecord
from tf_talking.dataset.writer import DatasetWriter
from tf_talking.media.video_writer import VideoWriter
from tf_talking.procedural.motion import pose_track
from tf_talking.procedural.render import DETECTOR, NUM_POINTS, SCHEME, Identity, render_raw, render_video, video_id

VIDEOS_PER_SHARD = 32
_RAW_VIDEO_SIZE = 512  # pixels

Job = tuple[int, int, int, int]  # arguments of `render_video`


def open_writer(path: str | os.PathLike, size: int) -> DatasetWriter:
    """Writer of a folder of procedural people, new or begun, with frames of `size` pixels."""
    return DatasetWriter(path, size, DETECTOR, SCHEME, NUM_POINTS)


def list_jobs(identities: range, videos_per_identity: int, num_frames: int, size: int, seed: int) -> list[Job]:
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
        name = video_id(job[0], job[3])
        found = frames.get(name)
        if found is None:
            missing.append(job)
        elif found != job[1]:
            raise ValueError(
                f"{writer.path}: video {name!r} has {found} frames, asked for are {job[1]}; take another output folder"
            )
    return missing


def _render(job: Job) -> VideoRecord:
    return render_video(*job)


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
        for record in tqdm(rendered, total=len(jobs), unit="video", desc="procedural"):
            shard.append(record)
            if len(shard) == VIDEOS_PER_SHARD:
                writer.write_shard(shard)
                shard = []
    if shard:
        writer.write_shard(shard)
    return len(jobs)


def write_raw_video(path: pathlib.Path, identity_seed: int, num_frames: int, track: int) -> None:
    """Uncropped frames of one video as a film, for trying out the path of real videos."""
    identity = Identity.sample(identity_seed)
    poses = pose_track((identity_seed, track), num_frames)
    with VideoWriter(path) as film:
        for pose in poses:
            film.write(render_raw(identity, pose, _RAW_VIDEO_SIZE)[0])
