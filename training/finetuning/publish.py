"""Puts a person where servers find them: a generator of their own where they have one, and a card.

`ExportForServing` does it at the end of anyone's own `fit`: it does not know the model, but is
given a function that gets from the model what it needs.
"""

import dataclasses
import datetime
import pathlib
from collections.abc import Callable

import keras
import numpy as np

from tf_talking.config import Config, config_hash
from tf_talking.media.photos import write_png
from tf_talking.networks.fingerprints import fingerprint
from tf_talking.networks.generator import Generator
from tf_talking.people.card import PersonCard
from tf_talking.served.folder import ServingFolder
from tf_talking.served.graphs import read_metadata, save_generator

SHARED_GENERATOR = "generator"


@dataclasses.dataclass(frozen=True)
class PersonToServe:
    """What is published for one person.

    Attributes:
      config: the config that the generator was built with.
      adain_params: ψ, float32 [L].
      embedding: ê, float32 [N], or what P projects, which starts with it.
      num_frames: number of photos ψ was made from.
      generator: the person's own generator; None: the shared one draws the person.
      source: where the photos come from, for people who read the card.
      source_frame: one of them, uint8 [S, S, 3], written beside the card.
      tune: what was trained for the person: "none" (feed-forward), "psi" or "full".
      fingerprint: of the shared generator, where that draws the person: `MetaLearned.fingerprints`.
        Without it nobody can tell the card from one of a retrained model.
      embedder_fingerprint: of the embedder that made ê.
    """

    config: Config
    adain_params: np.ndarray
    embedding: np.ndarray
    num_frames: int
    generator: Generator | None = None
    source: str = ""
    source_frame: np.ndarray | None = None
    tune: str = "none"
    fingerprint: str = ""
    embedder_fingerprint: str = ""


def publish_person(folder: ServingFolder, name: str, person: PersonToServe) -> pathlib.Path:
    """Writes a person's model version, where there is one, then the card. Returns its path.

    The model comes first: a card never names a model that is not there yet.
    """
    model, drawn_by = SHARED_GENERATOR, person.fingerprint
    if person.generator is not None:
        model, drawn_by = f"person_{name}", fingerprint(person.generator)
        choices = _choices_of_shared(folder)
        folder.publish(
            model,
            lambda path: save_generator(
                path,
                person.config,
                person.generator,
                adain_params=np.asarray(person.adain_params, np.float32)[np.newaxis],
                **choices,
            ),
        )
    config = person.config
    vector = np.asarray(person.embedding, np.float32)
    card = PersonCard(
        name=name,
        model=model,
        adain_params=np.asarray(person.adain_params, np.float32),
        embedding=vector[: config.model.embedding_size],
        config_hash=config_hash(config),
        image_size=config.model.image_size,
        detector=config.landmarks.detector,
        scheme=config.landmarks.scheme,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        num_frames=person.num_frames,
        extra={
            "source": person.source,
            "tune": person.tune,
            "line_thickness": str(config.landmarks.line_thickness),
            "inner_lips": str(config.landmarks.inner_lips),
        },
        fingerprint=drawn_by,
        embedder_fingerprint=person.embedder_fingerprint,
        person_vector=vector if vector.size > config.model.embedding_size else None,
    )
    path = folder.card_path(name)
    if person.source_frame is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(path.with_suffix(".png"), person.source_frame)
    card.save(path)
    return path


def _choices_of_shared(folder: ServingFolder) -> dict:
    """Device class, type and JPEG quality: what the shared generator was exported with."""
    versions = folder.versions(SHARED_GENERATOR)
    if not versions:
        return {}
    facts = read_metadata(folder.path / SHARED_GENERATOR / str(versions[-1]))
    return {name: facts[name] for name in ("device", "dtype", "jpeg_quality") if name in facts}


class ExportForServing(keras.callbacks.Callback):
    """Publishes the person into a serving folder: a new model version, then the person card.

    Args:
      serving_dir: the folder that the server reads.
      name: the person's name.
      get_person: model → PersonToServe, called at each export.
      every: epochs between exports; None exports at the end of training only.
      base_path: see `ServingFolder`.

    Attributes:
      card_path: the card, once written.
    """

    def __init__(
        self,
        serving_dir: str | pathlib.Path,
        name: str,
        get_person: Callable[[keras.Model], PersonToServe],
        every: int | None = None,
        base_path: str | None = None,
    ):
        super().__init__()
        self._folder = ServingFolder(serving_dir, base_path)
        self.card_path = self._folder.card_path(name)  # a bad name fails here, not after training
        self._name, self._get_person, self._every = name, get_person, every
        self._exported_epoch = self._epoch = None

    def on_epoch_end(self, epoch, logs=None):
        self._epoch = epoch
        if self._every and (epoch + 1) % self._every == 0:
            self._export()

    def on_train_end(self, logs=None):
        if self._exported_epoch is None or self._exported_epoch != self._epoch:
            self._export()

    def _export(self):
        publish_person(self._folder, self._name, self._get_person(self.model))
        self._exported_epoch = self._epoch
