"""Raw files of cameras that are no TIFF files, made by hand."""

import struct

import numpy as np
import pytest

from colorization.decoding.decode import open_photo
from colorization.errors import UnreadablePhoto

WIDTH, HEIGHT = 560, 420
# Panasonic stores 14 pixels in 16 bytes, in blocks of 16 KiB.
BLOCK = 0x4000
CODED = -(-WIDTH * HEIGHT * 16 // 14 // BLOCK) * BLOCK
SHORT, LONG = 3, 4


def rw2(pixels: bytes) -> bytes:
    """A file as Panasonic's cameras write it: TIFF with another mark and tags of their own."""
    texts = {271: b"Panasonic\0", 272: b"DMC-LX3\0"}
    sides = {2: WIDTH, 3: HEIGHT, 4: 0, 5: 0, 6: HEIGHT, 7: WIDTH, 278: HEIGHT}
    # Version, pattern of colours, bits, compression, white balance, and where the pixels begin.
    numbers = {9: 4, 10: 12, 11: 34316, 36: 256, 37: 256, 38: 256}
    places = {273: 2**32 - 1, 279: 2 * WIDTH * HEIGHT, 280: 512}
    tags = {tag: (SHORT, 1, struct.pack("<I", value)) for tag, value in (sides | numbers).items()}
    tags |= {tag: (LONG, 1, struct.pack("<I", value)) for tag, value in places.items()}
    tags[1] = (7, 4, b"0300")
    behind = 8 + 2 + 12 * (len(tags) + len(texts)) + 4
    for tag, text in texts.items():
        tags[tag] = (2, len(text), struct.pack("<I", behind))
        behind += len(text)
    entries = (struct.pack("<HHI", tag, *tags[tag][:2]) + tags[tag][2] for tag in sorted(tags))
    directory = struct.pack("<H", len(tags)) + b"".join(entries) + bytes(4)
    header = b"IIU\0" + struct.pack("<I", 8) + directory + b"".join(texts.values())
    return header.ljust(512, b"\0") + pixels


def test_raw_files_that_are_cut_short_are_damaged():
    """LibRaw makes noise of the rest."""
    pytest.importorskip("rawpy")
    whole = rw2(b"\x40" * CODED)
    photo = open_photo(whole)
    assert photo.size == (WIDTH, HEIGHT)
    assert np.ptp(np.asarray(photo)) > 0
    # What follows the pixels is none of them.
    for end in (b"\xff" * 5000, bytes(2000)):
        np.testing.assert_array_equal(open_photo(whole + end), photo)
    for kept in (0.1, 0.5, 0.9):
        half = whole[: int(kept * len(whole))]
        for cut in (half, half.ljust(len(whole), b"\0")):
            with pytest.raises(UnreadablePhoto, match="damaged: the raw file is cut short"):
                open_photo(cut)
