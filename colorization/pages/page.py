"""What all written pages share: templates, thumbnails, and how they are recognized."""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import re
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image, ImageOps

from colorization.errors import UserError
from colorization.lab.lab_numpy import to_bytes

# Rows of a picture that are converted at a time.
_ROWS = 64

# The content security policy of `page.html`, which the pages of all versions have had.
_OWN_POLICY = re.compile(
    rb"""content="default-src 'none'; img-src [^"]*; style-src 'sha256-[^"]*; """
    rb"""base-uri 'none'; form-action 'none'">"""
)


def render(template: str, **contents: Any) -> bytes:
    """Fills in a page.

    Args:
      template: name of a Jinja template beside this module, which extends `page.html`. Values are
        escaped. The filter `content_hash` hashes the text of an element, for the content security
        policy, which allows only the page's own style and script.
      contents: values of its variables.

    Returns:
      The page in UTF-8.

    Raises:
      jinja2.UndefinedError: the template has a variable without a value.
    """
    return _templates().get_template(template).render(contents).encode("utf-8", "replace")


@functools.cache
def _templates() -> jinja2.Environment:
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["content_hash"] = _content_hash
    return templates


def _content_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def require_own_page(folder: Path) -> None:
    """Refuses a folder whose `index.html` is not this program's, as a page would replace it.

    Raises:
      UserError: there is such a page.
    """
    page = folder / "index.html"
    if page.exists() and not (page.is_file() and _OWN_POLICY.search(page.read_bytes())):
        raise UserError(
            f"{page} is none of this program's, and would be replaced; choose another --output"
        )


def thumbnail(image: Image.Image, side: int) -> tuple[bytes, str, tuple[int, int]]:
    """An upright, reduced copy of a picture of any mode.

    Args:
      image: as Pillow opened it; large JPEGs are decoded at a fraction of their size.
      side: maximum number of pixels a side.

    Returns:
      The encoded thumbnail, `".jpg"` or, with transparency, `".png"`, and its width and height.
    """
    reduced = _reduce(image, side)
    opaque = reduced.mode in ("L", "RGB")
    # The pages are about colour, so that chroma is not subsampled.
    options = {"quality": 85, "subsampling": "4:4:4"} if opaque else {}
    with io.BytesIO() as file:
        profile = reduced.info.get("icc_profile")
        reduced.save(file, "JPEG" if opaque else "PNG", icc_profile=profile, **options)
        return file.getvalue(), ".jpg" if opaque else ".png", reduced.size


def _reduce(image: Image.Image, side: int) -> Image.Image:
    """A reduced, upright copy of mode L, RGB, LA or RGBA."""
    if image.mode.startswith("I;16"):
        image = _in_eight_bits(image)
    elif "transparency" in image.info or image.mode == "PA":
        image = image.convert("RGBA")
    elif image.mode not in ("L", "LA", "RGB", "RGBA", "CMYK"):
        image = image.convert("L" if image.mode in ("1", "I", "F") else "RGB")
    # Draft mode decodes large JPEGs at a fraction of their size.
    image.thumbnail((side, side))
    image = ImageOps.exif_transpose(image)
    if image.mode == "CMYK":
        image = image.convert("RGB")
        image.info.pop("icc_profile", None)
    return image


def _in_eight_bits(image: Image.Image) -> Image.Image:
    """A gray picture of 16 bits as one of mode L."""
    gray = Image.new("L", image.size)
    gray.info = image.info
    # Some rows at a time, because a copy of all would take as much as the picture.
    for top in range(0, image.height, _ROWS):
        box = 0, top, image.width, min(top + _ROWS, image.height)
        gray.paste(Image.fromarray(to_bytes(np.asarray(image.crop(box)))), box)
    return gray
