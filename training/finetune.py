"""Personalises a meta-learned model (paper section 3.3):

    python -m training.finetune --checkpoint RUN --person ann --photos DIR --serving DIR

A Keras `fit` with callbacks: preview pictures, TensorBoard, and `ExportForServing`.
`--tune=full`, as in the paper, trains the generator too: the person gets a model of their own.
`--tune=psi` trains ψ' alone: a person card that the shared generator draws, in batches with
everybody else. With `--epochs 0` nothing is trained: the card of the feed-forward person.
With `--stop_at_knee` it ends where frames that are held out no longer get better.
Killed and started again with the same flags, it goes on from its last backup.
"""

import dataclasses
import pathlib

import keras
from absl import app, flags, logging

from tf_talking import program
from tf_talking.landmarks.detectors import DETECTORS
from tf_talking.networks.bundle import find_bundle
from tf_talking.people.names import check_name
from training import flags as shared_flags
from training.finetuning.job import FinetuneJob, finetune
from training.finetuning.model import PRECISIONS, TUNE
from training.finetuning.start import load_to_finetune
from training.flags import content_files
from training.person.sources import MIN_FACE, PersonSource
from training.runs.recognisers import check_metric_of
from training.updates.precision import AUTO, choose_precision

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Those of the job, of its frames, and of the content loss."""
    shared_flags.define_content_flags()
    flags.DEFINE_string(
        "checkpoint",
        None,
        "A shipped model's name, a bundle, a run folder of meta_train, or a checkpoint prefix.",
        required=True,
    )
    flags.DEFINE_string("person", None, "The person's name; names the card and the model.", required=True)
    flags.DEFINE_string("photos", None, "Folder of photos of the person, or one photo.")
    flags.DEFINE_string("video", None, "Video of the person.")
    flags.DEFINE_string("dataset", None, "Dataset folder with the person; needs --video_id.")
    flags.DEFINE_string("video_id", None, "Which video of --dataset.")
    flags.DEFINE_integer("num_frames", 8, "T: frames taken at most.", lower_bound=1)
    flags.DEFINE_integer("min_face", MIN_FACE, "Pixels that a face must have in a photo.", 1)
    flags.DEFINE_enum("tune", "full", TUNE, "What is trained: ψ and ψ' (full), or ψ' only (psi).")
    flags.DEFINE_integer("epochs", None, "Default: the config's (paper: 40). 0: feed-forward.")
    flags.DEFINE_multi_string("override", [], "section.field=value, e.g. finetune.learning_rate=1e-4.")
    flags.DEFINE_string("serving", None, "Serving folder; default: RUN/serving.")
    flags.DEFINE_string("base_path", None, "What the server calls the serving folder.")
    flags.DEFINE_string("output", None, "Previews and TensorBoard; default: RUN/people/PERSON.")
    flags.DEFINE_integer("preview_every", 10, "Epochs between preview pictures.", lower_bound=1)
    flags.DEFINE_integer("backup_every", 10, "Epochs between backups, from which a killed job goes on; 0: none.", 0)
    flags.DEFINE_bool(
        "stop_at_knee",
        False,
        "Hold a frame out (of one photo: watch mirrored and moved views of it), "
        "stop where it no longer gets better, keep the best weights. --epochs is then the most.",
    )
    flags.DEFINE_string(
        "recogniser", None, "By it identity (CSIM) too decides where the knee is: .keras, .onnx or InsightFace name."
    )
    flags.DEFINE_enum("landmark_detector", None, DETECTORS, "Also the landmark error in the knee's curve.")
    flags.DEFINE_enum(
        "mixed_precision",
        None,
        (AUTO, *PRECISIONS),
        "Type of the activations in training. auto: bfloat16 where it pays, the default of presets "
        "for small budgets; of others: float32.",
    )
    flags.DEFINE_integer("seed", 0, "Seed of the order of photos and of the frame held out.", 0)


def read_job() -> FinetuneJob:
    """The job that the flags ask for."""
    run = pathlib.Path(FLAGS.checkpoint)
    if find_bundle(run):
        for name in ("serving", "output"):
            if not FLAGS[name].value:
                raise app.UsageError(f"--{name} is missing: {run} is a bundle, which has no folder of its own")
    run = run if run.is_dir() else run.parent
    return FinetuneJob(
        person=check_name(FLAGS.person),
        serving=FLAGS.serving or str(run / "serving"),
        output=pathlib.Path(FLAGS.output or run / "people" / FLAGS.person),
        base_path=FLAGS.base_path,
        tune=FLAGS.tune,
        epochs=FLAGS.epochs,
        stop_at_knee=FLAGS.stop_at_knee,
        recogniser=FLAGS.recogniser,
        landmark_detector=FLAGS.landmark_detector,
        content=content_files(),
        seed=FLAGS.seed,
        preview_every=FLAGS.preview_every,
        backup_every=FLAGS.backup_every,
    )


def main(argv: list[str]) -> pathlib.Path:
    """Returns the path of the card."""
    job = read_job()
    source = PersonSource(FLAGS.photos, FLAGS.video, FLAGS.dataset, FLAGS.video_id, FLAGS.num_frames, FLAGS.min_face)
    keras.utils.set_random_seed(job.seed)
    learned = load_to_finetune(FLAGS.checkpoint, FLAGS.override, job.content)
    check_metric_of(job.recogniser, learned, job.content.face_weights)
    precision = choose_precision(FLAGS.mixed_precision, learned.config)
    job = dataclasses.replace(job, precision=precision)
    epochs = job.epochs_for(learned.config)
    person = source.read(learned.config)
    logging.info(
        "%s: %d frames from %s, checkpoint step %d, %d epochs, tune=%s",
        job.person,
        len(person),
        person.source,
        learned.step,
        epochs,
        job.tune,
    )
    return finetune(job, learned, person)


if __name__ == "__main__":
    program.run(main, define_flags)
