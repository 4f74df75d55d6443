"""Run lengths of BMP files, which Pillow misreads (Microsoft, "Bitmap Compression")."""

from __future__ import annotations

import io

from PIL import Image

_END = b"\0\1"
# Commands after a zero: numbers above `_MOVE` count the pixels that follow.
_NEXT_ROW, _MOVE = 0, 2


def mend_runs(picture: Image.Image, data: bytes) -> None:
    """Decodes run lengths, if the file has any, so that Pillow reads plain pixels.

    Args:
      picture: opened, not loaded yet.
      data: its file.

    Raises:
      OSError: the file is cut short.
    """
    tile = picture.tile[0]
    if tile.codec_name != "bmp_rle":
        return
    _, has_4_bits, direction = tile.args
    picture.fp = io.BytesIO(_unpacked(data, tile.offset, picture.size, 4 if has_4_bits else 8))
    mode = "1;8" if picture.mode == "1" else picture.mode
    picture.tile = [tile._replace(codec_name="raw", offset=0, args=(mode, 0, direction))]


def _unpacked(data: bytes, offset: int, size: tuple[int, int], bits: int) -> bytearray:
    """A byte for each pixel, zero for skipped ones; rows in stored order.

    Args:
      data: the file.
      offset: where the runs begin.
      size: width and height of the picture.
      bits: of a stored pixel, 4 or 8.

    Raises:
      OSError: the file is cut short.
    """
    width, height = size
    pixels, x, y, rows = bytearray(width * height), 0, 0, 0
    colors = [bytes([code >> 4, code & 15] if bits == 4 else [code]) for code in range(256)]
    while y < height and offset + 2 <= len(data) and data[offset : offset + 2] != _END:
        count, code = data[offset : offset + 2]
        offset, run = offset + 2, b""
        if count:
            run = (colors[code] * count)[:count]
        elif code == _NEXT_ROW:
            x, y = 0, y + 1
        elif code == _MOVE:
            x, y, offset = x + data[offset], y + data[offset + 1], offset + 2
        else:
            packed = data[offset : offset + -(-code * bits // 8)]
            run = b"".join(colors[byte] for byte in packed)[:code]
            # The next command is aligned to two bytes.
            offset += len(packed) + len(packed) % 2
        position, visible = y * width + x, run[: max(0, width - x)]
        pixels[position : position + len(visible)] = visible
        x, rows = x + len(run), y + 1 if run else rows
    # Missing bytes that are zeros would end one row after the other.
    is_complete = rows == height and (y >= height or x >= width)
    if data[offset : offset + 2] != _END and not is_complete:
        raise OSError("image file is truncated")
    return pixels
