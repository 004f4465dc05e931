"""Who a procedural person is: everything about looks that does not change from frame to frame.

Lengths are in the head's unit (half the width of an average face) and factors are relative to an
average face. Colours are RGB, 0 to 255.
"""

import colorsys
import dataclasses

import numpy as np

Colour = tuple[float, float, float]

SKIN_TONES = (
    (250, 222, 202),
    (243, 205, 178),
    (231, 186, 152),
    (212, 163, 122),
    (182, 132, 92),
    (146, 98, 66),
    (108, 70, 48),
    (78, 50, 37),
)
HAIR_TONES = (
    (28, 24, 24),
    (52, 36, 28),
    (84, 56, 36),
    (122, 80, 46),
    (134, 58, 30),
    (186, 92, 42),
    (196, 156, 88),
    (228, 202, 146),
    (140, 138, 138),
    (222, 220, 216),
)
_HAIR_WEIGHTS = (18, 16, 13, 10, 6, 7, 9, 7, 6, 3)
EYE_TONES = (
    (78, 50, 30),
    (110, 74, 42),
    (126, 108, 54),
    (82, 118, 70),
    (82, 124, 160),
    (110, 150, 190),
    (116, 124, 130),
)
HAIR_STYLES = ("bald", "buzz", "short", "quiff", "fringe", "bob", "long", "tucked", "bun", "afro", "parted")
_STYLE_WEIGHTS = (7, 7, 16, 10, 11, 12, 13, 7, 7, 6, 10)
BEARDS = ("none", "stubble", "full", "goatee", "moustache")
COLLARS = ("crew", "v", "shirt", "turtleneck")
PATTERNS = ("plain", "stripes", "halves")
BACKGROUNDS = ("plain", "gradient", "shapes")


@dataclasses.dataclass(frozen=True)
class Identity:
    """Looks of one person. `Identity.sample(seed)` draws one."""

    seed: int
    skin: Colour
    blush: float  # 0 to 1
    width: float
    crown: float  # height of the skull above the eyes
    jaw: float  # exponent of the outline: 2 is pointed, 3.6 is square
    chin: float
    cheeks: float
    ears: float
    eye_colour: Colour
    eye_spacing: float
    eye_size: float
    eye_open: float
    eye_tilt: float  # height of the outer corner over the inner one
    brow_colour: Colour
    brow_height: float
    brow_thickness: float
    brow_tilt: float
    brow_arch: float
    nose_length: float
    nose_width: float
    nose_height: float
    lip_colour: Colour
    lip_thickness: float
    mouth_width: float
    hair_style: str
    hair_colour: Colour
    hair_volume: float
    hair_side: float  # -1 or 1: side of the parting
    beard: str
    glasses: str  # "none", "round", "square"
    glasses_colour: Colour
    hat: str  # "none", "beanie", "cap"
    hat_colour: Colour
    freckles: int  # their number
    wrinkles: float  # 0 to 1
    earrings: bool
    clothes_colour: Colour
    clothes_colour_2: Colour
    collar: str
    pattern: str
    shoulders: float
    background: str
    background_colour: Colour
    background_colour_2: Colour
    light: tuple[float, float, float]  # direction towards the light, unit length

    @property
    def name(self) -> str:
        return f"procedural_{self.seed:06d}"

    @classmethod
    def sample(cls, seed: int) -> "Identity":
        """The person number `seed`; always the same for the same number.

        Raises:
          ValueError: the number is negative.
        """
        if seed < 0:
            raise ValueError(f"identity seed: got {seed}, expected at least 0")
        rng = np.random.default_rng(np.random.SeedSequence([0xFACE, seed]))
        looks = _sample_face(rng) | _sample_hair(rng) | _sample_surroundings(rng)
        return cls(seed=seed, **looks)


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def _jitter(rng: np.random.Generator, colour: Colour, amount: float) -> Colour:
    """The colour, a little lighter or darker and a little more or less of each component."""
    factor = 1 + rng.normal(0, amount) + rng.normal(0, amount / 3, 3)
    return tuple(float(c) for c in np.clip(np.asarray(colour) * factor, 0, 255))


def _mix(a: Colour, b: Colour, share: float) -> Colour:
    return tuple(float(x + (y - x) * share) for x, y in zip(a, b, strict=True))


def _any_colour(rng: np.random.Generator, saturation: tuple, value: tuple) -> Colour:
    hsv = _between(rng, 0, 1), _between(rng, *saturation), _between(rng, *value)
    return tuple(255 * c for c in colorsys.hsv_to_rgb(*hsv))


def _choice(rng: np.random.Generator, options: tuple, weights: tuple | None = None):
    p = None if weights is None else np.asarray(weights) / np.sum(weights)
    return options[rng.choice(len(options), p=p)]


def _sample_face(rng: np.random.Generator) -> dict:
    tone = rng.uniform(0, len(SKIN_TONES) - 1)
    lower = int(tone)
    skin = _mix(SKIN_TONES[lower], SKIN_TONES[min(lower + 1, 7)], tone - lower)
    skin = _jitter(rng, skin, 0.03)
    lip = _mix(skin, _choice(rng, ((188, 72, 74), (150, 44, 52), (206, 104, 100))), 0.55)
    dark_eyes = (5, 4, 1, 0.5, 0.3, 0.1, 0.3) if tone > 3.5 else None
    return dict(
        skin=skin,
        blush=_between(rng, 0, 1),
        width=_between(rng, 0.86, 1.12),
        crown=_between(rng, 0.94, 1.06),
        jaw=_between(rng, 2.0, 3.6),
        chin=_between(rng, 0.93, 1.1),
        cheeks=_between(rng, 0.0, 1.0),
        ears=_between(rng, 0.75, 1.25),
        eye_colour=_jitter(rng, _choice(rng, EYE_TONES, dark_eyes), 0.08),
        eye_spacing=_between(rng, 0.93, 1.09),
        eye_size=_between(rng, 0.85, 1.2),
        eye_open=_between(rng, 0.75, 1.25),
        eye_tilt=_between(rng, -0.025, 0.035),
        brow_height=_between(rng, -0.05, 0.05),
        brow_thickness=_between(rng, 0.03, 0.085),
        brow_tilt=_between(rng, -0.08, 0.05),
        brow_arch=_between(rng, 0.3, 1.4),
        nose_length=_between(rng, 0.88, 1.12),
        nose_width=_between(rng, 0.75, 1.3),
        nose_height=_between(rng, 0.75, 1.25),
        lip_colour=_jitter(rng, lip, 0.05),
        lip_thickness=_between(rng, 0.6, 1.5),
        mouth_width=_between(rng, 0.83, 1.17),
        freckles=int(rng.integers(14, 40)) if rng.random() < 0.15 else 0,
        wrinkles=_between(rng, 0, 1),
        earrings=bool(rng.random() < 0.15),
    )


def _sample_hair(rng: np.random.Generator) -> dict:
    colour = _jitter(rng, _choice(rng, HAIR_TONES, _HAIR_WEIGHTS), 0.06)
    style = _choice(rng, HAIR_STYLES, _STYLE_WEIGHTS)
    beards_allowed = style in ("bald", "buzz", "short", "quiff", "parted", "afro")
    beard = _choice(rng, BEARDS, (8, 4, 4, 2, 2)) if beards_allowed else "none"
    hat = _choice(rng, ("none", "beanie", "cap"), (88, 7, 5)) if style != "afro" else "none"
    return dict(
        hair_style="fringe" if style == "quiff" and hat != "none" else style,
        hair_colour=colour,
        hair_volume=_between(rng, 0.7, 1.3),
        hair_side=float(_choice(rng, (-1, 1))),
        brow_colour=_mix(colour, (40, 28, 22), _between(rng, 0.2, 0.7)),
        beard=beard,
        glasses=_choice(rng, ("none", "round", "square"), (72, 14, 14)),
        glasses_colour=_choice(rng, ((24, 22, 24), (90, 52, 30), (150, 30, 40), (40, 60, 120), (176, 150, 90))),
        hat=hat,
        hat_colour=_any_colour(rng, (0.2, 0.55), (0.25, 0.85)),
    )


def _sample_surroundings(rng: np.random.Generator) -> dict:
    light = np.array([rng.uniform(-0.5, 0.5), rng.uniform(-0.65, -0.35), 1.0])
    # Walls and studio cloth: rarely colourful, never black, of much the same colour all over.
    wall = _any_colour(rng, (0.0, 0.2), (0.35, 0.9))
    return dict(
        clothes_colour=_any_colour(rng, (0.05, 0.55), (0.15, 0.9)),
        clothes_colour_2=_any_colour(rng, (0.05, 0.55), (0.2, 0.95)),
        collar=_choice(rng, COLLARS, (4, 2, 3, 1)),
        pattern=_choice(rng, PATTERNS, (5, 3, 2)),
        shoulders=_between(rng, 0.85, 1.15),
        background=_choice(rng, BACKGROUNDS, (3, 4, 3)),
        background_colour=wall,
        background_colour_2=_mix(wall, _any_colour(rng, (0.0, 0.2), (0.35, 0.9)), 0.35),
        light=tuple(float(c) for c in light / np.linalg.norm(light)),
    )
