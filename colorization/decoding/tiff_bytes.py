"""The bytes of TIFF pages, decompressed by Pillow's libtiff whatever samples they hold."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import ImageFile, TiffImagePlugin

from colorization.decoding.tiff_pages import tag_value
from colorization.errors import UnreadablePhoto

if TYPE_CHECKING:
    from tifffile import TiffPage

# Tags follow TIFF 6.0.
_WIDTH, _HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
_STRIP_OFFSETS, _CHANNELS, _STRIP_ROWS, _STRIP_SIZES = 273, 277, 278, 279
_TILE_WIDTH, _TILE_HEIGHT, TILE_OFFSETS, _TILE_SIZES = 322, 323, 324, 325
# A compression and a photometric interpretation.
UNCOMPRESSED, BLACK_IS_ZERO = 1, 1


def part_size(page: TiffPage) -> tuple[int, int]:
    """Height and width of a strip or tile."""
    if page.is_tiled:
        return page.tilelength, page.tilewidth
    return min(page.rowsperstrip or page.imagelength, page.imagelength), page.imagewidth


def decompressed_rows(
    page: TiffPage, data: bytes, offsets: Sequence[int], sizes: Sequence[int], pixel_bits: int
) -> np.ndarray:
    """The bytes of a plane's rows, decompressed.

    Pillow is shown a file in which the same strips or tiles hold gray pixels of 8 bits. In place of
    those that are not stored, it is shown the largest one.

    Args:
      page: the page.
      data: the file.
      offsets: of the plane's strips or tiles in the file; 0 for those that are not stored.
      sizes: of the same in bytes.
      pixel_bits: number of bits of a pixel in this plane.

    Returns:
      uint8 `[height, tiles across, bytes]`.

    Raises:
      UnreadablePhoto: the file ends before the page does.
    """
    height, width = part_size(page)
    across = -(-page.imagewidth // width)
    row_size = -(-width * pixel_bits // 8)
    if not any(offsets):
        return np.zeros([page.imagelength, across, row_size], np.uint8)
    parts = list(zip(sizes, offsets, strict=False))
    largest_size, its_offset = max(part for part in parts if part[1])
    sizes = [size if offset else largest_size for size, offset in parts]
    offsets = [offset or its_offset for offset in offsets]
    compression = tag_value(page, COMPRESSION, UNCOMPRESSED)
    if compression == UNCOMPRESSED:
        # What is missing at the end would be read from the new directory there.
        _require_whole(page, offsets, row_size, len(data))
    tags = {
        _WIDTH: [across * row_size],
        _HEIGHT: [page.imagelength],
        BITS: [8],
        COMPRESSION: [compression],
        PHOTOMETRIC: [BLACK_IS_ZERO],
        FILL_ORDER: [tag_value(page, FILL_ORDER, 1)],
        _CHANNELS: [1],
    }
    if page.is_tiled:
        tags |= {_TILE_WIDTH: [row_size], _TILE_HEIGHT: [height]}
        tags |= {TILE_OFFSETS: offsets, _TILE_SIZES: sizes}
    else:
        tags |= {_STRIP_OFFSETS: offsets, _STRIP_ROWS: [height], _STRIP_SIZES: sizes}
    with _Bytes(io.BytesIO(_with_directory(data, tags))) as picture:
        picture.load()
        rows = np.asarray(picture)
    return rows.reshape(page.imagelength, across, row_size)


class _Bytes(TiffImagePlugin.TiffImageFile):
    """Bytes shown to Pillow as pixels, without its limit of pixels, which many bytes exceed."""

    def load_prepare(self) -> None:
        ImageFile.ImageFile.load_prepare(self)


def _require_whole(page: TiffPage, offsets: Sequence[int], row_size: int, length: int) -> None:
    """Refuses an uncompressed page whose strips or tiles reach beyond the end of the file.

    Args:
      page: the page.
      offsets: of its strips or tiles.
      row_size: bytes of a row in a strip or tile.
      length: of the file in bytes.

    Raises:
      UnreadablePhoto: it is one.
    """
    height, _ = part_size(page)
    for number, offset in enumerate(offsets):
        rows = height if page.is_tiled else min(height, page.imagelength - number * height)
        if offset + rows * row_size > length:
            raise UnreadablePhoto("damaged: image file is truncated")


def _with_directory(data: bytes, tags: dict[int, Sequence[int]]) -> bytes:
    """A file of up to 4 GiB as little-endian TIFF, with a single page of other tags.

    Args:
      data: the file; what its tags point to stays where it is.
      tags: number -> values, all of type LONG.
    """
    begin = len(data) + len(data) % 2
    end = begin + 2 + 12 * len(tags) + 4
    entries, lists = [], b""
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"<{len(values)}I", *map(int, values))
        entries.append(struct.pack("<HHI", tag, 4, len(values)))
        entries[-1] += packed if len(values) == 1 else struct.pack("<I", end + len(lists))
        lists += packed if len(values) > 1 else b""
    directory = struct.pack("<H", len(tags)) + b"".join(entries) + bytes(4) + lists
    header = b"II*\0" + struct.pack("<I", begin)
    return b"".join([header, memoryview(data)[8:], bytes(len(data) % 2), directory])
