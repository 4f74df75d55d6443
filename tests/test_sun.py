"""Sun raster files, made by hand (Sun's rasterfile(5))."""

import itertools
import struct

import numpy as np
import pytest

from colorization.decoding.decode import open_photo
from colorization.errors import UnreadablePhoto

HEIGHT = 5


def runs(data: bytes) -> bytes:
    """Run lengths of Sun raster: a run is its mark, its length less one, and its value."""
    packed = b""
    for value, group in itertools.groupby(data):
        count = len([*group])
        # A zero follows the mark where it stands for itself.
        alone = b"\x80\0" if value == 0x80 else bytes([value])
        packed += alone if count == 1 else bytes([0x80, count - 1, value])
    return packed


@pytest.mark.parametrize("width", [6, 7])
@pytest.mark.parametrize("depth", [1, 8, 24, 32])
@pytest.mark.parametrize("kind", [0, 1, 2, 3])
def test_sun_raster_of_every_depth(kind, depth, width):
    """Old, standard, run lengths, RGB; rows are filled up to 16 bits."""
    values = np.random.default_rng(0).integers(126, 130, (HEIGHT, width, 3)).astype(np.uint8)
    stored = values if kind == 3 else values[..., ::-1]
    if depth == 32:
        stored = np.insert(stored, 0, 77, axis=2)
    elif depth == 8:
        stored = values = values[..., :1]
    elif depth == 1:
        values = values[..., :1] // 128 * 255
        stored = np.packbits(values == 0, axis=1)
    rows = stored.reshape(HEIGHT, -1)
    rows = np.pad(rows, ((0, 0), (0, rows.shape[1] % 2)))
    body = runs(rows.tobytes()) if kind == 2 else rows.tobytes()
    header = struct.pack(">8I", 0x59A66A95, width, HEIGHT, depth, len(body), kind, 0, 0)
    picture = np.asarray(open_photo(header + body))
    np.testing.assert_array_equal(picture, np.broadcast_to(values, picture.shape))
    with pytest.raises(UnreadablePhoto, match="truncated"):
        open_photo(header + body[:-5])
