"""A new run that begins with the networks of another one (`meta_train --start_from`).

For a run with other losses, rates or augmentation, or with other people: E, G and D go on, Adam's
moments and the step begin anew. W's rows belong to videos, so they come along only where both runs
have the same ones. Of a bundle, E and G are the EMA copies, and W is not in it. P can be freed of
its spectral norm on the way: it begins as K/σ.
"""

import dataclasses
import pathlib

import tensorflow as tf
from absl import logging

from tf_talking.config import Config
from tf_talking.files import check_same
from tf_talking.layers.spectral_norm import singular_value
from tf_talking.networks.bundle import find_bundle, load_bundle, read_bundle_config
from tf_talking.networks.meta_checkpoint import CheckpointMismatch, find_checkpoint, read_facts
from tf_talking.networks.variable_keys import variables_by_key
from training.meta.step import MetaTrainer
from training.runs.folder import read_run_facts

# What says which videos a run was trained on, in run.json.
_VIDEOS = ("data_hash", "num_videos", "excluded_identities")


@dataclasses.dataclass(frozen=True)
class StartFrom:
    """The checkpoint or bundle that a run begins with.

    Attributes:
      path: prefix of the checkpoint, or the bundle's file.
      facts: for run.json: its name and step, and whether W's rows come along.
      frees_projection: P has spectral norm there and none here.
    """

    path: str
    facts: dict
    is_bundle: bool = False
    frees_projection: bool = False

    @property
    def with_w(self) -> bool:
        return self.facts["with_w"]

    @classmethod
    def find(cls, path: str, config: Config, run_facts: dict) -> "StartFrom":
        """Looks at a run folder, checkpoint prefix or bundle, before anything is written.

        Args:
          path: of --start_from.
          config: of the new run.
          run_facts: of the new run, as run.json has them.

        Raises:
          ValueError: nothing readable there.
          CheckpointMismatch: its networks or landmark images are of another config.
        """
        bundle = find_bundle(path)
        if bundle:
            path, (theirs, facts) = str(bundle), read_bundle_config(bundle)
            step, same = facts["step"], False
        else:
            found = read_facts(find_checkpoint(path))
            path, theirs, step = found.prefix, found.config, found.step
            other = read_run_facts(found.prefix)
            same = bool(other) and all(other.get(name) == run_facts[name] for name in _VIDEOS)
        frees = _projection_normed(theirs) and not _projection_normed(config)
        _check_config(path, theirs, config, frees)
        facts = {"checkpoint": pathlib.Path(path).name, "step": step, "with_w": same}
        return cls(path, facts, bundle is not None, frees)

    def restore(self, trainer: MetaTrainer) -> None:
        """Sets E, G, D and the EMA copies of `trainer`; Adam, step and episodes stay.

        Raises:
          CheckpointMismatch: a variable of the networks is not in the checkpoint.
          BundleError: the bundle is damaged.
        """
        if self.is_bundle:
            self._restore_bundle(trainer)
        else:
            self._restore_checkpoint(trainer)
        logging.info(
            "starting from %s (step %d), %s",
            self.path,
            self.facts["step"],
            "with W: the videos are the same" if self.with_w else "W anew: the videos are not known to be the same",
        )

    def _restore_bundle(self, trainer: MetaTrainer) -> None:
        learned = load_bundle(self.path)
        if self.frees_projection:
            projection = learned.generator.projection
            projection.kernel.assign(projection.kernel / singular_value(projection.kernel, projection.u, projection.v))
        for network in (trainer.embedder, trainer.ema_embedder):
            network.set_weights(learned.embedder.get_weights())
        # One by one: with spectral norm P has more variables than without.
        theirs = variables_by_key(learned.generator)
        for network in (trainer.generator, trainer.ema_generator):
            for key, variable in variables_by_key(network).items():
                variable.assign(theirs[key])
        head = learned.discriminator.head
        trainer.discriminator.features.set_weights(learned.discriminator.features.get_weights())
        trainer.discriminator.head.w0.assign(head.w0)
        trainer.discriminator.head.bias.assign(head.bias)

    def _restore_checkpoint(self, trainer: MetaTrainer) -> None:
        head = trainer.discriminator.head
        if not self.with_w:
            head = tf.train.Checkpoint(w0=head.w0, bias=head.bias)
        discriminator = tf.train.Checkpoint(features=trainer.discriminator.features, head=head)
        status = tf.train.Checkpoint(
            embedder=trainer.embedder,
            generator=trainer.generator,
            ema_embedder=trainer.ema_embedder,
            ema_generator=trainer.ema_generator,
            discriminator=discriminator,
        ).read(self.path)
        try:
            status.assert_existing_objects_matched().expect_partial()
        except AssertionError as error:
            raise CheckpointMismatch(f"{self.path}: can not be started from: {error}") from error
        if self.frees_projection:
            for name in ("generator", "ema_generator"):
                projection = getattr(trainer, name).projection
                projection.kernel.assign(_normalized_kernel(self.path, f"{name}/projection"))


def _projection_normed(config: Config) -> bool:
    return config.model.spectral_norm and config.model.spectral_norm_on_projection


def _normalized_kernel(prefix: str, layer: str) -> tf.Tensor:
    """K/σ of a fully connected layer in a checkpoint."""
    reader = tf.train.load_checkpoint(prefix)
    kernel, u, v = (reader.get_tensor(f"{layer}/{name}/.ATTRIBUTES/VARIABLE_VALUE") for name in ("kernel", "u", "v"))
    return kernel / singular_value(kernel, u, v)


def _check_config(path: str, theirs: Config, config: Config, frees_projection: bool) -> None:
    """Networks go on as they were made."""
    theirs, ours = (
        {section: dataclasses.asdict(getattr(c, section)) for section in ("model", "landmarks")}
        for c in (theirs, config)
    )
    if frees_projection:
        for sections in (theirs, ours):
            del sections["model"]["spectral_norm_on_projection"]
    try:
        check_same(theirs, ours, f"start_from: {path}")
    except ValueError as error:
        raise CheckpointMismatch(str(error)) from None
