"""`python -m tf_talking.summary --preset=paper`: parameter counts and the length of ψ."""

import json

import numpy as np
from absl import app, flags

from tf_talking.config import PRESETS, get_preset

FLAGS = flags.FLAGS
flags.DEFINE_enum("preset", "paper", sorted(PRESETS), "Configuration to summarise.")


def count(model) -> int:
    """Number of trainable parameters."""
    return int(sum(np.prod(w.shape) for w in model.trainable_weights))


def summarize(preset: str) -> dict[str, int]:
    """Builds the three networks and counts their trainable parameters."""
    from tf_talking.models.discriminator import DiscriminatorFeatures
    from tf_talking.models.embedder import Embedder
    from tf_talking.models.generator import Generator

    config = get_preset(preset).model
    generator = Generator(config)
    return {
        "embedder": count(Embedder(config)),
        "generator_with_projection": count(generator),
        "projection": count(generator.projection),
        "discriminator_features": count(DiscriminatorFeatures(config)),
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
