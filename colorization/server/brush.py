"""The brush of the page, for strokes that show which colour something was.

`brush.html`, `brush.css` and `brush.js` are its part in the browser.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image, ImageDraw

from colorization.server.sessions import Strokes

# The colours that people need most, and a gray for what had no colour. Lightness stays the photo's.
PALETTE = (
    ("fair skin", "#e8c0a4"),
    ("tanned skin", "#c68e6a"),
    ("dark skin", "#8a5a3c"),
    ("blond hair", "#c9a76b"),
    ("red hair", "#a0522d"),
    ("brown hair", "#5a3a28"),
    ("grass", "#7a9a3f"),
    ("leaves", "#3f6b35"),
    ("sky", "#8ab6dc"),
    ("sea", "#2f7f93"),
    ("light wood", "#b98a58"),
    ("dark wood", "#6b4630"),
    ("brick", "#a5503a"),
    ("no colour", "#808080"),
)

_MAX_STROKES = 1000
_MAX_POINTS = 100_000


def brush(**settings: Any) -> gr.HTML:
    """The brush as a component; its value is a dict of `photo`, `picture` and `strokes`.

    `photo` is the path of the upload, `picture` the file to paint on. The event `input` follows
    each change of the strokes; `painted()` of the element `.stage` then gives the strokes of all
    photos that were painted on since its last call, by path.
    """
    html, css, javascript = (
        Path(__file__).with_name(f"brush.{kind}").read_text("utf-8")
        for kind in ("html", "css", "js")
    )
    palette = "".join(
        f'<button type="button" role="radio" aria-checked="false" aria-label="{name}" '
        f'title="{name}" data-colour="{colour}" style="background: {colour}"></button>'
        for name, colour in PALETTE
    )
    return gr.HTML(
        html_template=html.replace("PALETTE", palette),
        css_template=css,
        js_on_load=javascript,
        apply_default_css=False,
        **settings,
    )


def are_strokes(sent: Any) -> bool:
    """Whether what a client sent is a list of strokes: dicts of `colour`, `width` and `points`."""
    if not isinstance(sent, list) or len(sent) > _MAX_STROKES:
        return False
    if not all(map(_is_stroke, sent)):
        return False
    return sum(len(stroke["points"]) for stroke in sent) <= _MAX_POINTS


def _is_stroke(sent: Any) -> bool:
    if not isinstance(sent, dict) or sent.keys() != {"colour", "width", "points"}:
        return False
    colour, points = sent["colour"], sent["points"]
    return (
        isinstance(colour, str)
        and re.fullmatch("#[0-9a-fA-F]{6}", colour) is not None
        and _are_shares([sent["width"]], 1)
        and isinstance(points, list)
        and len(points) > 0
        and all(_are_shares(point, 2) for point in points)
    )


def _are_shares(sent: Any, count: int) -> bool:
    return (
        isinstance(sent, list)
        and len(sent) == count
        and all(type(value) in (int, float) and 0 <= value <= 1 for value in sent)
    )


def draw_strokes(strokes: Strokes, size: tuple[int, int]) -> np.ndarray:
    """Draws strokes on a transparent picture, later ones on top.

    Args:
      strokes: see `are_strokes`.
      size: width and height.

    Returns:
      uint8 RGBA `[height, width, 4]`.
    """
    picture = Image.new("RGBA", size)
    pencil = ImageDraw.Draw(picture)
    for stroke in strokes:
        width = max(1, round(stroke["width"] * max(size)))
        points = [(x * (size[0] - 1), y * (size[1] - 1)) for x, y in stroke["points"]]
        pencil.line(points, stroke["colour"], width)
        # Circles make the ends and corners round.
        for x, y in points:
            box = (x - width / 2, y - width / 2, x + width / 2, y + width / 2)
            pencil.ellipse(box, stroke["colour"])
    return np.array(picture)
