"""What every page has in common: its shell, its style, data inside of it, figures as text."""

import base64
import html
import math

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; margin: 2em auto; max-width: 1340px;
  padding: 0 1em }
h1 { font-size: 1.5em } h2 { margin-top: 1.6em; border-bottom: 1px solid #ccc }
h3 { font-size: 1.05em; margin: 1.6em 0 .4em } .wide { overflow-x: auto }
table { border-collapse: collapse } td, th { padding: 3px 8px } li { overflow-wrap: anywhere }
summary { cursor: pointer }
"""


def page(title: str, body: str, style: str = "") -> str:
    """A whole page that needs nothing else: `body` is HTML, `style` more CSS."""
    return (
        "<!DOCTYPE html>\n<html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'>"
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}{style}</style>\n{body}\n</html>\n"
    )


def data_uri(data: bytes, kind: str) -> str:
    """An address that holds its content; `kind`: its media type."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def number(value: float | None, missing: str = "–") -> str:
    """A figure of a table."""
    return missing if value is None or math.isnan(value) else f"{value:.4g}"
