"""What the pages that this program writes have in common: template, style, thumbnails."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import string
from collections.abc import Mapping
from pathlib import Path

from PIL import Image, ImageOps


class _Template(string.Template):
    """A template whose placeholders, `%%{name}`, mean nothing in HTML, CSS or JavaScript."""

    delimiter = "%%"


def render(template: Path, style: Mapping[str, str], contents: Mapping[str, str]) -> bytes:
    """Fills in a page.

    Its content security policy allows exactly its own style and script: `%%{style_hash}` and
    `%%{script_hash}` become their hashes.

    Args:
      template: an HTML file with placeholders `%%{name}`; `%%{house_style}` becomes `page.css`.
      style: values of further placeholders inside the style.
      contents: values of those elsewhere, ready to stand in HTML.

    Returns:
      The page in UTF-8.
    """
    house_style = Path(__file__).with_suffix(".css").read_text(encoding="utf-8")
    text = template.read_text(encoding="utf-8")
    text = _Template(text).safe_substitute(style, house_style=house_style)
    hashes = {
        f"{element}_hash": _content_hash(found[1])
        for element in ("style", "script")
        if (found := re.search(f"<{element}>(.*?)</{element}>", text, re.S))
    }
    return _Template(text).substitute(hashes, **contents).encode("utf-8", "replace")


def _content_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def thumbnail(image: Image.Image, side: int) -> tuple[bytes, str, tuple[int, int]]:
    """An upright, reduced copy of a picture of any mode.

    Args:
      image: as Pillow opened it; large JPEGs are decoded at a fraction of their size.
      side: the most pixels a side.

    Returns:
      The encoded thumbnail, `".jpg"` or, with transparency, `".png"`, and its width and height.
    """
    reduced = _reduce(image, side)
    opaque = reduced.mode in ("L", "RGB")
    # Chroma is what the pages are about: none of it is thrown away.
    options = {"quality": 85, "subsampling": "4:4:4"} if opaque else {}
    with io.BytesIO() as file:
        profile = reduced.info.get("icc_profile")
        reduced.save(file, "JPEG" if opaque else "PNG", icc_profile=profile, **options)
        return file.getvalue(), ".jpg" if opaque else ".png", reduced.size


def _reduce(image: Image.Image, side: int) -> Image.Image:
    """The copy, of mode L, RGB, LA or RGBA."""
    if image.mode.startswith("I;16"):
        image = image.convert("I").point(lambda value: value / 257).convert("L")
    elif "transparency" in image.info or image.mode == "PA":
        image = image.convert("RGBA")
    elif image.mode not in ("L", "LA", "RGB", "RGBA", "CMYK"):
        image = image.convert("L" if image.mode in ("1", "I", "F") else "RGB")
    # Decodes large JPEGs at a fraction of their size (draft mode).
    image.thumbnail((side, side))
    image = ImageOps.exif_transpose(image)
    if image.mode == "CMYK":
        image = image.convert("RGB")
        image.info.pop("icc_profile", None)
    return image
