"""Finding and reading the published weights of the content networks.

A `weights` argument is one of
  "auto"     the published Keras file, downloaded once into Keras' cache (~/.keras/models);
  a path     a file on disk: `.h5` in the published layout, or `.npz` with arrays `<layer>/kernel`
             (HWIO) and `<layer>/bias`, named block{1..5}_conv{1..4};
  "random"   seeded random features, only ever on request, with a warning in the log.

Published layouts: both `.h5` files hold one group a layer, whose attribute `weight_names` lists
kernel and bias in that order. VGG19's groups are called block1_conv1 ... block5_conv4, VGGFace's
(rcmalli/keras-vggface, release v2.0) conv1_1 ... conv5_3.
"""

import dataclasses
import hashlib
import logging
import os
import pathlib
import zipfile
import zlib

import h5py
import keras
import numpy as np

_LOG = logging.getLogger(__name__)

Weights = dict[str, tuple[np.ndarray, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class PublishedFile:
    """A file to be had from its authors."""

    url: str
    cache_subdir: str  # below Keras' cache
    md5: str | None = None

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def cached_path(self) -> pathlib.Path:
        return pathlib.Path("~/.keras").expanduser() / self.cache_subdir / self.name


VGG19_FILE = PublishedFile(
    url="https://storage.googleapis.com/tensorflow/keras-applications/vgg19/"
    "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
    cache_subdir="models",
    md5="253f8cb515780f3b799900260a226db6",  # as in keras.applications
)
VGGFACE_FILE = PublishedFile(
    url="https://github.com/rcmalli/keras-vggface/releases/download/v2.0/rcmalli_vggface_tf_notop_vgg16.h5",
    cache_subdir="models/vggface",  # none of its hashes is published: the layout is checked
)


def existing_file(weights: str, field: str, advice: str) -> pathlib.Path:
    """The path, if a file is there; FileNotFoundError with the advice otherwise."""
    path = pathlib.Path(weights).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"{field}: no file at {path}; {advice}")
    return path


def locate(weights: str, published: PublishedFile, field: str) -> pathlib.Path:
    """The file behind "auto" or a path.

    Raises:
      FileNotFoundError: there is none; says what to download and where to put it.
    """
    advice = f"download {published.url} and put it at {published.cached_path}, or give its path"
    if weights != "auto":
        return existing_file(weights, field, advice)
    if published.cached_path.is_file():
        return published.cached_path
    try:
        return _download(published)
    except Exception as error:  # get_file wraps every network error in a bare Exception
        raise FileNotFoundError(f"{field}: download failed ({error}); {advice}") from error


def _download(published: PublishedFile) -> pathlib.Path:
    """Into Keras' cache, under the final name only when whole."""
    part = published.cached_path.with_name(published.name + ".part")
    part.unlink(missing_ok=True)  # get_file would take what an interrupted download left
    fetched = keras.utils.get_file(
        part.name, published.url, cache_subdir=published.cache_subdir, file_hash=published.md5
    )
    whole = pathlib.Path(fetched).with_suffix("")
    os.replace(fetched, whole)
    return whole


def describe(path: pathlib.Path) -> str:
    """Path and the first 12 hexadecimal digits of the file's sha256, for logs and records."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return f"{path} sha256:{digest.hexdigest()[:12]}"


def read_conv_weights(path: pathlib.Path, shapes: dict[str, tuple[int, ...]]) -> Weights:
    """Reads the layers named in `shapes` (name → kernel shape HWIO) as float32.

    Raises:
      ValueError: the file is of another kind, or a layer is missing or has another shape; names
        the file and the layer.
    """
    if path.suffix == ".npz":
        read = _read_npz
    elif path.suffix in (".h5", ".hdf5"):
        read = _read_h5
    else:
        raise ValueError(f"{path}: expected a file ending in .h5 or .npz")
    weights = read(path, list(shapes))
    for name, (kernel, bias) in weights.items():
        for array, expected in ((kernel, tuple(shapes[name])), (bias, (shapes[name][-1],))):
            if array.shape != expected:
                raise ValueError(f"{path}: layer {name}: got shape {array.shape}, expected {expected}")
            if not np.isfinite(array).all():
                raise ValueError(f"{path}: layer {name}: holds values that are not finite")
    return weights


def random_conv_weights(shapes: dict[str, tuple[int, ...]], field: str, seed: int = 0) -> Weights:
    """He-normal kernels and zero biases. Logs a warning: such features know nothing of images."""
    _LOG.warning("%s: RANDOM features, seed %d, as asked for; not a trained network", field, seed)
    generator = np.random.default_rng(seed)
    weights = {}
    for name, shape in shapes.items():
        deviation = np.sqrt(2.0 / np.prod(shape[:-1]))
        kernel = generator.normal(0.0, deviation, shape).astype(np.float32)
        weights[name] = (kernel, np.zeros(shape[-1], np.float32))
    return weights


def _read_npz(path: pathlib.Path, names: list[str]) -> Weights:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {
                name: tuple(archive[f"{name}/{part}"].astype(np.float32) for part in ("kernel", "bias"))
                for name in names
            }
    except KeyError as error:
        raise ValueError(f"{path}: layer missing: {error.args[0]}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        raise ValueError(f"{path}: not a readable .npz file ({error})") from error


def _read_h5(path: pathlib.Path, names: list[str]) -> Weights:
    try:
        with h5py.File(path, "r") as file:
            root = file["model_weights"] if "model_weights" in file else file
            return {name: _read_h5_layer(path, root, name) for name in names}
    except OSError as error:
        raise ValueError(f"{path}: not a readable .h5 file ({error})") from error


def _read_h5_layer(path: pathlib.Path, root: h5py.Group, name: str):
    published = name.replace("block", "conv").replace("_conv", "_")  # block1_conv2 → conv1_2
    group = root.get(name, root.get(published))
    if group is None:
        raise ValueError(f"{path}: layer missing: {name} (or {published}, as VGGFace calls it)")
    arrays = [group.get(_text(key)) for key in group.attrs.get("weight_names", ())]
    if len(arrays) != 2 or any(array is None for array in arrays):
        raise ValueError(f"{path}: layer {group.name}: got weights {list(group)}, expected kernel and bias")
    return tuple(np.asarray(array, np.float32) for array in arrays)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
