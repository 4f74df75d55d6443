"""Pictures that Pillow opens, but reads otherwise than others do, or not at all."""

import base64
import io
import struct

import numpy as np
import pytest
import tifffile
from encoding import encoded, tiff
from PIL import Image

from colorization.decoding import jxl
from colorization.decoding.decode import open_photo, open_picture
from colorization.errors import UnreadablePhoto

HEIGHT, WIDTH = 5, 7


def test_measurements_of_other_formats_are_refused(monkeypatch):
    # Saving as SPIDER registers the ending of the name; all others are to be registered before.
    Image.init()
    monkeypatch.setattr(Image, "EXTENSION", dict(Image.EXTENSION))
    measured = Image.fromarray(np.linspace(-3, 7, 64).reshape(8, 8).astype(np.float32))
    for kind in ("SPIDER", "IM"):
        with pytest.raises(UnreadablePhoto, match=rf"a kind of {kind} .* save it as TIFF"):
            open_photo(encoded(measured, kind))


def test_dark_pgm_of_16_bits_stays_dark():
    values = np.arange(200, dtype=">u2").reshape(10, 20)
    opened = open_picture(b"P5 20 10 65535 " + values.tobytes())
    np.testing.assert_array_equal(opened.image, values)


PNM = [
    ("P4 9 5\n", 2),
    ("P5 9 5 255\n", 9),
    ("P5 9 5 100\n", 9),
    ("P5 9 5 1000\n", 18),
    ("P5 9 5 65535\n", 18),
    ("P6 9 5 255\n", 27),
    ("P6 9 5 65535\n", 54),
]


@pytest.mark.parametrize(("start", "row"), PNM)
def test_pictures_behind_the_first_of_netpbm_are_mentioned(start, row):
    one = start.encode() + b"\1" * 5 * row
    for further in (one, b"\n" + one, b"P6 # 2\n1 1 255 abc"):
        assert open_picture(one + further).notes == ("only the first of its pictures",)
    # Pixels, a rest, and a picture that has not arrived are none.
    for last in (b"", bytes(99), b"P5", b"P6 x"):
        assert open_picture(one + last).notes == ()
    assert open_picture(start.encode() + b"P5 9 5 9" * row).notes == ()


# Two rows of four grays with alpha of 16 bits, without loss by libjxl through FFmpeg 5.1
# (-f rawvideo -pix_fmt ya16le -s 4x2 -i - -c:v libjxl -distance 0).
DEEP_JXL = base64.b64decode(
    "AAAADEpYTCANCocKAAAAFGZ0eXBqeGwgAAAAAGp4bCAAAAAJanhsbAoAAABJanhsY/8KCHD8CH4AihsBCAgQAMAASxiLFVJs"
    "ut7Qezt9l4NktSljDsRcCx7lrWURdfF4vv4////bVlzwQ3RlZAun08IA"
)


def test_grays_with_alpha_of_16_bits_in_jpeg_xl():
    pytest.importorskip("pillow_jxl")
    picture = open_picture(DEEP_JXL)
    grays = [[0, 257, 1000, 65535], [40000, 300, 65000, 32768]]
    np.testing.assert_array_equal(picture.image, np.array(grays, np.uint16))
    alpha = np.array([[65535, 0, 65535, 1000], [33000, 65535, 500, 20000]])
    np.testing.assert_array_equal(picture.alpha, np.rint(alpha / 257))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_jpeg_xl_of_8_bits(channels):
    pytest.importorskip("pillow_jxl")
    values = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, channels), np.uint8)
    stored = Image.merge(
        ["L", "LA", "RGB", "RGBA"][channels - 1],
        [Image.fromarray(values[..., i]) for i in range(channels)],
    )
    picture = open_picture(encoded(stored, "JXL", lossless=True))
    np.testing.assert_array_equal(picture.image, values[..., : 1 + 2 * (channels > 2)].squeeze())
    if channels in (2, 4):
        np.testing.assert_array_equal(picture.alpha, values[..., -1])


# Three pictures of 16 x 8 pixels by cjxl 0.7 (-d 0 of a GIF), and the first of them alone.
ANIMATED_JXL = base64.b64decode(
    "/wrBBQFYUFwSCAigggAAfAJLKDQWvkncU1AwASIMhAEUZ9d5KvNiVFTMlQAYACE4AIJAAMDEpoUggIjjqqpKDAkhI8aEdFMj"
    "hEAcIgjRGjbWFInRdr4IArjwv9AuRa25cBlT4K48PagHSY0Ek/h9wIoAlo38MKGbicjgD40fRf3/hezmia0DAX0pK8TLlKTF"
    "6B1cTfyeij9JwGGV5lEKjmoGn483hEpwAFv8v/EgYB0IiHjgQAABMpEKAgAcAEsYixWCAwAIiHjgQAABMpEKAQAcAEsYixWC"
    "AwA="
)
STILL_JXL = base64.b64decode(
    "/wrBQUBxIQgCAQD0AUsoJMZHQcEEgBrR0dGGcTCTx7yaBxDLLgUAQrj486UZ/P9mgAP1TtNUTSUPWLijyfnH/78QUJBZT+Cr"
    "An779Bjt5zdzAupX+vNg1AKEfUY7baK3t3QlzOaZwa0JokA/ba4+Pz8eZP4+VVzAQEHEdBdLEKiRmEj0iQLtRjgq"
)


def test_animations_of_jpeg_xl_are_refused_by_name():
    """Its first picture cannot be had."""
    pytest.importorskip("pillow_jxl")
    assert open_picture(STILL_JXL).image.size == (16, 8)
    with pytest.raises(UnreadablePhoto, match=r"JPEG XL that cannot be read \(an animation\)"):
        open_picture(ANIMATED_JXL)


def test_animations_of_jpeg_xl_are_told():
    assert jxl.is_animation(ANIMATED_JXL) and not jxl.is_animation(STILL_JXL)
    in_parts = [b"\0\0\0\x0cJXL \r\n\x87\n"]
    for number, part in enumerate((ANIMATED_JXL[:90], ANIMATED_JXL[90:])):
        content = struct.pack(">I", number) + part
        in_parts.append(struct.pack(">I4s", 8 + len(content), b"jxlp") + content)
    assert jxl.is_animation(b"".join(in_parts))
    assert not jxl.is_animation(b"\xff\x0a")


# Heights and widths in headers of JPEG XL, their bits in the order of the file: one for multiples
# of 8, what chooses the length of a number, the number, and three of a ratio or zeros.
SIZES = [
    *("1 01010 100", "1 11011 000 10101", "0 00 101010101 010"),
    "0 10 1111111111111 000 01 111111111111111111",
    "0 11 111111111111111111111111111111 111",
]
PREVIEWS = [
    *("1 00 110", "1 10 001", "1 11 111111111 000 01 11111", "0 00 111111 000 10 11111111"),
    "0 01 1111111111 000 11 111111111111",
]


@pytest.mark.parametrize("is_animation", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_headers_of_jpeg_xl(size, is_animation):
    """Whatever stands before the bit of animations."""
    for intrinsic in ("0", *(f"1 {other}" for other in SIZES)):
        for preview in ("0", *(f"1 {other}" for other in PREVIEWS)):
            bits = f"{size} 0 1 101 {intrinsic} {preview} {is_animation:d}".replace(" ", "")
            header = int(bits[::-1], 2).to_bytes(len(bits) // 8 + 1, "little")
            assert jxl.is_animation(b"\xff\x0a" + header) == is_animation


# Transparency that is none


def tga(colors: np.ndarray, alpha: int, alpha_bits: int) -> bytes:
    pixels = np.dstack([colors[..., ::-1], np.full(colors.shape[:2], alpha, np.uint8)])
    return (
        struct.pack("<BBB5xHHHHBB", 0, 0, 2, 0, 0, WIDTH, HEIGHT, 32, 0x20 | alpha_bits)
        + pixels.tobytes()
    )


def bmp(colors: np.ndarray, alpha: int, masks: tuple[int, ...], size: int = 108) -> bytes:
    """With a header of Windows 95 or 98 (BITMAPV4HEADER, BITMAPV5HEADER)."""
    pixels = np.dstack([colors[..., ::-1], np.full(colors.shape[:2], alpha, np.uint8)])[::-1]
    header = struct.pack(
        "<IiiHHIIiiII4I", size, WIDTH, HEIGHT, 1, 32, 3, pixels.size, 0, 0, 0, 0, *masks
    )
    start = struct.pack("<2sI4xI", b"BM", 14 + size + pixels.size, 14 + size)
    return start + header.ljust(size, b"\0") + pixels.tobytes()


MASKS = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)


@pytest.mark.parametrize("size", [56, 108, 124])
def test_alpha_of_bmp_that_is_nowhere_is_none(size, colors):
    picture = open_picture(bmp(colors, 0, MASKS, size))
    assert picture.alpha is None
    np.testing.assert_array_equal(picture.image, colors)
    half = open_picture(bmp(colors, 128, MASKS, size))
    assert half.alpha.getextrema() == (128, 128)


@pytest.mark.parametrize(("alpha", "alpha_bits"), [(0, 0), (0, 8), (77, 0)])
def test_alpha_of_tga_that_is_nowhere_or_not_stated_is_none(alpha, alpha_bits, colors):
    picture = open_picture(tga(colors, alpha, alpha_bits))
    assert picture.alpha is None
    np.testing.assert_array_equal(picture.image, colors)
    assert open_picture(tga(colors, 128, 8)).alpha.getextrema() == (128, 128)


def test_the_one_bit_of_alpha_in_tga_of_16_bits():
    levels = np.array([[3, 17, 31]], np.uint16)
    pixels = (levels << 10 | levels << 5 | levels).astype("<u2")
    expected = np.repeat(levels[..., None] * 255 // 31, 3, 2)
    for alpha_bits, bits, alpha in (
        (1, [1, 1, 1], None),
        (1, [0, 0, 0], None),
        (0, [0, 1, 0], None),
        (1, [1, 0, 1], [[255, 0, 255]]),
    ):
        stored = pixels | (np.array([bits], "<u2") << 15)
        data = struct.pack("<BBB5xHHHHBB", 0, 0, 2, 0, 0, 3, 1, 16, 0x20 | alpha_bits)
        picture = open_picture(data + stored.astype("<u2").tobytes())
        np.testing.assert_array_equal(picture.image, expected)
        if alpha is None:
            assert picture.alpha is None or picture.alpha.getextrema() == (255, 255)
        else:
            np.testing.assert_array_equal(picture.alpha, alpha)


def test_palettes_of_tga_with_colors_of_16_bits():
    for bit in (0, 0x8000):
        palette = struct.pack("<2H", bit, 31 << 10 | bit)
        data = struct.pack("<BBBHHBHHHHBB", 0, 1, 1, 0, 2, 16, 0, 0, 2, 1, 8, 0x21)
        picture = open_picture(data + palette + b"\0\1")
        assert picture.alpha is None
        np.testing.assert_array_equal(picture.image, [[[0, 0, 0], [255, 0, 0]]])


@pytest.mark.parametrize(("alpha", "alpha_bits"), [(255, 8), (0, 8), (77, 0)])
def test_palettes_of_tga_with_colors_of_32_bits(alpha, alpha_bits, colors, grays):
    palette = np.zeros((256, 4), np.uint8)
    palette[: colors.size // 3, :3], palette[:, 3] = colors.reshape(-1, 3)[:, ::-1], alpha
    header = struct.pack(
        "<BBBHHBHHHHBB", 0, 1, 1, 0, 256, 32, 0, 0, WIDTH, HEIGHT, 8, 0x20 | alpha_bits
    )
    picture = open_picture(header + palette.tobytes() + bytes(range(colors.size // 3)))
    assert picture.alpha is None or picture.alpha.getextrema() == (255, 255)
    np.testing.assert_array_equal(picture.image, colors)


@pytest.mark.parametrize("kind", ["DDS", "SGI"])
def test_alpha_of_textures_that_is_nowhere_is_none(kind, colors):
    transparent = Image.fromarray(np.dstack([colors, np.zeros((HEIGHT, WIDTH), np.uint8)]))
    np.testing.assert_array_equal(open_photo(encoded(transparent, kind)), colors)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(
    ("fourth", "is_alpha"),
    [
        ([0], False),
        ([0, 254], False),
        ([255, 255, 255, 0], True),
        ([0, 255], True),
        ([0, 128, 255], True),
        ([0, 90, 100, 110, 120, 255], False),
    ],
)
def test_a_fourth_channel_of_tiff_that_nothing_tells(dtype, compression, fourth, is_alpha, colors):
    """It is alpha where it is all or nothing at most pixels; infrared of a scanner is not."""
    fourth = np.resize(np.array(fourth, np.uint8), (HEIGHT, WIDTH))
    values = np.dstack([colors, fourth]).astype(dtype)
    values *= np.iinfo(dtype).max // 255
    data = tiff(
        values,
        photometric="rgb",
        compression=compression,
        extrasamples=["unassalpha"],
    )
    with tifffile.TiffFile(io.BytesIO(data)) as opened:
        place = opened.pages[0].tags["ExtraSamples"].offset
    np.testing.assert_array_equal(open_picture(data).alpha, fourth)
    # A private tag that means nothing takes the place of the one that tells.
    untold = data[:place] + struct.pack("<H", 65000) + data[place + 2 :]
    picture = open_picture(untold)
    if is_alpha:
        np.testing.assert_array_equal(picture.alpha, fourth)
    else:
        assert picture.alpha is None
    np.testing.assert_array_equal(picture.image, colors)


def plain_tiff(pixels: bytes, height: int, width: int, order: str, **tags: int) -> bytes:
    """A gray TIFF file of 8 bits with its pixels from the ninth byte on, as libtiff writes it."""
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height} | {
        int(name[1:]): value for name, value in tags.items()
    }
    tags[279] = len(pixels)
    pixels += bytes(len(pixels) % 2)
    entries = (struct.pack(f"{order}HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags))
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(pixels))
    directory = struct.pack(f"{order}H", len(tags)) + b"".join(entries) + bytes(4)
    return header + pixels + directory


@pytest.mark.parametrize(
    ("order", "first"), [("<", b"IIIIIIII"), (">", b"MMMMMMMM"), ("<", b"CR\2\0"), ("<", b"CRCR")]
)
def test_gray_pixels_that_spell_the_mark_of_a_raw_file(order, first):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 11), np.uint8)
    pixels[0, : len(first)] = list(first)
    data = plain_tiff(pixels.tobytes(), 9, 11, order)
    np.testing.assert_array_equal(np.asarray(open_photo(data))[..., 0], pixels)


@pytest.mark.parametrize("photometric", [0, 1])
def test_white_is_zero_in_old_jpeg_too(photometric, grays):
    stored = encoded(Image.fromarray(255 - grays if photometric == 0 else grays), "JPEG")
    data = plain_tiff(
        stored, HEIGHT, WIDTH, "<", t259=6, t262=photometric, t513=8, t514=len(stored)
    )
    shown = open_photo(encoded(Image.fromarray(grays), "JPEG"))
    assert np.abs(np.asarray(open_photo(data), int) - np.asarray(shown, int)).max() < 8


def test_alpha_of_png_that_is_nowhere_is_meant(colors):
    transparent = Image.fromarray(np.dstack([colors, np.zeros((HEIGHT, WIDTH), np.uint8)]))
    assert open_picture(encoded(transparent, "PNG")).alpha.getextrema() == (0, 0)


# Kinds that are not read


def test_kinds_of_bmp_that_are_not_read_are_no_damage(colors):
    for masks in ((0x3FF00000, 0xFFC00, 0x3FF, 0), (0xF0000, 0xF00, 0xF, 0)):
        with pytest.raises(UnreadablePhoto, match=r"a kind of BMP .* save it as TIFF"):
            open_photo(bmp(colors, 0, masks))
    for depth, compression in ((2, 0), (64, 0), (24, 4)):
        data = bytearray(bmp(colors, 0, MASKS))
        struct.pack_into("<HI", data, 28, depth, compression)
        with pytest.raises(UnreadablePhoto, match=r"a kind of BMP .* save it as TIFF"):
            open_photo(bytes(data))


@pytest.mark.parametrize(
    ("marker", "bits", "details"),
    [
        (0xC3, 8, "lossless"),
        (0xC3, 12, "lossless"),
        (0xC5, 8, "hierarchical"),
        (0xCB, 8, "lossless"),
        (0xC1, 12, "12 bits"),
        (0xF7, 8, "JPEG-LS"),
    ],
)
def test_kinds_of_jpeg_that_are_not_read_are_no_damage(marker, bits, details, colors):
    data = bytearray(encoded(Image.fromarray(colors), "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 1], data[frame + 4] = marker, bits
    with pytest.raises(UnreadablePhoto, match=rf"a kind of JPEG .*{details}.* save it as TIFF"):
        open_photo(bytes(data))


def lossless_jpeg(width: int, height: int) -> bytes:
    """An even gray, each difference from the pixel before a bit of zero (ITU-T T.81, annex H)."""

    def segment(marker: int, body: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body

    frame = struct.pack(">BHHB3B", 8, height, width, 1, 1, 0x11, 0)
    table = b"\0\1" + bytes(15) + b"\0"
    start = b"\xff\xd8" + segment(0xC3, frame) + segment(0xC4, table)
    return start + segment(0xDA, b"\1\1\0\1\0\0") + bytes(width * height // 8) + b"\xff\xd9"


@pytest.mark.parametrize("between", [b"", b"\xff\xff", b"\xff\xd0", b"\0\0\0"])
def test_lossless_jpeg_is_refused_before_its_decoder_spoils_memory(between):
    data = lossless_jpeg(1024, 768)
    place = data.index(b"\xff\xc4")
    # The table of codes may come first, and decoders skip what stands between segments.
    data = data[:2] + data[place : place + 22] + between + data[2:place] + data[place + 22 :]
    for draft_size in (None, 256):
        with pytest.raises(UnreadablePhoto, match=r"a kind of JPEG .*lossless.* save it as TIFF"):
            open_photo(data, draft_size)


def test_kinds_of_tga_that_are_not_read_are_named():
    for palette, kind, bits in ((0, 2, 15), (1, 1, 16), (1, 9, 15)):
        data = struct.pack("<BBBHHBHHHHBB", 0, palette, kind, 0, 2, 15, 0, 0, 2, 2, bits, 0x20)
        with pytest.raises(UnreadablePhoto, match=r"a kind of TGA .* save it as TIFF"):
            open_photo(data + bytes(100))


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"P7\nWIDTH 2\nHEIGHT 2\n", "a kind of picture that cannot be read; save it as"),
        (b"FORM\0\0\1\0ILBM", "a kind of picture that cannot be read; save it as"),
        (b"AT&TFORM", "a kind of picture that cannot be read; save it as"),
        (b"II\xbc\1", "a kind of picture that cannot be read; save it as"),
        (b"<!DOCTYPE html><html>404", "a drawing or a text, not a photo"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a FlashPix picture or a document"),
        (b"PK\3\4", "an archive or a document"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\4CgBI", "a PNG of an app for the iPhone"),
        (bytes(128) + b"DICM", "a medical picture"),
        (b"\x89HDF\r\n\x1a\n", "a file of measurements"),
        (b"\1\0\0\0" + bytes(36) + b" EMF", "a drawing"),
        (b"DDS " + struct.pack("<I", 124) + bytes(120), "a kind of DDS that cannot be read"),
        (b"\1\xda\0\1\0\3\0\x08\0\x08\0\2" + bytes(600), "a kind of SGI that cannot be read"),
        (b"8BPS\0\1" + bytes(6) + b"\0\2\0\0\0\5\0\0\0\5\0\x08\0\7" + bytes(99), "a kind of PSD"),
    ],
)
def test_other_kinds_are_named(start, message):
    with pytest.raises(UnreadablePhoto, match=message):
        open_photo(start + bytes(200))


def test_icons_brushes_and_small_copies_are_named(grays):
    disc = bytes(2048) + b"PCD_IPI".ljust(96 * 2048, b"\0") + bytes(768 * 512 * 3 // 2)
    icon = encoded(Image.fromarray(grays).convert("1"), "XBM")
    brush = struct.pack(">5I4sI", 30, 2, WIDTH, HEIGHT, 1, b"GIMP", 10) + b"A\0" + grays.tobytes()
    for kind, data in (("PCD", disc), ("XBM", icon), ("GBR", brush)):
        with pytest.raises(UnreadablePhoto, match=f"a kind of {kind} .* save it as TIFF"):
            open_photo(data)


def test_uncompressed_pcx_is_refused(grays):
    """Pillow would take bright samples for the lengths of runs."""
    data = bytearray(encoded(Image.fromarray(grays), "PCX"))
    assert open_photo(bytes(data)).size == (WIDTH, HEIGHT)
    data[2] = 0
    with pytest.raises(UnreadablePhoto, match=r"a kind of PCX .*without compression.*save it as"):
        open_photo(bytes(data))


def test_xpm_of_colors_that_have_not_six_digits_is_refused():
    """Rows of pixels may look like a colour."""
    colors = '/* XPM */\nstatic char *a[] = {{\n"4 1 4 1",\n"c c #{}",\n"# m white c #102030",\n'
    rest = '"  c #000000",\n"d c #FFFFFF",\n" c #"\n};\n'
    expected = [[0, 0, 0], [254, 1, 128], [0, 0, 0], [16, 32, 48]]
    opened = open_photo((colors.format("Fe0180") + rest).encode())
    np.testing.assert_array_equal(np.asarray(opened)[0], expected)
    for color in ("F18", "FE00180", "FE0001008080", "FE0080180"):
        with pytest.raises(UnreadablePhoto, match=r"a kind of XPM .*6 digits.* save it as TIFF"):
            open_photo((colors.format(color) + rest).encode())


def test_postscript_is_named_whether_or_not_there_is_a_program_for_it(colors):
    with pytest.raises(UnreadablePhoto, match="a PostScript file; save it as a picture"):
        open_photo(encoded(Image.fromarray(colors), "EPS"))


def test_what_is_said_of_damage_is_about_the_file(colors):
    photo = Image.fromarray(colors).resize((32, 32))
    for kind in ("BMP", "ICO", "ICNS", "TIFF", "PNG"):
        data = encoded(photo, kind)
        for length in (20, 40, len(data) // 2):
            with pytest.raises(UnreadablePhoto) as refused:
                open_photo(data[:length])
            assert not any(word in str(refused.value) for word in ("index", "unpack", "buffer of"))
