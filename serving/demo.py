"""Two real people whom a model has never seen: `python -m serving.demo --checkpoint real128.tft`.

Runs the commands a user would run, one after the other: exports the model, personalises it to an
astronaut from one photo and to a performer from 8 frames of a video, starts the server, and drives
both heads over gRPC: the astronaut with a landmark track of the performer, the performer with
another video of hers. Each command resumes, so that the demo does too.

Writes astronaut.mp4, performer.mp4 (source, driving, landmarks, result), contact_sheet.png and
results.json, and prints errors on hold-out frames of the performer.
"""

import pathlib
import time

from absl import flags

from serving.drive.comparison import compare
from serving.drive.demos import run, write_results
from serving.server.child import local_server
from tf_talking import program
from tf_talking.dataset.folder import DatasetFolder

FLAGS = flags.FLAGS
EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"
SOURCE_FRAMES = 8  # T


def define_flags() -> None:
    """Flags of this command."""
    flags.DEFINE_string("output", "demo_people", "Folder; created, or continued where it exists.")
    flags.DEFINE_string(
        "checkpoint",
        None,
        "Of the preset real128: a shipped model's name, a bundle, a run folder or a checkpoint.",
        required=True,
    )
    flags.DEFINE_integer("epochs", None, "Fine-tuning epochs; default: the model's.", lower_bound=1)


def prepare_data(root: pathlib.Path) -> None:
    """Landmarks and crops of the performer's two videos, as the model takes them."""
    run(
        "training.preprocess",
        f"--input={EXAMPLES / 'performer/learn.mp4'}",
        f"--input={EXAMPLES / 'performer/drive.mp4'}",
        f"--output={root / 'performer'}",
        "--image_size=128",
        "--scheme=ibug68_gaze",
        "--borrowed_identity=sface",
    )


def personalise(root: pathlib.Path, source: str) -> None:
    """Exports the model, and makes the cards of both people."""
    serving = root / "serving"
    run("serving.export", f"--checkpoint={FLAGS.checkpoint}", f"--output={serving}")
    tuned = () if FLAGS.epochs is None else (f"--epochs={FLAGS.epochs}",)
    performer = (f"--dataset={root / 'performer'}", f"--video_id={source}", f"--num_frames={SOURCE_FRAMES}")
    for name, arguments in (
        ("astronaut", (f"--photos={EXAMPLES / 'astronaut/astronaut.jpg'}", *tuned)),
        ("performer_feed_forward", (*performer, "--epochs=0")),
        ("performer", (*performer, *tuned)),
    ):
        run(
            "training.finetune",
            f"--checkpoint={FLAGS.checkpoint}",
            f"--person={name}",
            *arguments,
            # Their weights are downloads; the preset's plain L1 term is the content loss here.
            "--vgg19=none",
            "--face_features=none",
            f"--serving={serving}",
            f"--output={root / 'people' / name}",
        )


def main(argv: list[str]) -> None:
    del argv
    start = time.monotonic()
    root = pathlib.Path(FLAGS.output)
    prepare_data(root)
    dataset = DatasetFolder.open(root / "performer")
    source, driving = (dataset.read_video(video_id) for video_id in ("performer/learn.mp4", "performer/drive.mp4"))
    personalise(root, source.video_id)
    people = root / "serving/people"
    with local_server(root / "serving/models.config") as server:
        for person, track in (
            ("astronaut", (f"--driving={EXAMPLES / 'performer/track.npz'}",)),
            ("performer", (f"--driving={root / 'performer'}", f"--video_id={driving.video_id}")),
        ):
            run(
                "serving.animate",
                f"--person={people / person}.npz",
                *track,
                f"--server={server}",
                f"--output={root / person}.mp4",
                "--side_by_side",
            )
        cards = {"feed_forward": people / "performer_feed_forward.npz", "fine_tuned": people / "performer.npz"}
        results = compare(source, driving, SOURCE_FRAMES, cards, server)
    write_results(results, root)
    print(f"\n{root / 'astronaut.mp4'}\n{root / 'performer.mp4'}\n{root / 'contact_sheet.png'}")
    print(f"\n{(time.monotonic() - start) / 60:.1f} minutes")


if __name__ == "__main__":
    program.run(main, define_flags)
