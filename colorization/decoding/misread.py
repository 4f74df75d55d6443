"""What Pillow opens, but would misread: refused by name, or put right."""

from __future__ import annotations

import re

import numpy as np
from PIL import Image

from colorization.decoding import bmp, jpeg, png, psd, sgi, sun, tiff
from colorization.decoding.file_kinds import NO_PHOTOS
from colorization.decoding.refusals import unread_kind, why_unknown
from colorization.errors import UnreadablePhoto

# Formats of which samples of more than 8 bits are read right. Of others Pillow takes the bytes in
# the wrong order, or numbers of which no file says what white is.
_DEEP = ("PNG", "TIFF", "PPM", "JPEG2000", "HEIF", "JXL", "FITS")
# Formats of which Pillow reads something else than a whole photo.
_NO_WHOLE = {
    "PCD": "a Photo CD, of which only a small copy could be read",
    "XBM": "an icon",
    "GBR": "a brush",
    "XVTHUMB": "a thumbnail",
}
_MULTICHANNEL = 7
# Formats whose programs often leave the fourth byte of a pixel zero, which then stands for nothing.
_LOOSE_ALPHA = ("BMP", "DIB", "TGA", "ICO", "CUR", "DDS", "SGI")
_EXTRA_SAMPLES = 338
# Types of TGA files with colours for each pixel, plain and compressed.
_TRUE_COLOR = (2, 10)
# Colours of XPM files that have not the six digits which Pillow takes them to have.
_OTHER_COLOR = re.compile(rb"\sc\s+#(?![0-9A-Fa-f]{6}[\s\"])")


def mend_misread(picture: Image.Image, data: bytes) -> None:
    """Puts right what would come out wrong, or refuses it.

    Args:
      picture: opened by Pillow, not loaded yet.
      data: its file.

    Raises:
      UnreadablePhoto: says what it is, and what to do.
    """
    if refusal := _why_refused(picture, data):
        raise UnreadablePhoto(refusal)
    kind = picture.format
    # Pillow looks there for an orientation, but of AVIF the boxes alone tell (ISO/IEC 23008-12,
    # 6.5.10). Any type of numbers may stand there in TIFF.
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
    elif kind == "TIFF":
        tiff.invert_old_jpeg(picture)
    elif kind == "TGA" and picture.palette and picture.palette.rawmode == "BGRA":
        picture.palette.mode = "RGBA"


def _why_refused(picture: Image.Image, data: bytes) -> str | None:
    kind, told = picture.format or "", None
    deep = picture.mode.startswith("I") or picture.mode in ("F", "")
    if kind in NO_PHOTOS and kind not in _NO_WHOLE:
        return why_unknown(data)
    if deep and kind not in _DEEP:
        told = "more than 8 bits"
    elif kind in _NO_WHOLE:
        told = _NO_WHOLE[kind]
    elif kind == "PSD" and data[25] == _MULTICHANNEL:
        told = "several channels without colours"
    elif kind == "PSD" and not psd.has_merged_picture(picture, data):
        told = "without a merged picture"
    elif kind == "XPM" and _OTHER_COLOR.search(data, 0, picture.tile[0].offset):
        told = "colours of more or fewer than 6 digits"
    elif kind in ("JPEG", "MPO"):
        # The decoder opens some of these, but spoils their colours, or memory where it reduces
        # them.
        kind, told = "JPEG", jpeg.unread_process(data)
    return told and unread_kind(kind, told)


def alpha_of(picture: Image.Image, data: bytes) -> Image.Image | None:
    """Transparency of a loaded picture, of mode L and 255 where opaque; None if there is none."""
    if picture.format == "PSD":
        # Its modes have a letter for each channel.
        return psd.transparency(data, len(picture.mode.removesuffix("A")))
    if not picture.has_transparency_data:
        return None
    alpha = picture.convert("RGBA").getchannel("A")
    if picture.format == "TGA" and data[1] and data[7] < 24:
        # Colours of 16 bits in a palette have no bit of alpha that others look at.
        return None
    if picture.format == "TGA" and (data[2] in _TRUE_COLOR or data[1]):
        # The header tells the number of bits of alpha (Truevision TGA 2.0, field 5.6).
        if data[17] & 15 == 0:
            return None
        # Pillow takes the one bit of 16 for transparent, others for opaque.
        if data[16] == 16:
            alpha = Image.fromarray(255 - np.asarray(alpha))
    _, most = alpha.getextrema()
    # TIFF files do not always tell what their fourth channel is; that of scanners is infrared.
    untold = picture.format == "TIFF" and _EXTRA_SAMPLES not in picture.tag_v2
    loose = picture.format in _LOOSE_ALPHA
    return None if (untold and most < 255) or (loose and most == 0) else alpha
