"""Configuration of networks, losses and training, and the named presets.

from tf_talking.config import Config, get_preset, config_hash
"""

from tf_talking.config.config import (
    Config,
    FinetuneConfig,
    LandmarkConfig,
    LossConfig,
    ModelConfig,
    TrainConfig,
    config_hash,
    from_json,
    to_json,
)
from tf_talking.config.presets import ABLATIONS, PRESETS, ablate, get_preset

__all__ = [
    "ABLATIONS",
    "PRESETS",
    "Config",
    "FinetuneConfig",
    "LandmarkConfig",
    "LossConfig",
    "ModelConfig",
    "TrainConfig",
    "ablate",
    "config_hash",
    "from_json",
    "get_preset",
    "to_json",
]
