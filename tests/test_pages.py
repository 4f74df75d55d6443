"""Files with several pictures, previews, and files with harmless faults."""

import io
import logging
import os
import struct

import numpy as np
import pytest
import tifffile
from encoding import encoded
from PIL import Image, PngImagePlugin
from predicting import read_finished

from colorization.data.photo_files import file_version
from colorization.data.places import places_in_common_folder
from colorization.data.report import Report
from colorization.decoding.decode import open_photo
from colorization.errors import UnreadablePhoto
from colorization.prediction.colorize_folder import colorize_photos
from colorization.prediction.picture_names import picture_names
from colorization.prediction.pictures import decode, decode_pages, encode, notes
from colorization.prediction.results import shown_version


def album(colourful) -> bytes:
    """A TIFF file: a gray page with a date, a preview of it, colours of 16 bits, floats."""
    with io.BytesIO() as file, tifffile.TiffWriter(file) as writer:
        settings = {"metadata": None, "contiguous": False}
        gray = colourful(20, 30)[..., 1]
        writer.write(gray, photometric="minisblack", datetime="1969:07:20 20:17:40", **settings)
        writer.write(gray[::4, ::4], photometric="minisblack", subfiletype=1, **settings)
        deep = colourful(24, 32, 1).astype(np.uint16) * 257
        writer.write(deep, photometric="rgb", **settings)
        writer.write(gray.astype(np.float32) / 255, photometric="minisblack", **settings)
        writer.close()
        return file.getvalue()


def frames(data: bytes) -> list[np.ndarray]:
    with Image.open(io.BytesIO(data)) as picture:
        pictures = []
        for number in range(picture.n_frames):
            picture.seek(number)
            pictures.append(np.asarray(picture.convert("RGB")))
        return pictures


# From Python 3.13 on, what fails while an object is removed is shown on standard error.
@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_each_page_is_coloured(colorizer, colourful):
    data = album(colourful)
    coloured = colorizer.colorize_bytes(data)
    shapes = [(20, 30, 3), (24, 32, 3), (20, 30, 3)]
    assert [frame.shape for frame in frames(coloured)] == shapes
    with tifffile.TiffFile(io.BytesIO(coloured)) as file:
        assert len(file.pages) == 3
        assert file.pages[0].datetime is not None
    problems = []
    for frame, photo in zip(frames(coloured), decode_pages(data, "TIFF", problems), strict=True):
        expected = colorizer.colorize(photo.pixels)
        expected = expected / 257 if expected.dtype == np.uint16 else expected
        np.testing.assert_allclose(frame, expected, atol=1)
    assert not problems


def test_pages_that_a_format_cannot_hold_are_named(colorizer, colourful, caplog):
    picture = colorizer.colorize_bytes(album(colourful), "PNG")
    assert len(frames(picture)) == 1
    assert "its 2 further pages are left out, which PNG cannot hold" in caplog.text


def colorize(colorizer, path, output, format=None):
    report = Report(1)
    names = picture_names(places_in_common_folder([str(path)]), format)
    scores = colorize_photos(colorizer, names, output, report, lambda: None, workers=1, quality=95)
    return report, scores


def test_folders_get_all_pages_in_gray_colour_and_truth(colorizer, tmp_path, colourful):
    (tmp_path / "album.tif").write_bytes(album(colourful))
    report, scores = colorize(colorizer, tmp_path / "album.tif", tmp_path / "out")
    assert not report.unreadable
    assert scores["album.tif"]["rmse"] > 0
    views = [
        frames((tmp_path / "out" / view / "album.tif").read_bytes())
        for view in ("gray", "predicted", "truth")
    ]
    assert [[frame.shape for frame in view] for view in views] == [
        [(20, 30, 3), (24, 32, 3), (20, 30, 3)]
    ] * 3
    np.testing.assert_allclose(views[2][1], colourful(24, 32, 1), atol=1)
    np.testing.assert_array_equal(views[2][0], views[0][0])


def test_a_page_that_cannot_be_read_is_named_and_the_others_are_coloured(
    colorizer, tmp_path, colourful, caplog
):
    data = bytearray(album(colourful))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        place = file.pages[2].tags["BitsPerSample"].valueoffset
    # Samples of 64 bits are more than the page's bytes hold.
    data[place : place + 6] = b"\x40\0\x40\0\x40\0"
    (tmp_path / "album.tif").write_bytes(data)
    report, _ = colorize(colorizer, tmp_path / "album.tif", tmp_path / "out")
    (reason,) = report.unreadable.values()
    assert reason.startswith("page 2: ")
    assert f"left out of {tmp_path / 'album.tif'}: page 2: " in caplog.text
    assert "skipped" not in caplog.text
    for view in ("gray", "predicted"):
        assert len(frames((tmp_path / "out" / view / "album.tif").read_bytes())) == 2
    assert not (tmp_path / "out" / "truth").exists()
    problems = []
    assert len(frames(colorizer.colorize_bytes(bytes(data), problems=problems))) == 2
    assert problems == [reason]
    # The next run finds it unfinished, and complains again.
    (picture,) = read_finished(tmp_path / "out").values()
    assert shown_version(picture, str(tmp_path / "album.tif"), file_version) is None


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("pointer", [1, 8, 500, 2**16 - 1, 2**32 - 1])
def test_nonsense_behind_the_last_page_is_no_page(count, pointer, colourful):
    """Writers of old left anything there."""
    with io.BytesIO() as file:
        with tifffile.TiffWriter(file) as writer:
            for seed in range(count):
                writer.write(colourful(20, 30, seed), photometric="rgb", metadata=None)
        data = bytearray(file.getvalue())
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        last = file.pages[-1].offset
    (tags,) = struct.unpack_from("<H", data, last)
    struct.pack_into("<I", data, last + 2 + 12 * tags, pointer)
    problems = []
    photos = list(decode_pages(bytes(data), None, problems))
    assert (len(photos), problems) == (count, [])


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", "<>")
def test_pages_that_a_cut_album_lacks_are_named(colourful, big, order):
    with io.BytesIO() as file:
        with tifffile.TiffWriter(file, bigtiff=big, byteorder=order) as writer:
            for seed in range(4):
                writer.write(colourful(20, 30, seed), photometric="rgb", metadata=None)
        data = file.getvalue()
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        starts = [page.offset for page in file.pages]
        pixels = [page.dataoffsets[0] for page in file.pages]
    # Before, within and behind the directory of the third page; the pixels stand behind each.
    for length, whole in (
        (starts[2], 2),
        (starts[2] + 30, 2),
        (pixels[2] + 900, 2),
        (starts[3], 3),
    ):
        problems = []
        photos = list(decode_pages(data[:length], None, problems))
        assert len(photos) == whole
        for seed, photo in enumerate(photos):
            np.testing.assert_array_equal(photo.pixels, colourful(20, 30, seed))
        assert problems[0].startswith(f"page {whole + 1}: damaged")
    for length in range(20, pixels[0] + 1800, 100):
        with pytest.raises(UnreadablePhoto, match="damaged"):
            list(decode_pages(data[:length], None, []))
    # A chain that ends where it began lacks nothing.
    order, form = ("little" if order == "<" else "big"), ((8, 20) if big else (2, 12))
    count = int.from_bytes(data[starts[3] : starts[3] + form[0]], order)
    place = starts[3] + form[0] + form[1] * count
    size = 8 if big else 4
    looped = data[:place] + starts[0].to_bytes(size, order) + data[place + size :]
    problems = []
    assert len(list(decode_pages(looped, None, problems))) == 4
    assert problems == []


@pytest.mark.parametrize(("kind", "ending"), [("GIF", "gif"), ("WEBP", "webp"), ("PNG", "png")])
def test_of_animations_the_first_picture_is_coloured_which_is_said(
    colorizer, tmp_path, colourful, caplog, kind, ending
):
    first, *rest = (Image.fromarray(colourful(20, 30, seed)) for seed in range(3))
    path = tmp_path / f"film.{ending}"
    path.write_bytes(encoded(first, kind, save_all=True, append_images=rest))
    report, scores = colorize(colorizer, path, tmp_path / "out")
    assert not report.unreadable
    assert caplog.text.count("only the first of its 3 pictures") == 1
    (name,) = scores
    for view in ("gray", "predicted", "truth"):
        assert len(frames((tmp_path / "out" / view / name).read_bytes())) == 1


def test_the_second_picture_of_a_camera_is_passed_over(colourful):
    first, second = (Image.fromarray(colourful(20, 30, seed)) for seed in range(2))
    photo = decode(encoded(first, "MPO", save_all=True, append_images=[second]))
    assert (photo.kind, photo.notes) == ("JPEG", ())


# Previews


def with_preview_first(photo: np.ndarray, below: bool, **settings) -> bytes:
    """A TIFF file whose first picture is small, the photo in a sub-directory or the next page."""
    with io.BytesIO() as file, tifffile.TiffWriter(file) as writer:
        preview = np.zeros([11, 16, 3], np.uint8)
        writer.write(preview, photometric="rgb", subfiletype=1, subifds=int(below), metadata=None)
        writer.write(photo, metadata=None, **settings)
        writer.close()
        return file.getvalue()


def test_a_preview_before_the_photo_is_passed_over(colourful):
    data = with_preview_first(colourful(44, 64), False, photometric="rgb")
    np.testing.assert_array_equal(open_photo(data), colourful(44, 64))


def test_pages_that_are_all_told_to_be_reduced_are_photos(colourful):
    with io.BytesIO() as file:
        with tifffile.TiffWriter(file) as writer:
            for seed in range(2):
                writer.write(
                    colourful(20, 30, seed), photometric="rgb", subfiletype=1, metadata=None
                )
        photos = list(decode_pages(file.getvalue(), None, []))
    assert len(photos) == 2
    np.testing.assert_array_equal(photos[1].pixels, colourful(20, 30, 1))


def test_old_tags_tell_of_a_preview_too(colourful):
    """That of TIFF 5.0, SubfileType, is 2 for reduced pictures, and 1 for photos."""
    with io.BytesIO() as file:
        with tifffile.TiffWriter(file) as writer:
            for step, kind in ((4, 2), (1, 1)):
                tags = [(255, "H", 1, kind, True)]
                pixels = colourful(44, 64)[::step, ::step]
                writer.write(pixels, photometric="rgb", metadata=None, extratags=tags)
        photos = list(decode_pages(file.getvalue(), None, []))
    assert [photo.pixels.shape for photo in photos] == [(44, 64, 3)]
    np.testing.assert_array_equal(photos[0].pixels, colourful(44, 64))


@pytest.mark.parametrize(("scale", "kept"), [(1, False), (2, True)])
def test_a_page_behind_a_preview_with_a_photo_below(scale, kept, colourful):
    """What lies below is a photo of its own, or a larger preview of the page."""
    behind = colourful(44 * scale, 64 * scale)
    with io.BytesIO() as file:
        with tifffile.TiffWriter(file) as writer:
            settings = {"photometric": "rgb", "metadata": None}
            writer.write(colourful(11, 16), subfiletype=1, subifds=1, **settings)
            writer.write(colourful(44, 64), **settings)
            writer.write(behind, **settings)
        data = file.getvalue()
    if kept:
        photos = list(decode_pages(data, None, []))
        assert len(photos) == 1
        np.testing.assert_array_equal(photos[0].pixels, behind)
    else:
        with pytest.raises(UnreadablePhoto, match="only a preview of 16 x 11; save the photo"):
            list(decode_pages(data, None, []))


def test_a_photo_below_its_preview_is_refused(colourful):
    gray = colourful(44, 64)[..., 1].astype(np.uint16) * 64
    for photo, photometric in ((colourful(44, 64), "rgb"), (gray, "minisblack")):
        data = with_preview_first(photo, True, photometric=photometric)
        for read in (open_photo, decode):
            with pytest.raises(UnreadablePhoto, match="only a preview of 16 x 11; save the photo"):
                read(data)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC photo; pip install pillow-heif"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "a HEIC photo; pip install pillow-heif"),
        (b"\xff\x0a\xfa\x1f", "a JPEG XL photo; pip install pillow-jxl-plugin"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL photo; pip install pillow-jxl-plugin"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "a film, not a photo"),
        (b"\x1a\x45\xdf\xa3", "a film, not a photo"),
        (b"%PDF-1.7", "a PDF file"),
        (b"<?xml version='1.0'?><svg>", "a drawing"),
        (b"Dear diary", "^not a picture$"),
    ],
)
def test_known_kinds_are_named_with_what_reads_them(monkeypatch, start, message):
    """No library has registered these kinds."""
    monkeypatch.setattr(Image, "ID", [kind for kind in Image.ID if kind not in ("HEIF", "JXL")])
    with pytest.raises(UnreadablePhoto, match=message):
        open_photo(start + bytes(200))


# Harmless faults


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("end", [b"", b"\xff", bytes(9), b"appended"])
def test_a_jpeg_without_its_end_marker_is_coloured(
    colorizer, tmp_path, colourful, caplog, progressive, end
):
    whole = encoded(
        Image.fromarray(colourful(100, 90)), "JPEG", quality=90, progressive=progressive
    )
    path = tmp_path / "photo.jpg"
    path.write_bytes(whole[:-2] + end)
    np.testing.assert_array_equal(open_photo(path.read_bytes()), open_photo(whole))
    report, scores = colorize(colorizer, path, tmp_path / "out")
    assert (list(scores), report.unreadable) == (["photo.jpg"], {})
    assert caplog.text.count("its end marker is missing") <= 1
    # The truth is a whole file.
    open_photo((tmp_path / "out" / "truth" / "photo.jpg").read_bytes())


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_jpeg_without_some_of_its_pixels_is_damaged(kept):
    noise = np.random.default_rng(0).integers(0, 256, [90, 90, 3], np.uint8)
    whole = encoded(Image.fromarray(noise), "JPEG")
    for cut in (whole[: int(kept * len(whole))], whole[: int(kept * len(whole))] + b"\xff"):
        with pytest.raises(UnreadablePhoto, match="damaged"):
            open_photo(cut)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("megabytes", [3, 40])
def test_png_with_long_text_is_coloured(colourful, zipped, megabytes):
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "x" * (megabytes * 1_000_000), zip=zipped)
    data = encoded(Image.fromarray(colourful(20, 30)), "PNG", pnginfo=text)
    photo = decode(data)
    np.testing.assert_array_equal(photo.pixels, colourful(20, 30))
    assert len(photo.notes) == 1
    assert "text" in photo.notes[0]


def test_png_with_a_long_profile_is_read(colourful, swapped_profile):
    """Profiles with tables have megabytes; padding makes one of it here."""
    profile = swapped_profile + os.urandom(3_000_000)
    picture = Image.fromarray(colourful(20, 30))
    shown = open_photo(encoded(picture, "PNG", icc_profile=profile))
    np.testing.assert_array_equal(
        shown, open_photo(encoded(picture, "PNG", icc_profile=swapped_profile))
    )


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_exif_data_too_long_for_jpeg_is_cut_which_is_said(colourful, kind):
    exif = Image.Exif()
    exif[0x0132] = "1969:07:20 20:17:40"
    exif[0x8769] = {0x9003: "1969:07:20 20:17:40", 0x927C: bytes(100_000), 0x9286: b"hello"}
    photo = decode(encoded(Image.fromarray(colourful(20, 30)), kind, exif=exif))
    assert len(photo.exif) > 65536
    kept = Image.open(io.BytesIO(encode(photo.pixels, photo, "JPEG", 95))).getexif()
    assert kept[0x0132] == "1969:07:20 20:17:40"
    assert kept.get_ifd(0x8769)[0x9003] == "1969:07:20 20:17:40"
    assert 0x927C not in kept.get_ifd(0x8769)
    assert "EXIF" in notes(photo, "JPEG")[0]
    for other in ("PNG", "TIFF", "WEBP"):
        assert notes(photo, other) == ()
        kept = Image.open(io.BytesIO(encode(photo.pixels, photo, other, 95))).getexif()
        assert len(kept.get_ifd(0x8769)[0x927C]) == 100_000


def test_nothing_is_said_of_ordinary_photos(colourful, caplog):
    caplog.set_level(logging.DEBUG, "colorization")
    for kind in ("JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP"):
        assert decode(encoded(Image.fromarray(colourful(20, 30)), kind)).notes == ()
    assert caplog.records == []
