"""What the attacks on the embedded server share: tiny exported models."""

import pathlib

from tf_talking.config import get_preset
from tf_talking.networks.embedder import Embedder
from tf_talking.networks.generator import Generator
from tf_talking.served.graphs import save_embedder, save_generator


def export_tiny_models(folder: pathlib.Path) -> pathlib.Path:
    """Random networks of the preset `tiny`, exported; returns the path of their models.config."""
    config = get_preset("tiny")
    embedder, generator = Embedder(config.model), Generator(config.model)
    save_embedder(folder / "embedder" / "1", config, embedder, generator)
    save_generator(folder / "generator" / "1", config, generator)
    path = folder / "models.config"
    path.write_text(config_text(folder, ("embedder", "generator")))
    return path


def config_text(folder: pathlib.Path, models: tuple[str, ...]) -> str:
    """A models.config of models in folders of their names."""
    entries = "".join(
        f'  config {{ name: "{name}" base_path: "{folder / name}" model_platform: "tensorflow" }}\n' for name in models
    )
    return f"model_config_list {{\n{entries}}}\n"
