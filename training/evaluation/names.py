"""Names of the methods that an evaluation compares; `methods.py` says what each does.

Apart from it, since pages name methods and shall need no TensorFlow.
"""

NEAREST, FF, BEFORE, FT, KNEE, PSI = "nearest", "ff", "ft_before", "ft", "knee", "psi"
LABELS = {
    NEAREST: "nearest source frame",
    FF: "FF",
    BEFORE: "FT before fine-tuning",
    FT: "FT",
    KNEE: "FT stopped at the knee",
    PSI: "FT of ψ' alone",
}
KINDS = {FT: "full", KNEE: "knee", PSI: "psi"}  # fine-tuned ones, as --tune calls them
CURVE_FRAMES = 8  # hold-out frames that a curve is measured on


def shown_methods(methods: list[str]) -> list[str]:
    """Those with a column in a strip; nobody sees a difference between FT before and FF."""
    return [m for m in methods if m not in (NEAREST, BEFORE)]


def ranking_method(methods: list[str]) -> str:
    """Whose CSIM ranks the drivers: the first fine-tuned one, else feed-forward."""
    tuned = [m for m in shown_methods(methods) if m != FF]
    return tuned[0] if tuned else FF
