"""Corrects what Pillow would misread, or refuses it."""

from __future__ import annotations

import re

import numpy as np
from PIL import Image

from colorization.decoding import bmp, jpeg, jpeg_2000, jxl, png, psd, sgi, sun, tiff
from colorization.decoding.file_kinds import NO_PHOTOS
from colorization.decoding.refusals import unread_kind, why_unknown
from colorization.decoding.samples import is_opacity
from colorization.errors import UnreadablePhoto

# Formats whose samples of more than 8 bits are read correctly. For others, Pillow uses the wrong
# order of bytes, or nothing states which value is white.
_DEEP = ("PNG", "TIFF", "PPM", "JPEG2000", "HEIF", "JXL", "FITS")
# Formats from which Pillow does not read a whole photo.
_NOT_WHOLE = {
    "PCD": "a Photo CD, of which only a small copy could be read",
    "XBM": "an icon",
    "GBR": "a brush",
    "XVTHUMB": "a thumbnail",
}
# Photoshop's number of the mode whose channels have no colours.
_MULTICHANNEL = 7
# Formats whose programs often leave the fourth byte of a pixel unused and zero.
_MAY_BE_UNUSED = ("BMP", "DIB", "TGA", "ICO", "CUR", "DDS", "SGI")
_OPAQUE = 255
# TIFF's tag for what the channels after the colours are.
_EXTRA_SAMPLES = 338
# Types of TGA files in colour without a palette, plain and compressed.
_TRUE_COLOR = (2, 10)
# A colour in an XPM file without the six digits that Pillow expects.
_ODD_COLOR = re.compile(rb"\sc\s+#(?![0-9A-Fa-f]{6}[\s\"])")


def mend_misread(picture: Image.Image, data: bytes) -> None:
    """Corrects what Pillow would misread, or refuses it.

    Args:
      picture: opened by Pillow, not loaded yet.
      data: its file.

    Raises:
      UnreadablePhoto: says what it is, and what to do.
    """
    if refusal := _why_refused(picture, data):
        raise UnreadablePhoto(refusal)
    kind = picture.format
    # Pillow reads an orientation from XMP, but in AVIF only boxes count (ISO/IEC 23008-12, 6.5.10),
    # and in TIFF the tag may hold numbers.
    if kind == "AVIF" or not isinstance(picture.info.get("xmp"), bytes):
        picture.info.pop("xmp", None)
    if kind == "PSD":
        psd.mend_tiles(picture, data)
    elif kind in ("BMP", "DIB"):
        bmp.mend_runs(picture, data)
    elif kind == "SUN":
        sun.mend_tiles(picture, data)
    elif kind == "SGI":
        sgi.end_rows(picture, data)
    elif kind == "PNG":
        png.scale_key(picture)
    elif kind == "JPEG2000":
        jpeg_2000.mend_palette(picture, data)
    elif kind == "TIFF":
        tiff.mend_gray_old_jpeg(picture)
    elif kind == "TGA" and picture.palette and picture.palette.rawmode == "BGRA":
        # Pillow forgets that such a palette has alpha.
        picture.palette.mode = "RGBA"


def _why_refused(picture: Image.Image, data: bytes) -> str | None:
    """The message about a picture of a kind that is not supported; None for others."""
    kind, details = picture.format, None
    is_deep = picture.mode.startswith("I") or picture.mode in ("F", "")
    if kind in NO_PHOTOS and kind not in _NOT_WHOLE:
        return why_unknown(data)
    if is_deep and kind not in _DEEP:
        details = "more than 8 bits"
    elif kind in _NOT_WHOLE:
        details = _NOT_WHOLE[kind]
    elif kind == "PSD" and data[25] == _MULTICHANNEL:
        details = "several channels without colours"
    elif kind == "PSD" and not psd.has_merged_picture(picture, data):
        details = "without a merged picture"
    elif kind == "PCX" and data[2] == 0:
        details = "without compression"
    elif kind == "XPM" and _ODD_COLOR.search(data, 0, picture.tile[0].offset):
        details = "colours of more or fewer than 6 digits"
    elif kind in ("JPEG", "MPO"):
        # The decoder opens some of these, but spoils their colours, or memory if it reduces them.
        kind, details = "JPEG", jpeg.unread_process(data)
    elif kind == "JPEG2000":
        kind, details = "JPEG 2000", jpeg_2000.unread_colors(picture, data)
    elif kind == "JXL" and jxl.is_animation(data):
        kind, details = "JPEG XL", "an animation"
    return details and unread_kind(kind, details)


def alpha_of(picture: Image.Image, data: bytes) -> Image.Image | None:
    """Transparency of a picture.

    Args:
      picture: loaded.
      data: its file.

    Returns:
      A picture of mode L, 255 where opaque; None if there is no transparency.
    """
    if picture.format == "PSD":
        # Each letter of the mode is a channel.
        return psd.transparency(data, len(picture.mode.removesuffix("A")))
    if not picture.has_transparency_data:
        return None
    alpha = picture.convert("RGBA").getchannel("A")
    if picture.format == "TGA":
        alpha = _tga_alpha(alpha, data)
        if alpha is None:
            return None
    is_alpha = _states_alpha(picture, data)
    if is_alpha is None:
        is_alpha = is_opacity(np.asarray(alpha), _OPAQUE)
    elif picture.format in _MAY_BE_UNUSED:
        is_alpha = alpha.getextrema()[1] > 0
    return alpha if is_alpha else None


def _states_alpha(picture: Image.Image, data: bytes) -> bool | None:
    """Whether a file states that its last channel is alpha; None if it does not say what it is."""
    if picture.format == "TIFF":
        return _EXTRA_SAMPLES in picture.tag_v2 or None
    return jpeg_2000.states_opacity(data) if picture.format == "JPEG2000" else True


def _tga_alpha(alpha: Image.Image, data: bytes) -> Image.Image | None:
    """Transparency of a TGA file, from what Pillow takes for it (Truevision TGA 2.0, field 5)."""
    has_palette = data[1] != 0
    if has_palette and data[7] < 24:
        # Other programs ignore the alpha bit of 16-bit colours in a palette.
        return None
    if has_palette or data[2] in _TRUE_COLOR:
        # The header states the number of alpha bits (field 5.6).
        if data[17] & 15 == 0:
            return None
        # Pillow takes the alpha bit of 16 for transparent, but others for opaque.
        if data[16] == 16:
            alpha = Image.fromarray(255 - np.asarray(alpha))
    return alpha
