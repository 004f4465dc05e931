"""A person and a generator, checked against each other: makes Predict requests for frames."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from serving.client import signatures
from serving.client.messages import predict_request, read_output
from serving.protocol import api
from tf_talking.people.card import PersonCard

DEFAULT_MODEL = "generator"


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A person and a model that fit: makes requests. `row_shape` is that of a landmark set."""

    model: str
    adain_params: np.ndarray
    row_shape: tuple[int | None, ...]

    def checked(self, row: np.ndarray, index: int) -> np.ndarray:
        """Raises ValueError unless it is a landmark set."""
        return signatures.checked(row, f"landmarks of frame {index}", self.row_shape)

    def request(self, rows: Sequence[np.ndarray]) -> api.PredictRequest:
        """A request for some landmark sets."""
        repeated = np.broadcast_to(self.adain_params, (len(rows), self.adain_params.size))
        inputs = {"landmarks": np.stack(rows), "adain_params": repeated}
        return predict_request(self.model, api.ANIMATE, inputs)

    def read(self, response: api.PredictResponse) -> Iterable[bytes]:
        """The landmark sets' JPEG files."""
        return read_output(response, "frames_jpeg", self.model)


def model_of(person: PersonCard | np.ndarray, model: str | None) -> str:
    """The model that draws a person: the one asked for, or else the card's own."""
    return model or (person.model if isinstance(person, PersonCard) else DEFAULT_MODEL)


def drawing(
    person: PersonCard | np.ndarray, model: str, known: dict[str, signatures.Signature], target: str
) -> Drawing:
    """Checks a person against a model.

    Args:
      person: a person card, or ψ, float32 [L].
      known: the model's signatures.

    Raises:
      CardMismatchError, ValueError: what does not fit.
    """
    if isinstance(person, PersonCard):
        signatures.check_card(person, model, target, known)
        adain_params = person.adain_params
    else:
        size = signatures.adain_size(known, model)
        adain_params = signatures.checked(person, "adain_params", (size,))
    shape = signatures.row_shape(known, api.ANIMATE, "landmarks", model)
    return Drawing(model, adain_params, shape)
