"""Broken downloads, of which decoders make pictures all the same."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from encoding import encoded, png_chunk, sgi, tiff
from PIL import Image, features

from colorization.decoding.decode import open_photo, open_picture
from colorization.errors import UnreadablePhoto

KINDS = {
    "PNG": {},
    "JPEG": {"quality": 90},
    "WEBP": {"quality": 90},
    "WEBP lossless": {"lossless": True},
    "GIF": {},
    "TGA": {"compression": "tga_rle"},
    "JPEG2000": {},
    "AVIF": {"quality": 90},
    "HEIF": {"quality": 90},
    "JXL": {"quality": 90},
    "TIFF": {"compression": "tiff_adobe_deflate"},
    "TIFF lzw": {"compression": "tiff_lzw"},
    "TIFF jpeg": {"compression": "jpeg"},
    "TIFF group4": {"compression": "group4"},
}


@pytest.fixture
def grainy():
    """A photo with grain down to its lowest row."""
    ramp = np.add.outer(np.arange(150), np.arange(200)) / 2 + 40
    noise = np.random.default_rng(0).normal(0, 12, (150, 200, 3))
    return Image.fromarray((ramp[..., None] + noise).clip(0, 255).astype(np.uint8))


def made(kind: str, picture: Image.Image) -> bytes:
    """An encoded picture, or a skipped test where a library is missing."""
    name = kind.split()[0]
    Image.init()
    if name not in Image.SAVE or not (name != "AVIF" or features.check("avif")):
        pytest.skip(f"{name} is not installed")
    if "group4" in kind:
        picture = picture.convert("1")
    return encoded(picture, name, **KINDS[kind])


@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize("kind", KINDS)
def test_zeros_in_place_of_the_end_are_damage(kind, share, grainy):
    whole = made(kind, grainy)
    open_photo(whole)
    kept = int(share * len(whole))
    with pytest.raises(UnreadablePhoto, match="damaged"):
        open_photo(whole[:kept].ljust(len(whole), b"\0"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", [0, 128, 255])
def test_even_parts_are_no_damage(kind, level, grainy):
    """Encoders store them as zeros, too."""
    canvas = Image.new("RGB", (500, 400), (level, level, level))
    canvas.paste(grainy, (40, 40))
    for picture in (canvas, Image.new("RGB", (500, 400), (level, level, level))):
        assert open_picture(made(kind, picture)).notes == ()


def directory_first(data: bytes) -> bytes:
    """A TIFF file of one strip whose directory comes first, as scanners write it."""
    start = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, start)[0]
    entries = [bytearray(data[start + 2 + 12 * i :][:12]) for i in range(count)]
    tags = {struct.unpack_from("<H", entry)[0]: entry for entry in entries}
    place, size = (struct.unpack_from("<I", tags[tag], 8)[0] for tag in (273, 279))
    behind = 8 + 2 + 12 * count + 4
    lists = b""
    for entry in entries:
        _, kind, number, where = struct.unpack("<HHII", entry)
        length = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1}[kind] * number
        if length > 4:
            struct.pack_into("<I", entry, 8, behind + len(lists))
            lists += data[where : where + length] + bytes(length % 2)
    struct.pack_into("<I", tags[273], 8, behind + len(lists))
    header = struct.pack("<2sHIH", b"II", 42, 8, count)
    return header + b"".join(entries) + bytes(4) + lists + data[place : place + size]


@pytest.mark.parametrize("compression", ["tiff_adobe_deflate", "tiff_lzw", "jpeg", "group4"])
def test_zeros_in_strips_at_the_end_of_tiff(compression, grainy):
    picture = grainy.convert("1") if compression == "group4" else grainy
    with io.BytesIO() as file:
        picture.save(file, "TIFF", compression=compression, tiffinfo={278: 1000}, strip_size=10**6)
        data = directory_first(file.getvalue())
    difference = np.asarray(open_photo(data), int) - np.asarray(picture.convert("RGB"), int)
    assert np.abs(difference).mean() < (12 if compression == "jpeg" else 0.01)
    for share in (0.5, 0.9):
        kept = int(share * len(data))
        with pytest.raises(UnreadablePhoto, match="damaged"):
            open_photo(data[:kept].ljust(len(data), b"\0"))


def one_strip(picture: Image.Image, **settings) -> tuple[bytes, bytes]:
    """A TIFF file of one strip that stands at the end: what is before it, and the strip."""
    with io.BytesIO() as file:
        picture.save(file, "TIFF", tiffinfo={278: 1000}, strip_size=10**6, **settings)
        data = directory_first(file.getvalue())
    with tifffile.TiffFile(io.BytesIO(data)) as opened:
        (start,), (size,) = opened.pages[0].dataoffsets, opened.pages[0].databytecounts
    assert start + size == len(data)
    return data[:start], data[start:]


def with_strip(before: bytes, strip: bytes) -> bytes:
    data = bytearray(before + strip)
    with tifffile.TiffFile(io.BytesIO(data)) as opened:
        count = opened.pages[0].tags["StripByteCounts"]
    struct.pack_into("<I", data, count.valueoffset, len(strip))
    return bytes(data)


@pytest.mark.parametrize("compression", ["group3", "group4"])
def test_zeros_behind_the_end_of_a_fax(compression, grainy):
    """Hardware fills up whole sectors; writers of old leave out the mark of the end."""
    black = grainy.convert("1")
    before, strip = one_strip(black, compression=compression)
    # The mark of G4 takes at most the last four bytes.
    shorter = strip[:-4] if compression == "group4" else strip
    bits = f"{int.from_bytes(strip[-4:], 'big'):032b}".rstrip("0").removesuffix(2 * f"{1:012b}")
    unmarked = shorter + int(bits.ljust(32, "0"), 2).to_bytes(4, "big").rstrip(b"\0")
    for ended in (strip, unmarked if compression == "group4" else strip):
        for filling in (0, 100, 300, 5000):
            opened = open_photo(with_strip(before, ended + bytes(filling)))
            np.testing.assert_array_equal(opened, black.convert("RGB"))
    # Before the end, they stand for what is missing.
    for missing in (600, 1000):
        with pytest.raises(UnreadablePhoto, match="damaged"):
            open_photo(with_strip(before, strip[:-missing] + bytes(missing + 300)))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_ends_of_jpeg_in_tiff(mode, grainy):
    before, strip = one_strip(grainy.convert(mode), compression="jpeg", quality=90)
    opened = open_photo(with_strip(before, strip))
    pixels, end = strip[:-2], strip[-2:]
    for filling in (b"", bytes(200), bytes(3000), b"\xff" * 300):
        for ended in (pixels + filling + end, pixels + end + filling):
            np.testing.assert_array_equal(open_photo(with_strip(before, ended)), opened)
    for kept in (0.5, 0.9):
        half = pixels[: int(kept * len(pixels))]
        for ended in (half, half + end, half + bytes(300), half + bytes(300) + end):
            with pytest.raises(UnreadablePhoto, match="damaged"):
                open_photo(with_strip(before, ended))


@pytest.mark.parametrize("kind", ["QOI", "SGI"])
def test_zeros_behind_the_end_of_compressed_files(kind, grainy):
    data = sgi(np.asarray(grainy)) if kind == "SGI" else encoded(grainy, kind)
    for filled in (data, data + bytes(900)):
        np.testing.assert_array_equal(open_photo(filled), grainy)
    half = len(data) // 2
    for broken in (
        data[:half] + bytes(900) + data[half + 900 :],
        data[:half].ljust(2 * half, b"\0"),
    ):
        with pytest.raises(UnreadablePhoto, match="damaged"):
            open_photo(broken)


def test_black_at_the_end_of_compressed_textures_is_no_damage(grainy):
    """Only smaller copies behind the picture are hardly ever black."""
    black = grainy.copy()
    black.paste(0, (0, 100, 200, 150))
    data = encoded(black, "DDS", pixel_format="DXT1")
    assert "zeros" in open_picture(data).notes[0]
    with_copies = data[:28] + struct.pack("<I", 8) + data[32:]
    with pytest.raises(UnreadablePhoto, match="damaged"):
        open_photo(with_copies)


HOLED = {
    "WEBP": {"quality": 90},
    "WEBP lossless": {"lossless": True},
    "TIFF deflate": {"compression": "tiff_adobe_deflate"},
    "TIFF jpeg": {"compression": "jpeg", "quality": 90},
    "TIFF group3": {"compression": "group3"},
    "TIFF rle": {"compression": "tiff_ccitt"},
}


@pytest.mark.parametrize("kind", HOLED)
def test_holes_in_compressed_files_are_damage(kind, grainy):
    picture = grainy.resize((800, 600), Image.Resampling.NEAREST)
    picture = picture.convert("1") if kind in ("TIFF group3", "TIFF rle") else picture
    whole = encoded(picture, kind.split()[0], **HOLED[kind])
    assert open_picture(whole).notes == ()
    for share in (0.3, 0.6):
        start = int(share * len(whole))
        with pytest.raises(UnreadablePhoto, match="damaged"):
            open_photo(whole[:start] + bytes(4096) + whole[start + 4096 :])


@pytest.mark.parametrize("share", [0.2, 0.4, 0.6])
@pytest.mark.parametrize("settings", [{"quality": 90}, {"lossless": True}, {"save_all": True}])
@pytest.mark.parametrize("filling", [b"\0", b"\xff"])
def test_erased_sectors_of_webp_are_damage(share, settings, filling, grainy):
    # Even parts, through which a hole is less easily told.
    picture = Image.new("RGB", (800, 900))
    picture.paste(grainy.resize((800, 600)))
    frames = {"append_images": [grainy.resize(picture.size)]} if "save_all" in settings else {}
    whole = encoded(picture, "WEBP", **settings, **frames)
    open_photo(whole)
    # The first frame of two has less than half of the bytes.
    start = int(share * len(whole) / (2 if frames else 1))
    with pytest.raises(UnreadablePhoto, match="damaged"):
        open_photo(whole[:start] + 512 * filling + whole[start + 512 :])


@pytest.mark.parametrize("size", [512, 10**6])
@pytest.mark.parametrize("filling", [b"\0", b"\xff"])
@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_erased_sectors_of_heic_and_avif_are_damage(kind, filling, size, grainy):
    whole = made(kind, grainy)
    start = len(whole) // 2
    with pytest.raises(UnreadablePhoto, match="damaged"):
        open_photo((whole[:start] + size * filling)[: len(whole)] + whole[start + size :])


@pytest.mark.parametrize("quality", [80, 90])
def test_even_parts_that_lossy_webp_codes_as_zeros(quality, grainy):
    picture = Image.new("RGB", (1000, 1500))
    picture.paste(grainy.resize((1000, 750)))
    data = encoded(picture, "WEBP", quality=quality, method=0)
    assert bytes(64) in data
    assert open_picture(data).notes == ()


@pytest.mark.parametrize("quality", [75, 100])
def test_patterns_that_webp_codes_as_zeros(quality):
    across, down = np.meshgrid(np.arange(800), np.arange(600))
    for values in (across % 256, down % 256, across % 2 * 255, down % 2 * 255, across * 0 + 128):
        picture = Image.fromarray(values.astype(np.uint8)).convert("RGB")
        assert open_picture(encoded(picture, "WEBP", quality=quality)).notes == ()


@pytest.mark.parametrize("method", [0, 4])
def test_even_parts_that_lossless_webp_codes_as_zeros(method, grainy):
    for margin in (0, 255):
        photo = Image.new("RGB", (400, 400), (margin, margin, margin))
        photo.paste(grainy, (margin // 2, margin // 2))
        data = encoded(photo, "WEBP", lossless=True, method=method)
        assert method or bytes(64) in data
        np.testing.assert_array_equal(open_photo(data), photo)
        # Likewise what is cut out.
        photo.putalpha(Image.new("L", photo.size))
        photo.paste(grainy, (margin // 2, margin // 2))
        for settings in ({"lossless": True}, {"quality": 80}):
            opened = open_picture(encoded(photo, "WEBP", method=method, **settings))
            np.testing.assert_array_equal(opened.alpha, photo.getchannel("A"))


def test_a_strip_that_unpacks_to_far_more_than_its_pixels_is_damage(grainy):
    with io.BytesIO() as file:
        grainy.save(file, "TIFF", compression="tiff_adobe_deflate", strip_size=10**6)
        data = bytearray(directory_first(file.getvalue()))
    with tifffile.TiffFile(io.BytesIO(data)) as opened:
        tags = opened.pages[0].tags
        place, count = tags["StripOffsets"], tags["StripByteCounts"]
    # Of three megabytes, the picture needs 90,000 bytes.
    bomb = zlib.compress(np.asarray(grainy).tobytes() + bytes(3_000_000))
    struct.pack_into("<I", data, place.valueoffset, len(data))
    struct.pack_into("<I", data, count.valueoffset, len(bomb))
    with pytest.raises(UnreadablePhoto, match="damaged"):
        open_photo(bytes(data) + bomb)


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_changed_byte_of_png_is_damage(share, grainy):
    data = bytearray(encoded(grainy, "PNG"))
    data[int(share * len(data))] ^= 16
    with pytest.raises(UnreadablePhoto, match="damaged"):
        open_photo(bytes(data))


def test_png_with_a_wrong_checksum_around_sound_pixels(grainy):
    data = encoded(grainy, "PNG")
    at = data.index(b"IDAT")
    size = int.from_bytes(data[at - 4 : at], "big")
    for checksum in (bytes(4), b"\xff\xff\xff\xff"):
        changed = data[: at + 4 + size] + checksum + data[at + 8 + size :]
        np.testing.assert_array_equal(open_photo(changed), grainy)


def test_png_whose_other_chunks_are_damaged_is_opened(grainy):
    data = encoded(grainy, "PNG")
    wrong = [
        png_chunk(b"pHYs", b"\0" * 9)[:-1] + b"?",
        png_chunk(b"tEXt", b"Title\0A walk")[:-4] + bytes(4),
        png_chunk(b"gAMA", b"\0"),
        png_chunk(b"cHRM", b"\0" * 5),
        png_chunk(b"pHYs", b"\0"),
    ]
    for extra in wrong:
        opened = open_picture(data[:33] + extra + data[33:])
        np.testing.assert_array_equal(opened.image, grainy)
    without_end = data[: data.index(b"IEND") - 4] + bytes(12)
    np.testing.assert_array_equal(open_photo(without_end), grainy)


@pytest.mark.parametrize("kind", ["BMP", "PPM", "TGA", "DDS", "TIFF", "16 bits"])
def test_zeros_at_the_end_of_uncompressed_files_are_mentioned(kind, grainy):
    """They may be a black part of the photo like any other."""
    if kind == "16 bits":
        data = tiff(np.asarray(grainy).astype(np.uint16) * 257, photometric="rgb")
    elif kind == "TIFF":
        data = tiff(np.asarray(grainy), photometric="rgb")
    else:
        data = encoded(grainy, kind)
    assert open_picture(data).notes == ()
    notes = open_picture(data[:-9000] + bytes(9000)).notes
    assert len(notes) == 1
    assert "zeros" in notes[0]


def test_zeros_that_are_white_or_behind_the_photo_are_not_mentioned(grainy):
    page = Image.new("1", (800, 600), 1)
    page.paste(grainy.convert("1"), (100, 100))
    rgb, settings = np.asarray(grainy), {"photometric": "rgb", "metadata": None}
    with io.BytesIO() as scan, io.BytesIO() as tiles, io.BytesIO() as album:
        tifffile.imwrite(scan, ~np.asarray(page), photometric="miniswhite")
        tifffile.imwrite(tiles, rgb, tile=(128, 128), **settings)
        with tifffile.TiffWriter(album) as writer:
            writer.write(rgb, **settings)
            writer.write(rgb * 0, **settings)
        for data in (encoded(page, "PPM"), scan.getvalue(), tiles.getvalue(), album.getvalue()):
            assert open_picture(data).notes == ()
    assert open_picture(encoded(grainy, "BMP") + bytes(2000)).notes == ()


def test_holes_in_jpeg_are_damage(grainy):
    """Where the coding tells them from an even part."""
    for settings in ({"quality": 75}, {"quality": 95, "subsampling": 0}, {"quality": 90}):
        for picture in (grainy.resize((400, 300)), grainy.resize((400, 300)).convert("L")):
            whole = encoded(picture, "JPEG", **settings)
            open_photo(whole)
            for share in (0.4, 0.7):
                start = int(share * len(whole))
                broken = whole[:start] + bytes(1300) + whole[start + 1300 :]
                with pytest.raises(UnreadablePhoto, match="damaged"):
                    open_photo(broken)
            # What follows the end is none of the picture.
            open_photo(whole + bytes(5000) + whole)


@pytest.mark.parametrize("settings", [{}, {"progressive": True}, {"restart_marker_blocks": 4}])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_half_a_jpeg_with_an_end_marker_is_damage(settings, mode, grainy):
    """Tools that save what is left of a card write one."""
    whole = encoded(grainy.convert(mode), "JPEG", quality=90, **settings)
    # The last bits alone of progressive pictures are in the last half of the file.
    for share in (0.15, 0.3) if "progressive" in settings else (0.4, 0.9):
        for draft_size in (None, 40):
            with pytest.raises(UnreadablePhoto, match="damaged"):
                open_photo(whole[: int(share * len(whole))] + b"\xff\xd9", draft_size)
    # A gray corner that belongs to the photo is none of that.
    gray = grainy.copy()
    gray.paste((128, 128, 128), (100, 100, 200, 150))
    assert open_picture(encoded(gray.convert(mode), "JPEG", **settings)).notes == ()


@pytest.mark.parametrize("filler", [bytes(4000), b"\xff" * 4000])
def test_what_fills_up_a_jpeg_before_its_end_marker_is_no_hole(filler, grainy):
    data = encoded(grainy, "JPEG", quality=95)
    filled = data[:-2] + filler + data[-2:]
    np.testing.assert_array_equal(open_photo(filled), open_photo(data))
    # The same without that marker.
    np.testing.assert_array_equal(open_photo(filled[:-2]), open_photo(data))
    assert "its end marker is missing, which harms no pixel" in open_picture(filled[:-2]).notes


@pytest.mark.parametrize("filler", [b"", bytes(400), b"\xff" * 400, b"\xff" + bytes(400)])
def test_the_last_byte_of_pixels_may_look_like_what_fills_up_a_jpeg(filler):
    random, count = np.random.default_rng(0), 0
    while count < 3:
        noise = Image.fromarray(random.integers(0, 256, (16, 16), np.uint8))
        data = encoded(noise, "JPEG", quality=95)
        if data.endswith(b"\xff\0\xff\xd9"):
            count += 1
            np.testing.assert_array_equal(open_photo(data[:-2] + filler), open_photo(data))


def test_segments_of_jpeg_that_are_too_short_are_passed_over(grainy):
    """As libjpeg does."""
    data = encoded(grainy, "JPEG")
    assert data[2:4] == b"\xff\xe0"
    behind = data[4 + int.from_bytes(data[4:6], "big") :]
    stubs = (0xE0, b"JFIF\0"), (0xE0, b"JFIF\0\1"), (0xEE, b"Adobe"), (0xE2, b"ICC_PROFILE\0")
    for marker, body in stubs:
        stub = bytes([255, marker]) + (2 + len(body)).to_bytes(2, "big") + body
        opened = open_picture(data[:2] + stub + stub + behind)
        np.testing.assert_array_equal(opened.image, open_photo(data))


def test_a_list_of_further_pictures_that_is_nonsense_harms_none(grainy):
    """Whichever of its numbers it is (CIPA DC-007)."""
    data = encoded(grainy, "MPO", save_all=True, append_images=[grainy])
    begin = data.index(b"MPF\0")
    for place in range(begin + 4, begin + 80, 2):
        broken = data[:place] + b"\xff\xff" + data[place + 2 :]
        np.testing.assert_array_equal(open_photo(broken), open_photo(data))


@pytest.mark.parametrize("settings", [{}, {"optimize": True}, {"progressive": True}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_even_parts_of_jpeg_are_no_holes(settings, mode, grainy):
    for level in (0, 128, 255):
        canvas = Image.new("RGB", (3000, 2000), (level, level, level))
        plain = encoded(canvas.convert(mode), "JPEG", **settings)
        canvas.paste(grainy, (40, 40))
        for data in (plain, encoded(canvas.convert(mode), "JPEG", **settings)):
            assert open_picture(data).notes == ()
