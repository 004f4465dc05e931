"""Videos, folders of frames and photos -> dataset folder (TFRecord shards and a manifest).

    python -m training.preprocess --input clips --output data --identities people.csv

Every core works on one shard's worth of inputs at a time. Each input ends up in
`manifest.jsonl`, accepted or rejected with its reason. Run it again after a kill, or when there
are new files: only what the manifest does not name is done (it names rejected inputs too). Exit
status 1 if the folder holds no accepted video at the end, or if a flag is wrong.
"""

import collections
import contextlib
import multiprocessing
import os
import signal
import sys

from absl import app, flags, logging
from tqdm import tqdm

from tf_talking.data import dataset_folder, inputs
from tf_talking.data.extract import ExtractSettings, extract
from tf_talking.landmarks.detector import get_detector
from tf_talking.landmarks.scheme import get_scheme
from training.worker_pool import WorkerPool

_INPUT = flags.DEFINE_multi_string(
    "input", None, "File or folder; give it several times, or several separated by commas.",
    required=True,
)  # fmt: skip
_OUTPUT = flags.DEFINE_string("output", None, "Dataset folder, new or begun.", required=True)
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 256, "Pixels, S.", lower_bound=16)
_DETECTOR = flags.DEFINE_enum(
    "detector", "mediapipe", ["mediapipe", "face_alignment"], "Landmark detector."
)
_SCHEME = flags.DEFINE_enum(
    "scheme", "ibug68", ["ibug68", "ibug68_gaze"], "Landmark scheme (gaze: mediapipe only)."
)
_IDENTITIES = flags.DEFINE_string(
    "identities", None, "CSV file with the columns file and identity."
)
_IDENTITY_FROM = flags.DEFINE_enum(
    "identity_from", "file", ["file", "folder"],
    "Who an input shows if --identities does not say: a person of its own, or the person that the "
    "first folder below --input is named after.",
)  # fmt: skip
_IMAGES_AS = flags.DEFINE_enum(
    "images_as", "auto", inputs.IMAGES_AS,
    "What the images of one folder are: frames of one video; photos, each an input of its own; "
    "photos that form one input for each known identity; auto: frames where at least ten images "
    "of one size are numbered, else as identity.",
)  # fmt: skip
_MAX_FRAMES = flags.DEFINE_integer("max_frames", 1000, "Of an input; 0: all.", lower_bound=0)
_FRAME_STEP = flags.DEFINE_integer("frame_step", 1, "Use every n-th frame.", lower_bound=1)
_MIN_FRAMES = flags.DEFINE_integer(
    "min_frames", 9, "Videos with fewer usable frames are rejected (K+1).", lower_bound=1
)
_MIN_FACE = flags.DEFINE_integer(
    "min_face", 64, "Smallest face, pixels in the original frame.", lower_bound=8
)
_WORKERS = flags.DEFINE_integer("workers", os.cpu_count(), "Processes.", lower_bound=1)
_VIDEOS_PER_SHARD = flags.DEFINE_integer(
    "videos_per_shard", 8, "Also what a kill can cost.", lower_bound=1
)
_DETECTOR_DEVICE = flags.DEFINE_string(
    "detector_device", None, "face_alignment: PyTorch device; default cuda if there is one."
)
_PATH_TO_DETECTOR = flags.DEFINE_string(
    "path_to_detector", None, "face_alignment: file of its face detector's network."
)

_worker: dict = {}  # what a worker process keeps between inputs


def _init_worker(spec: dict, settings: ExtractSettings, num_frames, num_inputs) -> None:
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops its workers
    os.environ["OMP_NUM_THREADS"] = "1"
    cv2.setNumThreads(1)
    # Native libraries log to descriptor 2 whenever they like; Python keeps its own.
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    _worker.update(spec=spec, settings=settings, frames=num_frames, inputs=num_inputs, detectors={})


def _do_input(item: inputs.InputItem):
    """Worker: InputItem -> VideoRecord or rejected ManifestEntry."""
    follow = item.kind != "photos"
    detectors = _worker["detectors"]
    if follow not in detectors:
        detectors[follow] = get_detector(video=follow, **_worker["spec"])
    result = extract(item, detectors[follow], _worker["settings"], _count_frame)
    with _worker["inputs"].get_lock():
        _worker["inputs"].value += 1
    return result


def _count_frame() -> None:
    with _worker["frames"].get_lock():
        _worker["frames"].value += 1


def _given_paths() -> list[str]:
    paths = []
    for value in _INPUT.value:
        # A name with a comma in it is a name if there is such a file.
        paths += [value] if os.path.exists(value) else [v for v in value.split(",") if v]
    return paths


def _gave_up(item: inputs.InputItem) -> dataset_folder.ManifestEntry:
    reason = "the worker process died of it (out of memory, or a decoder crashed)"
    return dataset_folder.rejected_entry(item.source, item.video_id, item.identity, reason)


def _detector_spec() -> dict:
    spec = {"name": _DETECTOR.value, "scheme": _SCHEME.value}
    if _DETECTOR.value == "face_alignment":
        spec |= {"device": _DETECTOR_DEVICE.value, "path_to_detector": _PATH_TO_DETECTOR.value}
    return spec


def _settings() -> ExtractSettings:
    return ExtractSettings(
        image_size=_IMAGE_SIZE.value,
        frame_step=_FRAME_STEP.value,
        max_frames=_MAX_FRAMES.value,
        min_frames=_MIN_FRAMES.value,
        min_face=_MIN_FACE.value,
    )


def _process(items: list[inputs.InputItem], writer: dataset_folder.DatasetWriter) -> None:
    """Does all items; each unit's shard is written as soon as it is done."""
    size = min(_VIDEOS_PER_SHARD.value, -(-len(items) // _WORKERS.value))
    units = [items[k : k + size] for k in range(0, len(items), size)]
    context = multiprocessing.get_context("spawn")
    num_frames, num_inputs = context.Value("q", 0), context.Value("q", 0)
    pool = WorkerPool(
        _WORKERS.value,
        _do_input,
        _init_worker,
        (_detector_spec(), _settings(), num_frames, num_inputs),
    )
    with tqdm(total=len(items), unit="input", desc="preprocess", smoothing=0.1) as bar:

        def refresh() -> None:
            bar.n = min(num_inputs.value, len(items))
            rate = num_frames.value / max(bar.format_dict["elapsed"], 1e-3)
            bar.set_postfix_str(f"{num_frames.value} frames, {rate:.0f} frames/s")

        with contextlib.closing(pool.run(units, _gave_up, refresh)) as finished:
            for results in finished:
                writer.write_shard(results)
        refresh()


def _summary(writer: dataset_folder.DatasetWriter, skipped: int) -> str:
    accepted = [e for e in writer.entries if e.status == dataset_folder.ACCEPTED]
    rejected = [e for e in writer.entries if e.status == dataset_folder.REJECTED]
    frames = sum(entry.num_frames for entry in accepted)
    people = len({entry.identity for entry in accepted})
    lines = [
        f"{writer.path}: {len(accepted)} inputs accepted ({frames} frames, {people} identities), "
        f"{len(rejected)} rejected, {skipped} of them done by earlier runs"
    ]
    lines += [f"  rejected {entry.video_id}: {entry.reason}" for entry in rejected[:20]]
    if len(rejected) > 20:
        lines.append(f"  and {len(rejected) - 20} more")
    causes: collections.Counter[str] = collections.Counter()
    for entry in accepted:
        causes.update(entry.rejected_frames)
    lines += [f"  left out {n} frames of accepted inputs: {why}" for why, n in causes.items()]
    lines.append(f"Every input and reason: {writer.path / dataset_folder.MANIFEST_FILE}")
    return "\n".join(lines)


def main(argv) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    # TensorFlow only writes files here; what it says about GPUs would break the progress line.
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    logging.set_verbosity(logging.INFO)
    try:
        identities = inputs.Identities.read(_IDENTITIES.value) if _IDENTITIES.value else None
        items = inputs.find_inputs(
            _given_paths(), identities, _IMAGES_AS.value, _IDENTITY_FROM.value
        )
        if not items:
            raise ValueError(f"no video or image found in {', '.join(_given_paths())}")
        num_points = get_scheme(_SCHEME.value).num_points
        writer = dataset_folder.DatasetWriter(
            _OUTPUT.value, _IMAGE_SIZE.value, _DETECTOR.value, _SCHEME.value, num_points
        )
        done = {entry.video_id for entry in writer.entries}
        todo = [item for item in items if item.video_id not in done]
        if todo:
            _process(todo, writer)
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"preprocess: {error}")
    except KeyboardInterrupt:
        sys.exit("preprocess: interrupted; run it again to go on")
    print(_summary(writer, len(items) - len(todo)))
    if not any(entry.status == dataset_folder.ACCEPTED for entry in writer.entries):
        sys.exit("preprocess: not one input was accepted")


if __name__ == "__main__":
    app.run(main)
