"""Documents of Photoshop: their sections and channels (Adobe Photoshop File Formats)."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence

import numpy as np
from PIL import Image

from colorization.decoding.samples import Samples

_SIGNATURE = b"8BPS"
# White of each mode, as Pillow stores it.
_WHITES = {"L": (255,), "RGB": (255, 255, 255), "CMYK": (0, 0, 0, 0), "LAB": (255, 128, 128)}
# White of a channel of 8 bits -> of 16 bits; 128 is 0 of a* and b* in Adobe's L*a*b*.
_DEEP_WHITES = {255: 2**16 - 1, 128: 2**15, 0: 0}
_SPACES = {"L": "gray", "RGB": "rgb", "CMYK": "cmyk", "LAB": "lab"}
# The coding of rows packed by PackBits.
_PACKED = 1
# Blocks of 16 bits: that the merged picture is transparent, and its layers; and those whose length
# takes 8 bytes in large documents.
_TRANSPARENT, _LAYERS = b"Mt16", b"Lr16"
_LONG_BLOCKS = {
    *(_TRANSPARENT, _LAYERS, b"Mt32", b"Lr32", b"Mtrn", b"Layr", b"LMsk", b"Alph", b"FMsk"),
    *(b"lnk2", b"FEid", b"FXid", b"PxSD"),
}
# Numbers of image resources.
_RESOLUTION, _VERSION, _EXIF = 1005, 1057, 1058


def has_merged_picture(picture: Image.Image, data: bytes) -> bool:
    """Whether a document holds a picture with all layers merged, which is what Pillow reads.

    In its place there may be zeros, or, if the fifth byte of the version is 0, a white sheet or a
    text. In a document without layers it is the picture itself, and may be black.

    Args:
      picture: opened by Pillow.
      data: its file.
    """
    start, end = _layers(data)
    version_flags = (body[4:5] for number, _, body in picture.resources if number == _VERSION)
    return start == end or (any(data[end:]) and b"\0" not in version_flags)


def resolution(picture: Image.Image) -> tuple[float, float] | None:
    """Pixels per inch, across and down; None if not stated.

    Args:
      picture: opened by Pillow.
    """
    for number, _, body in picture.resources:
        if number == _RESOLUTION and len(body) >= 12:
            across, down = (value / 2**16 for value in struct.unpack_from(">I4xI", body))
            # Some programs write the smallest number for an unknown resolution.
            return (across, down) if min(across, down) >= 1 else None
    return None


def name_exif(picture: Image.Image) -> None:
    """Lets Pillow find the EXIF data of a document that it has opened."""
    for number, _, body in picture.resources:
        if number == _EXIF:
            picture.info["exif"] = body


def mend_tiles(picture: Image.Image, data: bytes) -> None:
    """Lets Pillow read rows from their real offsets, and bits as ink.

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
    """The channel after the colours, of mode L; None if it is a selection or missing.

    Args:
      data: the file.
      colors: the number of channels of colours.
    """
    start, end = _layers(data)
    channels, height, width, coding, offset = _merged(data)
    if channels <= colors or not _is_transparent(data[start:end], is_large=False):
        return None
    if coding != _PACKED:
        return Image.frombytes("L", (width, height), data[offset + colors * height * width :])
    starts = _packed_rows(data)[colors]
    rows = (data[slice(*ends)] for ends in itertools.pairwise(starts))
    unpacked = (Image.frombytes("L", (width, 1), row, "packbits", "L").tobytes() for row in rows)
    return Image.frombytes("L", (width, height), b"".join(unpacked))


def without_white(picture: Image.Image, alpha: Image.Image) -> Image.Image:
    """A picture of 8 bits without the white in the colours of transparent parts.

    Args:
      picture: loaded; returned as it is if it is of another mode than those in `_WHITES`.
      alpha: its transparency, of mode L.
    """
    mode = picture.mode.removesuffix("A")
    if mode not in _WHITES:
        return picture
    bands = [np.asarray(band) for band in picture.split()[: len(mode)]]
    plain = _unblended(np.stack(bands, axis=-1), np.asarray(alpha), _WHITES[mode])
    return Image.merge(mode, [Image.fromarray(band) for band in np.moveaxis(plain, 2, 0)])


def is_document(data: bytes) -> bool:
    """Whether a file begins as a document, perhaps a large one (PSB)."""
    return data.startswith(_SIGNATURE)


def size(data: bytes) -> tuple[int, int]:
    """Width and height, from the beginning of a document."""
    height, width = struct.unpack_from(">II", data, 14)
    return width, height


def has_16_bits(data: bytes) -> bool:
    """Whether a file is a document of 16 bits."""
    return is_document(data) and data[22:24] == b"\0\x10"


def of_8_bits(data: bytes) -> bytes:
    """Converts a document to one that Pillow opens; other files are unchanged.

    A large document (PSB) becomes one without layers. One of 16 bits becomes one of 8, twice as
    wide: each value becomes a pair of pixels, which `read_samples` joins again.

    Raises:
      NotImplementedError: the rows of a large document are too long for other documents.
    """
    if not is_document(data):
        return data
    if data[4:6] == b"\0\2":
        data = _without_layers(data)
    if has_16_bits(data):
        width = 2 * int.from_bytes(data[18:22], "big")
        data = data[:18] + struct.pack(">IH", width, 8) + data[24:]
    return data


def _without_layers(data: bytes) -> bytes:
    """Converts a large document (PSB) to one of the other kind, with the merged picture alone."""
    start, _ = _layers(data)
    size = int.from_bytes(data[start - 4 : start + 4], "big")
    end = start + 4 + size
    # What concerns the merged picture is kept: that there are layers, and its transparency.
    layers = bytes(8) if size else b""
    if _is_transparent(data[start + 4 : end], is_large=True):
        layers += b"8BIM" + _TRANSPARENT + bytes(4)
    layers = struct.pack(">I", len(layers)) + layers
    beginning = _SIGNATURE + b"\0\1" + data[6 : start - 4] + layers + data[end : end + 2]
    if int.from_bytes(data[end : end + 2], "big") != _PACKED:
        return beginning + data[end + 2 :]
    channels, height = struct.unpack_from(">HI", data, 12)
    lengths = np.frombuffer(data, ">u4", channels * height, end + 2)
    if lengths.max(initial=0) >= 2**16:
        raise NotImplementedError("very wide")
    return beginning + lengths.astype(">u2").tobytes() + data[end + 2 + lengths.nbytes :]


def read_samples(picture: Image.Image, data: bytes) -> Samples:
    """The samples of a document of 16 bits, joined from the pairs of pixels of `of_8_bits`.

    Args:
      picture: opened from what `of_8_bits` returns, and loaded.
      data: its file.

    Returns:
      Samples without a profile.
    """
    mode = picture.mode.removesuffix("A")
    bands = [_joined(band) for band in picture.split()[: len(mode)]]
    values, alpha = np.stack(bands, axis=-1), transparency(data, len(mode))
    if alpha is not None:
        alpha = _joined(alpha)
        values = _unblended(values, alpha, [_DEEP_WHITES[white] for white in _WHITES[mode]])
    if mode == "LAB":
        values = np.float32(values) - np.float32([0, 2**15, 2**15])
        values *= np.float32([100 / (2**16 - 1), 1 / 256, 1 / 256])
    return Samples(values, _SPACES[mode], alpha)


def _joined(band: Image.Image) -> np.ndarray:
    """Pairs of pixels as values, uint16 `[height, width]`."""
    return np.asarray(band).view(">u2").astype(np.uint16)


def _unblended(values: np.ndarray, alpha: np.ndarray, white: Sequence[int]) -> np.ndarray:
    """Removes the white that Photoshop blends into the colours of transparent parts.

    Some programs store colours without white instead. These are returned unchanged; somewhere they
    are darker than white can have made them.

    Args:
      values: `[height, width, channels]`, uint8 or uint16.
      alpha: `[height, width]`, of the same type.
      white: the value of white in each channel.
    """
    highest, plain = np.iinfo(values.dtype).max, values.copy()
    # Rounding changes a value by less than a level of 8 bits.
    level = highest / 255
    for row, opacity in zip(plain, alpha[..., None] / highest, strict=True):
        least = np.multiply(white, 1 - opacity)
        if not ((row > least - level) & (row < least + highest * opacity + level)).all():
            return values
        unblended = white + np.subtract(row, white, dtype=float) / np.maximum(opacity, 1 / highest)
        # Invisible pixels stay white.
        row[:] = np.where(opacity > 0, np.clip(unblended + 0.5, 0, highest), row)
    return plain


def _packed_rows(data: bytes) -> list[list[int]]:
    """Where the rows of each channel begin, and where the last one ends.

    A table states their lengths, because some rows unpack to more bytes than a row has.
    """
    channels, height, _, _, offset = _merged(data)
    lengths = np.frombuffer(data, ">u2", channels * height, offset)
    ends = offset + lengths.nbytes + np.cumsum([0, *lengths.tolist()])
    return [ends[height * i : height * (i + 1) + 1].tolist() for i in range(channels)]


def _is_transparent(layers: bytes, is_large: bool) -> bool:
    """Whether a channel of the merged picture is its transparency.

    It is if the number of layers is negative (section "Layer info").

    Args:
      layers: the section of layers.
      is_large: whether it is of a large document (PSB), which states some lengths in 8 bytes.
    """
    place = 8 if is_large else 4
    if any(layers[:place]):
        return _is_negative(layers[place:])
    # Documents of 16 bits have them in a block after the mask ("Additional Layer Information").
    place += 4 + int.from_bytes(layers[place : place + 4], "big")
    while place + 12 <= len(layers):
        key = layers[place + 4 : place + 8]
        start = place + (16 if is_large and key in _LONG_BLOCKS else 12)
        if key in (_TRANSPARENT, _LAYERS):
            return key == _TRANSPARENT or _is_negative(layers[start:])
        length = int.from_bytes(layers[place + 8 : start], "big")
        place = start + length + -length % 4
    return False


def _is_negative(number: bytes) -> bool:
    return int.from_bytes(number[:2], "big", signed=True) < 0


def _layers(data: bytes) -> tuple[int, int]:
    """Start and end of the section of layers, which follows colour mode data and resources."""
    offset = 26
    for _ in range(2):
        offset += 4 + int.from_bytes(data[offset : offset + 4], "big")
    return offset + 4, offset + 4 + int.from_bytes(data[offset : offset + 4], "big")


def _merged(data: bytes) -> tuple[int, int, int, int, int]:
    """Channels, height, width and coding of the merged picture, and where its bytes begin."""
    _, end = _layers(data)
    return *struct.unpack_from(">HII", data, 12), *struct.unpack_from(">H", data, end), end + 2
