"""Figures of pages."""

import base64

from training.pages.charts import new_figure, style_axes, svg_uri


def test_svg_is_the_same_every_time():
    def draw():
        figure = new_figure(2, 1)
        axes = figure.subplots()
        axes.plot([1, 2], [3, 4])
        axes.set_title("loss")
        style_axes(axes)
        assert not axes.spines["top"].get_visible()
        return svg_uri(figure)

    uri = draw()
    assert uri == draw() and uri.startswith("data:image/svg+xml;base64,")
    assert b"loss" in base64.b64decode(uri.partition(",")[2])  # text stays text
