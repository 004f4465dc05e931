"""Videos, folders of frames and photos -> dataset folder (TFRecord shards and a manifest).

    python -m training.preprocess --input clips --output data --identities people.csv
    python -m training.preprocess --input vox2/dev/mp4 --output data    # VoxCeleb's folders

Every core works on one shard's worth of inputs at a time. Each input ends up in
`manifest.jsonl`, accepted or rejected with its reason. Run it again after a kill, or when files
are new or changed: inputs whose bytes the manifest knows under their name are done (those it
rejected, too), whichever runner did them. An input whose files changed, or that a table now gives
to somebody else, is done again and replaces its record; another one of the same name gets a name
of its own. Exit code 2 if the folder holds no accepted video at the end, if the
job failed, or if a flag is wrong.
"""

import os
import pathlib
import shlex

from absl import flags, logging

from tf_talking import program
from tf_talking.dataset.folder import ACCEPTED
from tf_talking.dataset.parts import merge_parts
from tf_talking.dataset.writer import DatasetWriter, only_writer
from tf_talking.extraction import inputs, voxceleb
from tf_talking.extraction.extract import ExtractSettings
from tf_talking.extraction.identities import Identities
from tf_talking.extraction.item import InputItem
from tf_talking.extraction.voxceleb_inputs import VoxCelebOptions
from tf_talking.landmarks.detectors import DETECTORS
from tf_talking.landmarks.scheme import get_scheme
from training.preprocessing import local_runner
from training.preprocessing.earlier import what_to_do
from training.preprocessing.summary import summary
from training.preprocessing.video_worker import Throughput

FLAGS = flags.FLAGS
_SHOWN = 5


def define_flags() -> None:
    flags.DEFINE_multi_string(
        "input", None, "File or folder; give it several times, or several separated by commas.", required=True
    )
    flags.DEFINE_string("output", None, "Dataset folder, new or begun.", required=True)
    flags.DEFINE_integer("image_size", 256, "Pixels, S.", lower_bound=16)
    flags.DEFINE_enum("detector", "mediapipe", DETECTORS, "Landmark detector.")
    flags.DEFINE_enum("scheme", "ibug68", ["ibug68", "ibug68_gaze"], "Landmark scheme (gaze: mediapipe only).")
    flags.DEFINE_string("identities", None, "CSV file with the columns file and identity.")
    flags.DEFINE_enum(
        "identity_from",
        "file",
        ["file", "folder"],
        "Who an input shows if --identities does not say: a person of its own, or the person that "
        "the first folder below --input is named after.",
    )
    flags.DEFINE_enum(
        "images_as",
        "auto",
        inputs.IMAGES_AS,
        "What the images of one folder are: frames of one video; photos, each an input of its own; "
        "photos that form one input for each known identity; auto: frames where at least ten "
        "images of one size are numbered and --identities names none of them, else as identity.",
    )
    flags.DEFINE_enum(
        "layout",
        "auto",
        voxceleb.LAYOUTS,
        "voxceleb: <identity>/<video>/<clip> (one record a video), <identity>/<video>, and frames "
        "in <identity>/1.6/<video>; auto: so where folders have names as VoxCeleb's; generic: "
        "never.",
    )
    flags.DEFINE_string(
        "boxes",
        None,
        "VoxCeleb: folder with the face boxes, <identity>/<video>/<clip>.txt. Only listed frames "
        "are used, and the face in the box. For clips cut out of the videos at their full size, or "
        "for whole videos, not for VoxCeleb2's own mp4 (these are cut to the box already).",
    )
    flags.DEFINE_string(
        "split_list",
        None,
        "VoxCeleb: iden_split.txt, veri_test.txt, vox1_meta.csv, vox2_meta.csv, or a list of "
        "<identity>[/<video>[/<clip>]].",
    )
    flags.DEFINE_enum("split", "train", voxceleb.SPLITS, "What of --split_list is taken.")
    flags.DEFINE_string("names", None, "VoxCeleb1's folders of frames: vox1_meta.csv, to get identities from names.")
    flags.DEFINE_integer(
        "max_frames", 1000, "Of an input, spread over its length, in equal shares of its clips; 0: all.", lower_bound=0
    )
    flags.DEFINE_integer("frame_step", 1, "Use every n-th frame.", lower_bound=1)
    flags.DEFINE_float(
        "frames_per_second",
        0.0,
        "Of videos, by their frames' times; the paper has 1 for VoxCeleb1 and all (25) for VoxCeleb2. 0: all.",
        lower_bound=0.0,
    )
    flags.DEFINE_integer("min_frames", 9, "Videos with fewer usable frames are rejected (K+1).", lower_bound=1)
    flags.DEFINE_bool("try_again", False, "Also inputs that were rejected and have not changed, say with other flags.")
    flags.DEFINE_integer("min_face", 64, "Smallest face, pixels in the original frame.", lower_bound=8)
    flags.DEFINE_enum(
        "borrowed_identity",
        "none",
        ["none", "sface"],
        "Stores this recogniser's embedding of every frame, for models that borrow identity from "
        "it (model.borrowed_identity). About 50 ms a frame on one core.",
    )
    flags.DEFINE_enum(
        "runner",
        "local",
        ["local", "direct", "dataflow", "flink", "spark"],
        "local: processes on this machine; others: Apache Beam (an extra, see requirements.txt).",
    )
    flags.DEFINE_string("beam_options", "", 'Flags of Beam in one string: "--project=x --region=y".')
    flags.DEFINE_integer("workers", os.cpu_count(), "Processes.", lower_bound=1)
    flags.DEFINE_integer("videos_per_shard", 8, "Also what a kill can cost.", lower_bound=1)
    flags.DEFINE_integer(
        "detection_batch",
        None,
        "Frames that the detector gets at once; default 16 for face_alignment, 1 for mediapipe.",
        lower_bound=1,
    )
    flags.DEFINE_string("detector_device", None, "face_alignment: PyTorch device; default cuda if there is one.")
    flags.DEFINE_string("path_to_detector", None, "face_alignment: file of its face detector's network.")


def _given_paths() -> list[str]:
    paths = []
    for value in FLAGS.input:
        # A name with a comma in it is a name if there is such a file.
        paths += [value] if os.path.exists(value) else [v for v in value.split(",") if v]
    return paths


def _detector_spec() -> dict:
    spec = {"name": FLAGS.detector, "scheme": FLAGS.scheme}
    if FLAGS.detector == "face_alignment":
        spec |= {"device": FLAGS.detector_device, "path_to_detector": FLAGS.path_to_detector}
    return spec


def _find_inputs(notes: list[str]) -> list[InputItem]:
    """All inputs; `notes` gets what there is to say about them."""
    if FLAGS["split"].present and not FLAGS.split_list:
        raise ValueError("--split needs a --split_list")
    if FLAGS.boxes and not os.path.isdir(FLAGS.boxes):
        raise ValueError(f"--boxes: there is no folder {FLAGS.boxes}")
    options = VoxCelebOptions(
        layout=FLAGS.layout,
        boxes=pathlib.Path(FLAGS.boxes).absolute() if FLAGS.boxes else None,
        split_list=voxceleb.SplitList.read(FLAGS.split_list) if FLAGS.split_list else None,
        split=FLAGS.split,
        names=voxceleb.read_names(FLAGS.names) if FLAGS.names else {},
    )
    identities = Identities.read(FLAGS.identities) if FLAGS.identities else None
    items = inputs.find_inputs(_given_paths(), identities, FLAGS.images_as, FLAGS.identity_from, options, notes.append)
    if identities and identities.unused:
        unused = identities.unused
        shown = ", ".join(unused[:_SHOWN]) + (", ..." if len(unused) > _SHOWN else "")
        notes.append(f"{FLAGS.identities}: {len(unused)} rows fit no input: {shown}")
        logging.warning("%s", notes[-1])  # before the work, which it would be a pity to do twice
    if not items:
        of_split = f" of the split {FLAGS.split!r}" if FLAGS.split_list else ""
        raise ValueError(f"no video or image{of_split} found in {', '.join(_given_paths())}")
    return items


def _settings() -> ExtractSettings:
    default_batch = 16 if FLAGS.detector == "face_alignment" else 1
    return ExtractSettings(
        image_size=FLAGS.image_size,
        frame_step=FLAGS.frame_step,
        frames_per_second=FLAGS.frames_per_second,
        max_frames=FLAGS.max_frames,
        min_frames=FLAGS.min_frames,
        min_face=FLAGS.min_face,
        detection_batch=FLAGS.detection_batch or default_batch,
        borrowed_identity=FLAGS.borrowed_identity,
    )


def _process(items: list[InputItem], writer: DatasetWriter) -> Throughput:
    """Does all items, in units of one shard each, on the chosen runner."""
    size = min(FLAGS.videos_per_shard, -(-len(items) // FLAGS.workers))
    units = [items[k : k + size] for k in range(0, len(items), size)]
    common = (units, writer, _detector_spec(), _settings(), FLAGS.workers)
    if FLAGS.runner == "local":
        return local_runner.run(*common)
    from training.preprocessing import beam_runner  # Beam is an extra

    return beam_runner.run(*common, FLAGS.runner, shlex.split(FLAGS.beam_options))


def main(argv: list[str]) -> None:
    # TensorFlow only writes files here; what it says about GPUs would break the progress line.
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    notes: list[str] = []
    items = _find_inputs(notes)
    with only_writer(FLAGS.output):
        _fill(items, notes)


def _fill(items: list[InputItem], notes: list[str]) -> None:
    """Does what is to be done and prints what became of it all."""
    num_points = get_scheme(FLAGS.scheme).num_points
    writer = DatasetWriter(
        FLAGS.output, FLAGS.image_size, FLAGS.detector, FLAGS.scheme, num_points, FLAGS.borrowed_identity
    )
    merge_parts(writer)  # of a Beam job that was killed
    plan = what_to_do(items, writer.lines, FLAGS.try_again)
    measured = _process(plan.todo, writer) if plan.todo else None
    print(summary(writer, plan.done, notes + plan.notes()))
    if measured:
        print(f"Throughput: {measured.describe(_settings())}")
    if not any(entry.status == ACCEPTED for entry in writer.entries):
        raise ValueError("not one input was accepted")


if __name__ == "__main__":
    program.run(main, define_flags)
