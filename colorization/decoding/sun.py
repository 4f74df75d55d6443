"""Sun raster files: Pillow misreads 32 bits and some run lengths (Sun's rasterfile(5))."""

from __future__ import annotations

import io
import re

from PIL import Image

# Layouts with an unused byte after the colours of a pixel, as Pillow expects it -> with it before
# them, where it lies.
_PADDED = {"BGRX": "XBGR", "RGBX": "XRGB"}
# A run: the mark, its length less one, and the value. The mark with a zero stands for itself.
_MARK = b"\x80"
_RUN = re.compile(_MARK + rb"(?:\0|(.)(.))", re.DOTALL)


def mend_tiles(picture: Image.Image, data: bytes) -> None:
    """Lets Pillow read colours of 32 bits and the padding of rows correctly.

    Args:
      picture: opened, not loaded yet.
      data: its file.
    """
    tile = picture.tile[0]
    layout, *row_arguments = tile.args if isinstance(tile.args, tuple) else (tile.args,)
    layout = _PADDED.get(layout, layout)
    if tile.codec_name == "sun_rle":
        depth = int.from_bytes(data[12:16], "big")
        stride = -(-picture.width * depth // 16) * 2
        picture.fp = io.BytesIO(_unpacked(data, tile.offset, stride * picture.height))
        tile = tile._replace(codec_name="raw", offset=0)
        row_arguments = [stride]
    picture.tile = [tile._replace(args=(layout, *row_arguments))]


def _unpacked(data: bytes, offset: int, size: int) -> bytes:
    """Decodes the runs from an offset on, up to `size` bytes of pixels."""
    pixels = bytearray()
    for run in _RUN.finditer(data, offset):
        pixels += data[offset : run.start()]
        pixels += run[2] * (run[1][0] + 1) if run[1] else _MARK
        offset = run.end()
        if len(pixels) >= size:
            break
    return bytes(pixels + data[offset:])[:size]
