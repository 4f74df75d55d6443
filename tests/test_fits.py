"""FITS files, made by hand (FITS standard 4.0)."""

import numpy as np
import pytest

from colorization.decoding.decode import open_photo, open_picture
from colorization.errors import UnreadablePhoto

HEIGHT, WIDTH = 5, 7


def fits(bits: int, values: np.ndarray, **cards) -> bytes:
    """A FITS file: cards of 80 bytes, blocks of 2880, the lowest row first."""
    height, width = values.shape[-2:]
    cards = {"BITPIX": bits, "NAXIS": 2, "NAXIS1": width, "NAXIS2": height, **cards}
    lines = ["SIMPLE  =                    T"]
    lines += [f"{name:8}= {value:>20} / told" for name, value in cards.items()]
    # Remarks are no cards, whatever they hold.
    lines.append("HISTORY BITPIX = 64 once, BZERO = 9, NAXIS3 = 3, XTENSION= 'TABLE'")
    header = "".join(f"{line:80}" for line in [*lines, "END"]).encode()
    pixels = values[..., ::-1, :].tobytes()
    return header + b" " * (-len(header) % 2880) + pixels + bytes(-len(pixels) % 2880)


@pytest.mark.parametrize(
    ("bits", "dtype", "factor", "cards"),
    [
        (8, ">u1", 1, {}),
        (8, ">u1", 1, {"BSCALE": 1.0, "BZERO": 0.0}),
        (16, ">i2", 32767 / 255, {}),
        (32, ">i4", (2**31 - 1) / 255, {}),
        (32, ">i4", 257.0, {}),
        (-32, ">f4", 1 / 255, {}),
        (-32, ">f4", 1, {}),
        (-64, ">f8", 1 / 255, {}),
        (-32, ">f4", 1 / 510, {"BSCALE": 2.0}),
        (-32, ">f4", 1 / 510, {"BSCALE": "0.2D+01"}),
        (8, ">u1", 1, {"BZERO": "0"}),
    ],
)
def test_fits_of_every_depth(bits, dtype, factor, cards, grays):
    grays[0, 0], grays[-1, -1] = 255, 0
    values = grays * np.float64(factor)
    values = values if bits < 0 else np.floor(values)
    opened = np.asarray(open_photo(fits(bits, values.astype(dtype), **cards)))
    np.testing.assert_allclose(opened[..., 0], grays, atol=1)


@pytest.mark.parametrize("bits", [16, 32])
def test_unsigned_fits(bits, grays):
    white = 2**bits - 1
    grays[0, 0] = 255
    stored = grays.astype(np.int64) * (white // 255) - 2 ** (bits - 1)
    data = fits(bits, stored.astype(f">i{bits // 8}"), BSCALE=1, BZERO=2 ** (bits - 1))
    np.testing.assert_array_equal(np.asarray(open_photo(data))[..., 1], grays)


def test_fits_that_is_inverted_by_its_scale(grays):
    stored = (255 - grays.astype(int)).astype(">i2")
    opened = np.asarray(open_photo(fits(16, stored, BSCALE=-1, BZERO=255)))
    np.testing.assert_allclose(opened[..., 0], grays, atol=1)


def test_fits_of_several_planes_is_refused(colors):
    data = fits(8, np.moveaxis(colors, 2, 0), NAXIS=3, NAXIS3=3)
    with pytest.raises(UnreadablePhoto, match=r"a kind of FITS .* save it as TIFF"):
        open_photo(data)
    with pytest.raises(UnreadablePhoto, match="a kind of FITS"):
        open_photo(fits(64, colors[..., 0].astype(">i8")))
    with pytest.raises(UnreadablePhoto, match="damaged"):
        open_photo(fits(16, colors[..., 0].astype(">i2"))[:2890])


@pytest.mark.parametrize("kind", ["IMAGE", "BINTABLE", "TABLE"])
def test_pictures_alone_are_read_of_what_follows_the_header_of_fits(kind, grays):
    """A file may begin with a header that tells of no picture."""
    cards = "SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0", "END"
    first = "".join(f"{card:80}" for card in cards).encode()
    second = fits(8, grays, PCOUNT=0).replace(
        b"SIMPLE  =                    T", f"XTENSION= '{kind:8}'          ".encode()
    )
    if kind == "IMAGE":
        opened = open_photo(first.ljust(2880) + second)
        np.testing.assert_array_equal(np.asarray(opened)[..., 0], grays)
    else:
        with pytest.raises(UnreadablePhoto, match="a table"):
            open_photo(first.ljust(2880) + second)


def test_pictures_behind_the_first_of_fits_are_mentioned(grays):
    first = fits(8, grays)
    for kind, noted in (("IMAGE   ", True), ("BINTABLE", False)):
        further = f"XTENSION= '{kind}'".ljust(80).encode() + first[80:]
        notes = open_picture(first + further).notes
        assert notes == (("only the first of its pictures",) if noted else ())
