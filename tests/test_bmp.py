"""BMP files with run lengths, made by hand."""

import struct

import numpy as np
import pytest

from colorization.decoding.decode import open_photo
from colorization.errors import UnreadablePhoto

WIDTH, HEIGHT = 23, 11
# Nothing more of a row, and of the file.
ROW, END = b"\0\0", b"\0\1"


@pytest.fixture
def indices():
    return np.random.default_rng(0).integers(0, 16, (HEIGHT, WIDTH)).astype(np.uint8)


@pytest.fixture
def palette():
    return np.random.default_rng(1).integers(0, 256, (16, 3)).astype(np.uint8)


def bmp(bits: int, palette: np.ndarray, coded: bytes, gap: int = 0) -> bytes:
    """A file of Windows 3 (BITMAPINFOHEADER) with run lengths."""
    colors = np.pad(palette[:, ::-1], ((0, 0), (0, 1))).tobytes() + bytes(gap)
    info = struct.pack(
        "<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, bits, 8 // bits, 0, 0, 0, len(palette), 0
    )
    start = 14 + len(info) + len(colors)
    return struct.pack("<2sIII", b"BM", start + len(coded), 0, start) + info + colors + coded


def packed(run: np.ndarray, bits: int) -> bytes:
    run = run if bits == 8 else np.pad(run, (0, len(run) % 2)).reshape(-1, 2) @ [16, 1]
    return run.astype(np.uint8).tobytes()


def absolute(row: np.ndarray, bits: int, count: int) -> bytes:
    """A row's pixels one by one, in runs of `count`, the shorter ones as equal pixels."""
    coded = b""
    for run in np.split(row, range(count, WIDTH, count)):
        if len(run) < 3:
            coded += b"".join(bytes([1, color * (17 if bits == 4 else 1)]) for color in run)
        else:
            body = packed(run, bits)
            coded += bytes([0, len(run)]) + body + bytes(len(body) % 2)
    return coded


@pytest.mark.parametrize("gap", [0, 1])
@pytest.mark.parametrize("count", [3, 4, 5, 7, 23])
@pytest.mark.parametrize("bits", [4, 8])
def test_pixels_one_by_one(bits, count, gap, indices, palette):
    """Runs of an odd number of pixels end at an even byte of the runs, wherever these begin."""
    coded = b"".join(absolute(row, bits, count) + ROW for row in indices[::-1]) + END
    opened = open_photo(bmp(bits, palette, coded, gap))
    np.testing.assert_array_equal(opened, palette[indices])
    # The mark of the end may be missing, but no row.
    np.testing.assert_array_equal(open_photo(bmp(bits, palette, coded[:-4], gap)), opened)
    for cut in (6, len(coded) // 2):
        with pytest.raises(UnreadablePhoto, match="damaged"):
            open_photo(bmp(bits, palette, coded[:-cut], gap))
        with pytest.raises(UnreadablePhoto, match="damaged"):
            open_photo(bmp(bits, palette, coded[:-60] + bytes(200), gap))


def test_runs_empty_rows_and_moves(palette):
    expected = np.zeros((HEIGHT, WIDTH), int)
    # The lowest row alternates, the next is empty, and three rows above pixels stand at the right.
    expected[-1, :9] = [1, 2] * 4 + [1]
    expected[-5, 5:8] = 3
    expected[-6, :] = 4
    coded = bytes([9, 0x12, *ROW, *ROW, 0, 2, 5, 2, 3, 0x33, *ROW, 40, 0x44])
    for ending in (END, ROW + END):
        opened = open_photo(bmp(4, palette, coded + ending))
        np.testing.assert_array_equal(opened, palette[expected])
