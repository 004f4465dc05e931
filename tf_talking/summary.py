"""`python -m tf_talking.summary --preset=paper`: parameter counts and the length of ψ."""

from absl import flags

from tf_talking import program
from tf_talking.config import PRESETS, get_preset
from tf_talking.networks.parameters import count_parameters

FLAGS = flags.FLAGS
_NETWORKS = {
    "embedder": "Embedder E",
    "generator_with_projection": "Generator G with P",
    "projection": "  of which P",
    "discriminator_features": "Discriminator V",
}
_SIZES = {"embedding_size": "embedding ê", "adain_size": "AdaIN parameters ψ"}


def define_flags() -> None:
    flags.DEFINE_enum("preset", "paper", sorted(PRESETS), "Configuration to summarise.")


def summarize(preset: str) -> dict[str, int]:
    """Trainable parameters of the three networks, and what follows from their shapes."""
    config = get_preset(preset).model
    counts = count_parameters(config)
    sizes = {name: getattr(config, name) for name in (*_SIZES, "image_size")}
    return {name: counts[name] for name in _NETWORKS} | sizes


def main(argv: list[str]) -> dict[str, str | int]:
    """Prints a table; returns its figures."""
    facts = summarize(FLAGS.preset)
    print(f"preset {FLAGS.preset}, {facts['image_size']}×{facts['image_size']} pixels")
    for name, label in _NETWORKS.items():
        print(f"{label:<20}{facts[name] / 1e6:8.2f} M  ({facts[name]:,} parameters)")
    for name, label in _SIZES.items():
        print(f"{label:<20}{facts[name]:8,}")
    return {"preset": FLAGS.preset, **facts}


if __name__ == "__main__":
    program.run(main, define_flags)
