"""Where fine-tuning begins: the checkpoint, and ψ' and w' of a person (paper section 3.3)."""

import dataclasses

import numpy as np

from tf_talking.config.overrides import apply_overrides
from tf_talking.networks.discriminator import W_START
from tf_talking.networks.generator import Generator, neutral_adain_params
from tf_talking.networks.meta_checkpoint import load_meta_learned
from tf_talking.networks.meta_learned import MetaLearned
from training.updates.content import ContentFiles

RANDOM_SPREAD = 0.02  # standard deviation of a random ψ', as norms' scales are often started


def load_to_finetune(checkpoint: str, overrides: list[str], content: ContentFiles) -> MetaLearned:
    """The checkpoint with its discriminator, and a config changed by overrides and `content`.

    Raises:
      ValueError, FileNotFoundError: no such checkpoint, or an override that can not be: networks
        and landmark images are those that were trained.
    """
    learned = load_meta_learned(checkpoint, with_discriminator=True)
    config = content.resolve(apply_overrides(learned.config, overrides))
    if (config.model, config.landmarks) != (learned.config.model, learned.config.landmarks):
        raise ValueError("override: model.* and landmarks.* are fixed by the checkpoint")
    return dataclasses.replace(learned, config=config)


def start_vectors(learned: MetaLearned, embedding: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(ψ', w') before fine-tuning, as `finetune.adain_init` and `finetune.w_init` say.

    ψ' = Pê_NEW and w' = w0 + ê_NEW (section 3.3), or, for the ablations of appendix A.2, drawn at
    random: ψ' around the identity of AdaIN (scale 1, shift 0) or P of a random ê_NEW, w' = w0 +
    that ê_NEW: a row as W's were at the start of meta-learning.
    """
    finetune, head = learned.config.finetune, learned.discriminator.head
    generator = np.random.default_rng(seed)
    adain_params = learned.project_person(embedding)
    if finetune.adain_init == "random":
        neutral = neutral_adain_params(learned.config.model)
        adain_params = neutral + generator.normal(0.0, RANDOM_SPREAD, neutral.shape)
    row = embedding[: learned.config.model.embedding_size]
    random_row = generator.uniform(0.0, 2 * W_START, row.shape)
    if finetune.adain_init == "random_embedding":
        adain_params = learned.project_person(np.append(random_row, embedding[len(row) :]).astype(np.float32))
    if finetune.w_init == "random":
        row = random_row
    return adain_params.astype(np.float32), (head.common_vector().numpy() + row).astype(np.float32)


def copy_generator(source: Generator, copy: Generator) -> None:
    """Copies every weight but P's. `copy` has no projection."""
    projection = {id(v) for v in source.projection.weights} if source.projection else set()
    weights = [v for v in source.weights if id(v) not in projection]
    for target, value in zip(copy.weights, weights, strict=True):
        target.assign(value)
