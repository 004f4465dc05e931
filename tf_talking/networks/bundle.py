"""A bundle: a meta-learned model in one portable file, accepted wherever a checkpoint is.

A zip file without compression, so that any tool can look inside:

    bundle.json              format version, config, step, fingerprint, what went into it
    embedder/KEY.npy         EMA of E, float16; keys as in a checkpoint
    generator/KEY.npy        EMA of G with P
    discriminator/KEY.npy    θ, w0 and b of D, for fine-tuning; no row of W
    sface.onnx               the recogniser that identity is borrowed from, in its int8 form

Adam's moments and W, which belong to a run and its videos, stay behind. The fingerprint is the
sha256 of all weights, so a damaged file is told apart from a whole one; `networks` are those that
people's cards and exported models carry (`networks/fingerprints.py`).
"""

import hashlib
import io
import json
import os
import pathlib
import zipfile

import numpy as np

from tf_talking import files, npz
from tf_talking.config import Config, config_hash, from_json, to_json
from tf_talking.content import sface
from tf_talking.networks.discriminator import Discriminator
from tf_talking.networks.embedder import Embedder
from tf_talking.networks.generator import Generator
from tf_talking.networks.meta_learned import MetaLearned
from tf_talking.networks.variable_keys import variables_by_key

SUFFIX = ".tft"
_VERSION = 1
_FACTS, _RECOGNISER = "bundle.json", "sface.onnx"
_MAX_FACTS_BYTES, _MAX_RECOGNISER_BYTES, _HEADER_BYTES = 2**20, 2**26, 4096
_OF_VIDEOS = ("head/w", "head/u", "head/v")  # of the discriminator; W and its σ stay behind
_MODELS = pathlib.Path(__file__).parents[2] / "models"


class BundleError(ValueError):
    """The file is no bundle, a damaged one, or one of another version."""


def find_bundle(path: str | os.PathLike) -> pathlib.Path | None:
    """The bundle that `path` means: a file NAME.tft, or models/NAME/NAME.tft by its NAME alone.

    None where it is neither, so that it may be a run folder or a checkpoint.
    """
    path = pathlib.Path(path)
    if path.suffix == SUFFIX or path.is_file():
        return path
    shipped = _MODELS / path / f"{path.name}{SUFFIX}"
    named = len(path.parts) == 1 and not path.exists() and shipped.is_file()
    return shipped if named else None


def _networks(learned: MetaLearned) -> dict[str, dict]:
    networks = {"embedder": learned.embedder, "generator": learned.generator}
    networks["discriminator"] = learned.discriminator
    keyed = {name: variables_by_key(network) for name, network in networks.items()}
    for key in _OF_VIDEOS:
        keyed["discriminator"].pop(key, None)
    return keyed


def write_bundle(path: str | os.PathLike, learned: MetaLearned, facts: dict | None = None) -> dict:
    """Writes the networks of a checkpoint; the file appears under its name when it is whole.

    Args:
      path: the file; its folder must exist.
      learned: with its discriminator.
      facts: what else bundle.json shall say (data, weight files of the losses).

    Returns:
      bundle.json's facts.

    Raises:
      ValueError: a weight is not finite, or does not fit float16.
    """
    digest, members = hashlib.sha256(), {}
    for network, variables in _networks(learned).items():
        for key, variable in sorted(variables.items()):
            with np.errstate(over="ignore"):
                value = variable.numpy().astype(np.float16)
            if not np.isfinite(value).all():
                raise ValueError(f"{learned.checkpoint}: {network}/{key} is not finite in float16")
            data = io.BytesIO()
            np.save(data, value, allow_pickle=False)
            members[f"{network}/{key}.npy"] = data.getvalue()
            digest.update(data.getvalue())
    if learned.config.model.borrowed_identity == "sface":
        members[_RECOGNISER] = sface.FILE.read_bytes()
    facts = {
        "format": "tf_talking bundle",
        "version": _VERSION,
        "step": learned.step,
        "fingerprint": digest.hexdigest(),
        "config_hash": config_hash(learned.config),
        "networks": learned.fingerprints,
        "config": json.loads(to_json(learned.config)),
        **(facts or {}),
    }
    members = {_FACTS: (json.dumps(facts, indent=2) + "\n").encode(), **members}
    with files.whole_file(path) as unfinished, zipfile.ZipFile(unfinished, "w") as archive:
        for name, data in members.items():
            # A fixed time: the same weights make the same file.
            archive.writestr(zipfile.ZipInfo(name, (2000, 1, 1, 0, 0, 0)), data)
    return facts


def read_bundle_facts(path: str | os.PathLike) -> dict:
    """bundle.json of a bundle.

    Raises:
      BundleError: names the file and what is wrong with it.
      FileNotFoundError: there is no such file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            facts = json.loads(npz.read_member(archive, _FACTS, _MAX_FACTS_BYTES))
            if not isinstance(facts, dict):
                raise ValueError(f"{_FACTS} holds no facts")
    except OSError:
        raise
    except Exception as error:  # what zipfile raises on damaged files has no common class
        raise BundleError(f"{path}: not a bundle, or a damaged one ({error})") from error
    if facts.get("format") != "tf_talking bundle" or facts.get("version") != _VERSION:
        raise BundleError(
            f"{path}: a bundle of version {facts.get('version')!r}, this program reads {_VERSION}; "
            "write it again with training.bundle of this version"
        )
    return facts


def read_bundle_config(path: str | os.PathLike) -> tuple[Config, dict]:
    """(its config, bundle.json's facts). Raises as `read_bundle_facts` does."""
    facts = read_bundle_facts(path)
    return from_json(json.dumps(facts["config"]), f"{path} (its config)"), facts


def load_bundle(path: str | os.PathLike) -> MetaLearned:
    """The networks of a bundle, float32, D with one neutral row of W.

    Raises:
      BundleError: it is no bundle, is damaged, or its weights are not those of its config.
      FileNotFoundError: there is no such file.
    """
    config, facts = read_bundle_config(path)
    learned = MetaLearned(
        config,
        os.fspath(path),
        facts["step"],
        Embedder(config.model, name="embedder"),
        Generator(config.model, name="generator"),
        Discriminator(config.model, num_videos=1, name="discriminator"),
    )
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(path) as archive:
            for network, variables in _networks(learned).items():
                for key, variable in sorted(variables.items()):
                    most = 2 * int(np.prod(variable.shape)) + _HEADER_BYTES
                    data = npz.read_member(archive, f"{network}/{key}.npy", most)
                    digest.update(data)
                    variable.assign(npz.to_array(data))
            if config.model.borrowed_identity == "sface":
                lender = hashlib.sha256(npz.read_member(archive, _RECOGNISER, _MAX_RECOGNISER_BYTES)).hexdigest()
                if lender != sface.SHA256:
                    raise BundleError(f"{path}: its {_RECOGNISER} is another than {sface.FILE.name}")
    except (BundleError, OSError):
        raise
    except Exception as error:  # as above
        raise BundleError(f"{path}: a damaged bundle ({error})") from error
    if digest.hexdigest() != facts["fingerprint"]:
        raise BundleError(f"{path}: a damaged bundle (its weights have another fingerprint)")
    w = learned.discriminator.head.w
    w.assign(np.zeros(w.shape, np.float32))
    return learned
