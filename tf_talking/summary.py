"""`python -m tf_talking.summary --preset=paper`: parameter counts and the length of ψ."""

import json

from absl import app, flags

from tf_talking.config import PRESETS, get_preset
from tf_talking.networks.parameters import count_parameters

FLAGS = flags.FLAGS
flags.DEFINE_enum("preset", "paper", sorted(PRESETS), "Configuration to summarise.")


def summarize(preset: str) -> dict[str, int]:
    """Trainable parameters of the three networks, and what follows from their shapes."""
    config = get_preset(preset).model
    counts = count_parameters(config)
    return {
        "embedder": counts["embedder"],
        "generator_with_projection": counts["generator_with_projection"],
        "projection": counts["projection"],
        "discriminator_features": counts["discriminator_features"],
        "embedding_size": config.embedding_size,
        "adain_size": config.adain_size,
        "image_size": config.image_size,
    }


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"unknown argument {argv[1]!r}")
    facts = summarize(FLAGS.preset)
    rows = [
        ("Embedder E", facts["embedder"]),
        ("Generator G with P", facts["generator_with_projection"]),
        ("  of which P", facts["projection"]),
        ("Discriminator V", facts["discriminator_features"]),
    ]
    print(f"preset {FLAGS.preset}, {facts['image_size']}×{facts['image_size']} pixels")
    for name, parameters in rows:
        print(f"{name:<20}{parameters / 1e6:8.2f} M  ({parameters:,} parameters)")
    print(f"{'embedding ê':<20}{facts['embedding_size']:8,}")
    print(f"{'AdaIN parameters ψ':<20}{facts['adain_size']:8,}")
    print(json.dumps({"preset": FLAGS.preset, **facts}))


if __name__ == "__main__":
    app.run(main)
