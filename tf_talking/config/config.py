"""Frozen dataclasses with every number the paper gives, and a name for every choice it leaves open.

Defaults are the paper's (256 px). A field whose alternatives reasonably differ is validated on
construction, so that a typing error in a config file is caught before anything is built.
"""

import dataclasses
import hashlib
import json
import typing

from tf_talking.config.plan import NetworkPlan, plan_networks


def _require(field: str, value: object, known: tuple) -> None:
    if value not in known:
        raise ValueError(f"config field {field}: got {value!r}, expected one of {list(known)}")


def _require_positive(section: str, config: object, whole: tuple[str, ...], rates: tuple[str, ...]) -> None:
    """Numbers of things, at least 1, and learning rates, above 0; EMA decays from 0 to below 1."""
    for field in whole:
        if getattr(config, field) < 1:
            raise ValueError(f"config field {section}.{field}: got {getattr(config, field)}, expected >= 1")
    for field in rates:
        if not getattr(config, field) > 0.0:
            raise ValueError(f"config field {section}.{field}: got {getattr(config, field)}, expected above 0")
    if not 0.0 <= config.ema_decay < 1.0:
        raise ValueError(f"config field {section}.ema_decay: got {config.ema_decay}, expected 0 to below 1")


# Recognisers whose embedding can stand beside ê → its length.
IDENTITY_SIZES = {"none": 0, "sface": 128}


def _is_power_of_two(n: int) -> bool:
    return n > 0 and n & (n - 1) == 0


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Shapes of the three networks (paper section 3.4).

    The number of down and up blocks follows from the resolutions: E and D go from `image_size`
    to `embedder_bottleneck`, G to `generator_bottleneck` and back. Block j has
    min(min_channels * 2^j, max_channels) channels.
    """

    image_size: int = 256  # pixels, S
    min_channels: int = 64
    max_channels: int = 512  # also the number of outputs of E and V before pooling, N
    embedder_bottleneck: int = 4  # pixels
    generator_bottleneck: int = 16  # pixels
    num_residual_blocks: int = 4
    attention: bool = True
    attention_down: int = 32  # pixels; self-attention where a down block's output has this size
    attention_up: int = 64  # pixels; likewise for up blocks
    pooling: str = "sum_relu"  # the paper: sum pooling, then ReLU; FSTH: relu_sum
    spectral_norm: bool = True
    spectral_norm_on_projection: bool = True  # False: P moves ψ̂ as far as the losses want
    spectral_norm_on_w: bool = False  # of w0 too (FSTH); makes the gradient of W dense: cost grows with M
    # A recogniser's embedding of the source frames beside ê, before P; not in the paper.
    borrowed_identity: str = "none"

    def __post_init__(self):
        _require("model.pooling", self.pooling, ("sum_relu", "relu_sum"))
        _require("model.borrowed_identity", self.borrowed_identity, tuple(IDENTITY_SIZES))
        for field in ("embedder_bottleneck", "generator_bottleneck"):
            size = getattr(self, field)
            halvings, rest = divmod(self.image_size, size) if size > 0 else (0, 1)
            if rest or halvings < 2 or not _is_power_of_two(halvings):
                raise ValueError(
                    f"config field model.{field}: got {size}, expected model.image_size "
                    f"({self.image_size}) halved once or several times (every block halves or doubles the resolution)"
                )

    def plan(self) -> NetworkPlan:
        """The blocks of all networks, in forward order."""
        return plan_networks(self)

    @property
    def embedding_size(self) -> int:
        """N: length of ê, of W's rows and of V's output."""
        return self.plan().last.outputs

    @property
    def person_size(self) -> int:
        """Length of what P projects: ê, and behind it the borrowed identity."""
        return self.embedding_size + IDENTITY_SIZES[self.borrowed_identity]

    @property
    def adain_channels(self) -> tuple[int, ...]:
        """Channels of each AdaIN layer of G in forward order."""
        return self.plan().adain_channels

    @property
    def adain_size(self) -> int:
        """Length of ψ: a shift and a scale for every channel of every AdaIN layer."""
        return 2 * sum(self.adain_channels)


@dataclasses.dataclass(frozen=True)
class LandmarkConfig:
    """What a landmark image is: who detects the points and how they are drawn."""

    detector: str = "mediapipe"
    scheme: str = "ibug68"
    line_thickness: int = 2  # pixels
    inner_lips: bool = False  # points 60-67 are not drawn in the paper's image

    def __post_init__(self):
        if not 1 <= self.line_thickness <= 5:
            raise ValueError(
                f"config field landmarks.line_thickness: got {self.line_thickness}, expected 1 to 5 pixels"
            )


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """Weights and choices of the terms of eq. (3), (4), (6) and (9)."""

    content_vgg19: float = 1e-2  # for Caffe inputs: 0..255, BGR, mean subtracted
    content_face: float = 2e-3
    content_pixel: float = 0.0  # plain L1 on [-1, 1]; not in the paper, for data without VGG files
    content_identity: float = 0.0  # 1 - cosine of the face network's embeddings; not in the paper
    face_features: str = "vggface"
    face_crop: str = "frame"  # what VGGFace sees; FSTH: the face, cut out by the landmarks
    vgg_layers: str = "five"
    vgg_pooling: str = "max"
    adversarial: float = 1.0
    feature_matching: float = 10.0
    # The paper gives every block of D the weight; FSTH divides the sum by the number of blocks.
    feature_matching_mean: bool = False
    match: float = 80.0
    match_detach_w: bool = True  # L_MCH moves E only; otherwise W too, in the D update
    match_per_frame: bool = False  # matches the vector of each frame (FSTH: of one of them), not ê, their mean
    detach_w_from_fakes: bool = False  # the score of x̂ in L_DSC does not move W_i (FSTH)

    def __post_init__(self):
        if self.content_identity and self.face_features != "mobilefacenet":
            raise ValueError(
                f"config field losses.content_identity: got {self.content_identity} with "
                f"face_features {self.face_features!r}, expected 'mobilefacenet': only a "
                "recogniser gives an embedding to compare"
            )
        _require("losses.face_features", self.face_features, ("vggface", "mobilefacenet", "none"))
        _require("losses.face_crop", self.face_crop, ("frame", "landmarks"))
        _require("losses.vgg_layers", self.vgg_layers, ("five", "all"))
        _require("losses.vgg_pooling", self.vgg_pooling, ("max", "average"))

    @property
    def face_is_cut_out(self) -> bool:
        """Whether the network of `content_face` takes landmarks too."""
        return self.face_features == "vggface" and self.face_crop == "landmarks"


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Meta-learning (section 3.2 and 3.4)."""

    k_shot: int = 8
    batch_size: int = 8  # episodes a step over all replicas
    learning_rate: float = 5e-5  # E and G
    discriminator_learning_rate: float = 2e-4
    discriminator_steps: int = 2  # D updates per E+G update
    adam_beta_1: float = 0.0
    adam_beta_2: float = 0.999
    adam_epsilon: float = 1e-5
    ema_decay: float = 0.999
    ema_warm_up: bool = False  # as fine-tuning always does: decay min(ema_decay, (1 + n) / (10 + n)) at the n-th update
    decay_steps: int = 0  # E+G's rate falls to 0 along a cosine over so many updates; 0: constant
    decay_discriminator: bool = False  # D's rate falls along with it
    mirror: bool = False  # every second episode is mirrored; not in the paper
    stretch: float = 0.0  # see dataset/augmentation.py; not in the paper
    color_jitter: float = 0.0  # see dataset/augmentation.py; not in the paper
    crop_jitter: float = 0.0  # see dataset/augmentation.py; not in the paper
    shape_jitter: float = 0.0  # see dataset/augmentation.py; not in the paper
    # Not in the paper, whose people all have videos: the share of episodes that are drawn from
    # people of whom there are only photos, whose sources are changed copies of the target.
    photo_share: float = 0.0

    def __post_init__(self):
        whole = ("k_shot", "batch_size", "discriminator_steps")
        _require_positive("train", self, whole, ("learning_rate", "discriminator_learning_rate"))
        for field, most in (
            ("color_jitter", 1.0),
            ("stretch", 0.5),
            ("crop_jitter", 0.5),
            ("shape_jitter", 2.0),
            ("photo_share", 1.0),
        ):
            if not 0.0 <= getattr(self, field) <= most:
                raise ValueError(f"config field train.{field}: got {getattr(self, field)}, expected 0 to {most:g}")


@dataclasses.dataclass(frozen=True)
class FinetuneConfig:
    """Few-shot learning by fine-tuning (section 3.3, appendix A.1).

    `psi_…` is for training ψ' alone, with the shared generator as it is; not in the paper.
    """

    epochs: int = 40
    batch_size: int = 8  # less when there are fewer than 8 photos
    learning_rate: float = 5e-5
    discriminator_learning_rate: float = 2e-4
    discriminator_steps: int = 2
    ema_decay: float = 0.972
    psi_epochs: int = 40
    psi_learning_rate: float = 2e-2  # ψ' is of order 1 whatever the network: shifts and scales
    # The ablations of appendix A.2; the first choice is the paper's method.
    adversarial: bool = True  # L'_ADV in the objective; without it D' rests
    w_init: str = "embedding"  # w' = w0 + ê_NEW; random: w0 + a row as W's were at the start
    # ψ' = Pê_NEW; random: scales around 1, shifts around 0; random_embedding: P of a random ê_NEW.
    adain_init: str = "projected"

    def __post_init__(self):
        _require("finetune.w_init", self.w_init, ("embedding", "random"))
        whole = ("epochs", "psi_epochs", "batch_size", "discriminator_steps")
        rates = ("learning_rate", "discriminator_learning_rate", "psi_learning_rate")
        _require_positive("finetune", self, whole, rates)
        _require("finetune.adain_init", self.adain_init, ("projected", "random", "random_embedding"))


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that defines a run; saved with every checkpoint and copied into the run folder."""

    name: str = "paper"
    model: ModelConfig = ModelConfig()
    landmarks: LandmarkConfig = LandmarkConfig()
    losses: LossConfig = LossConfig()
    train: TrainConfig = TrainConfig()
    finetune: FinetuneConfig = FinetuneConfig()


def config_hash(config: Config) -> str:
    """12 hexadecimal digits over what changes the served graph: the networks and the landmarks."""
    served = {"model": dataclasses.asdict(config.model), "landmarks": dataclasses.asdict(config.landmarks)}
    # Came later; people's cards from before stay valid. The first is folded at export.
    served["model"].pop("spectral_norm_on_projection")
    if config.model.borrowed_identity == "none":
        served["model"].pop("borrowed_identity")
    text = json.dumps(served, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def to_json(config: Config) -> str:
    """The config as indented JSON."""
    return json.dumps(dataclasses.asdict(config), indent=2) + "\n"


def from_json(text: str, source: str = "config") -> Config:
    """Parses `to_json`'s output.

    Raises:
      ValueError: names `source` and the field that is unknown, missing or of the wrong type.
    """
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{source}: not JSON ({error})") from error
    return _build(Config, values, source)


def _build(cls: type, values: object, where: str):
    if not isinstance(values, dict):
        raise ValueError(f"{where}: got {type(values).__name__}, expected an object")
    types = typing.get_type_hints(cls)
    unknown = sorted(set(values) - set(types))
    if unknown:
        raise ValueError(f"{where}: unknown field {unknown[0]!r}, expected {sorted(types)}")
    built = {}
    for field, value in values.items():
        expected = types[field]
        if dataclasses.is_dataclass(expected):
            value = _build(expected, value, f"{where}.{field}")
        elif expected is float and type(value) is int:
            value = float(value)
        elif type(value) is not expected:
            raise ValueError(f"{where}.{field}: got {value!r}, expected {expected.__name__}")
        built[field] = value
    return cls(**built)
