"""JPEG 2000 files: their EXIF data, and samples that do not have 8 bits.

Pillow does not read the first, and makes the others too dark, or white black.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from colorization.decoding.boxes import boxes

# Markers of a codestream: its start and the sizes, the quantization of all components and that of
# one, and the start of a tile (ISO/IEC 15444-1, A.2).
_START, _SIZES = b"\xff\x4f", b"\xff\x51"
_QUANTIZATION, _QUANTIZATION_OF_ONE, _TILE = b"\xff\x5c", b"\xff\x5d", b"\xff\x90"
# Offset of the components in the segment of sizes, which has three bytes for each (A.5.1).
_COMPONENTS = 36
# What a box with EXIF data begins with.
_EXIF = b"JpgTiffExif->JP2"
_MODES = ("L", "LA", "RGB", "RGBA", "CMYK")
_WHITE = 255


def name_exif(picture: Image.Image, data: bytes) -> None:
    """Lets Pillow find the EXIF data of a picture that it has opened.

    Args:
      picture: opened.
      data: its file.
    """
    for name, start, end in boxes(data, 0, len(data)):
        if name == b"uuid" and data.startswith(_EXIF, start):
            picture.info["exif"] = data[start + len(_EXIF) : end]


def mend_depth(picture: Image.Image, data: bytes) -> None:
    """Corrects samples that Pillow has shifted to 8 bits.

    Of fewer bits, the highest value becomes 255. Of more bits, Pillow rounds the highest values up
    to 256, and keeps 0 in a byte; they become 255.

    Args:
      picture: loaded.
      data: its file.
    """
    depths = _depths(data)
    bands = picture.split()
    if picture.mode not in _MODES or len(depths) != len(bands):
        return
    if max(depths) > 8 and any(band.getextrema()[0] == 0 for band in bands):
        with Image.open(io.BytesIO(_with_a_bit_more(data))) as halved:
            bands = [_unwrapped(*pair) for pair in zip(bands, halved.split(), strict=True)]
    elif min(depths) >= 8:
        return
    scaled = map(_scaled, bands, depths)
    picture.paste(Image.merge(picture.mode, list(scaled)))


def _unwrapped(band: Image.Image, halved: Image.Image) -> Image.Image:
    """A band whose zeros are white where the same band of `_with_a_bit_more` is light."""
    values = np.array(band)
    values[(values == 0) & (np.asarray(halved) > _WHITE // 2)] = _WHITE
    return Image.fromarray(values)


def _scaled(band: Image.Image, bits: int) -> Image.Image:
    """A band whose highest level is 255, from one that Pillow has shifted to 8 bits."""
    if bits >= 8:
        return band
    highest = 2**bits - 1
    return band.point(
        [(_WHITE * (level >> 8 - bits) + highest // 2) // highest for level in range(256)]
    )


def _depths(data: bytes) -> Sequence[int]:
    """Number of bits of each component; empty if there is no codestream."""
    for marker, segment in _segments(data):
        if marker == _SIZES:
            # A byte holds the number of bits less one; its first bit means that samples are signed.
            return [(data[place] & 127) + 1 for place in segment[_COMPONENTS::3]]
    return []


def _with_a_bit_more(data: bytes) -> bytes:
    """The file with components of one bit more, and the same coefficients.

    Samples keep their distance from the middle, so that those from black to white now lie in the
    middle half of the values, and none is rounded beyond a byte.
    """
    changed = bytearray(data)
    components = len(_depths(data))
    for marker, segment in _segments(data):
        if marker == _SIZES:
            for place in segment[_COMPONENTS::3]:
                changed[place] += 1
        elif marker in (_QUANTIZATION, _QUANTIZATION_OF_ONE):
            # Steps are multiples of the range of values (E.1.1), so that each exponent grows by one
            # with it. One guard bit fewer keeps the number of bit planes (E.1).
            index_size = 1 if components <= 256 else 2
            style, *steps = segment[index_size if marker == _QUANTIZATION_OF_ONE else 0 :]
            step_size = 1 if changed[style] & 31 == 0 else 2
            changed[style] -= 1 << 5
            for place in steps[::step_size]:
                changed[place] += 1 << 3
    return bytes(changed)


def _segments(data: bytes) -> Iterator[tuple[bytes, range]]:
    """The markers of a codestream's main header, and the places of what follows their lengths."""
    place = data.find(_START + _SIZES) + len(_START)
    while (marker := data[place : place + 2]) != _TILE and place + 4 <= len(data):
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        yield marker, range(place + 4, end)
        place = end
