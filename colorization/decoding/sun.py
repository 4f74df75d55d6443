"""Sun raster files, of which Pillow misreads 32 bits and some run lengths (Sun's rasterfile(5))."""

from __future__ import annotations

import io
import re

from PIL import Image

# Pillow looks for the unused byte of a pixel behind its colours, but it comes first.
_PADDED = {"BGRX": "XBGR", "RGBX": "XRGB"}
# The mark of a run with its length less one and its value; or, with a zero, that value itself.
_RUN = re.compile(rb"\x80(?:\0|(.)(.))", re.DOTALL)
_MARK = b"\x80"


def mend_tiles(picture: Image.Image, data: bytes) -> None:
    """Has Pillow read colours of 32 bits, and the bytes that fill up rows, for what they are.

    Args:
      picture: opened, not loaded yet.
      data: its file.
    """
    tile = picture.tile[0]
    layout, *rest = tile.args if isinstance(tile.args, tuple) else (tile.args,)
    layout = _PADDED.get(layout, layout)
    if tile.codec_name == "sun_rle":
        depth = int.from_bytes(data[12:16], "big")
        stride = -(-picture.width * depth // 16) * 2
        picture.fp = io.BytesIO(_unpacked(data, tile.offset, stride * picture.height))
        tile = tile._replace(codec_name="raw", offset=0)
        rest = [stride]
    picture.tile = [tile._replace(args=(layout, *rest))]


def _unpacked(data: bytes, at: int, size: int) -> bytes:
    """The first bytes that the runs from a place on stand for."""
    pixels = bytearray()
    for run in _RUN.finditer(data, at):
        pixels += data[at : run.start()]
        pixels += run[2] * (run[1][0] + 1) if run[1] else _MARK
        at = run.end()
        if len(pixels) >= size:
            break
    return bytes(pixels + data[at:])[:size]
