"""Named configurations. `paper` is the paper's; each other one says what it changes and why."""

import dataclasses

from tf_talking.config.config import Config, FinetuneConfig, LandmarkConfig, LossConfig, ModelConfig, TrainConfig

_PAPER = Config()

# The choices of the authors' own later release (FSTH) where they differ from the paper's text.
_FSTH = dataclasses.replace(
    _PAPER,
    name="fsth",
    model=ModelConfig(attention=False, pooling="relu_sum", spectral_norm_on_w=True),
    losses=LossConfig(
        vgg_pooling="average",
        vgg_layers="all",
        face_crop="landmarks",
        feature_matching_mean=True,
        match_per_frame=True,
        detach_w_from_fakes=True,
    ),
    train=TrainConfig(discriminator_steps=1),
)

# The feed-forward variant: trained without L_MCH, since no w' has to be initialised (section 4).
_FF = dataclasses.replace(_PAPER, name="ff", losses=LossConfig(match=0.0))

# A second published set of loss weights.
_V2_WEIGHTS = dataclasses.replace(
    _PAPER, name="v2_weights", losses=LossConfig(content_vgg19=1.5e-1, content_face=2.5e-2, match=10.0)
)

# What minutes or hours instead of weeks need: faster learning, a plain L1 term, and adversarial and
# match terms that do not outweigh the content while D and W are still noise.
_SMALL_BUDGET_LOSSES = LossConfig(content_pixel=100.0, adversarial=0.1, match=10.0, feature_matching_mean=True)

# 128 px, half the width: what two CPU cores can meta-train in hours.
_SMALL = dataclasses.replace(
    _PAPER,
    name="small",
    model=ModelConfig(image_size=128, min_channels=32, max_channels=256),
    losses=_SMALL_BUDGET_LOSSES,
    train=TrainConfig(k_shot=4, learning_rate=5e-4, discriminator_learning_rate=5e-4, adam_beta_1=0.5, ema_decay=0.995),
    finetune=FinetuneConfig(learning_rate=5e-4, discriminator_learning_rate=5e-4, ema_decay=0.9),
)

# `small` for some hundred people and an hour or two on two CPU cores. Cheaper steps: batch 4, one
# update of D, no attention (at 64 px it takes a fifth of a step). Mirrored, stretched, recoloured
# episodes, without which E learns so few people by heart, or G tells them by the shape of their
# landmarks. Identity counts more, and P is free to move ψ̂; L_MCH less, since W_i is one embedding
# for all colours of a video.
_SMALL_BUDGET = dataclasses.replace(
    _SMALL,
    name="small_budget",
    model=dataclasses.replace(_SMALL.model, attention=False, spectral_norm_on_projection=False),
    losses=dataclasses.replace(_SMALL_BUDGET_LOSSES, content_pixel=50.0, content_face=2e-2, match=3.0),
    train=dataclasses.replace(
        _SMALL.train, batch_size=4, discriminator_steps=1, mirror=True, stretch=0.15, color_jitter=0.3
    ),
    finetune=dataclasses.replace(_SMALL.finetune, learning_rate=1e-3, discriminator_steps=1),
)

# What the shipped model is made with: some hundred people in clips, some thousand in photos, and
# hours on two CPU cores. Against `small_budget`: a bottleneck of 8 px, so that G is wide enough;
# ReLU before pooling and W that moves to ê, without which most of ê dies; identity borrowed beside
# ê and compared in the loss; gaze and inner lips in the landmark image, in lines thin enough for
# them; crops that vary from frame to frame; half of the episodes from photos; K = 2, since E at
# K = 4 is the dearest network of a step; every rate falls to 0.
_REAL128 = dataclasses.replace(
    _SMALL_BUDGET,
    name="real128",
    model=dataclasses.replace(
        _SMALL_BUDGET.model, generator_bottleneck=8, pooling="relu_sum", borrowed_identity="sface"
    ),
    landmarks=LandmarkConfig(scheme="ibug68_gaze", line_thickness=1, inner_lips=True),
    losses=dataclasses.replace(
        _SMALL_BUDGET.losses, face_features="mobilefacenet", content_identity=5.0, match=1.0, match_detach_w=False
    ),
    train=dataclasses.replace(
        _SMALL_BUDGET.train,
        k_shot=2,
        batch_size=8,
        ema_decay=0.999,
        ema_warm_up=True,
        decay_steps=40_000,
        decay_discriminator=True,
        photo_share=0.5,
        crop_jitter=0.08,
    ),
)

# 64 px, a quarter of the width: minutes on two CPU cores; lines of one pixel, or eyes close up.
_TINY = dataclasses.replace(
    _PAPER,
    name="tiny",
    model=ModelConfig(image_size=64, min_channels=16, max_channels=128, generator_bottleneck=8, num_residual_blocks=2),
    landmarks=LandmarkConfig(line_thickness=1),
    losses=_SMALL_BUDGET_LOSSES,
    train=TrainConfig(k_shot=4, learning_rate=1e-3, discriminator_learning_rate=8e-4, adam_beta_1=0.5, ema_decay=0.99),
    finetune=FinetuneConfig(learning_rate=5e-4, discriminator_learning_rate=4e-4, ema_decay=0.9),
)

# What each ablation changes: section → fields. The first four are appendix A.2's, the others the
# choices where the paper is silent.
ABLATIONS = {
    # One-shot: with more frames its fine-tuning was unstable.
    "no_match": {"losses": {"match": 0.0}, "train": {"k_shot": 1}, "finetune": {"w_init": "random"}},
    "no_adversarial": {"finetune": {"adversarial": False}},
    "random_adain": {"finetune": {"adain_init": "random"}},
    "random_embedding": {"finetune": {"adain_init": "random_embedding", "w_init": "random"}},
    "no_attention": {"model": {"attention": False}},
    "relu_sum": {"model": {"pooling": "relu_sum"}},
    "average_vgg": {"losses": {"vgg_pooling": "average"}},
}


def ablate(config: Config, ablation: str) -> Config:
    """A copy of `config` with the fields of an ablation; named `<config's name>_<ablation>`.

    Raises:
      ValueError: unknown ablation; lists the known ones.
    """
    if ablation not in ABLATIONS:
        raise ValueError(f"unknown ablation {ablation!r}, expected one of {sorted(ABLATIONS)}")
    sections = {
        section: dataclasses.replace(getattr(config, section), **fields)
        for section, fields in ABLATIONS[ablation].items()
    }
    return dataclasses.replace(config, name=f"{config.name}_{ablation}", **sections)


_NAMED = (_PAPER, _FSTH, _FF, _V2_WEIGHTS, _SMALL, _SMALL_BUDGET, _REAL128, _TINY)
_ABLATED = tuple(ablate(base, name) for base in (_PAPER, _SMALL) for name in ABLATIONS)
PRESETS = {c.name: c for c in (*_NAMED, *_ABLATED)}
# Names of those that are not the paper's size; they take what is fast on the machine at hand.
SMALL_BUDGETS = frozenset(c.name for c in PRESETS.values() if c.model.image_size < 256)


def get_preset(name: str) -> Config:
    """The preset of that name. Raises ValueError listing the known ones."""
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}, expected one of {sorted(PRESETS)}")
    return PRESETS[name]
