"""Names of people and of models."""

import re

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def check_name(name: str) -> str:
    """Returns `name`. Raises ValueError unless it can be a folder's and a model's name."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"name {name!r}: expected letters, digits, '_', '-', '.', beginning with a letter or digit, at most 100"
        )
    return name
