"""EXIF data of results, read back by tifffile."""

import io
import struct

import numpy as np
import pytest
import tifffile
from encoding import encoded
from PIL import Image, features

from colorization.prediction.pictures import decode, encode, further_page, join_pages

CAMERA, PLACE = 0x8769, 0x8825
ORIENTATION = 0x0112


def exif_bytes(picture: bytes) -> bytes:
    """The TIFF file that EXIF data are."""
    with Image.open(io.BytesIO(picture)) as opened:
        if opened.format == "TIFF":
            return picture
        return opened.info["exif"].removeprefix(b"Exif\0\0")


def camera(picture: bytes, name: str = "ExifTag") -> dict:
    """Name -> value of the settings of the camera."""
    with tifffile.TiffFile(io.BytesIO(exif_bytes(picture))) as opened:
        return opened.pages[0].tags[name].value


@pytest.mark.parametrize("target", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("orientation", [1, 6])
def test_what_is_no_longer_so_is_not_told(colourful, target, dtype, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[CAMERA] = {
        0x9003: "1969:07:20 20:17:40",
        0x9101: b"\1\2\3\0",
        0x9102: 3.5,
        0x9204: -0.5,
        0x9214: (5, 6),
        0xA001: 65535,
        0xA002: 30,
        0xA003: 20,
        0xA005: {1: "R03"},
        0xA214: (5, 6),
        0xA405: 50,
        0xA500: 2.2,
    }
    exif[PLACE] = {1: "N", 2: (47.0, 22.0, 30.0)}
    photo = decode(encoded(Image.fromarray(colourful(20, 30)), "JPEG", exif=exif))
    result = encode(photo.pixels.astype(dtype), photo, target, 95)
    told = camera(result)
    assert told.pop("DateTimeOriginal") == "1969:07:20 20:17:40"
    assert told.pop("ExposureBiasValue") == -0.5
    assert told.pop("ColorSpace") == 1
    assert told.pop("FocalLengthIn35mmFilm") == 50
    if orientation == 1:
        # tifffile has one name for both tags, 0x9214 and 0xA214.
        assert told.pop("SubjectLocation") == (5, 6)
    assert told == {}
    assert camera(result, "GPSTag")["GPSLatitude"] == (47, 1, 22, 1, 30, 1)


def photoshop(exif: bytes) -> bytes:
    """A document with an image resource of EXIF data (Adobe Photoshop File Formats)."""
    resource = struct.pack(">4sHHI", b"8BIM", 1058, 0, len(exif)) + exif + bytes(len(exif) % 2)
    header = struct.pack(">4sH6xHIIHHI", b"8BPS", 1, 3, 4, 6, 8, 3, 0)
    return header + struct.pack(">I", len(resource)) + resource + bytes(6) + bytes(range(72))


def jpeg_2000(exif: bytes) -> bytes:
    """A file with a box of EXIF data, as ExifTool and Exiv2 write it."""
    box = b"uuidJpgTiffExif->JP2" + exif
    picture = encoded(Image.new("RGB", (6, 4)), "JPEG2000")
    return picture + struct.pack(">I", 4 + len(box)) + box


@pytest.mark.parametrize("made", [photoshop, jpeg_2000])
def test_formats_whose_exif_pillow_does_not_read(made):
    if made is jpeg_2000 and not features.check("jpg_2000"):
        pytest.skip("Pillow lacks JPEG 2000")
    exif = Image.Exif()
    exif[0x010F], exif[ORIENTATION] = "Test", 6
    exif[CAMERA], exif[PLACE] = {0x9003: "1969:07:20 20:17:40"}, {1: "N", 2: (47.0, 22.0, 30.0)}
    photo = decode(made(exif.tobytes().removeprefix(b"Exif\0\0")))
    # Programs show these formats as they are stored.
    assert photo.pixels.shape[:2] == (4, 6)
    result = encode(photo.pixels, photo, "JPEG", 95)
    assert camera(result, "Make") == "Test"
    assert camera(result)["DateTimeOriginal"] == "1969:07:20 20:17:40"
    assert camera(result, "GPSTag")["GPSLatitude"] == (47, 1, 22, 1, 30, 1)
    nonsense = decode(made(b"II*\0\xff\xff"))
    assert nonsense.exif == b"" and len(nonsense.notes) == 1


@pytest.mark.parametrize("target", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_texts_of_any_letters_stay(colourful, target, dtype):
    """Cameras write names in UTF-8 or Latin-1, whatever EXIF says."""
    texts = {0xA430: "J__rgen", 0xA434: "L_ns"}
    exif = Image.Exif()
    exif[CAMERA], exif[0x013B] = texts, "R__ne"
    data = encoded(Image.fromarray(colourful(4, 6)), "JPEG", exif=exif)
    for plain, stored in (("J__rgen", "Jürgen"), ("R__ne", "Röne")):
        data = data.replace(plain.encode(), stored.encode())
    photo = decode(data.replace(b"L_ns", "Lëns".encode("latin-1")))
    written = exif_bytes(encode(photo.pixels.astype(dtype), photo, target, 95))
    for text in ("Jürgen".encode(), "Röne".encode(), "Lëns".encode("latin-1")):
        assert text + b"\0" in written


def test_colours_that_are_not_told_stay_so(colourful):
    exif = Image.Exif()
    exif[CAMERA] = {0x9003: "1969:07:20 20:17:40"}
    photo = decode(encoded(Image.fromarray(colourful(4, 6)), "JPEG", exif=exif))
    assert camera(encode(photo.pixels, photo, "JPEG", 95)).keys() == {"DateTimeOriginal"}
    exif[CAMERA] = {0xA002: 6}
    assert decode(encoded(Image.fromarray(colourful(4, 6)), "JPEG", exif=exif)).exif == b""


@pytest.mark.parametrize("alpha", [None, np.full([5, 7], 9, np.uint8)])
def test_deep_pages_keep_pixels_and_settings(colourful, alpha):
    """Those of 16 bits in colour, whose settings are written behind their pixels."""
    exif = Image.Exif()
    exif[CAMERA] = {0x9003: "1969:07:20 20:17:40", 0x927C: bytes(range(251))}
    photo = decode(encoded(Image.fromarray(colourful(5, 7)), "PNG", exif=exif))
    photo = type(photo)(photo.pixels, alpha, photo.exif)
    deep = colourful(5, 7).astype(np.uint16) * 257
    first = encode(deep, photo, "TIFF", 95)
    second = encode(deep[::-1], further_page(photo), "TIFF", 95)
    with tifffile.TiffFile(io.BytesIO(join_pages([first, second]))) as opened:
        assert len(opened.pages) == 2
        for page, expected in zip(opened.pages, (deep, deep[::-1]), strict=True):
            np.testing.assert_array_equal(page.asarray()[..., :3], expected)
        told = opened.pages[0].tags["ExifTag"].value
        assert told["DateTimeOriginal"] == "1969:07:20 20:17:40"
        assert told["MakerNote"] == bytes(range(251))
        assert "ExifTag" not in opened.pages[1].tags
