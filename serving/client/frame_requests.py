"""A person and a signature of a generator, checked against each other: makes Predict requests."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
from tensorflow_serving.apis import predict_pb2

from serving.client import signatures
from serving.client.messages import predict_request, read_output
from tf_talking.people.card import PersonCard

DEFAULT_MODEL = "generator"


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A person and a signature of a model, checked against each other: makes requests.

    Attributes:
      name: the input that differs from frame to frame, `landmarks` or `landmark_images`.
      output: `frames_jpeg` or `frames`.
    """

    model: str
    key: str
    name: str
    output: str
    dtype: type
    adain_params: np.ndarray
    row_shape: tuple[int | None, ...]

    def checked(self, row: np.ndarray, index: int) -> np.ndarray:
        """Raises ValueError unless it is a row of that input."""
        return signatures.checked(row, f"{self.name} of frame {index}", self.dtype, self.row_shape)

    def request(self, rows: Sequence[np.ndarray]) -> predict_pb2.PredictRequest:
        """A request for some rows."""
        repeated = np.broadcast_to(self.adain_params, (len(rows), self.adain_params.size))
        inputs = {self.name: np.stack(rows), "adain_params": repeated}
        return predict_request(self.model, self.key, inputs)

    def read(self, response: predict_pb2.PredictResponse) -> Iterable:
        """The rows' results: JPEG files or frames."""
        return read_output(response, self.output, self.model)


def model_of(person: PersonCard | np.ndarray, model: str | None) -> str:
    """The model that draws a person: the one asked for, or else the card's own."""
    return model or (person.model if isinstance(person, PersonCard) else DEFAULT_MODEL)


def drawing(
    person: PersonCard | np.ndarray,
    model: str,
    known: dict[str, signatures.Signature],
    target: str,
    encoded: bool,
) -> Drawing:
    """Checks a person against a model.

    Args:
      person: a person card, or ψ, float32 [L].
      known: the model's signatures.
      encoded: landmarks to JPEG (`animate`), or landmark images to frames (`serving_default`).

    Raises:
      CardMismatchError, ValueError: what does not fit.
    """
    if isinstance(person, PersonCard):
        signatures.check_card(person, model, target, known)
        adain_params = person.adain_params
    else:
        size = signatures.adain_size(known, model)
        adain_params = signatures.checked(person, "adain_params", np.float32, (size,))
    key, name, output, dtype = (
        ("animate", "landmarks", "frames_jpeg", np.float32)
        if encoded
        else ("serving_default", "landmark_images", "frames", np.uint8)
    )
    shape = signatures.row_shape(known, key, name, model)
    return Drawing(model, key, name, output, dtype, adain_params, shape)
