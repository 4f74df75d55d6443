import io
import os

import numpy as np
import pytest
from PIL import Image, ImageCms

from colorization import photos
from colorization.errors import UserError
from colorization.photos import UnreadablePhoto, find_photos, open_photo, read_file


def encoded(picture: Image.Image, kind: str, **settings) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **settings)
    return buffer.getvalue()


def test_folders_globs_files_and_lists_are_searched(tmp_path):
    for name in (
        "b.jpg",
        "a.png",
        "sub/c.tif",
        "sub/no_extension",
        ".hidden.jpg",
        "notes.txt",
        "film.mp4",
        "Thumbs.db",
        ".git/d.jpg",
    ):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    folder = str(tmp_path / "photos")

    def names(*sources):
        return [os.path.relpath(path, folder) for path in find_photos(sources)]

    assert names(folder) == ["a.png", "b.jpg", "sub/c.tif", "sub/no_extension"]
    assert names(f"{folder}/*.jpg") == ["b.jpg"]
    assert names(f"{folder}/**/*.tif") == ["sub/c.tif"]
    assert names(f"{folder}/b.jpg", folder) == ["b.jpg", "a.png", "sub/c.tif", "sub/no_extension"]
    (tmp_path / "photos" / "notes.txt").write_text("sub/c.tif\n\na.png\n")
    assert names(f"{folder}/notes.txt") == ["sub/c.tif", "a.png"]


@pytest.mark.parametrize("source", ["missing", "missing/*.jpg", "empty", "only_text"])
def test_sources_without_photos_are_refused(tmp_path, source):
    (tmp_path / "empty").mkdir()
    (tmp_path / "only_text").mkdir()
    (tmp_path / "only_text" / "a.json").write_text("{}")
    with pytest.raises(UserError, match=source.replace("*", r"\*")):
        find_photos([str(tmp_path / source)])


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
    # How each orientation is stored (Exif 2.3, tag 274): undone by these.
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


def test_16_bit_gray_is_scaled():
    values = np.array([[0, 257, 128 * 257, 65535]], np.uint16)
    opened = np.asarray(open_photo(encoded(Image.fromarray(values), "PNG")))
    np.testing.assert_array_equal(opened[0, :, 0], [0, 1, 128, 255])
    floats = Image.fromarray(np.array([[0, 0.5, 1, np.nan]], np.float32))
    opened = np.asarray(open_photo(encoded(floats, "TIFF")))
    np.testing.assert_array_equal(opened[0, :, 1], [0, 128, 255, 0])


def test_cmyk_is_converted():
    cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    for kind in ("JPEG", "TIFF"):
        pixel = np.asarray(open_photo(encoded(cmyk, kind)), int)[4, 4]
        assert np.abs(pixel - [255, 0, 0]).max() <= 3


def test_colour_profiles_are_applied(colourful):
    picture = Image.fromarray(colourful(20, 20))
    # In this profile red and blue primaries have changed places.
    swapped = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = swapped.index(b"rXYZ"), swapped.index(b"bXYZ")
    swapped[red : red + 4], swapped[blue : blue + 4] = b"bXYZ", b"rXYZ"
    opened = open_photo(encoded(picture, "PNG", icc_profile=bytes(swapped)))
    difference = np.asarray(opened, int) - np.asarray(picture, int)[..., ::-1]
    assert np.abs(difference).max() <= 2
    nonsense = open_photo(encoded(picture, "PNG", icc_profile=b"nonsense"))
    np.testing.assert_array_equal(nonsense, picture)


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


def test_lying_headers_are_refused_before_decoding(monkeypatch, colourful):
    data = bytearray(encoded(Image.fromarray(colourful(16, 16)), "BMP"))
    data[18:26] = (50_000).to_bytes(4, "little") * 2
    with pytest.raises(UnreadablePhoto, match="above the limit"):
        open_photo(bytes(data))
    monkeypatch.setattr(photos, "MAX_PIXELS", 99)
    with pytest.raises(UnreadablePhoto, match="10 x 10"):
        open_photo(encoded(Image.new("RGB", (10, 10)), "PNG"))


def test_draft_keeps_every_side_large_enough():
    data = encoded(Image.new("RGB", (2000, 1200), "teal"), "JPEG")
    width, height = open_photo(data, draft_size=256).size
    assert (width, height) == (500, 300)
