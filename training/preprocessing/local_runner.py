"""Preprocessing on this machine: a pool of processes, one shard's worth of inputs at a time."""

import contextlib
import multiprocessing
import signal
from collections.abc import Sequence

from tqdm import tqdm

from tf_talking.dataset import folder as dataset_folder
from tf_talking.dataset.writer import DatasetWriter
from tf_talking.extraction import content
from tf_talking.extraction.extract import ExtractSettings
from tf_talking.extraction.item import InputItem
from training.preprocessing.video_worker import Throughput, VideoWorker, quiet_single_threaded
from training.preprocessing.worker_pool import WorkerPool

_worker: dict = {}  # what a worker process keeps between inputs


def _init_worker(spec: dict, settings: ExtractSettings, num_frames, num_inputs, seconds) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops its workers
    quiet_single_threaded()
    _worker.update(do=VideoWorker(spec, settings), frames=num_frames, inputs=num_inputs, seconds=seconds)


def _do_input(item: InputItem):
    """Worker: InputItem -> VideoRecord or rejected ManifestEntry."""
    before = _worker["do"].seconds
    result = _worker["do"](item, _count_frame)
    with _worker["seconds"].get_lock():
        _worker["seconds"].value += _worker["do"].seconds - before
    with _worker["inputs"].get_lock():
        _worker["inputs"].value += 1
    return result


def _count_frame() -> None:
    with _worker["frames"].get_lock():
        _worker["frames"].value += 1


def _gave_up(item: InputItem) -> dataset_folder.ManifestEntry:
    reason = "the worker process died of it (out of memory, or a decoder crashed)"
    noted = content.read_content(item)
    return dataset_folder.rejected_entry(item.source, item.video_id, item.identity, reason, content=noted)


def run(
    units: Sequence[list[InputItem]],
    writer: DatasetWriter,
    detector_spec: dict,
    settings: ExtractSettings,
    workers: int,
) -> Throughput:
    """Does all units; each one's shard is written as soon as it is done.

    Args:
      units: lists of inputs; one list is one shard, done by one process.
      writer: of the dataset folder.
      detector_spec: arguments of `get_detector`, without `video`.
      settings: of `extract`.
      workers: processes at most.

    Raises:
      OSError: a shard could not be written.
      RuntimeError: the detector can not work.
    """
    workers = min(workers, len(units))
    total = sum(map(len, units))
    context = multiprocessing.get_context("spawn")
    num_frames, num_inputs = context.Value("q", 0), context.Value("q", 0)
    seconds = context.Value("d", 0.0)
    initargs = (detector_spec, settings, num_frames, num_inputs, seconds)
    pool = WorkerPool(workers, _do_input, _init_worker, initargs)
    with tqdm(total=total, unit="input", desc="preprocess", smoothing=0.1) as bar:

        def refresh() -> None:
            bar.n = min(num_inputs.value, total)
            rate = num_frames.value / max(bar.format_dict["elapsed"], 1e-3)
            bar.set_postfix_str(f"{num_frames.value} frames, {rate:.0f} frames/s")

        with contextlib.closing(pool.run(units, _gave_up, refresh)) as finished:
            for results in finished:
                writer.write_shard(results)
        refresh()
    return Throughput(num_frames.value, seconds.value / workers, workers)
