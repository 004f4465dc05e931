"""Which bytes an input consists of, so that a later run knows whether it is still the same."""

import hashlib
import json
import os
import pathlib

from tf_talking.dataset.records import Content
from tf_talking.extraction.item import InputItem


def _files(item: InputItem) -> list[pathlib.Path]:
    return [pathlib.Path(file) for group in (item.files, *item.boxes) for file in group]


def stamp(item: InputItem) -> str:
    """32 hexadecimal digits over names, sizes and times of modification of the input's files."""
    facts = []
    for file in _files(item):
        try:
            status = file.stat()
            facts.append([file.name, status.st_size, status.st_mtime_ns])
        except OSError:  # a dead link, ...
            facts.append([file.name, None, None])
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def digest(item: InputItem) -> str:
    """32 hexadecimal digits over the bytes of the input's files, all of which are read."""
    whole = hashlib.sha256()
    for path in _files(item):
        try:
            with open(path, "rb") as file:
                whole.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            whole.update(os.strerror(error.errno or 0).encode())
    return whole.hexdigest()[:32]


def read_content(item: InputItem) -> Content:
    """Both; the stamp is of the moment before the bytes are read."""
    before = stamp(item)
    return Content(before, digest(item))
