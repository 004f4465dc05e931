"""The job: a person's frames become a card, or a card and a generator of their own.

    embed -> feed-forward (0 epochs) or fine-tune, until the epochs or the knee end it -> publish

Killed and started again with the same settings, it goes on from its last backup.
"""

import contextlib
import dataclasses
import hashlib
import pathlib
import shutil
import sys

import keras
import numpy as np
from absl import logging

from tf_talking.config import Config, to_json
from tf_talking.files import only_one
from tf_talking.landmarks.draw import landmark_picture
from tf_talking.media import panels
from tf_talking.metrics.available import build_metrics
from tf_talking.networks.generator import Generator
from tf_talking.networks.meta_learned import MetaLearned
from tf_talking.served.folder import ServingFolder
from tf_talking.spread import spread
from training.finetuning.callbacks import BackupEvery, PreviewPictures
from training.finetuning.knee import StopAtKnee, knee_of_person
from training.finetuning.model import PersonalModel
from training.finetuning.publish import ExportForServing, PersonToServe, publish_person
from training.person.frames import PersonFrames, photo_dataset
from training.person.held_out import hold_out
from training.updates.content import ContentFiles


@dataclasses.dataclass(frozen=True)
class FinetuneJob:
    """What is asked for.

    Attributes:
      person: name of the card and the model.
      serving: the serving folder.
      output: previews, TensorBoard, backups and the knee's curve.
      base_path: see `ServingFolder`.
      tune: "full" or "psi", see `PersonalModel`.
      epochs: at most; 0: feed-forward; None: the config's.
      stop_at_knee: where held-out frames no longer get better.
      recogniser: by it identity (CSIM) too decides where the knee is.
      landmark_detector: also the landmark error in the knee's curve.
      content: of the content loss.
      precision: type of the activations in training.
      seed: of the order of photos, of the frame held out and of random starts.
      preview_every: epochs between preview pictures.
      backup_every: epochs between backups; 0: none.
    """

    person: str
    serving: str
    output: pathlib.Path
    base_path: str | None = None
    tune: str = "full"
    epochs: int | None = None
    stop_at_knee: bool = False
    recogniser: str | None = None
    landmark_detector: str | None = None
    content: ContentFiles = ContentFiles()
    precision: str = "float32"
    seed: int = 0
    preview_every: int = 10
    backup_every: int = 10

    def __post_init__(self):
        for name in ("recogniser", "landmark_detector"):
            if getattr(self, name) and not self.stop_at_knee:
                raise ValueError(f"{name}: is used with stop_at_knee only; give both or neither")

    def epochs_for(self, config: Config) -> int:
        """Those asked for, or the config's. Raises ValueError below 0."""
        finetune = config.finetune
        default = finetune.epochs if self.tune == "full" else finetune.psi_epochs
        epochs = default if self.epochs is None else self.epochs
        if epochs < 0:
            raise ValueError(f"epochs: got {epochs}, expected >= 0")
        return epochs


def finetune(job: FinetuneJob, learned: MetaLearned, person: PersonFrames) -> pathlib.Path:
    """Trains and publishes, or publishes the feed-forward person. Returns the card's path.

    Raises:
      RuntimeError: another process makes this person, or writes to the same output.
    """
    card, what = ServingFolder(job.serving, job.base_path).card_path(job.person), f"person {job.person!r}"
    with contextlib.ExitStack() as alone:
        alone.enter_context(only_one(card.with_name(f".{card.stem}.lock"), f"{what} in {job.serving}"))
        if job.epochs_for(learned.config):
            alone.enter_context(only_one(job.output / ".lock", f"{what}, output {job.output}"))
        return _finetune(job, learned, person)


def _finetune(job: FinetuneJob, learned: MetaLearned, person: PersonFrames) -> pathlib.Path:
    config, epochs = learned.config, job.epochs_for(learned.config)
    digest = job_digest(job, learned, person, epochs)
    train, knee = look_for_knee(job, config, person, digest) if epochs else (person, None)
    # What the knee watches is not in ê_NEW either.
    embedding = learned.embed_person(train.frames, train.landmarks)
    fingerprints = learned.fingerprints  # before anything of it is trained

    def served(adain_params: np.ndarray, tune: str, own: Generator | None = None) -> PersonToServe:
        taken = (len(person), own, person.source, person.frames[0], tune)
        return PersonToServe(config, adain_params, embedding, *taken, **fingerprints)

    if epochs == 0:
        folder = ServingFolder(job.serving, job.base_path)
        return publish_person(folder, job.person, served(learned.project_person(embedding), tune="none"))
    content = job.content.build(config, job.precision)
    model = PersonalModel(learned, embedding, content, job.tune, job.seed, job.precision)
    model.compile()
    export = ExportForServing(
        job.serving,
        job.person,
        lambda model: served(model.ema_adain_params.numpy(), model.tune, model.own_generator),
        base_path=job.base_path,
    )
    fit(job, model, train, epochs, [*([knee] if knee else []), export], digest)
    if knee:
        curve = job.output / "knee.jsonl"
        knee.write_curve(curve)
        logging.info("knee after %s epochs, curve in %s", knee.best_epoch, curve)
    return export.card_path


def job_digest(job: FinetuneJob, learned: MetaLearned, person: PersonFrames, epochs: int) -> str:
    """12 hexadecimal digits over all that decides the result: a backup is of one such job."""
    digest = hashlib.sha256(to_json(learned.config).encode())
    chosen = (learned.checkpoint, learned.step, job.tune, epochs, job.seed)
    chosen += (job.stop_at_knee, job.recogniser, job.precision)
    content = dataclasses.astuple(job.content)
    digest.update(repr((chosen, content)).encode())
    for array in (person.frames, person.landmarks):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:12]


def look_for_knee(
    job: FinetuneJob, config: Config, person: PersonFrames, digest: str
) -> tuple[PersonFrames, StopAtKnee | None]:
    """(frames to train on, the callback that stops), as `stop_at_knee` says."""
    if not job.stop_at_knee:
        return person, None
    metrics = build_metrics(
        None,
        config.landmarks.scheme,
        config.model.image_size,
        recogniser=job.recogniser,
        landmark_detector=job.landmark_detector,
    )
    train, watch = hold_out(person, seed=job.seed)
    logging.info("the knee is looked for on %d frames, %d are trained on", len(watch), len(train))
    backup = job.output / "backup" / f"{digest}.knee.npz"
    return train, knee_of_person(watch, metrics.names, metrics.needs, backup)


def fit(
    job: FinetuneJob,
    model: PersonalModel,
    person: PersonFrames,
    epochs: int,
    more: list[keras.callbacks.Callback],
    digest: str,
) -> None:
    """Keras' fit with `more` callbacks, which goes on where the same job was killed."""
    job.output.mkdir(parents=True, exist_ok=True)
    backups = job.output / "backup"
    resumes = any((backups / digest).rglob("checkpoint"))
    if resumes:
        logging.info("%s: goes on from its last backup", job.person)
    tensorboard, draw = job.output / "tensorboard", preview_of(person, model.config)
    callbacks = [
        *more,  # first: whatever shows or saves the end sees the weights of the knee
        PreviewPictures(job.output / "previews", draw, job.preview_every, tensorboard),
        keras.callbacks.TensorBoard(str(tensorboard), write_graph=False),
        keras.callbacks.CSVLogger(str(log_file(job.output)), append=resumes),
    ]
    if job.backup_every:
        callbacks.append(BackupEvery(backups / digest, job.backup_every))
    batch_size, step = model.config.finetune.batch_size, model.generator_optimizer.iterations
    model.fit(
        photo_dataset(person, batch_size, job.seed, step),
        epochs=epochs,
        verbose=2 if not sys.stderr.isatty() else 1,
        callbacks=callbacks,
    )
    shutil.rmtree(backups, ignore_errors=True)  # those of other jobs under this name too


def log_file(output: pathlib.Path) -> pathlib.Path:
    """log.csv; one that was begun under other names of the values is put aside, not mixed up."""
    path = output / "log.csv"
    if path.is_file() and "loss/generator" not in path.read_text():
        path.replace(output / "log_before.csv")
    return path


def preview_of(person: PersonFrames, config: Config):
    """Function of the model: a row for each of up to four photos: photo, landmarks, result."""
    shown = person.some(spread(len(person), 4))
    drawn = landmark_picture(config.landmarks, shown.landmarks, config.model.image_size)

    def draw(model: PersonalModel) -> np.ndarray:
        results = model(shown.landmarks).numpy()
        return panels.grid(zip(shown.frames, drawn, results, strict=True))

    return draw
