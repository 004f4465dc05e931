"""Reads `.npz` and `.npy` files of strangers.

Sizes are looked at before anything is unpacked or allocated, what an archive says of itself is not
believed, and nothing in it can run code. Whatever the file holds, the answer is arrays or a
ValueError.
"""

import io
import math
import os
import pathlib
import zipfile

import numpy as np

MAX_MEMBERS = 64
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others unpack everything at once
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npz(path: str | os.PathLike, max_bytes: int, max_members: int = MAX_MEMBERS) -> dict[str, np.ndarray]:
    """The arrays of an archive.

    Args:
      max_bytes: that all of them may have together, unpacked.
      max_members: how many there may be.

    Raises:
      ValueError: says what is wrong, and with which member.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            if len(infos) > max_members:
                raise ValueError(f"{len(infos)} members, expected at most {max_members}")
            left, arrays = max_bytes, {}
            for info in infos:
                name = info.filename.removesuffix(".npy")
                if name in arrays:
                    raise ValueError(f"member {info.filename!r} is there twice")
                data = read_member(archive, info, left)
                left -= len(data)
                arrays[name] = _of_member(data, name)
            return arrays
    except ValueError:
        raise
    except Exception as error:  # what zipfile raises on damaged files has no common class
        raise ValueError(f"not an .npz file ({error})") from error


def read_npy(path: str | os.PathLike, max_bytes: int) -> np.ndarray:
    """The array of a file. Raises ValueError as `read_npz` does."""
    size = os.path.getsize(path)
    if size > max_bytes:
        raise ValueError(f"{size} bytes, expected at most {max_bytes}")
    return to_array(pathlib.Path(path).read_bytes())


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo | str, max_bytes: int) -> bytes:
    """What a member of an archive holds.

    Raises:
      ValueError: names the member, which is packed in an unusual way or has more than `max_bytes`.
      Exception: what `zipfile` raises on a damaged or encrypted one.
    """
    info = member if isinstance(member, zipfile.ZipInfo) else archive.getinfo(member)
    if info.compress_type not in _METHODS:
        raise ValueError(
            f"member {info.filename!r} is packed by method {info.compress_type}, expected stored or deflated"
        )
    if info.file_size > max_bytes:
        raise ValueError(f"member {info.filename!r} has {info.file_size} bytes, expected at most {max_bytes}")
    with archive.open(info) as file:
        # With a number, so that no more than that is unpacked, whatever the archive's index says.
        return file.read(info.file_size + 1)


def to_array(data: bytes) -> np.ndarray:
    """The array of the bytes of an `.npy` file. Raises ValueError."""
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"format version {version}, expected 1.0 or 2.0")
        shape, by_columns, dtype = _HEADERS[version](file)
        if dtype.hasobject:
            raise ValueError("Object arrays can not be read")
        count, left = math.prod(shape), len(data) - file.tell()
        if min(shape, default=0) < 0 or count * dtype.itemsize != left:
            raise ValueError(f"{dtype} {list(shape)} in {left} bytes")
        if not left:
            return np.zeros(shape, dtype)
        array = np.frombuffer(data, dtype, count, file.tell())
        return array.reshape(shape, order="F" if by_columns else "C").copy()
    except ValueError:
        raise
    except Exception as error:  # the header is a Python literal: of damaged ones anything may come
        raise ValueError(f"no array ({type(error).__name__}: {error})") from error


def _of_member(data: bytes, name: str) -> np.ndarray:
    try:
        return to_array(data)
    except ValueError as error:
        raise ValueError(f"field {name}: {error}") from error
