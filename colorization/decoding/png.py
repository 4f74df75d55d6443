"""PNG files: samples of 16 bits, of which Pillow keeps only 8, and their chunks."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from colorization.decoding.samples import Samples

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# What the keywords of texts begin with that ImageMagick and ExifTool put other metadata into, in
# hexadecimal digits; the name of the metadata follows.
RAW_PROFILE = "Raw profile type "
# The keyword for EXIF and XMP data alike, and the mark of EXIF, "Exif", in hexadecimal digits.
_APP1, _EXIF_MARK = f"{RAW_PROFILE}APP1", "45786966"
# Names of chunks with text, of those without which there are no pixels, and of those that define
# colours.
_TEXT = (b"tEXt", b"zTXt", b"iTXt")
_PIXELS = (b"IHDR", b"PLTE", b"IDAT")
_COLORS = (b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP")
# The chunk at the end of a file.
_END = b"\0\0\0\0IEND\xae\x42\x60\x82"


def read_samples(data: bytes) -> Samples | None:
    """The samples of a picture with 16 bits; None if it has fewer."""
    with Image.open(io.BytesIO(data)) as picture:
        layout = picture.tile[0].args if picture.tile else None
        if layout in ("RGB;16B", "RGBA;16B"):
            # Pillow reads the first byte of each sample, and the second if it takes them for
            # little-endian.
            values = np.asarray(picture).astype(np.uint16) << 8
            values |= _decoded(data, layout.replace("16B", "16L"))
        elif layout == "LA;16B":
            # A pixel has four bytes, as many as RGBA of 8 bits.
            values = _decoded(data, "RGBA").view(">u2").astype(np.uint16)
        elif isinstance(layout, str) and layout.startswith("I;16"):
            values = np.asarray(picture).astype(np.uint16)[..., None]
        else:
            return None
        # Pictures with three channels or one may have a colour that is transparent.
        key = picture.info.get("transparency")
    channels, alpha = values.shape[2], None
    if channels in (2, 4):
        values, alpha = values[..., :-1], values[..., -1]
    elif key is not None:
        alpha = np.where((values == np.array(key)).all(axis=2), 0, 2**16 - 1).astype(np.uint16)
    return Samples(values, "rgb" if channels > 2 else "gray", alpha=alpha)


def name_exif(picture: Image.Image) -> None:
    """Lets Pillow find EXIF data in the text APP1, where old versions of ImageMagick put them.

    Args:
      picture: loaded.
    """
    text = picture.info.get(_APP1)
    if isinstance(text, str) and _EXIF_MARK in text:
        picture.info.setdefault(f"{RAW_PROFILE}exif", text)


def scale_key(picture: Image.Image) -> None:
    """Scales the transparent gray as Pillow scales grays of 1, 2 and 4 bits."""
    layout = picture.tile[0].args if picture.tile else None
    highest = {"1": 1, "L;2": 3, "L;4": 15}.get(layout) if isinstance(layout, str) else None
    key = picture.info.get("transparency")
    if highest and isinstance(key, int) and key <= highest:
        picture.info["transparency"] = key * 255 // highest


def _decoded(data: bytes, layout: str) -> np.ndarray:
    """Decodes the picture with its bytes taken for another layout of the same size."""
    with Image.open(io.BytesIO(data)) as picture:
        picture.tile = [tile._replace(args=layout) for tile in picture.tile]
        return np.array(picture)


def without_text(data: bytes) -> bytes:
    """The file without its chunks of text, as far as chunks can be followed."""
    kept_chunks = [chunk for name, chunk in _whole_chunks(data) if name not in _TEXT]
    return SIGNATURE + b"".join(kept_chunks)


def without_extras(data: bytes, keep_colors: bool) -> bytes:
    """The file with nothing but its pixels.

    Args:
      data: the file.
      keep_colors: whether to keep the undamaged ones of the chunks that define the colours.
    """
    kept_chunks = [
        chunk
        for name, chunk in _whole_chunks(data)
        if name in _PIXELS or (keep_colors and name in _COLORS and _fits_checksum(chunk))
    ]
    return SIGNATURE + b"".join(kept_chunks) + _END


def _fits_checksum(chunk: bytes) -> bool:
    """Whether a chunk with its length fits the checksum at its end."""
    return zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of the content of each chunk, as far as they can be followed.

    A checksum of four bytes follows the content; the end of the last chunk may be missing.
    """
    offset = len(SIGNATURE)
    while offset + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, offset)
        yield name, offset + 8, offset + 8 + length
        offset += 12 + length


def _whole_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and all bytes of each chunk, with its length and checksum."""
    return ((name, data[start - 8 : end + 4]) for name, start, end in chunks(data))
