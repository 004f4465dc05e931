"""Charts with matplotlib, without a screen."""

import io

import matplotlib

matplotlib.use("Agg")

import matplotlib.figure

from training.pages.html import data_uri


def new_figure(width: float, height: float, **more) -> matplotlib.figure.Figure:
    """An empty figure; inches."""
    return matplotlib.figure.Figure((width, height), layout="constrained", **more)


def style_axes(axes) -> None:
    """Small numbers, a pale grid, no box."""
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)


def svg_uri(figure: matplotlib.figure.Figure) -> str:
    """The figure for an <img>: the ids in one chart's SVG can then not meet those of another."""
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "report"}):
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    return data_uri(file.getvalue(), "image/svg+xml")
