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
from tf_talking.config.presets import ABLATIONS, PRESETS, SMALL_BUDGETS, ablate, get_preset

__all__ = [
    "ABLATIONS",
    "PRESETS",
    "SMALL_BUDGETS",
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
