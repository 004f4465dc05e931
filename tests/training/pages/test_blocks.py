"""A report as Markdown and as HTML."""

import pathlib

import numpy as np
import pytest

from tf_talking.media.photos import write_png
from training.pages.blocks import Heading, Lines, Picture, Table, Text, to_html, to_markdown


@pytest.fixture
def blocks(tmp_path):
    path = tmp_path / "strip.png"
    write_png(path, np.zeros((8, 16, 3), np.uint8))
    return [
        Heading("Report", 1),
        Text("a < b"),
        Lines(["one", "two"]),
        Table(["method", "L1"], [["paper: ours", "0.1"], ["a|b", "0.2"]]),
        Table(["method"], [["x"]], folded="More"),
        Picture(path, pathlib.PurePath("videos/strip.png"), ["left", "right"]),
    ]


def test_markdown(blocks):
    parts = to_markdown(blocks).removesuffix("\n").split("\n\n")
    assert parts == [
        "# Report",
        "a < b",
        "- one\n- two",
        "| method | L1 |\n| --- | ---: |\n| paper: ours | 0.1 |\n| a¦b | 0.2 |",
        "| method |\n| --- |\n| x |",
        "![left, right](videos/strip.png)",
    ]


def test_html(blocks):
    text = to_html(blocks, "Title")
    for part in (
        "<title>Title</title>",
        "<h1>Report</h1>",
        "<p>a &lt; b</p>",
        "<ul><li>one</li><li>two</li></ul>",
        "<tr class=paper><td>paper: ours<td>0.1</tr>",
        "<details><summary>More</summary>",
        "<span>left</span><span>right</span><img alt='left, right'",
    ):
        assert part in text
    assert text.count("data:image/jpeg;base64,") == 1


def test_what_is_no_block_is_refused():
    for write in (to_markdown, lambda blocks: to_html(blocks, "")):
        with pytest.raises(TypeError, match="no such block: 3"):
            write([3])
