"""The whole path on people that a program draws: `python -m serving.demo_train`.

Runs the commands a user would run, one after the other: makes procedural videos, meta-trains the
`tiny` preset, exports, personalises the model to somebody it has never seen from 8 frames of one
video, starts the server, and drives the head over gRPC with the poses of another video of that
person. Each command resumes, so that the demo does too.

Writes talking_head.mp4, contact_sheet.png and results.json, and prints errors on hold-out frames.
"""

import pathlib
import time

from absl import flags

from serving.drive.comparison import compare
from serving.drive.demos import only_video, run, write_results
from serving.server.child import local_server
from tf_talking import program

FLAGS = flags.FLAGS
SOURCE_FRAMES = 8  # T
SOURCE_VIDEO_FRAMES = 24  # a second, from which they are taken
# Of the preset `tiny`; a quarter of an hour on two cores has no time for what is switched off.
OVERRIDES = ("landmarks.detector=procedural", "model.attention=false", "train.discriminator_steps=1", "train.k_shot=2")


def define_flags() -> None:
    """Flags of this command."""
    flags.DEFINE_string("output", "demo", "Folder; created, or continued where it exists.")
    flags.DEFINE_integer("identities", 480, "Procedural people to train on.", lower_bound=2)
    flags.DEFINE_integer("steps", 2400, "Meta-training steps.", lower_bound=1)
    flags.DEFINE_integer("epochs", 60, "Fine-tuning epochs.", lower_bound=1)
    flags.DEFINE_integer("person", 1_000_005, "Number of the unseen person.", 500_000)
    flags.DEFINE_integer("driving_frames", 75, "Frames of the driving video.", lower_bound=8)


def prepare_data(root: pathlib.Path) -> None:
    """Makes the training videos and two videos of the unseen person."""
    run(
        "training.make_procedural",
        f"--output={root / 'train'}",
        f"--num_identities={FLAGS.identities}",
        "--frames_per_video=24",
        "--image_size=64",
    )
    # Two videos of one person: a short one to learn from, another one to be driven by.
    for name, frames, seed in (("source", SOURCE_VIDEO_FRAMES, 0), ("driving", FLAGS.driving_frames, 1)):
        run(
            "training.make_procedural",
            f"--output={root / name}",
            f"--first_identity={FLAGS.person}",
            "--num_identities=1",
            f"--frames_per_video={frames}",
            f"--seed={seed}",
            "--image_size=64",
        )


def learn(root: pathlib.Path, source: str) -> None:
    """Meta-training, export, and the unseen person feed-forward and fine-tuned."""
    run(
        "training.meta_train",
        f"--dataset={root / 'train'}",
        f"--run={root / 'run'}",
        "--preset=tiny",
        # Their weights are downloads; the preset's plain L1 term is the content loss here.
        "--vgg19=none",
        "--face_features=none",
        *(f"--override={override}" for override in OVERRIDES),
        f"--override=train.decay_steps={FLAGS.steps}",
        f"--steps={FLAGS.steps}",
        "--checkpoint_every=250",
        "--preview_every=250",
    )
    serving = root / "serving"
    run("serving.export", f"--checkpoint={root / 'run'}", f"--output={serving}")
    for name, epochs in (("feed_forward", 0), ("fine_tuned", FLAGS.epochs)):
        run(
            "training.finetune",
            f"--checkpoint={root / 'run'}",
            f"--person={name}",
            f"--dataset={root / 'source'}",
            f"--video_id={source}",
            f"--num_frames={SOURCE_FRAMES}",
            f"--epochs={epochs}",
            f"--serving={serving}",
        )


def main(argv):
    start = time.monotonic()
    root = pathlib.Path(FLAGS.output)
    prepare_data(root)
    source, driving = only_video(root / "source"), only_video(root / "driving")
    learn(root, source.video_id)
    people = root / "serving/people"
    with local_server(root / "serving/models.config") as server:
        run(
            "serving.animate",
            f"--person={people / 'fine_tuned.npz'}",
            f"--driving={root / 'driving'}",
            f"--video_id={driving.video_id}",
            f"--server={server}",
            f"--output={root / 'talking_head.mp4'}",
            "--side_by_side",
        )
        results = compare(
            source,
            driving,
            SOURCE_FRAMES,
            {name: people / f"{name}.npz" for name in ("feed_forward", "fine_tuned")},
            server,
        )
    write_results(results, root)
    print(f"\n{root / 'talking_head.mp4'}\n{root / 'contact_sheet.png'}")
    print(f"\n{(time.monotonic() - start) / 60:.1f} minutes")


if __name__ == "__main__":
    program.run(main, define_flags)
