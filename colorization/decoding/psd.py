"""Documents of Photoshop: their sections and channels (Adobe Photoshop File Formats)."""

from __future__ import annotations

import itertools
import struct

import numpy as np
from PIL import Image

# White as Pillow keeps it in pictures of each mode.
_WHITES = {"L": (255,), "RGB": (255, 255, 255), "CMYK": (0, 0, 0, 0), "LAB": (255, 128, 128)}
# Image resources.
_PACKED, _RESOLUTION, _VERSION = 1, 1005, 1057


def has_merged_picture(picture: Image.Image, data: bytes) -> bool:
    """Whether there is a picture where all layers are merged, which is what Pillow reads.

    Zeros stand there in its place, or, as the version's fifth byte tells, a white sheet or a text.
    Where there are no layers, it is the picture, and may be black.

    Args:
      picture: opened by Pillow.
      data: its file.
    """
    start, end = _layers(data)
    told = (body[4:5] for number, _, body in picture.resources if number == _VERSION)
    return start == end or (any(data[end:]) and b"\0" not in told)


def resolution(picture: Image.Image) -> tuple[float, float] | None:
    """Pixels per inch, across and down; None if not told."""
    for number, _, body in picture.resources:
        if number == _RESOLUTION and len(body) >= 12:
            across, down = (value / 2**16 for value in struct.unpack_from(">I4xI", body))
            # Where nothing is known, some programs write the smallest number.
            return (across, down) if min(across, down) >= 1 else None
    return None


def mend_tiles(picture: Image.Image, data: bytes) -> None:
    """Has Pillow read the rows from where they are, and bits of ink for what they are.

    Args:
      picture: opened, not loaded yet.
      data: its file.
    """
    _, _, width, coding, _ = _merged(data)
    tiles = [tile._replace(args="1;I") if tile.args == "1" else tile for tile in picture.tile]
    if coding == _PACKED:
        tiles = [
            tile._replace(extents=(0, row, width, row + 1), offset=start)
            for tile, starts in zip(tiles, _packed_rows(data), strict=False)
            for row, start in enumerate(starts[:-1])
        ]
    picture.tile = tiles


def transparency(data: bytes, colors: int) -> Image.Image | None:
    """The channel after the colours, of mode L; None where it is a selection, or missing.

    A negative number of layers tells that it is transparency ("Layer info").

    Args:
      data: the file.
      colors: the number of channels before.
    """
    start, end = _layers(data)
    channels, height, width, coding, at = _merged(data)
    layers = int.from_bytes(data[start + 4 : start + 6], "big", signed=True)
    if end <= start + 4 or layers >= 0 or channels <= colors:
        return None
    if coding != _PACKED:
        return Image.frombytes("L", (width, height), data[at + colors * height * width :])
    starts = _packed_rows(data)[colors]
    rows = (data[slice(*ends)] for ends in itertools.pairwise(starts))
    unpacked = (Image.frombytes("L", (width, 1), row, "packbits", "L").tobytes() for row in rows)
    return Image.frombytes("L", (width, height), b"".join(unpacked))


def without_white(picture: Image.Image, alpha: Image.Image) -> Image.Image:
    """Colours without the white that Photoshop has blended those of transparent parts with.

    Some programs store them plain; such a picture, which is returned as it is, is darker somewhere
    than one blended with white can be.

    Args:
      picture: loaded.
      alpha: its transparency, of mode L.
    """
    mode = picture.mode.removesuffix("A")
    if mode not in _WHITES:
        return picture
    bands, opacities = [], np.asarray(alpha)
    for white, band in zip(_WHITES[mode], picture.split(), strict=False):
        plain, possible = _unblended(white)
        pixels = np.array(band)
        for row, opacity in zip(pixels, opacities, strict=True):
            if not possible[opacity, row].all():
                return picture
            row[:] = plain[opacity, row]
        bands.append(Image.fromarray(pixels))
    return Image.merge(mode, bands)


def _unblended(white: int) -> tuple[np.ndarray, np.ndarray]:
    """For each alpha and stored value: the value before the blending, and whether there is one."""
    stored, opacity = np.arange(256), np.arange(256)[:, None]
    least = white * (255 - opacity) / 255
    # Rounding takes less than a level.
    possible = (stored > least - 1) & (stored < least + opacity + 1)
    plain = white + (stored - white) * 255 / np.maximum(opacity, 1)
    # What is not seen stays white.
    plain[0] = stored
    return np.clip(plain + 0.5, 0, 255).astype(np.uint8), possible


def _packed_rows(data: bytes) -> list[list[int]]:
    """Where the rows of each channel begin, and where the last one ends.

    A table of their lengths tells it; what a row unpacks to may be longer than the row.
    """
    channels, height, _, _, at = _merged(data)
    lengths = np.frombuffer(data, ">u2", channels * height, at)
    ends = at + lengths.nbytes + np.cumsum([0, *lengths.tolist()])
    return [ends[height * i : height * (i + 1) + 1].tolist() for i in range(channels)]


def _layers(data: bytes) -> tuple[int, int]:
    """Beginning and end of the layers, behind colour mode data and image resources."""
    at = 26
    for _ in range(2):
        at += 4 + int.from_bytes(data[at : at + 4], "big")
    return at + 4, at + 4 + int.from_bytes(data[at : at + 4], "big")


def _merged(data: bytes) -> tuple[int, int, int, int, int]:
    """Channels, height, width and coding of the merged picture, and where its bytes begin."""
    _, end = _layers(data)
    return *struct.unpack_from(">HII", data, 12), *struct.unpack_from(">H", data, end), end + 2
