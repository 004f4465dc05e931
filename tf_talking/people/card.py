"""Person card: the small file that stands for one person at the client.

Basics: a card holds what a client must send with every request to see this person, the AdaIN
parameters ψ, and says which model they belong to. It is a NumPy `.npz` archive without pickles,
so that reading one can not run code.
Fields: see `PersonCard`. `extra.*` members are free text for people and programs (for example
`extra.source`).
"""

import dataclasses
import os
import pathlib

import numpy as np

from tf_talking import files, npz

FORMAT_VERSION = 1
_TEXTS = ("name", "model", "config_hash", "detector", "scheme", "created")
_NUMBERS = ("image_size", "num_frames")
_VECTORS = ("adain_params", "embedding")
# Came later; a card may lack them.
_FINGERPRINTS = ("fingerprint", "embedder_fingerprint")
_PERSON_VECTOR = "person_vector"
_EXTRA = "extra."
# The largest ψ of any sensible config is a few hundred kB; more is not a card.
_MAX_BYTES = 16 * 2**20


@dataclasses.dataclass(frozen=True)
class PersonCard:
    """What a client needs to animate one person.

    Attributes:
      name: the person.
      model: name of the served model that draws the person (`generator`, or `person_<name>`).
      adain_params: ψ, float32 [L], all finite.
      embedding: ê, float32 [N], all finite.
      config_hash: hash of the config of the model that made ψ.
      image_size: S, side of the served frames in pixels.
      detector: landmark detector that the person's frames went through.
      scheme: landmark scheme, for example `ibug68`.
      created: ISO 8601 time.
      num_frames: number of source frames that ψ comes from.
      extra: free texts.
      fingerprint: of the weights of the generator that ψ belongs to; "" in cards from before.
      embedder_fingerprint: of the weights of the embedder that made ê; "" in cards from before.
      person_vector: what P projects, float32 [M], where that is more than ê (a recogniser's vector
        beside it); else None.

    Raises:
      ValueError: names the field that does not hold what is said above.
    """

    name: str
    model: str
    adain_params: np.ndarray
    embedding: np.ndarray
    config_hash: str
    image_size: int
    detector: str
    scheme: str
    created: str
    num_frames: int
    extra: dict[str, str] = dataclasses.field(default_factory=dict)
    fingerprint: str = ""
    embedder_fingerprint: str = ""
    person_vector: np.ndarray | None = None

    def __post_init__(self):
        for field in (*_TEXTS, *_FINGERPRINTS):
            _check(isinstance(getattr(self, field), str), field, getattr(self, field), "a text")
        for field in ("name", "model"):
            _check(getattr(self, field) != "", field, "an empty text", "a name")
        for field in _NUMBERS:
            value = getattr(self, field)
            whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
            _check(whole and value >= 1, field, repr(value), "a whole number >= 1")
            object.__setattr__(self, field, int(value))
        for field in _VECTORS:
            object.__setattr__(self, field, _vector(field, getattr(self, field)))
        if self.person_vector is not None:
            object.__setattr__(self, _PERSON_VECTOR, _vector(_PERSON_VECTOR, self.person_vector))
        for key, text in self.extra.items():
            _check(isinstance(key, str) and isinstance(text, str), "extra", text, "texts only")

    def __eq__(self, other):
        if not isinstance(other, PersonCard):
            return NotImplemented
        return all(np.array_equal(getattr(self, f.name), getattr(other, f.name)) for f in dataclasses.fields(self))

    __hash__ = None  # holds arrays

    def save(self, path: str | os.PathLike) -> pathlib.Path:
        """Writes the card under `path`; the name appears only when the file is whole."""
        path = pathlib.Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        members = {field: getattr(self, field) for field in (*_TEXTS, *_FINGERPRINTS, *_NUMBERS, *_VECTORS)}
        if self.person_vector is not None:
            members[_PERSON_VECTOR] = self.person_vector
        members |= {_EXTRA + key: text for key, text in self.extra.items()}
        with files.whole_file(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, format_version=FORMAT_VERSION, **members)
        return path

    @classmethod
    def load(cls, path: str | os.PathLike) -> "PersonCard":
        """Reads a card.

        Raises:
          FileNotFoundError: there is no such file.
          ValueError: names the file, and the field that is missing or wrong.
        """
        path = pathlib.Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"person card {path}: no such file")
        try:
            return cls(**_fields(npz.read_npz(path, _MAX_BYTES)))
        except ValueError as error:
            raise ValueError(f"person card {path}: {error}") from error


def _fields(members: dict[str, np.ndarray]) -> dict:
    """Constructor arguments from an archive's members."""
    missing = [f for f in ("format_version", *_TEXTS, *_NUMBERS, *_VECTORS) if f not in members]
    if missing:
        raise ValueError(f"field {missing[0]} is missing, found {sorted(members)}")
    version = _scalar("format_version", members["format_version"], "iu", "a whole number")
    if version != FORMAT_VERSION:
        raise ValueError(f"field format_version: got {version}, expected {FORMAT_VERSION}")
    values = {f: _scalar(f, members[f], "U", "a text") for f in _TEXTS}
    values |= {f: _scalar(f, members[f], "iu", "a whole number") for f in _NUMBERS}
    values |= {f: members[f] for f in (*_VECTORS, _PERSON_VECTOR) if f in members}
    values |= {f: _scalar(f, members[f], "U", "a text") for f in _FINGERPRINTS if f in members}
    values["extra"] = {
        key.removeprefix(_EXTRA): _scalar(key, value, "U", "a text")
        for key, value in members.items()
        if key.startswith(_EXTRA)
    }
    return values


def _scalar(field: str, value: np.ndarray, kinds: str, expected: str):
    if value.shape != () or value.dtype.kind not in kinds:
        raise ValueError(f"field {field}: got {value.dtype} {list(value.shape)}, expected {expected}")
    return value.item()


def _vector(field: str, value: object) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype != np.float32 or array.ndim != 1 or array.size == 0:
        raise ValueError(
            f"field {field}: got {array.dtype} {list(array.shape)}, expected float32 [length], length >= 1"
        )
    if not np.isfinite(array).all():
        bad = int(np.count_nonzero(~np.isfinite(array)))
        raise ValueError(f"field {field}: {bad} of {array.size} values are not finite")
    return array


def _check(holds: bool, field: str, got: object, expected: str) -> None:
    if not holds:
        raise ValueError(f"field {field}: got {got}, expected {expected}")
