"""Preprocessing on Apache Beam: Create(units of inputs) | Reshuffle | per-video function | part.

Every unit becomes a part below `<output>/parts`, under a name that follows from its inputs, whole
or not at all: a bundle that Beam repeats writes the same part again. When the job has ended the
parts are renamed into the dataset's shards; parts of a job that was killed are taken up by the next
run, whichever its runner. `--input` and `--output` must be paths that all workers see.

Beam is an extra: the import is here and in no module that the local runner needs.
"""

import logging
import threading
import time
from collections.abc import Sequence

from tqdm import tqdm

from tf_talking.dataset import parts as dataset_parts
from tf_talking.dataset.writer import DatasetWriter
from tf_talking.extraction.extract import ExtractSettings
from tf_talking.extraction.item import InputItem
from training.preprocessing.video_worker import Throughput, VideoWorker

# Beam logs every connection it opens, which would break the progress line; errors are shown.
logging.getLogger("apache_beam").setLevel(logging.ERROR)
try:
    import apache_beam as beam
    from apache_beam.metrics import Metrics, MetricsFilter
    from apache_beam.options.pipeline_options import PipelineOptions
except ImportError as error:
    raise RuntimeError(
        f"runner: it needs Apache Beam, which can not be imported ({error}): "
        "pip install -r requirements.txt, which pins it beside what it needs; for Dataflow add "
        '"apache-beam[gcp]==2.65.0"'
    ) from error

RUNNERS = {"direct": "DirectRunner", "dataflow": "DataflowRunner", "flink": "FlinkRunner", "spark": "SparkRunner"}
_NAMESPACE = "preprocess"
_POLL_SECONDS = 1.0


class DoUnit(beam.DoFn):
    """Inputs of one unit -> its part in the dataset folder; yields the part's key."""

    def __init__(self, folder: str, detector_spec: dict, settings: ExtractSettings):
        self._folder, self._spec, self._settings = folder, detector_spec, settings
        self._frames = Metrics.counter(_NAMESPACE, "frames")
        self._milliseconds = Metrics.counter(_NAMESPACE, "milliseconds")

    def setup(self):
        import cv2

        cv2.setNumThreads(1)
        self._worker = VideoWorker(self._spec, self._settings)

    def process(self, unit: list[InputItem]):
        before = self._worker.seconds
        results = [self._worker(item, self._frames.inc) for item in unit]
        key = dataset_parts.part_key([item.video_id for item in unit])
        dataset_parts.write_part(self._folder, key, results)
        self._milliseconds.inc(round(1000 * (self._worker.seconds - before)))
        yield key

    def teardown(self):
        self._worker.close()


def _options(runner: str, workers: int, given: Sequence[str]) -> PipelineOptions:
    flags = [f"--runner={RUNNERS[runner]}"]
    if runner == "direct":
        flags.append(f"--direct_num_workers={workers}")
        if workers > 1:
            flags.append("--direct_running_mode=multi_processing")
    # What is given comes last, so that it wins.
    return PipelineOptions([*flags, *given])


class _Progress(threading.Thread):
    """Shows how many inputs are in parts that have appeared."""

    def __init__(self, folder: str, units: Sequence[list[InputItem]]):
        super().__init__(daemon=True)
        self._folder = folder
        self._sizes = {dataset_parts.part_key([item.video_id for item in unit]): len(unit) for unit in units}
        self._done = threading.Event()

    def run(self) -> None:
        with tqdm(total=sum(self._sizes.values()), unit="input", desc="preprocess") as bar:
            last = False
            while not last:
                last = self._done.wait(_POLL_SECONDS)
                keys = dataset_parts.part_keys(self._folder)
                bar.n = sum(self._sizes.get(key, 0) for key in keys)
                bar.refresh()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error) -> None:
        self._done.set()
        self.join()


def run(
    units: Sequence[list[InputItem]],
    writer: DatasetWriter,
    detector_spec: dict,
    settings: ExtractSettings,
    workers: int,
    runner: str,
    beam_options: Sequence[str] = (),
) -> Throughput:
    """Does all units in a Beam job and adds their parts to the dataset.

    Args:
      units, writer, detector_spec, settings: as in `local_runner.run`.
      workers: processes of the direct runner; others have options of their own.
      runner: one of RUNNERS.
      beam_options: flags of Beam, such as "--project=x".

    Raises:
      RuntimeError: the job failed. Parts that were finished stay and are taken up by the next
        run.
    """
    folder = str(writer.path.absolute())
    start = time.monotonic()
    try:
        with _Progress(folder, units):
            pipeline = beam.Pipeline(options=_options(runner, workers, beam_options))
            _ = (
                pipeline
                | "units" >> beam.Create(list(units))
                | "spread" >> beam.Reshuffle()
                | "videos" >> beam.ParDo(DoUnit(folder, detector_spec, settings))
            )
            result = pipeline.run()
            state = result.wait_until_finish()
    except Exception as error:  # each runner has errors of its own
        # Beam's messages hold the worker's whole traceback; what happened is its last line.
        last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise RuntimeError(f"the Beam job failed: {last}") from error
    if state is not None and str(state) != "DONE":
        raise RuntimeError(f"the Beam job ended as {state}")
    dataset_parts.merge_parts(writer)
    counted = _counters(result)
    if runner == "direct":
        seconds = counted.get("milliseconds", 0) / 1000 / workers
        return Throughput(counted.get("frames", 0), seconds, workers)
    return Throughput(counted.get("frames", 0), time.monotonic() - start, None)


def _counters(result) -> dict[str, int]:
    found = result.metrics().query(MetricsFilter().with_namespace(_NAMESPACE))["counters"]
    values: dict[str, int] = {}
    for counter in found:
        # Not every runner commits its counters.
        value = counter.committed if counter.committed is not None else counter.attempted
        values[counter.key.metric.name] = values.get(counter.key.metric.name, 0) + (value or 0)
    return values
