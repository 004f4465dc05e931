"""A person and a generator, checked against each other: makes Predict requests for frames."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from serving.client import signatures
from serving.client.messages import ModelChoice, VersionStatus, predict_request, read_output
from serving.protocol import api
from tf_talking.people.card import PersonCard

DEFAULT_MODEL = "generator"


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A person and a model that fit: makes requests.

    Attributes:
      choice: which version is asked for.
      row_shape: of a landmark set.
      card: where the person is one; a bare ψ fits any version that takes it.
      fitting: versions of which it is known that the card fits.
    """

    choice: ModelChoice
    adain_params: np.ndarray
    row_shape: tuple[int | None, ...]
    card: PersonCard | None = None
    fitting: set[int] = dataclasses.field(default_factory=set)

    def checked(self, row: np.ndarray, index: int) -> np.ndarray:
        """Raises ValueError unless it is a landmark set."""
        return signatures.checked(row, f"landmarks of frame {index}", self.row_shape)

    def request(self, rows: Sequence[np.ndarray]) -> api.PredictRequest:
        """A request for some landmark sets."""
        repeated = np.broadcast_to(self.adain_params, (len(rows), self.adain_params.size))
        inputs = {"landmarks": np.stack(rows), "adain_params": repeated}
        return predict_request(self.choice, api.ANIMATE, inputs)

    def read(self, response: api.PredictResponse) -> Iterable[bytes]:
        """The landmark sets' JPEG files."""
        return read_output(response, "frames_jpeg", self.choice.model)

    def unknown(self, response: api.PredictResponse) -> ModelChoice | None:
        """The version that answered, where it is not known yet whether the card fits it."""
        version = response.model_spec.version.value
        if self.card is None or not version or version in self.fitting:
            return None
        return ModelChoice(self.choice.model, version)

    def check(self, known: signatures.Served, target: str) -> None:
        """Takes another version for a fitting one. Raises CardMismatchError."""
        signatures.check_card(self.card, self.choice.model, target, known)
        self.fitting.add(known.version)


def choice_of(
    person: PersonCard | np.ndarray, model: str | None = None, version: int | None = None, label: str | None = None
) -> ModelChoice:
    """The model that draws a person: the one asked for, or else the card's own."""
    own = person.model if isinstance(person, PersonCard) else DEFAULT_MODEL
    return ModelChoice(model or own, version, label)


def drawing(person: PersonCard | np.ndarray, choice: ModelChoice, known: signatures.Served, target: str) -> Drawing:
    """Checks a person against a model.

    Args:
      person: a person card, or ψ, float32 [L].
      known: what the model is.

    Raises:
      CardMismatchError, ValueError: what does not fit.
    """
    model, fitting = choice.model, {known.version}
    card = person if isinstance(person, PersonCard) else None
    if card:
        signatures.check_card(card, model, target, known)
        adain_params = card.adain_params
    else:
        size = signatures.adain_size(known.signatures, model)
        adain_params = signatures.checked(person, "adain_params", (size,))
    shape = signatures.row_shape(known.signatures, api.ANIMATE, "landmarks", model)
    return Drawing(choice, adain_params, shape, card, fitting)


def other_versions(choice: ModelChoice, known: signatures.Served, states: list[VersionStatus]) -> list[ModelChoice]:
    """Versions that may be the card's where the newest one is not; newest first."""
    return [
        ModelChoice(choice.model, status.version)
        for status in states
        if status.state == "AVAILABLE" and status.version != known.version
    ]
