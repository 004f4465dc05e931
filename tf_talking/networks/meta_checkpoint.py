"""Reads the meta-learned networks from a checkpoint, completely or not at all.

A checkpoint carries its own config, so nothing else is needed. E and G are the EMA copies. Used
by export and by fine-tuning.
"""

import dataclasses
import pathlib

import tensorflow as tf

from tf_talking.config import Config, from_json
from tf_talking.networks.bundle import find_bundle, load_bundle
from tf_talking.networks.checkpoint_files import newest_readable
from tf_talking.networks.discriminator import Discriminator
from tf_talking.networks.embedder import Embedder
from tf_talking.networks.generator import Generator
from tf_talking.networks.meta_learned import MetaLearned
from tf_talking.networks.variable_keys import variables_by_key

_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


class CheckpointMismatch(ValueError):
    """The checkpoint's variables and the networks of its config do not correspond one to one."""


@dataclasses.dataclass(frozen=True)
class CheckpointFacts:
    """What a checkpoint says of itself. `shapes`: key → shape of every variable in it."""

    prefix: str
    config: Config
    step: int
    shapes: dict[str, list[int]]


def find_checkpoint(path: str | pathlib.Path) -> str:
    """The newest readable checkpoint's prefix of a run folder, or `path` where that is a prefix.

    Raises:
      ValueError: there is no checkpoint, or none that can be read.
    """
    path = pathlib.Path(path)
    if tf.io.gfile.exists(f"{path}.index"):
        return str(path)
    for folder in (path / "checkpoints", path):
        prefix, damaged = newest_readable(str(folder))
        if prefix or damaged:
            break
    if prefix:
        return prefix
    for problem in damaged.values():
        raise ValueError(problem)
    raise ValueError(f"{path}: no checkpoint here; expected a run folder or a checkpoint prefix")


def read_facts(prefix: str) -> CheckpointFacts:
    """Reads a checkpoint's config, step and shapes, no weights.

    Raises:
      ValueError: it can not be read, or is not one of meta_train.
    """
    try:
        reader = tf.train.load_checkpoint(prefix)
        shapes = reader.get_variable_to_shape_map()
        text = reader.get_tensor("config" + _VALUE).decode()
        step = int(reader.get_tensor("step" + _VALUE))
    except (tf.errors.OpError, RuntimeError, ValueError, KeyError) as error:
        raise ValueError(f"{prefix}: not a readable checkpoint of meta_train ({error})") from error
    return CheckpointFacts(prefix, from_json(text, f"{prefix} (its config)"), step, shapes)


def load_meta_learned(path: str | pathlib.Path, with_discriminator: bool = False) -> MetaLearned:
    """Builds the networks and restores them, from a checkpoint or a bundle (`find_bundle`).

    Raises:
      BundleError: it is a bundle, and not a sound one.
      ValueError: no checkpoint, or it can not be read.
      CheckpointMismatch: a variable of the networks is not in the checkpoint, or the other way
        round, or a shape differs; names the variables.
    """
    bundle = find_bundle(path)
    if bundle:
        return load_bundle(bundle)
    facts = read_facts(find_checkpoint(path))
    prefix, config, shapes = facts.prefix, facts.config, facts.shapes
    networks = {
        "ema_embedder": Embedder(config.model, name="embedder"),
        "ema_generator": Generator(config.model, name="generator"),
    }
    if with_discriminator:
        key = "discriminator/head/w" + _VALUE
        if key not in shapes:
            raise CheckpointMismatch(f"{prefix}: it holds no variable {key!r}")
        networks["discriminator"] = Discriminator(config.model, num_videos=shapes[key][0], name="discriminator")
    for name, network in networks.items():
        _check_matched(prefix, shapes, name, network)
    # What is left out on purpose (optimisers, the other copies) does not count as unmatched.
    status = tf.train.Checkpoint(**networks).read(prefix)
    status.assert_existing_objects_matched().expect_partial()
    return MetaLearned(
        config, prefix, facts.step, networks["ema_embedder"], networks["ema_generator"], networks.get("discriminator")
    )


def _check_matched(prefix: str, shapes: dict, name: str, network) -> None:
    variables = variables_by_key(network)
    wanted = {f"{name}/{key}": v.shape.as_list() for key, v in variables.items()}
    found = {
        key.removesuffix(_VALUE): list(shape)
        for key, shape in shapes.items()
        if key.startswith(f"{name}/") and key.endswith(_VALUE) and ".OPTIMIZER_SLOT" not in key
    }
    problems = [f"{key}: not in the checkpoint" for key in sorted(set(wanted) - set(found))]
    problems += [f"{key}: in the checkpoint only" for key in sorted(set(found) - set(wanted))]
    problems += [
        f"{key}: shape {found[key]} in the checkpoint, expected {wanted[key]}"
        for key in sorted(set(wanted) & set(found))
        if wanted[key] != found[key]
    ]
    if problems:
        shown = "; ".join(problems[:5])
        raise CheckpointMismatch(f"{prefix}: {len(problems)} variables of {name} do not match its config: {shown}")
