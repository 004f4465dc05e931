"""The shell of pages, and figures as text."""

import base64
import math

from training.pages.html import data_uri, number, page


def test_page_escapes_its_title_and_needs_nothing_else():
    text = page("a < b", "<p>body</p>", ".x { color: red }")
    assert text.startswith("<!DOCTYPE html>") and text.endswith("</html>\n")
    assert "<title>a &lt; b</title>" in text and "<p>body</p>" in text
    assert text.index("font: 15px") < text.index(".x { color: red }")  # the page's own wins
    assert "http" not in text and "<link" not in text


def test_data_uri():
    kind, _, data = data_uri(b"\x00ab", "image/png").partition(";base64,")
    assert kind == "data:image/png" and base64.b64decode(data) == b"\x00ab"


def test_number():
    assert [number(v) for v in (0.123456, 1234.56, None, math.nan)] == ["0.1235", "1235", "–", "–"]
    assert number(None, "") == number(math.nan, "") == ""
