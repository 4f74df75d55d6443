"""Files that are looked at before they are read whole, and photos that memory is short for."""

import io

import numpy as np
import pytest
import tifffile
from encoding import encoded, tiff
from PIL import Image
from platforms import posix
from test_psd import psd

from colorization.data import lab_planes
from colorization.data.photo_files import read_file
from colorization.decoding import decode, large_files, refusals
from colorization.errors import UnreadablePhoto

SMALL, LARGE = np.zeros([10, 10, 3], np.uint8), np.zeros([200, 300, 3], np.uint8)


@pytest.fixture(autouse=True)
def limits(monkeypatch):
    """Every file is a large one, and so is a picture of more than a hundred pixels."""
    monkeypatch.setattr(large_files, "LARGE", 0)
    monkeypatch.setattr(refusals, "MAX_PIXELS", 100)


@pytest.fixture
def read(tmp_path):
    """Reads a file of these bytes."""

    def of(data: bytes) -> bytes:
        (tmp_path / "photo").write_bytes(data)
        return read_file(str(tmp_path / "photo"))

    return of


def pages(*pictures, **settings) -> bytes:
    """A TIFF file of several pages, each an array or one with its type of page."""
    with io.BytesIO() as file:
        with tifffile.TiffWriter(file, **settings) as writer:
            for picture in pictures:
                values, kind = picture if isinstance(picture, tuple) else (picture, 0)
                writer.write(values, subfiletype=kind, metadata=None)
        return file.getvalue()


FILES = {
    "TIFF": lambda values: pages(values),
    "BigTIFF": lambda values: pages(values, bigtiff=True, byteorder=">"),
    "TIFF of 16 bits": lambda values: pages(values.astype(np.uint16)),
    "PSD": lambda values: psd(np.moveaxis(values, 2, 0)),
    "PSB": lambda values: psd(np.moveaxis(values, 2, 0), large=True),
    **{
        kind: lambda values, kind=kind: encoded(Image.fromarray(values), kind)
        for kind in ("PNG", "JPEG", "BMP", "PPM", "TGA")
    },
}


@pytest.mark.parametrize("kind", FILES)
def test_large_pictures_are_refused_by_their_size_and_others_read(kind, read):
    assert read(FILES[kind](SMALL)) == FILES[kind](SMALL)
    with pytest.raises(UnreadablePhoto, match=r"^300 x 200 pixels, above the limit of 100$"):
        read(FILES[kind](LARGE))


@pytest.mark.parametrize("kind", ["TIFF", "BigTIFF", "PSD", "PSB", "BMP", "PPM"])
def test_headers_alone_are_read(kind):
    class Counting(io.BytesIO):
        count = 0

        def read(self, size=-1):
            part = super().read(size)
            self.count += len(part)
            return part

    file = Counting(FILES[kind](LARGE) + bytes(2**20))
    with pytest.raises(UnreadablePhoto, match="300 x 200"):
        large_files.refuse_large_file(file)
    assert file.count < 2**15


def test_albums_are_read_where_one_page_is_small_enough(read):
    reduced, mask = 1, 4
    assert read(pages(LARGE, SMALL))
    for other in ((SMALL, reduced), (SMALL[..., 0] > 0, mask), LARGE):
        with pytest.raises(UnreadablePhoto, match="300 x 200 pixels"):
            read(pages(LARGE, other))


def test_what_is_no_picture_is_not_read(read):
    with pytest.raises(UnreadablePhoto, match="not a picture"):
        read(bytes(10_000))
    with pytest.raises(UnreadablePhoto, match="a film"):
        read(b"\0\0\0\x18ftypisom" + bytes(10_000))


def test_damage_shows_when_a_file_is_opened(read):
    for data in (b"\x89PNG\r\n\x1a\n" + bytes(100), pages(SMALL)[:8] + bytes(100)):
        assert read(data) == data
        with pytest.raises(UnreadablePhoto, match="damaged"):
            decode.open_picture(data)


def test_files_have_a_limit_of_bytes(read, monkeypatch):
    data = pages(SMALL, SMALL)
    monkeypatch.setattr(large_files, "MAX_BYTES", len(data) - 1)
    with pytest.raises(UnreadablePhoto, match=r"above the limit.*; save the photo alone"):
        read(data)
    monkeypatch.setattr(large_files, "MAX_BYTES", len(data))
    assert read(data) == data


def test_the_first_page_of_a_file_is_no_copy_of_it():
    for data in (tiff(SMALL), tiff(SMALL, bigtiff=True, byteorder=">")):
        (offset,) = decode.page_offsets(data)
        assert decode.at_page(data, offset) is data


def test_short_memory_names_the_photo_that_is_opened(read, tmp_path, monkeypatch):
    def fail(*_):
        raise MemoryError

    data = read(encoded(Image.fromarray(SMALL), "PNG"))
    path = str(tmp_path / "photo")
    with monkeypatch.context() as patch:
        patch.setattr(decode, "picture_to_srgb", fail)
        for opened in (
            lambda: decode.open_picture(data),
            lambda: decode.open_photo(data),
            lambda: lab_planes.from_path(path),
        ):
            with pytest.raises(UnreadablePhoto, match=r"^not enough memory$"):
                opened()
    with monkeypatch.context() as patch:
        patch.setattr("colorization.data.photo_files.refuse_large_file", fail)
        with pytest.raises(UnreadablePhoto, match=r"^not enough memory$"):
            read_file(path)


@posix
@pytest.mark.parametrize("kind", ["BigTIFF", "PSB", "PNG"])
def test_remote_files_are_looked_at_likewise(kind, tmp_path):
    """file:// goes the way of gs://."""
    for name, values in {"small": SMALL, "large": LARGE}.items():
        (tmp_path / name).write_bytes(FILES[kind](values))
    assert read_file(f"file://{tmp_path}/small") == (tmp_path / "small").read_bytes()
    with pytest.raises(UnreadablePhoto, match="300 x 200 pixels"):
        read_file(f"file://{tmp_path}/large")


def test_pixels_are_told_by_the_header():
    photo = Image.fromarray(LARGE)
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "PSD"):
        data = psd(np.moveaxis(LARGE, 2, 0)) if kind == "PSD" else encoded(photo, kind)
        assert large_files.rough_pixels(data) == 200 * 300, kind
    assert large_files.rough_pixels(pages(SMALL, LARGE, SMALL)) == 200 * 300


def test_pixels_are_guessed_from_the_bytes_where_no_header_tells():
    assert large_files.rough_pixels(b"FUJIFILMCCD-RAW" + bytes(1000)) == 1015
    assert large_files.rough_pixels(b"no picture") == 10
    # JPEG XL would be decoded to be asked.
    assert large_files.rough_pixels(b"\xff\x0a" + bytes(98)) == 400
