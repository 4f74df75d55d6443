"""Documents of Photoshop: their sections and channels (Adobe Photoshop File Formats)."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence

import numpy as np
from PIL import Image

from colorization.decoding.deep import Samples

_SIGNATURE = b"8BPS"
# White as Pillow keeps it in pictures of each mode.
_WHITES = {"L": (255,), "RGB": (255, 255, 255), "CMYK": (0, 0, 0, 0), "LAB": (255, 128, 128)}
# The same of channels of 16 bits, by those of 8; Adobe's L*a*b* has 0 of a* and b* there.
_DEEP_WHITES = {255: 2**16 - 1, 128: 2**15, 0: 0}
_SPACES = {"L": "gray", "RGB": "rgb", "CMYK": "cmyk", "LAB": "lab"}
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
    """Colours of a picture of 8 bits without the white that `_unblended` tells of.

    Args:
      picture: loaded.
      alpha: its transparency, of mode L.
    """
    mode = picture.mode.removesuffix("A")
    if mode not in _WHITES:
        return picture
    bands = [np.asarray(band) for _, band in zip(mode, picture.split(), strict=False)]
    plain = _unblended(np.stack(bands, axis=-1), np.asarray(alpha), _WHITES[mode])
    return Image.merge(mode, [Image.fromarray(band) for band in np.moveaxis(plain, 2, 0)])


def is_document(data: bytes) -> bool:
    """Whether a file begins as documents do, large ones among them."""
    return data.startswith(_SIGNATURE)


def size(data: bytes) -> tuple[int, int]:
    """Width and height, of the beginning of a document."""
    height, width = struct.unpack_from(">II", data, 14)
    return width, height


def is_deep(data: bytes) -> bool:
    """Whether a file is a document of 16 bits."""
    return is_document(data) and data[22:24] == b"\0\x10"


def of_8_bits(data: bytes) -> bytes:
    """A document that Pillow opens, of any file.

    A large document (PSB) becomes one without layers. One of 16 bits becomes one of 8, twice as
    wide: each value is a pair of pixels, which `joined` makes values of again.

    Raises:
      NotImplementedError: rows of a large document may be longer than those of others.
    """
    if not is_document(data):
        return data
    if data[4:6] == b"\0\2":
        data = _of_large(data)
    if is_deep(data):
        width = 2 * int.from_bytes(data[18:22], "big")
        data = data[:18] + struct.pack(">IH", width, 8) + data[24:]
    return data


def _of_large(data: bytes) -> bytes:
    start, _ = _layers(data)
    size = int.from_bytes(data[start - 4 : start + 4], "big")
    end = start + 4 + size
    # Of the layers, their number alone tells of the merged picture.
    layers = struct.pack(">I", 6) + bytes(4) + data[start + 12 : start + 14] if size else bytes(4)
    before = _SIGNATURE + b"\0\1" + data[6 : start - 4] + layers + data[end : end + 2]
    if int.from_bytes(data[end : end + 2], "big") != _PACKED:
        return before + data[end + 2 :]
    channels, height = struct.unpack_from(">HI", data, 12)
    lengths = np.frombuffer(data, ">u4", channels * height, end + 2)
    if lengths.max(initial=0) >= 2**16:
        raise NotImplementedError("very wide")
    return before + lengths.astype(">u2").tobytes() + data[end + 2 + lengths.nbytes :]


def joined(picture: Image.Image, data: bytes) -> Samples:
    """Values of 16 bits of the pairs of pixels that stand for them.

    Args:
      picture: what `of_8_bits` gives, loaded.
      data: its file.

    Returns:
      Samples without a profile.
    """
    mode = picture.mode.removesuffix("A")
    bands = [_joined(band) for _, band in zip(_WHITES[mode], picture.split(), strict=False)]
    values, alpha = np.stack(bands, axis=-1), transparency(data, len(mode))
    if alpha is not None:
        alpha = _joined(alpha)
        values = _unblended(values, alpha, [_DEEP_WHITES[white] for white in _WHITES[mode]])
    if mode == "LAB":
        values = np.float32(values) - np.float32([0, 2**15, 2**15])
        values *= np.float32([100 / (2**16 - 1), 1 / 256, 1 / 256])
    return Samples(values, _SPACES[mode], alpha)


def _joined(band: Image.Image) -> np.ndarray:
    return np.asarray(band).view(">u2").astype(np.uint16)


def _unblended(values: np.ndarray, alpha: np.ndarray, white: Sequence[int]) -> np.ndarray:
    """Colours without the white that Photoshop has blended those of transparent parts with.

    Some programs store them plain; such colours, which are returned as they are, are darker
    somewhere than ones blended with white can be.

    Args:
      values: `[height, width, channels]`, uint8 or uint16.
      alpha: `[height, width]`, of the same type.
      white: for each channel.
    """
    highest, plain = np.iinfo(values.dtype).max, values.copy()
    # Rounding takes less than a level, of 8 bits.
    level = highest / 255
    for row, opacity in zip(plain, alpha[..., None] / highest, strict=True):
        least = np.multiply(white, 1 - opacity)
        if not ((row > least - level) & (row < least + highest * opacity + level)).all():
            return values
        shown = white + np.subtract(row, white, dtype=float) / np.maximum(opacity, 1 / highest)
        # What is not seen stays white.
        row[:] = np.where(opacity > 0, np.clip(shown + 0.5, 0, highest), row)
    return plain


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
