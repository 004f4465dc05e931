"""What a served model takes and gives, as its metadata tells, and whether a person fits to it."""

import dataclasses
import functools
import logging

import numpy as np

from serving.protocol import api, tensors
from tf_talking.people.card import PersonCard


class CardMismatchError(ValueError):
    """A person card that does not belong to the server's model; the message names both."""


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """An input or output of a signature; None where a size (or the rank) is free."""

    dtype: str
    shape: tuple[int | None, ...] | None


@dataclasses.dataclass(frozen=True)
class Signature:
    """Inputs and outputs by name."""

    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]


@dataclasses.dataclass(frozen=True)
class Served:
    """A version of a model as its metadata tell.

    Attributes:
      version: its number; 0 where the server does not say.
      fingerprint: of the generator that its ψ belongs to; "" where it was exported without.
    """

    signatures: dict[str, Signature]
    version: int
    fingerprint: str


def served(response: api.GetModelMetadataResponse) -> Served:
    """What a GetModelMetadata answer says."""
    signatures = from_metadata(response)
    names = signatures[api.FINGERPRINT].outputs if api.FINGERPRINT in signatures else ()
    prints = [name.removeprefix(api.FINGERPRINT_START) for name in names if name.startswith(api.FINGERPRINT_START)]
    return Served(signatures, response.model_spec.version.value, prints[0] if prints else "")


def from_metadata(response: api.GetModelMetadataResponse) -> dict[str, Signature]:
    """The signatures of a GetModelMetadata answer."""
    signatures = api.SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    return {
        key: Signature(_specs(signature.inputs), _specs(signature.outputs))
        for key, signature in signatures.signature_def.items()
    }


def _specs(infos) -> dict[str, TensorSpec]:
    return {
        name: TensorSpec(tensors.dtype_name(info.dtype), tensors.partial_shape(info.tensor_shape))
        for name, info in infos.items()
    }


def row_shape(signatures: dict[str, Signature], key: str, name: str, model: str) -> tuple[int | None, ...]:
    """Shape of one row of an input. Raises CardMismatchError if the model has no such input."""
    if key not in signatures or name not in signatures[key].inputs:
        raise CardMismatchError(
            f"model {model!r} has no signature {key!r} with input {name!r}, found signatures "
            f"{sorted(signatures)}: is it a generator?"
        )
    shape = signatures[key].inputs[name].shape
    if shape is None:
        raise CardMismatchError(f"model {model!r}: input {name!r} of {key!r} has no known rank")
    return shape[1:]


def adain_size(signatures: dict[str, Signature], model: str) -> int | None:
    """Length of the ψ that a model takes. Raises CardMismatchError if it takes none."""
    for key in (api.ANIMATE, api.DEFAULT):
        if key in signatures and "adain_params" in signatures[key].inputs:
            return row_shape(signatures, key, "adain_params", model)[0]
    raise CardMismatchError(
        f"model {model!r} takes no adain_params, found signatures {sorted(signatures)}: is it a generator?"
    )


def check_card(card: PersonCard, model: str, target: str, known: Served) -> None:
    """Raises CardMismatchError unless ψ's length, image size and fingerprint are the model's.

    Where one of them has no fingerprint, one warning is logged, and that is all.
    """
    signatures = known.signatures
    both = f"person card {card.name!r} and model {model!r} at {target} do not fit: "
    expected = adain_size(signatures, model)
    if expected not in (None, card.adain_params.size):
        raise CardMismatchError(
            f"{both}the card's adain_params has {card.adain_params.size} values, the model expects {expected}"
        )
    render = signatures.get(api.DEFAULT)
    image = render.inputs.get("landmark_images") if render else None
    if image and image.shape and image.shape[1] not in (None, card.image_size):
        raise CardMismatchError(
            f"{both}the card's image_size is {card.image_size} pixels, the model's {image.shape[1]}"
        )
    if card.fingerprint and known.fingerprint:
        if card.fingerprint != known.fingerprint:
            raise CardMismatchError(
                f"{both}the card was made for weights {card.fingerprint[:12]}, version {known.version} has "
                f"{known.fingerprint[:12]}; renew it (serving.reproject, or training.finetune again)"
            )
    elif card.fingerprint or known.fingerprint:
        which = f"model {model!r} at {target}" if card.fingerprint else f"person card {card.name!r}"
        _warn_once(f"{which} is from before fingerprints: nothing tells whether card and model belong together")


@functools.cache
def _warn_once(text: str) -> None:
    logging.getLogger(__name__).warning("%s", text)


def checked(value, where: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """The value as a float32 array of that shape.

    Raises:
      ValueError: names `where`, what arrived and what was expected; also if not finite.
    """
    array = np.asarray(value)
    fits = array.ndim == len(shape) and all(
        size in (None, given) for size, given in zip(shape, array.shape, strict=True)
    )
    if not fits:
        raise ValueError(f"{where}: got shape {tensors.shape_text(array.shape)}, expected {tensors.shape_text(shape)}")
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{where}: got {array.dtype}, expected float32")
    if not np.isfinite(array).all():
        raise ValueError(f"{where}: not all values are finite")
    return array.astype(np.float32, copy=False)
