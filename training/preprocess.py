"""Videos, folders of frames and photos -> dataset folder (TFRecord shards and a manifest).

    python -m training.preprocess --input clips --output data --identities people.csv
    python -m training.preprocess --input vox2/dev/mp4 --output data    # VoxCeleb's folders

Every core works on one shard's worth of inputs at a time. Each input ends up in
`manifest.jsonl`, accepted or rejected with its reason. Run it again after a kill, or when there
are new files: only what the manifest does not name is done (it names rejected inputs too),
whichever runner did the rest. Exit status 1 if the folder holds no accepted video at the end, if
the job failed, or if a flag is wrong.
"""

import collections
import os
import pathlib
import shlex
import sys

from absl import app, flags, logging

from tf_talking.dataset import folder as dataset_folder
from tf_talking.dataset import parts as dataset_parts
from tf_talking.dataset.writer import DatasetWriter
from tf_talking.extraction import inputs, voxceleb
from tf_talking.extraction.extract import ExtractSettings
from tf_talking.extraction.identities import Identities
from tf_talking.landmarks.detectors import DETECTORS
from tf_talking.landmarks.scheme import get_scheme
from training.preprocessing import local_runner
from training.preprocessing.video_worker import Throughput

_INPUT = flags.DEFINE_multi_string(
    "input",
    None,
    "File or folder; give it several times, or several separated by commas.",
    required=True,
)
_OUTPUT = flags.DEFINE_string("output", None, "Dataset folder, new or begun.", required=True)
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 256, "Pixels, S.", lower_bound=16)
_DETECTOR = flags.DEFINE_enum("detector", "mediapipe", DETECTORS, "Landmark detector.")
_SCHEME = flags.DEFINE_enum(
    "scheme", "ibug68", ["ibug68", "ibug68_gaze"], "Landmark scheme (gaze: mediapipe only)."
)
_IDENTITIES = flags.DEFINE_string(
    "identities", None, "CSV file with the columns file and identity."
)
_IDENTITY_FROM = flags.DEFINE_enum(
    "identity_from",
    "file",
    ["file", "folder"],
    "Who an input shows if --identities does not say: a person of its own, or the person that the "
    "first folder below --input is named after.",
)
_IMAGES_AS = flags.DEFINE_enum(
    "images_as",
    "auto",
    inputs.IMAGES_AS,
    "What the images of one folder are: frames of one video; photos, each an input of its own; "
    "photos that form one input for each known identity; auto: frames where at least ten images "
    "of one size are numbered, else as identity.",
)
_LAYOUT = flags.DEFINE_enum(
    "layout",
    "auto",
    voxceleb.LAYOUTS,
    "voxceleb: <identity>/<video>/<clip> (one record a video), <identity>/<video>, and frames in "
    "<identity>/1.6/<video>; auto: so where folders have names as VoxCeleb's; generic: never.",
)
_BOXES = flags.DEFINE_string(
    "boxes",
    None,
    "VoxCeleb: folder with the face boxes, <identity>/<video>/<clip>.txt. Only listed frames are "
    "used, and the face in the box. For clips cut out of the videos at their full size, or for "
    "whole videos, not for VoxCeleb2's own mp4 (these are cut to the box already).",
)
_SPLIT_LIST = flags.DEFINE_string(
    "split_list",
    None,
    "VoxCeleb: iden_split.txt, veri_test.txt, vox1_meta.csv, vox2_meta.csv, or a list of "
    "<identity>[/<video>[/<clip>]].",
)
_SPLIT = flags.DEFINE_enum("split", "train", voxceleb.SPLITS, "What of --split_list is taken.")
_NAMES = flags.DEFINE_string(
    "names", None, "VoxCeleb1's folders of frames: vox1_meta.csv, to get identities from names."
)
_MAX_FRAMES = flags.DEFINE_integer(
    "max_frames", 1000, "Of an input, in equal shares of its clips; 0: all.", lower_bound=0
)
_FRAME_STEP = flags.DEFINE_integer("frame_step", 1, "Use every n-th frame.", lower_bound=1)
_MIN_FRAMES = flags.DEFINE_integer(
    "min_frames", 9, "Videos with fewer usable frames are rejected (K+1).", lower_bound=1
)
_MIN_FACE = flags.DEFINE_integer(
    "min_face", 64, "Smallest face, pixels in the original frame.", lower_bound=8
)
_RUNNER = flags.DEFINE_enum(
    "runner",
    "local",
    ["local", "direct", "dataflow", "flink", "spark"],
    "local: processes on this machine; others: Apache Beam (an extra, see requirements.txt).",
)
_BEAM_OPTIONS = flags.DEFINE_string(
    "beam_options", "", 'Flags of Beam in one string: "--project=x --region=y".'
)
_WORKERS = flags.DEFINE_integer("workers", os.cpu_count(), "Processes.", lower_bound=1)
_VIDEOS_PER_SHARD = flags.DEFINE_integer(
    "videos_per_shard", 8, "Also what a kill can cost.", lower_bound=1
)
_DETECTION_BATCH = flags.DEFINE_integer(
    "detection_batch",
    None,
    "Frames that the detector gets at once; default 16 for face_alignment, 1 for mediapipe.",
    lower_bound=1,
)
_DETECTOR_DEVICE = flags.DEFINE_string(
    "detector_device", None, "face_alignment: PyTorch device; default cuda if there is one."
)
_PATH_TO_DETECTOR = flags.DEFINE_string(
    "path_to_detector", None, "face_alignment: file of its face detector's network."
)


def _given_paths() -> list[str]:
    paths = []
    for value in _INPUT.value:
        # A name with a comma in it is a name if there is such a file.
        paths += [value] if os.path.exists(value) else [v for v in value.split(",") if v]
    return paths


def _detector_spec() -> dict:
    spec = {"name": _DETECTOR.value, "scheme": _SCHEME.value}
    if _DETECTOR.value == "face_alignment":
        spec |= {"device": _DETECTOR_DEVICE.value, "path_to_detector": _PATH_TO_DETECTOR.value}
    return spec


def _find_inputs() -> list[inputs.InputItem]:
    if _SPLIT.present and not _SPLIT_LIST.value:
        raise ValueError("--split needs a --split_list")
    if _BOXES.value and not os.path.isdir(_BOXES.value):
        raise ValueError(f"--boxes: there is no folder {_BOXES.value}")
    options = inputs.VoxCelebOptions(
        layout=_LAYOUT.value,
        boxes=pathlib.Path(_BOXES.value).absolute() if _BOXES.value else None,
        split_list=voxceleb.SplitList.read(_SPLIT_LIST.value) if _SPLIT_LIST.value else None,
        split=_SPLIT.value,
        names=voxceleb.read_names(_NAMES.value) if _NAMES.value else {},
    )
    identities = Identities.read(_IDENTITIES.value) if _IDENTITIES.value else None
    items = inputs.find_inputs(
        _given_paths(), identities, _IMAGES_AS.value, _IDENTITY_FROM.value, options
    )
    if not items:
        of_split = f" of the split {_SPLIT.value!r}" if _SPLIT_LIST.value else ""
        raise ValueError(f"no video or image{of_split} found in {', '.join(_given_paths())}")
    return items


def _settings() -> ExtractSettings:
    default_batch = 16 if _DETECTOR.value == "face_alignment" else 1
    return ExtractSettings(
        image_size=_IMAGE_SIZE.value,
        frame_step=_FRAME_STEP.value,
        max_frames=_MAX_FRAMES.value,
        min_frames=_MIN_FRAMES.value,
        min_face=_MIN_FACE.value,
        detection_batch=_DETECTION_BATCH.value or default_batch,
    )


def _process(items: list[inputs.InputItem], writer: DatasetWriter) -> Throughput:
    """Does all items, in units of one shard each, on the chosen runner."""
    size = min(_VIDEOS_PER_SHARD.value, -(-len(items) // _WORKERS.value))
    units = [items[k : k + size] for k in range(0, len(items), size)]
    common = (units, writer, _detector_spec(), _settings(), _WORKERS.value)
    if _RUNNER.value == "local":
        return local_runner.run(*common)
    from training.preprocessing import beam_runner  # Beam is an extra

    return beam_runner.run(*common, _RUNNER.value, shlex.split(_BEAM_OPTIONS.value))


def _summary(writer: DatasetWriter, skipped: int) -> str:
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
    clips: collections.Counter[str] = collections.Counter()
    for entry in accepted:
        clips.update(entry.rejected_clips.values())
    lines += [f"  left out {n} clips of accepted videos: {why}" for why, n in clips.most_common(20)]
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
        items = _find_inputs()
        num_points = get_scheme(_SCHEME.value).num_points
        writer = DatasetWriter(
            _OUTPUT.value, _IMAGE_SIZE.value, _DETECTOR.value, _SCHEME.value, num_points
        )
        dataset_parts.merge_parts(writer)  # of a Beam job that was killed
        done = {entry.video_id for entry in writer.entries}
        todo = [item for item in items if item.video_id not in done]
        measured = _process(todo, writer) if todo else None
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"preprocess: {error}")
    except KeyboardInterrupt:
        sys.exit("preprocess: interrupted; run it again to go on")
    print(_summary(writer, len(items) - len(todo)))
    if measured:
        print(f"Throughput: {measured.describe(_settings())}")
    if not any(entry.status == dataset_folder.ACCEPTED for entry in writer.entries):
        sys.exit("preprocess: not one input was accepted")


if __name__ == "__main__":
    app.run(main)
