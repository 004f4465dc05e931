"""`--override section.field=value`: changes single fields of a preset from the command line."""

import dataclasses
import json

from tf_talking.config import Config, from_json, to_json


def apply_overrides(config: Config, overrides: list[str]) -> Config:
    """A copy of `config` with fields replaced.

    Args:
      config: e.g. a preset.
      overrides: texts such as "train.batch_size=4", "losses.vgg_pooling=average"; the value is
        JSON, or else taken as a text.

    Raises:
      ValueError: names the override and what was expected.
    """
    values = json.loads(to_json(config))
    for override in overrides:
        path, equals, text = override.partition("=")
        *sections, field = path.split(".")
        if not equals or not field:
            raise ValueError(f"override {override!r}: expected section.field=value")
        target = values
        for section in sections:
            target = target.get(section)
            if not isinstance(target, dict):
                raise ValueError(f"override {override!r}: the config has no section {section!r}")
        if field not in target:
            raise ValueError(f"override {override!r}: no field {field!r}, expected one of {sorted(target)}")
        try:
            target[field] = json.loads(text)
        except json.JSONDecodeError:
            target[field] = text
    return from_json(json.dumps(values), "--override")


def replace_losses(config: Config, **fields) -> Config:
    """A copy with fields of `config.losses` replaced."""
    return dataclasses.replace(config, losses=dataclasses.replace(config.losses, **fields))
