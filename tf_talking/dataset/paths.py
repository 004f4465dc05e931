"""Files of a dataset folder: local, or on any file system that TensorFlow knows by its scheme.

A path with "://" ("gs://bucket/data", "ram://data") goes through `tf.io.gfile`, every other one
through Python, so that programs that read local folders need not import TensorFlow. Such paths are
text: pathlib would make "gs:/bucket" of "gs://bucket".
"""

import contextlib
import os
from collections.abc import Iterator
from typing import BinaryIO

_BUILT_IN = ("file", "gs", "ram")  # of the TensorFlow package; others register by an import


def is_remote(path: str | os.PathLike) -> bool:
    """Whether the path names a file system by its scheme."""
    return "://" in os.fspath(path)


def join(folder: str | os.PathLike, name: str) -> str:
    """Path of a file in a folder."""
    folder = os.fspath(folder)
    return f"{folder.rstrip('/')}/{name}" if is_remote(folder) else os.path.join(folder, name)


@contextlib.contextmanager
def _gfile(path: str) -> Iterator:
    """`tf.io.gfile`; what it raises becomes Python's own error for the case, naming the path."""
    import tensorflow as tf

    scheme = path.split("://")[0]
    if scheme not in _BUILT_IN:
        # Importing it registers S3, HDFS, Azure and others.
        with contextlib.suppress(ImportError):
            import tensorflow_io  # noqa: F401
    try:
        yield tf.io.gfile
    except tf.errors.NotFoundError:
        raise FileNotFoundError(f"{path}: there is no such file or folder") from None
    except tf.errors.UnimplementedError:
        raise ValueError(
            f"{path}: TensorFlow has no file system {scheme}:// here; install and import the "
            "package that brings it (tensorflow-io for s3://), or copy the folder to a local disk"
        ) from None
    except tf.errors.OpError as error:
        raise OSError(f"{path}: {error.message}") from None


def is_file(path: str | os.PathLike) -> bool:
    """Raises ValueError where the path's file system is not known."""
    path = os.fspath(path)
    if not is_remote(path):
        return os.path.isfile(path)
    with _gfile(path) as gfile:
        return gfile.exists(path) and not gfile.isdir(path)


def file_size(path: str | os.PathLike) -> int:
    """Bytes. Raises FileNotFoundError, OSError or ValueError (file system not known)."""
    path = os.fspath(path)
    if not is_remote(path):
        return os.path.getsize(path)
    with _gfile(path) as gfile:
        return gfile.stat(path).length


def list_names(folder: str | os.PathLike) -> set[str]:
    """Names in a folder. Raises as `file_size` does."""
    folder = os.fspath(folder)
    if not is_remote(folder):
        return set(os.listdir(folder))
    with _gfile(folder) as gfile:
        return {name.rstrip("/") for name in gfile.listdir(folder)}


@contextlib.contextmanager
def open_binary(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Opens a file for reading (read, seek). Raises as `file_size` does."""
    path = os.fspath(path)
    if not is_remote(path):
        with open(path, "rb") as file:
            yield file
        return
    with _gfile(path) as gfile, gfile.GFile(path, "rb") as file:
        yield file


def read_bytes(path: str | os.PathLike) -> bytes:
    """The whole file. Raises as `file_size` does."""
    with open_binary(path) as file:
        return file.read()
