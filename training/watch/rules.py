"""The watchdog's rules: which number means which collapse, and from where on.

A rule is broken where its value lies beyond its limit. Values come from `watch_measures` and from
the step's own metrics. Comments give what healthy runs showed on procedural people (`tiny`, and
the small networks of the tests for 2500 steps). The collapses provoked in the tests showed 0 there
(1 for shares of zeros and of saturated values) to two digits, so the limits stand wide apart.
"""

import dataclasses
from collections.abc import Callable, Mapping

from tf_talking.config import Config

Values = Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """Limits of the rules; `patience` and `slow_patience` count looks in a row."""

    grace: int = 500  # steps without alarms, see `thresholds_for`
    patience: int = 3
    # D may win or lose for a while and come back; only a lasting state is a collapse.
    slow_patience: int = 10
    active_hinge: float = 0.02  # share of active hinge terms; healthy 0.1 to 0.7
    # A D that gives every picture one score has gap 0 and hinge 2; healthy from 0.6.
    useless: float = 0.05
    spoilt: float = 0.3  # share of black, red or saturated values beyond that of real frames
    flat: float = 0.1  # contrast of generated pictures by that of real ones; healthy 0.6 to 1.2
    same_picture: float = 0.02  # spread over the batch by that of real frames; healthy from 0.25
    swap: float = 0.03  # change by swapping persons, by the real difference; healthy from 0.3
    embedding_rms: float = 0.005  # healthy 0.15 to 0.45; W starts at 0.115
    embedding_zero: float = 0.98  # share of zeros; healthy 0.6 to 0.95
    embedding_spread: float = 0.02  # by the rms; healthy 0.5 to 0.9
    # |W_i|: no gradient pulls it to 0 in the paper's form; it starts at 0.115 · √N.
    w_norm: float = 0.05


def thresholds_for(config: Config, **changes) -> Thresholds:
    """Thresholds with a grace period that suits the learning rate of E and G.

    Networks that have learnt nothing look collapsed. Healthy ones told persons apart once
    steps × learning rate was 0.05 to 0.1; the grace period is 0.25: 250 steps in `tiny`, 5000 in
    `paper`.
    """
    changes.setdefault("grace", round(0.25 / config.train.learning_rate))
    return Thresholds(**changes)


@dataclasses.dataclass(frozen=True)
class Rule:
    """One way to collapse.

    Attributes:
      measured: what the value is, for the message.
      value: values of a look -> the number that is judged; None where they lack it.
      threshold: name of the limit in `Thresholds`.
      below: broken below the limit; otherwise above it.
      means, remedy: for the person who reads the alarm.
      slow: needs `slow_patience` looks.
    """

    measured: str
    value: Callable[[Values], float | None]
    threshold: str
    below: bool
    means: str
    remedy: str
    slow: bool = False

    def limit(self, thresholds: Thresholds) -> float:
        return getattr(thresholds, self.threshold)

    def patience(self, thresholds: Thresholds) -> int:
        return thresholds.slow_patience if self.slow else thresholds.patience

    def broken(self, value: float, thresholds: Thresholds) -> bool:
        limit = self.limit(thresholds)
        return value < limit if self.below else value > limit


def _difference(name: str):
    """Share in generated pictures beyond that in real ones."""

    def value(values: Values) -> float | None:
        fake, real = values.get(f"watch/{name}_fake"), values.get(f"watch/{name}_real")
        return None if fake is None or real is None else fake - real

    return value


def _ratio(name: str):
    """Of a quantity in generated pictures by that in real ones."""

    def value(values: Values) -> float | None:
        fake, real = values.get(f"watch/{name}_fake"), values.get(f"watch/{name}_real")
        return fake / real if real and fake is not None else None  # real 0: nothing to compare

    return value


def _active_hinge(values: Values) -> float | None:
    real, fake = values.get("score/active_real"), values.get("score/active_fake")
    return None if real is None or fake is None else (real + fake) / 2.0


def _usefulness(values: Values) -> float | None:
    """How far D is from one score for everything: the score gap, or the hinge's distance to 2."""
    names = ("score/real", "score/fake", "loss/discriminator")
    if any(values.get(name) is None for name in names):
        return None
    real, fake, hinge = (values[name] for name in names)
    return max(abs(real - fake), 2.0 - hinge)


def _measure(name: str):
    return lambda values: values.get(name)


_CALM_G = (
    "go back to a checkpoint before the alarm with a lower train.learning_rate; with small data or "
    "without VGG weights lower losses.adversarial and raise losses.content_pixel"
)
_LIVE_E = (
    "check that W starts with entries >= 0 (the ReLU behind the pooling can not reach negative "
    "ones), lower losses.match, or use model.pooling=relu_sum; a dead ReLU does not come back, so "
    "go back to a checkpoint before the alarm"
)

RULES: dict[str, Rule] = {
    "discriminator_saturated": Rule(
        "share of active hinge terms",
        _active_hinge,
        "active_hinge",
        True,
        "D has won: it separates every real from every generated frame by the full margin and "
        "learns nothing more, so that only the content terms teach G",
        "lower train.discriminator_learning_rate or train.discriminator_steps, or a larger batch; "
        "no harm where the content terms are meant to do the work",
        slow=True,
    ),
    "discriminator_useless": Rule(
        "larger of score gap and 2 - hinge",
        _usefulness,
        "useless",
        True,
        "D gives real and generated frames the same score, so that its gradient tells G nothing",
        "lower train.discriminator_learning_rate (a step too large kills its ReLUs for good), then "
        "go back to a checkpoint before the alarm",
        slow=True,
    ),
    "output_black": Rule(
        "share of black pixels beyond the real frames'",
        _difference("black"),
        "spoilt",
        False,
        "the generated frames turn black",
        _CALM_G,
    ),
    "output_red": Rule(
        "share of pure red pixels beyond the real frames'",
        _difference("red"),
        "spoilt",
        False,
        "the generated frames turn red",
        _CALM_G,
    ),
    "output_saturated": Rule(
        "share of values at -1 or 1 beyond the real frames'",
        _difference("saturated"),
        "spoilt",
        False,
        "G's output sticks at the ends of its tanh, where no gradient passes",
        _CALM_G,
    ),
    "output_flat": Rule(
        "contrast of generated by that of real frames",
        _ratio("contrast"),
        "flat",
        True,
        "the generated frames are of one colour",
        _CALM_G,
    ),
    "output_same": Rule(
        "spread over the batch of generated by that of real frames",
        _ratio("spread"),
        "same_picture",
        True,
        "G draws the same frame whatever person and landmarks it gets",
        f"{_CALM_G}; if embedder_ignored is raised too, see there",
    ),
    "embedder_ignored": Rule(
        "change by swapping persons by the difference of the persons' real frames",
        _measure("watch/swap_to_real"),
        "swap",
        True,
        "the embedder is ignored: G draws the same person whoever is embedded",
        f"if embedding_dead or embedding_same is raised too: {_LIVE_E}; otherwise raise the "
        "content weights and check that the batches mix persons",
    ),
    "embedding_dead": Rule(
        "share of zeros in the embeddings",
        _measure("watch/embedding_zero"),
        "embedding_zero",
        False,
        "the embeddings are 0 nearly everywhere: E's last ReLU is dead",
        _LIVE_E,
    ),
    "embedding_vanishing": Rule(
        "rms of the embeddings' entries",
        _measure("watch/embedding_rms"),
        "embedding_rms",
        True,
        "the embeddings shrink to zero under the match loss",
        _LIVE_E,
    ),
    "embedding_same": Rule(
        "spread of the embeddings over the videos by their rms",
        _measure("watch/embedding_spread"),
        "embedding_spread",
        True,
        "E gives every video the same embedding",
        _LIVE_E,
    ),
    "w_vanishing": Rule(
        "mean |W_i|",
        _measure("norm/w"),
        "w_norm",
        True,
        "the discriminator's video embeddings W_i shrink to zero, and the match loss draws the embeddings after them",
        "keep losses.match_detach_w on, or lower losses.match",
    ),
}
