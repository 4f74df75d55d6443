"""JPEG 2000 files: what Pillow passes over or misreads in them.

It does not read their EXIF data, takes channels in the order in which they are stored and all
colours for sRGB, loses its place in palettes that hold a colour twice, and makes samples that do
not have 8 bits too dark, or white black.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image, ImagePalette

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
# The method of a box of colours that gives the number of a space; the others give a profile.
_ENUMERATED = 1
# Numbers of spaces that are read, CMYK, one bit, sRGB, gray, and sYCC; and names of some that are
# not (ISO/IEC 15444-1, I.5.3.3; 15444-2, M.11.7.3).
_SRGB = 16
_READ_SPACES = (12, 15, _SRGB, 17, 18)
_OTHER_SPACES = {1: "YCbCr", 3: "YCbCr", 4: "YCbCr", 11: "CMY", 13: "YCCK", 14: "CIELab"}
# What a channel is: a colour, opacity, or opacity by which the colours are multiplied (I.5.3.6).
_COLOR, _OPACITY = 0, (1, 2)


def name_exif(picture: Image.Image, data: bytes) -> None:
    """Lets Pillow find the EXIF data of a picture that it has opened.

    Args:
      picture: opened.
      data: its file.
    """
    for name, start, end in boxes(data, 0, len(data)):
        if name == b"uuid" and data.startswith(_EXIF, start):
            picture.info["exif"] = data[start + len(_EXIF) : end]


def profile(data: bytes) -> bytes | None:
    """The ICC profile in the header of a file; None if there is none."""
    for name, content in _header(data):
        # With methods 2 and 3, a profile follows.
        if name == b"colr" and content[:1] in (b"\2", b"\3"):
            return content[3:]
    return None


def unread_colors(picture: Image.Image, data: bytes) -> str | None:
    """The colours of a picture, if they are of a kind that is not read; else None.

    Args:
      picture: opened.
      data: its file.
    """
    header = list(_header(data))
    statements = [content for name, content in header if name == b"colr" and content]
    # Where there is a profile, it counts.
    has_profile = any(content[0] != _ENUMERATED for content in statements)
    spaces = [int.from_bytes(content[3:7], "big") for content in statements if not has_profile]
    if spaces and not set(spaces).intersection(_READ_SPACES):
        return f"colours {_OTHER_SPACES.get(spaces[0], f'of number {spaces[0]}')}"
    # Where a palette is not one of RGB in 8 bits, Pillow shows the indices, or nothing.
    has_palette = any(name == b"pclr" for name, _ in header)
    is_read = picture.palette is not None and (not spaces or _SRGB in spaces)
    return "a palette of another kind" if has_palette and not is_read else None


def mend_palette(picture: Image.Image, data: bytes) -> None:
    """Corrects the palette of a picture.

    Pillow leaves out colours that come again, so that the later ones move up.

    Args:
      picture: opened, not loaded yet.
      data: its file.
    """
    header = dict(_header(data))
    if picture.palette is None or b"pclr" not in header:
        return
    count, columns = struct.unpack_from(">HB", header[b"pclr"])
    depths = np.frombuffer(header[b"pclr"], np.uint8, columns, offset=3)
    levels = np.frombuffer(header[b"pclr"], np.uint8, count * columns, offset=3 + columns)
    # A byte holds the number of bits less one.
    levels = levels.reshape(count, columns) * (_WHITE / (2.0 ** (depths + 1) - 1))
    # Each channel is a component as it is, or a column of the palette.
    mapped = struct.iter_unpack(">HBB", header.get(b"cmap", b""))
    used = [column for _, is_mapped, column in mapped if is_mapped] or list(range(columns))
    order = [used[channel] for channel in _order(data, len(used))]
    colors = np.rint(levels[:, order]).astype(np.uint8)
    # Pillow shifts indices of fewer bits to 8.
    colors = colors.repeat(2 ** (8 - min([8, *_depths(data)[:1]])), axis=0)[:256]
    picture.palette = ImagePalette.ImagePalette(picture.palette.mode, colors.tobytes())
    picture.palette.dirty = 1


def mend_order(picture: Image.Image, data: bytes) -> None:
    """Puts channels into their order, the colours' first, in which Pillow takes them to be.

    Args:
      picture: loaded.
      data: its file.
    """
    order = _order(data, len(picture.getbands()))
    if picture.palette is None and order != sorted(order):
        bands = [picture.getchannel(channel) for channel in order]
        picture.paste(Image.merge(picture.mode, bands))


def states_opacity(data: bytes) -> bool | None:
    """Whether the file states that a channel is opacity; None if it does not state what any is."""
    kinds = [kind for kind, _ in _definitions(data).values()]
    return any(kind in _OPACITY for kind in kinds) if kinds else None


def _order(data: bytes, count: int) -> list[int]:
    """Numbers of so many channels: those of the colours in their order, opacity, and others."""
    definitions = _definitions(data)
    # A colour's number, from 1 on, is what the channel is associated with.
    return sorted(range(count), key=lambda channel: definitions.get(channel, (_COLOR, channel + 1)))


def _definitions(data: bytes) -> dict[int, tuple[int, int]]:
    """Number of a channel -> what it is, and of what."""
    content = dict(_header(data)).get(b"cdef", b"")[2:]
    content = content[: len(content) // 6 * 6]
    return {number: (kind, of) for number, kind, of in struct.iter_unpack(">HHH", content)}


def _header(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each box in the header of a file."""
    for name, start, end in boxes(data, 0, len(data)):
        if name == b"jp2h":
            for inner_name, inner_start, inner_end in boxes(data, start, end):
                yield inner_name, data[inner_start:inner_end]


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
