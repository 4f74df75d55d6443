"""Raw files of cameras, made by hand."""

import builtins
import io
import struct

import numpy as np
import pytest
import tifffile
from encoding import encoded, tiff
from PIL import Image

from colorization.decoding import raw
from colorization.decoding.decode import open_photo, open_picture
from colorization.errors import UnreadablePhoto
from colorization.prediction.pictures import decode

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


def raw_file() -> bytes:
    """A DNG file (Adobe, version 1.4) as cameras write them: a preview, the sensor's values below.

    The sensor, RGGB, has seen a gray card; its red is half as sensitive as its green.
    """
    sensor = np.full([48, 64], 8000, np.uint16)
    # A black and a white patch, or the card would be taken for white.
    sensor[:8], sensor[-8:] = 100, 16000
    sensor[::2, ::2] //= 2
    matrix = [3.2404542, -1.5371385, -0.4985314, -0.9692660, 1.8760108, 0.0415560]
    matrix += [0.0556434, -0.2040259, 1.0572252]
    rational = [part for number in matrix for part in (round(number * 10000), 10000)]
    below = [
        (33421, "H", 2, (2, 2), True),
        (33422, "B", 4, (0, 1, 1, 2), True),
        (50717, "I", 1, 16383, True),
    ]
    above = [
        (50706, "B", 4, (1, 4, 0, 0), True),
        (50707, "B", 4, (1, 1, 0, 0), True),
        (50708, "s", 0, "Test", True),
        (271, "s", 0, "Test", True),
        (272, "s", 0, "Camera", True),
        (50721, "2i", 9, rational, True),
        (50728, "2I", 3, (1, 2, 1, 1, 1, 1), True),
        (50778, "H", 1, 21, True),
    ]
    with io.BytesIO() as file, tifffile.TiffWriter(file) as writer:
        writer.write(
            np.zeros([11, 16, 3], np.uint8),
            photometric="rgb",
            subfiletype=1,
            subifds=1,
            metadata=None,
            extratags=above,
        )
        writer.write(sensor, photometric="cfa", metadata=None, extratags=below)
        writer.close()
        return file.getvalue()


STARTS = {
    "CR2": b"II*\0\x10\0\0\0CR\2\0" + bytes(100),
    "IIQ": b"II*\0\x08\x0a\0\0IIIICwaR" + bytes(100),
    "CR3": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(100),
    "RAF": b"FUJIFILMCCD-RAW 0201" + bytes(100),
    "ORF": b"IIRO\x08\0\0\0" + bytes(100),
    "RW2": b"IIU\0\x18\0\0\0" + bytes(100),
    "X3F": b"FOVb" + bytes(100),
    "MRW": b"\0MRM" + bytes(100),
}


def without(monkeypatch, package):
    real = builtins.__import__

    def imported(name, *arguments, **settings):
        if name.split(".")[0] == package:
            raise ImportError(f"No module named {package!r}")
        return real(name, *arguments, **settings)

    monkeypatch.setattr(builtins, "__import__", imported)


@pytest.mark.parametrize("kind", ["DNG", *STARTS])
def test_raw_files_name_what_develops_them(monkeypatch, kind):
    without(monkeypatch, "rawpy")
    data = raw_file() if kind == "DNG" else STARTS[kind]
    for read in (open_photo, decode):
        with pytest.raises(UnreadablePhoto, match=r"raw file; pip install -r requirements-raw"):
            read(data)


def test_raw_files_in_jpeg_xl_are_named():
    """LibRaw as it comes with rawpy cannot read them."""
    pytest.importorskip("rawpy")
    plain, coded = (struct.pack("<HHIH", 259, SHORT, 1, number) for number in (1, 52546))
    before, _, after = raw_file().rpartition(plain)
    with pytest.raises(UnreadablePhoto, match="a raw file in JPEG XL, which LibRaw cannot read"):
        open_photo(before + coded + after)


def test_raw_files_are_developed_with_the_cameras_white_balance():
    pytest.importorskip("rawpy")
    photo = decode(raw_file())
    assert photo.pixels.shape == (48, 64, 3)
    middle = photo.pixels[16:-16, 16:-16].astype(float)
    assert np.ptp(middle.mean((0, 1))) < 4
    assert 20 < middle.mean() < 250
    # Training may take half the size.
    assert open_photo(raw_file(), draft_size=16).size <= (64, 48)
    with pytest.raises(UnreadablePhoto, match="cannot be developed"):
        open_photo(STARTS["RAF"])
    for missing in (1, 3000):
        with pytest.raises(UnreadablePhoto, match=r"cut short|cannot be developed"):
            open_photo(raw_file()[:-missing])
    with pytest.raises(UnreadablePhoto, match="cut short"):
        open_photo(raw_file()[:-3000] + bytes(3000))


def monochrome_dng(sensor: np.ndarray, orientation: int, white: int) -> bytes:
    """A DNG file (Adobe, version 1.4) as cameras without a filter of colours write them."""
    tags = [
        (50706, "B", 4, (1, 4, 0, 0), True),
        (50708, "s", 0, "Monochrome", True),
        (271, "s", 0, "Test", True),
        (272, "s", 0, "Monochrome", True),
        (274, "H", 1, orientation, True),
        (50717, "I", 1, white, True),
    ]
    data = tiff(sensor, photometric="minisblack", extratags=tags, byteorder="<")
    # tifffile writes LinearRaw with three channels only, so it takes the place of another value.
    black_is_zero, linear_raw = (struct.pack("<HHII", 262, 3, 1, kind) for kind in (1, 34892))
    assert data.count(black_is_zero) == 1
    return data.replace(black_is_zero, linear_raw)


@pytest.mark.parametrize(("dtype", "white"), [(np.uint8, 255), (np.uint16, 2**14 - 1)])
@pytest.mark.parametrize("orientation", [1, 6])
def test_raw_files_of_monochrome_cameras_are_gray(dtype, white, orientation):
    """The sensor counts light, linearly; sRGB's curve is that of IEC 61966-2-1."""
    pytest.importorskip("rawpy")
    light = np.tile(np.linspace(0, 1, 128), (96, 1))
    # LibRaw has a hundredth of the pixels clipped.
    light[:, -2:] = 1
    shown = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    data = monochrome_dng((light * white + 0.5).astype(dtype), orientation, white)
    picture = open_picture(data)
    assert (picture.image.mode, picture.alpha, picture.notes) == ("L", None, ())
    upright = shown if orientation == 1 else np.rot90(shown, -1)
    off = 3 if dtype == np.uint16 else 8
    np.testing.assert_allclose(np.asarray(picture.image, float), upright, atol=off)
    assert open_photo(data, 40).mode == "RGB"


DATE, LATITUDE = "1969:07:20 20:17:40", (47.0, 22.0, 30.0)


def exif_of(tags: dict, below: dict) -> bytes:
    """EXIF data as a TIFF file."""
    exif = Image.Exif()
    exif.endian = "<"
    exif.update(tags | below)
    return exif.tobytes().removeprefix(b"Exif\0\0")


def box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), name) + body


def raw_with_exif(kind: str) -> bytes:
    """A raw file with a date, a camera and a place, without pixels.

    Made after ExifTool's descriptions of the formats, and LibRaw's parsers of them.
    """
    settings, place = {0x9003: DATE}, {1: "N", 2: LATITUDE}
    whole = exif_of({271: "Test"}, {0x8769: settings, 0x8825: place})
    if kind == "RAF":
        jpeg = encoded(Image.new("RGB", (16, 8)), "JPEG", exif=b"Exif\0\0" + whole)
        return STARTS["RAF"][:84] + struct.pack(">II", 160, len(jpeg)) + bytes(68) + jpeg + bytes(9)
    if kind == "CR3":
        # The settings' own directory is the first one of its file.
        parts = ({271: "Test"}, settings, place)
        files = [
            box(b"CMT%d" % n, exif_of(tags, {})) for n, tags in zip((1, 2, 4), parts, strict=True)
        ]
        canon = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
        other = box(b"uuid", bytes(16), box(b"CMT1", exif_of({271: "Other"}, {})))
        movie = box(b"moov", other, box(b"uuid", canon, box(b"CNCV", bytes(5)), *files))
        return STARTS["CR3"][:24] + movie + box(b"mdat", bytes(99))
    if kind == "MRW":
        blocks = [b"\0PRD" + struct.pack(">I", 24) + bytes(24)]
        blocks += [b"\0TTW" + struct.pack(">I", len(whole)) + whole]
        return b"\0MRM" + struct.pack(">I", sum(map(len, blocks))) + b"".join(blocks) + bytes(99)
    if kind == "X3F":
        jpeg = encoded(Image.new("RGB", (16, 8)), "JPEG", exif=b"Exif\0\0" + whole)
        # Sigma's has no segment of JFIF before that of EXIF.
        return b"FOVb" + bytes(260) + jpeg[:2] + jpeg[20:] + bytes(99)
    return {"ORF": b"IIRO", "RW2": b"IIU\0"}[kind] + whole[4:]


@pytest.mark.parametrize("kind", ["ORF", "RW2", "CR3", "RAF", "MRW", "X3F"])
def test_raw_files_that_do_not_begin_as_tiff_keep_date_camera_and_place(monkeypatch, kind):
    monkeypatch.setattr(raw, "develop", lambda *_: Image.new("RGB", (6, 4)))
    monkeypatch.setattr(raw, "is_cut", lambda _: False)
    data = raw_with_exif(kind)
    photo = decode(data)
    assert (photo.kind, photo.pixels.shape) == ("RAW", (4, 6, 3))
    with tifffile.TiffFile(io.BytesIO(photo.exif.removeprefix(b"Exif\0\0"))) as opened:
        tags = opened.pages[0].tags
        assert tags["Make"].value == "Test"
        assert tags["ExifTag"].value["DateTimeOriginal"] == DATE
        assert tags["GPSTag"].value["GPSLatitude"] == (47, 1, 22, 1, 30, 1)
    # What is damaged there is left out.
    assert decode(STARTS[kind]).exif == b""
    assert decode(data[:90].ljust(len(data), b"\0")).pixels.shape == (4, 6, 3)


def test_whatever_a_raw_developer_stumbles_on_is_about_that_file(monkeypatch):
    rawpy = pytest.importorskip("rawpy")

    def fail(*_):
        raise TypeError("Cannot handle this data type")

    monkeypatch.setattr(rawpy, "imread", fail)
    for data in (rw2(bytes(CODED)), monochrome_dng(np.zeros((64, 64), np.uint16), 1, 65535)):
        with pytest.raises(UnreadablePhoto, match="damaged: cut short or changed"):
            open_photo(data)
