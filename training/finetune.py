"""Personalises a meta-learned model (paper section 3.3):

    python -m training.finetune --checkpoint RUN --person ann --photos DIR --serving DIR

A Keras `fit` with callbacks: preview pictures, TensorBoard, and `ExportForServing`.
`--tune=full`, as in the paper, trains the generator too: the person gets a model of their own.
`--tune=psi` trains ψ' alone: a person card that the shared generator draws, in batches with
everybody else. With `--epochs 0` nothing is trained: the card of the feed-forward person.
With `--stop_at_knee` it ends where frames that are held out no longer get better.
Killed and started again with the same flags, it goes on from its last backup.
"""

import hashlib
import pathlib
import shutil
import sys

import keras
import numpy as np
from absl import app, flags, logging

from tf_talking.config import to_json
from tf_talking.landmarks.detectors import DETECTORS
from tf_talking.landmarks.draw import landmark_picture
from tf_talking.media import panels
from tf_talking.metrics.available import build_metrics
from tf_talking.networks.meta_learned import MetaLearned
from tf_talking.people.names import check_name
from tf_talking.program import print_result
from tf_talking.served.folder import ServingFolder
from tf_talking.spread import spread
from training import flags as content_flags
from training.finetuning.knee import StopAtKnee, knee_of_person
from training.finetuning.model import PRECISIONS, TUNE, PersonalModel
from training.finetuning.publish import (
    BackupEvery,
    ExportForServing,
    PersonToServe,
    PreviewPictures,
    publish_person,
)
from training.finetuning.start import load_to_finetune
from training.person import sources as person_source
from training.person.held_out import hold_out
from training.person.sources import PersonFrames

FLAGS = flags.FLAGS
content_flags.define_content_flags()
flags.adopt_module_key_flags(content_flags)  # so that --help lists them
flags.DEFINE_string("checkpoint", None, "Run folder of meta_train, or a checkpoint prefix.")
flags.DEFINE_string("person", None, "The person's name; names the card and the model.")
flags.DEFINE_string("photos", None, "Folder of photos of the person, or one photo.")
flags.DEFINE_string("video", None, "Video of the person.")
flags.DEFINE_string("dataset", None, "Dataset folder with the person; needs --video_id.")
flags.DEFINE_string("video_id", None, "Which video of --dataset.")
flags.DEFINE_integer("num_frames", 8, "T: frames taken at most.", lower_bound=1)
flags.DEFINE_integer(
    "min_face", person_source.MIN_FACE, "Pixels that a face must have in a photo.", lower_bound=1
)
flags.DEFINE_enum("tune", "full", TUNE, "What is trained: ψ and ψ' (full), or ψ' only (psi).")
flags.DEFINE_integer("epochs", None, "Default: the config's (paper: 40). 0: feed-forward.")
flags.DEFINE_multi_string("override", [], "section.field=value, e.g. finetune.learning_rate=1e-4.")
flags.DEFINE_string("serving", None, "Serving folder; default: RUN/serving.")
flags.DEFINE_string("base_path", None, "What the server calls the serving folder.")
flags.DEFINE_string("output", None, "Previews and TensorBoard; default: RUN/people/PERSON.")
flags.DEFINE_integer("preview_every", 10, "Epochs between preview pictures.", lower_bound=1)
flags.DEFINE_integer(
    "backup_every", 10, "Epochs between backups, from which a killed job goes on; 0: none.", 0
)
flags.DEFINE_bool(
    "stop_at_knee",
    False,
    "Hold a frame out (of one photo: watch mirrored and moved views of it), "
    "stop where it no longer gets better, keep the best weights. --epochs is then the most.",
)
flags.DEFINE_string(
    "recogniser",
    None,
    "By it identity (CSIM) too decides where the knee is: .keras, .onnx or InsightFace name.",
)
flags.DEFINE_enum(
    "landmark_detector", None, DETECTORS, "Also the landmark error in the knee's curve."
)
flags.DEFINE_enum("mixed_precision", "float32", PRECISIONS, "Type of the activations in training.")
flags.DEFINE_integer("seed", 0, "Seed of the order of photos and of the frame held out.", 0)
flags.mark_flags_as_required(["checkpoint", "person"])


def read_person(config) -> PersonFrames:
    """The frames that the flags ask for."""
    given = [n for n in ("photos", "video", "dataset") if getattr(FLAGS, n)]
    if len(given) != 1:
        raise ValueError(f"got {given or 'none'} of --photos, --video, --dataset; expected one")
    if FLAGS.photos:
        return person_source.from_photos(config, FLAGS.photos, FLAGS.num_frames, FLAGS.min_face)
    if FLAGS.video:
        return person_source.from_video(config, FLAGS.video, FLAGS.num_frames, FLAGS.min_face)
    if not FLAGS.video_id:
        raise ValueError("--dataset: expected --video_id with it")
    return person_source.from_dataset(config, FLAGS.dataset, FLAGS.video_id, FLAGS.num_frames)


def job_digest(learned: MetaLearned, person: PersonFrames, epochs: int) -> str:
    """12 hexadecimal digits over all that decides the result: a backup is of one such job."""
    digest = hashlib.sha256(to_json(learned.config).encode())
    chosen = (learned.checkpoint, learned.step, FLAGS.tune, epochs, FLAGS.seed)
    chosen += (FLAGS.stop_at_knee, FLAGS.recogniser, FLAGS.mixed_precision)
    content = (FLAGS.vgg19, FLAGS.face_features, FLAGS.face_weights)
    digest.update(repr((chosen, content)).encode())
    for array in (person.frames, person.landmarks):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:12]


def stop_at_knee(
    learned: MetaLearned, person: PersonFrames, backup: pathlib.Path
) -> tuple[PersonFrames, StopAtKnee | None]:
    """(frames to train on, the callback that stops), as --stop_at_knee says."""
    if not FLAGS.stop_at_knee:
        return person, None
    config = learned.config
    metrics = build_metrics(
        None,
        None,
        FLAGS.recogniser,
        None,
        FLAGS.landmark_detector,
        config.landmarks.scheme,
        config.model.image_size,
        consecutive=False,
    )
    train, watch = hold_out(person, seed=FLAGS.seed)
    logging.info("the knee is looked for on %d frames, %d are trained on", len(watch), len(train))
    return train, knee_of_person(watch, metrics.names, metrics.needs, backup)


def draw_preview(person: PersonFrames, config):
    """Function of the model: a row for each of up to four photos: photo, landmarks, result."""
    chosen = spread(len(person), 4)
    frames, landmarks = person.frames[chosen], person.landmarks[chosen]
    drawn = landmark_picture(config.landmarks, landmarks, config.model.image_size)

    def draw(model: PersonalModel) -> np.ndarray:
        results = model(landmarks).numpy()
        return panels.grid(zip(frames, drawn, results, strict=True))

    return draw


def finetune(learned: MetaLearned, person: PersonFrames, epochs: int) -> pathlib.Path:
    """Trains and publishes, or publishes the feed-forward person. Returns the card's path."""
    embedding = learned.embed_person(person.frames, person.landmarks)
    root = pathlib.Path(FLAGS.checkpoint)
    root = root if root.is_dir() else root.parent
    serving = FLAGS.serving or str(root / "serving")
    if epochs == 0:
        adain_params = learned.project_person(embedding)
        served = PersonToServe(
            learned.config,
            adain_params,
            embedding,
            len(person),
            source=person.source,
            source_frame=person.frames[0],
        )
        return publish_person(ServingFolder(serving, FLAGS.base_path), FLAGS.person, served)
    content = content_flags.content_files().build(learned.config, FLAGS.mixed_precision)
    model = PersonalModel(
        learned, embedding, content, FLAGS.tune, FLAGS.seed, FLAGS.mixed_precision
    )
    model.compile()
    export = ExportForServing(
        serving,
        FLAGS.person,
        lambda model: model.person(len(person), person.source, person.frames[0]),
        base_path=FLAGS.base_path,
    )
    output = pathlib.Path(FLAGS.output or root / "people" / FLAGS.person)
    job = job_digest(learned, person, epochs)
    train, knee = stop_at_knee(learned, person, output / "backup" / f"{job}.knee.npz")
    fit(model, train, epochs, output, [*([knee] if knee else []), export], job)
    if knee:
        knee.write_curve(output / "knee.jsonl")
        logging.info("knee after %s epochs, curve in %s", knee.best_epoch, output / "knee.jsonl")
    return export.card_path


def fit(
    model: PersonalModel,
    person: PersonFrames,
    epochs: int,
    output: pathlib.Path,
    more: list,
    job: str,
) -> None:
    """Keras' fit with `more` callbacks, which goes on where the same job was killed."""
    output.mkdir(parents=True, exist_ok=True)
    backups = output / "backup"
    resumes = any((backups / job).rglob("checkpoint"))
    if resumes:
        logging.info("%s: goes on from its last backup", FLAGS.person)
    batch_size, step = model.config.finetune.batch_size, model.generator_optimizer.iterations
    callbacks = [
        *more,  # first: whatever shows or saves the end sees the weights of the knee
        PreviewPictures(
            output / "previews",
            draw_preview(person, model.config),
            FLAGS.preview_every,
            output / "tensorboard",
        ),
        keras.callbacks.TensorBoard(str(output / "tensorboard"), write_graph=False),
        keras.callbacks.CSVLogger(str(output / "log.csv"), append=resumes),
    ]
    if FLAGS.backup_every:
        callbacks.append(BackupEvery(backups / job, FLAGS.backup_every))
    model.fit(
        person_source.photo_dataset(person, batch_size, FLAGS.seed, step),
        epochs=epochs,
        verbose=2 if not sys.stderr.isatty() else 1,
        callbacks=callbacks,
    )
    shutil.rmtree(backups, ignore_errors=True)  # those of other jobs under this name too


def run() -> pathlib.Path:
    """The program without its exit codes."""
    check_name(FLAGS.person)
    keras.utils.set_random_seed(FLAGS.seed)
    files = content_flags.content_files()
    learned = load_to_finetune(FLAGS.checkpoint, FLAGS.override, files)
    config = learned.config
    epochs = config.finetune.epochs if FLAGS.tune == "full" else config.finetune.psi_epochs
    epochs = epochs if FLAGS.epochs is None else FLAGS.epochs
    if epochs < 0:
        raise ValueError(f"--epochs: got {epochs}, expected >= 0")
    person = read_person(config)
    logging.info(
        "%s: %d frames from %s, checkpoint step %d, %d epochs, tune=%s",
        FLAGS.person,
        len(person),
        person.source,
        learned.step,
        epochs,
        FLAGS.tune,
    )
    return finetune(learned, person, epochs)


if __name__ == "__main__":
    app.run(lambda argv: print_result(run, argv))
