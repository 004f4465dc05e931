"""Errors of people's cards on hold-out frames, through a server:

    python -m serving.compare --dataset DIR --source_video_id ID --driving_video_id ID \
        --person CARD --person CARD --server HOST:PORT --sheet sheet.png

The cards were made from --num_sources frames spread over the source video (as `training.finetune
--dataset` takes them). Driving by the source video itself leaves those frames out.
"""

import os
import pathlib

from tf_talking import interrupts

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if __name__ == "__main__":
    interrupts.catch()

from absl import flags

from serving import flags as client_flags
from serving.drive.comparison import compare, format_table, without_frames, write_sheet
from tf_talking import program
from tf_talking.dataset.folder import DatasetFolder
from tf_talking.spread import spread

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_string("dataset", None, "Dataset folder with both videos.")
    flags.DEFINE_string("source_video_id", None, "Video that the cards were made from.")
    flags.DEFINE_string("driving_video_id", None, "Video of the person that drives.")
    flags.DEFINE_integer("num_sources", 8, "T of the cards.", lower_bound=1)
    client_flags.define_person_flags(multiple=True)
    client_flags.define_server_flags()
    flags.DEFINE_string("sheet", None, "Contact sheet to write (.png).")
    flags.mark_flags_as_required(["dataset", "source_video_id", "driving_video_id", "person"])


def check_sheet(path: str) -> None:
    """Before the work begins: whether the picture can be written. Raises ValueError."""
    folder, suffix = os.path.dirname(path) or ".", os.path.splitext(path)[1]
    if suffix.lower() != ".png" or not os.path.isdir(folder):
        raise ValueError(f"--sheet {path}: expected a name that ends in .png, in a folder that exists")


def main(argv):
    if FLAGS.sheet:
        check_sheet(FLAGS.sheet)
    folder = DatasetFolder.open(FLAGS.dataset)
    source = folder.read_video(FLAGS.source_video_id)
    driving = folder.read_video(FLAGS.driving_video_id)
    if driving.video_id == source.video_id:
        driving = without_frames(driving, spread(source.num_frames, FLAGS.num_sources))
    paths = [client_flags.load_person(person, FLAGS.people)[1] for person in FLAGS.person]
    cards = {path.stem: path for path in paths}
    server = client_flags.read_server()
    results = compare(source, driving, FLAGS.num_sources, cards, server.target, server.tls)
    if FLAGS.sheet:
        write_sheet(results, pathlib.Path(FLAGS.sheet))
    print(f"{driving.num_frames} hold-out frames of {driving.video_id}")
    print(format_table(results))
    return {"frames": driving.num_frames, **results.errors}


if __name__ == "__main__":
    program.run(main, define_flags)
