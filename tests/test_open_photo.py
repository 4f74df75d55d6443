"""Opening photos of every kind, damaged ones too."""

import io
import struct

import numpy as np
import pytest
import tifffile
from encoding import encoded, plain_png, tiff
from PIL import Image, ImageOps, PngImagePlugin, features
from platforms import peak_memory

from colorization.data.photo_files import read_file
from colorization.decoding import refusals
from colorization.decoding.decode import open_photo, open_picture
from colorization.errors import UnreadablePhoto
from colorization.prediction.pictures import decode


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP", "GIF", "JPEG", "PPM"])
def test_every_kind_is_opened(colourful, kind):
    picture = Image.fromarray(colourful(40, 30))
    settings = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}
    opened = open_photo(encoded(picture, kind, **settings.get(kind, {})))
    assert opened.mode == "RGB"
    # JPEG rounds, GIF has 256 colours.
    tolerance = {"JPEG": 4, "GIF": 64}.get(kind, 0)
    difference = np.abs(np.asarray(opened, int) - np.asarray(picture, int))
    assert difference.max() <= tolerance


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_honoured(colourful, orientation):
    upright = colourful(40, 30)
    # Turns that undo each orientation (Exif 2.3, tag 274).
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[274] = orientation
    data = encoded(Image.fromarray(np.ascontiguousarray(stored)), "PNG", exif=exif)
    np.testing.assert_array_equal(open_photo(data), upright)


def test_transparent_parts_are_over_white():
    picture = Image.new("RGBA", (2, 1), (200, 0, 0, 255))
    picture.putpixel((1, 0), (0, 0, 0, 0))
    expected = [[[200, 0, 0], [255, 255, 255]]]
    np.testing.assert_array_equal(open_photo(encoded(picture, "PNG")), expected)
    palette = Image.new("P", (2, 1))
    palette.putpalette([200, 0, 0, 1, 2, 3])
    palette.putpixel((1, 0), 1)
    np.testing.assert_array_equal(open_photo(encoded(palette, "PNG", transparency=1)), expected)


ODD_TAGS = [
    # Tag, type, count, value: a resolution in words, a date as a ratio, a type of BigTIFF, maker
    # as a float, a width in words.
    (282, 2, 4, b"300\0"),
    (306, 5, 1, struct.pack("<II", 1, 0)),
    (39321, 16, 1, bytes(8)),
    (271, 11, 1, struct.pack("<f", 1.5)),
    (256, 2, 4, b"abc\0"),
]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("odd", ODD_TAGS)
def test_odd_tags_beside_an_orientation(kind, odd, colourful):
    entries, values = b"", b""
    for tag, form, count, value in sorted([(274, 3, 1, b"\6\0"), (272, 2, 4, b"M10\0"), odd]):
        entries += struct.pack("<HHI", tag, form, count)
        entries += value.ljust(4, b"\0") if len(value) < 5 else struct.pack("<I", 50 + len(values))
        values += value if len(value) > 4 else b""
    exif = struct.pack("<2sHIH", b"II", 42, 8, 3) + entries + bytes(4) + values
    picture = Image.fromarray(colourful(20, 30))
    settings = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(picture, kind, exif=b"Exif\0\0" + exif, **settings)
    photo = decode(data)
    plain = np.asarray(open_photo(encoded(picture, kind, **settings)))
    np.testing.assert_array_equal(photo.pixels, np.rot90(plain, -1))
    assert photo.notes == ()
    kept = Image.Exif()
    kept.load(photo.exif)
    # One odd tag takes no other along.
    assert kept[272] == "M10"


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", ["exif", "APP1"])
def test_exif_data_in_a_text_of_png(name, zipped, colourful):
    """As ImageMagick of old writes them: name, size and hexadecimal digits; XMP as well."""

    def photo(profile: bytes):
        info = PngImagePlugin.PngInfo()
        text = f"\n{name}\n{len(profile):8}\n{profile.hex()}\n"
        info.add_text(f"Raw profile type {name}", text, zip=zipped)
        return decode(encoded(Image.fromarray(colourful(20, 30)), "PNG", pnginfo=info))

    exif = Image.Exif()
    exif[274], exif[306] = 6, "1969:07:20 20:17:40"
    turned = photo(b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0"))
    np.testing.assert_array_equal(turned.pixels, np.rot90(colourful(20, 30), -1))
    kept = Image.Exif()
    kept.load(turned.exif)
    assert (kept[306], turned.notes) == ("1969:07:20 20:17:40", ())
    if name == "APP1":
        upright = photo(b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>")
        np.testing.assert_array_equal(upright.pixels, colourful(20, 30))
        assert upright.notes == ()


# Zeros, text with the mark of Adobe's colours, and a box of HEIC with the number before it.
NONSENSE = [bytes(40), b"no EXIF data R03\0", b"\0\0\0\6Exif\0\0MM\0*\0\0\0\x08"]


@pytest.mark.parametrize("nonsense", NONSENSE)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF", "JXL", "AVIF"])
def test_exif_data_that_are_nonsense_are_left_out_which_is_said(kind, nonsense, colourful):
    if kind not in Image.SAVE:
        pytest.skip(f"nothing here writes {kind}")
    picture, mark = Image.fromarray(colourful(20, 30)), b"Exif\0\0"
    settings = {"lossless": True} if kind == "WEBP" else {}
    sound = b"II*\0\x08\0\0\0" + bytes(32)
    data = encoded(picture, kind, exif=mark + sound, dpi=(300, 300), **settings)
    assert decode(data).notes == ()
    # Encoders of some formats refuse to write any but the beginning of sound data.
    assert data.count(sound) == 1
    broken = data.replace(sound, nonsense.ljust(len(sound), b"\0")[: len(sound)])
    photo = decode(broken)
    np.testing.assert_array_equal(photo.pixels, decode(data).pixels)
    assert ["left out" in note for note in photo.notes] == [True]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_xmp_data_tell_how_a_tiff_picture_lies(dtype, colourful):
    values = colourful(8, 6).astype(dtype) * (np.iinfo(dtype).max // 255)
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    photo = decode(tiff(values, photometric="rgb", extratags=[(700, "B", len(xmp), xmp, True)]))
    np.testing.assert_array_equal(photo.pixels, np.rot90(colourful(8, 6), -1))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_xmp_data_tell_how_a_picture_with_nonsense_beside_it_lies(kind, colourful):
    picture = Image.fromarray(colourful(20, 30))
    turned = b'<rdf:Description tiff:Orientation="6"/>'
    photo = decode(encoded(picture, kind, xmp=turned, exif=b"Exif\0\0" + bytes(40)))
    assert photo.pixels.shape[:2] == (30, 20)
    assert ["left out" in note for note in photo.notes] == [True]


@pytest.mark.parametrize("tag", [34665, 34853, 40965])
@pytest.mark.parametrize(("kind", "value"), [(9, -5), (8, -5), (4, 2**31), (4, 9)])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("order", "<>")
def test_pointers_to_exif_data_in_tiff_files_may_lead_anywhere(
    tag, kind, value, bits, compression, order, colourful
):
    pixels = colourful(20, 30).astype(f"u{bits // 8}") * (257 if bits == 16 else 1)
    # The writer leaves out such pointers, so that the number of another tag is changed to theirs.
    extra = [(274, 3, 1, 6, True), (tag + 1, 4, 1, 12345, True)]
    with io.BytesIO() as file:
        with tifffile.TiffWriter(file, byteorder=order) as writer:
            writer.write(
                pixels, photometric="rgb", metadata=None, compression=compression, extratags=extra
            )
        data = file.getvalue()
    sound = struct.pack(f"{order}HHII", tag + 1, 4, 1, 12345)
    assert data.count(sound) == 1
    pointer = value % 2**32
    if kind == 8:
        # Numbers of 16 bits lie at the beginning of the field.
        pointer = value % 2**16 if order == "<" else value % 2**16 << 16
    photo = decode(data.replace(sound, struct.pack(f"{order}HHII", tag, kind, 1, pointer)))
    np.testing.assert_array_equal(photo.pixels, np.rot90(colourful(20, 30), -1))


def test_avif_is_turned_by_its_boxes_alone(colourful):
    if not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    data = encoded(Image.fromarray(colourful(64, 48)), "AVIF", xmp=xmp)
    assert open_photo(data).size == (48, 64)


def test_tags_of_tiff_of_any_type(colourful):
    """Kind of page, text and profile as numbers."""
    for dtype in (np.uint8, np.uint16):
        values = colourful(20, 30).astype(dtype) * (np.iinfo(dtype).max // 255)
        for tag, form in ((700, "H"), (700, "I"), (34675, "H"), (34675, "f"), (254, "d")):
            numbers = (1, 0.0) if tag == 254 else (4, (1, 2, 3, 4))
            data = tiff(values, photometric="rgb", extratags=[(tag, form, *numbers, True)])
            np.testing.assert_array_equal(open_photo(data), colourful(20, 30))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_transparency_is_turned_with_the_photo(orientation, colourful):
    exif = Image.Exif()
    exif[274] = orientation
    picture = Image.fromarray(colourful(20, 30))
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    data = encoded(picture, "PNG", exif=exif)
    opened = open_picture(data)
    with Image.open(io.BytesIO(data)) as stored:
        expected = ImageOps.exif_transpose(stored)
    np.testing.assert_array_equal(np.dstack([opened.image, opened.alpha]), expected)


def test_16_bit_gray_is_scaled():
    values = np.array([[0, 257, 128 * 257, 65535]], np.uint16)
    opened = np.asarray(open_photo(encoded(Image.fromarray(values), "PNG")))
    np.testing.assert_array_equal(opened[0, :, 0], [0, 1, 128, 255])
    transparent = encoded(Image.fromarray(values), "PNG", transparency=128 * 257)
    np.testing.assert_array_equal(np.asarray(open_photo(transparent))[0, :, 0], [0, 1, 255, 255])
    floats = Image.fromarray(np.array([[0, 0.5, 1, np.nan]], np.float32))
    opened = np.asarray(open_photo(encoded(floats, "TIFF")))
    np.testing.assert_array_equal(opened[0, :, 1], [0, 128, 255, 0])


def test_32_bit_gray_is_scaled():
    """White is the end of the type's range, unless the picture would be black all over then."""
    values = np.array([[0, 2**29, 2**30, 2**31 - 1]], np.int32)
    opened = np.asarray(open_photo(encoded(Image.fromarray(values), "TIFF")))
    np.testing.assert_array_equal(opened[0, :, 0], [0, 64, 128, 255])
    values = np.array([[0, 128 * 257, 65535]], np.int32)
    opened = np.asarray(open_photo(encoded(Image.fromarray(values), "TIFF")))
    np.testing.assert_array_equal(opened[0, :, 0], [0, 128, 255])


def test_cmyk_is_converted():
    cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    for kind in ("JPEG", "TIFF"):
        pixel = np.asarray(open_photo(encoded(cmyk, kind)), int)[4, 4]
        assert np.abs(pixel - [255, 0, 0]).max() <= 3


def test_colour_profiles_are_applied(colourful, swapped_profile):
    picture = Image.fromarray(colourful(20, 20))
    opened = open_photo(encoded(picture, "PNG", icc_profile=swapped_profile))
    difference = np.asarray(opened, int) - np.asarray(picture, int)[..., ::-1]
    assert np.abs(difference).max() <= 2
    transparent = picture.copy()
    transparent.putalpha(Image.linear_gradient("L").resize(picture.size))
    opened = open_photo(encoded(transparent, "PNG", icc_profile=swapped_profile))
    unprofiled = open_photo(encoded(transparent, "PNG"))
    difference = np.asarray(opened, int) - np.asarray(unprofiled, int)[..., ::-1]
    assert np.abs(difference).max() <= 2
    nonsense = open_photo(encoded(picture, "PNG", icc_profile=b"nonsense"))
    np.testing.assert_array_equal(nonsense, picture)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_is_opened(colourful):
    picture = Image.fromarray(colourful(64, 48))
    opened = open_photo(encoded(picture, "AVIF", quality=95))
    assert np.abs(np.asarray(opened, int) - np.asarray(picture, int)).mean() < 4


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
@pytest.mark.parametrize("orientation", [1, 6])
def test_avif_is_cropped_to_its_clean_aperture_and_turned(colourful, orientation):
    picture = Image.fromarray(colourful(64, 48))
    exif = Image.Exif()
    exif[274] = orientation
    # The aperture takes the place of a profile of the same length, as a property of the picture.
    room = bytes(range(1, 29))
    data = bytearray(encoded(picture, "AVIF", quality=95, exif=exif, icc_profile=room))
    # An aperture has to be marked as essential, by the first bit of its number among the picture's.
    numbers = data.index(b"ipma") + 15
    for place in range(numbers, numbers + data[numbers - 1]):
        data[place] |= 0x80
    for aperture, edges in {
        # Width and height, how far its middle is right of and below that of the picture.
        (30, 1, 20, 1, -3, 1, 5, 1): (6, 27, 36, 47),
        (21, 1, 33, 1, 1, 2, -1, 2): (14, 15, 35, 48),
        (48, 1, 64, 1, 1, 1, 0, 1): (0, 0, 48, 64),
    }.items():
        clap = b"clap" + struct.pack(">IIIIiIiI", *aperture)
        cropped = data.replace(b"colrprof" + room, clap)
        assert cropped.count(clap) == 1
        opened = open_photo(cropped)
        expected = np.asarray(picture.crop(edges), int)
        expected = np.rot90(expected, -1) if orientation == 6 else expected
        assert np.asarray(opened).shape == expected.shape
        assert np.abs(np.asarray(opened, int) - expected).mean() < 4


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_further_pictures_of_avif_are_named(colourful):
    rgba = np.dstack([colourful(64, 48), np.arange(64 * 48, dtype=np.uint8).reshape(64, 48)])
    data = encoded(Image.fromarray(rgba), "AVIF")
    assert open_picture(data).notes == ()
    # Without a reference from one to the other, the mask is a picture of its own.
    alone = data.replace(b"auxl", b"cdsc")
    assert alone != data
    assert open_picture(alone).notes == ("only the first of its 2 pictures",)


def test_16_bit_colour_is_scaled():
    """Within one step of 8 bits: Pillow keeps the upper half."""
    values = np.array([[[0, 128 * 257, 65535], [10000, 20000, 30000]]], np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    opened = np.asarray(open_photo(plain_png(2, 1, 2, 16, rows)))
    assert np.abs(opened - values / 257).max() <= 1


@pytest.mark.parametrize(("width", "height"), [(6000, 20), (20, 6000), (5000, 300), (1, 1)])
def test_wide_tall_and_small_photos_keep_their_mean(width, height):
    """Fine stripes, which careless shrinking turns into others."""
    stripes = np.zeros([height, width, 3], np.uint8)
    stripes[::2, :, 0] = 200
    stripes[:, ::2, 1] = 200
    opened = np.asarray(open_photo(encoded(Image.fromarray(stripes), "PNG"), draft_size=256))
    rows, columns, _ = opened.shape
    for before, after in ((height, rows), (width, columns)):
        assert after == before if before < 512 else 256 <= after < 512
    middle = opened[1:-1, 1:-1].reshape(-1, 3)
    if width > 1:
        channel = 1 if columns < width else 0
        assert np.abs(middle[:, channel].astype(int) - 100).max() <= 20


def test_damaged_files_say_why(tmp_path, colourful):
    whole = encoded(Image.fromarray(colourful(64, 64)), "JPEG")
    for data, reason in (
        (b"Dear diary", "not a picture"),
        (whole[: len(whole) // 2], "damaged"),
        (encoded(Image.fromarray(colourful()), "PNG")[:2000], "damaged"),
    ):
        with pytest.raises(UnreadablePhoto, match=reason):
            open_photo(data)
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(UnreadablePhoto, match="empty"):
        read_file(str(tmp_path / "empty.jpg"))
    with pytest.raises(UnreadablePhoto, match="no such file"):
        read_file(str(tmp_path / "missing.jpg"))


def test_jpeg_whose_rest_is_zeros_is_cut_short(colourful):
    data = encoded(Image.fromarray(colourful(64, 64)), "JPEG")
    # The end marker of a thumbnail is none of the photo.
    exif = b"Exif\0\0II*\0\x08\0\0\0" + bytes(6)
    thumbnail = exif + encoded(Image.new("RGB", (8, 8)), "JPEG")
    with_thumbnail = b"".join(
        [data[:2], b"\xff\xe1", struct.pack(">H", len(thumbnail) + 2), thumbnail, data[2:]]
    )
    for whole in (data, with_thumbnail):
        half = len(whole) - len(data) // 4
        with pytest.raises(UnreadablePhoto, match="truncated"):
            open_photo(whole[:half].ljust(len(whole), b"\0"))
        for end in (b"", bytes(100)):
            assert "end marker" in open_picture(whole[:-2] + end).notes[0]
            assert open_picture(whole + end).notes == ()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"8BPS\0\2" + bytes(16) + b"\0\x20" + bytes(50), "Photoshop of 32 bits"),
        (b"#?RADIANCE\n" + bytes(50), "a kind of picture that cannot be read"),
        (b"v/1\1" + bytes(50), "a kind of picture that cannot be read"),
        (b"PF\n2 2\n-1\n" + bytes(48), "a kind of picture that cannot be read"),
    ],
)
def test_pictures_of_unknown_kinds_are_named(data, message):
    with pytest.raises(UnreadablePhoto, match=message):
        open_photo(data)


@pytest.mark.skipif(not features.check("avif"), reason="Pillow lacks AVIF")
def test_damaged_avif_is_no_reason_to_install_anything(colourful):
    data = encoded(Image.fromarray(colourful(64, 64)), "AVIF")
    for length in (40, len(data) * 2 // 3):
        with pytest.raises(UnreadablePhoto, match="damaged"):
            open_photo(data[:length])


def test_palettes_of_8_bits_in_tiff():
    gray = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).convert("P")
    gray.putpalette([value // 2 + 20 for value in range(256) for _ in range(3)])
    data = encoded(gray, "TIFF")
    with Image.open(io.BytesIO(data)) as picture:
        colors = picture.tag_v2[320]
    narrow = data.replace(
        struct.pack("<768H", *colors), struct.pack("<768H", *(color // 256 for color in colors))
    )
    assert narrow != data
    for stored in (data, narrow):
        np.testing.assert_array_equal(np.asarray(open_photo(stored)), gray.convert("RGB"))


def test_tiff_that_is_misread_is_named(colourful):
    with pytest.raises(UnreadablePhoto, match=r"a kind of TIFF .*YCBCR"):
        open_photo(tiff(colourful(16, 16), photometric="ycbcr"))


def test_lying_headers_are_refused_before_decoding(monkeypatch, colourful):
    data = bytearray(encoded(Image.fromarray(colourful(16, 16)), "BMP"))
    data[18:26] = (50_000).to_bytes(4, "little") * 2
    with pytest.raises(UnreadablePhoto, match="above the limit"):
        open_photo(bytes(data))
    monkeypatch.setattr(refusals, "MAX_PIXELS", 99)
    with pytest.raises(UnreadablePhoto, match="10 x 10"):
        open_photo(encoded(Image.new("RGB", (10, 10)), "PNG"))


def test_lying_headers_cost_no_memory():
    """Up to the limit a header is believed, but the pixels have to come."""
    lies = bytearray(encoded(Image.new("RGB", (8, 8)), "JPEG"))
    size = lies.index(b"\xff\xc0") + 5
    lies[size : size + 4] = b"\xff\xff\xff\xff"
    before = peak_memory()
    for data in (
        bytes(lies),
        plain_png(60_000, 60_000, 2, 8, b"\0"),
        plain_png(2**31 - 1, 1, 2, 8, b"\0"),
    ):
        with pytest.raises(UnreadablePhoto, match="above the limit"):
            open_photo(data)
    # The smallest of these claims is ten gigabytes.
    assert peak_memory() - before < 100_000_000


def test_draft_keeps_every_side_large_enough():
    data = encoded(Image.new("RGB", (2000, 1200), "teal"), "JPEG")
    width, height = open_photo(data, draft_size=256).size
    assert (width, height) == (500, 300)
