"""Coloured pictures as files: formats, dates, orientation, resolution and transparency."""

import io

import numpy as np
import pytest
import tifffile
from encoding import encoded, tiff
from PIL import Image, features
from skimage.io import imread

from colorization.errors import UnreadablePhoto
from colorization.prediction import pictures
from colorization.prediction.pictures import (
    CannotEncode,
    Photo,
    decode,
    encode,
    format_of_name,
    further_page,
    join_pages,
    notes,
)

ORIENTATION, DATE = 0x0112, 0x0132


def opened(data):
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_date_and_resolution_survive(colourful, kind):
    exif = Image.Exif()
    exif[ORIENTATION], exif[DATE] = 6, "1969:07:20 20:17:40"
    picture = Image.fromarray(colourful(20, 30))
    photo = decode(encoded(picture, kind, exif=exif, dpi=(300, 300)))
    assert photo.kind == kind
    assert photo.pixels.shape == (30, 20, 3)
    for target in ("JPEG", "PNG", "WEBP", "TIFF"):
        result = opened(encode(photo.pixels, photo, target, 95))
        assert (result.format, result.size) == (target, (20, 30))
        assert result.getexif()[DATE] == "1969:07:20 20:17:40"
        assert result.getexif().get(ORIENTATION, 1) == 1
        if kind != "WEBP":  # Pillow writes none there
            assert resolution(result) == (300, 300)


def resolution(picture):
    """Pixels per inch of what another program would read: WebP's stand in its EXIF data."""
    if picture.format == "WEBP":
        exif = picture.getexif()
        assert exif[296] == 2
        return round(float(exif[282])), round(float(exif[283]))
    return tuple(round(float(value)) for value in picture.info["dpi"])


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF", "HEIF", "JXL"])
@pytest.mark.parametrize(("unit", "factor"), [(2, 1), (3, 2.54), (None, 1)])
def test_resolution_told_by_exif_data_survives(colourful, kind, unit, factor):
    if kind in ("HEIF", "JXL"):
        pytest.importorskip({"HEIF": "pillow_heif", "JXL": "pillow_jxl"}[kind])
    elif kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow knows no AVIF")
    exif = Image.Exif()
    exif[282], exif[283] = 600.0, 300.0
    if unit:
        exif[296] = unit
    data = encoded(Image.fromarray(colourful(20, 30)), kind, exif=exif.tobytes())
    photo = decode(data)
    expected = (round(600 * factor), round(300 * factor))
    for target in ("JPEG", "PNG", "WEBP", "TIFF", "BMP"):
        for dtype in (np.uint8, np.uint16):
            result = opened(encode(photo.pixels.astype(dtype), photo, target, 95))
            if target == "BMP":
                assert result.info["dpi"] == pytest.approx(expected, abs=0.1)
            elif target == "JPEG" or result.mode != "I;16":
                assert resolution(result) == expected


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
def test_resolution_turns_with_its_picture(colourful, kind, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = encoded(Image.fromarray(colourful(20, 30)), kind, exif=exif, dpi=(600, 300))
    expected = (600, 300) if orientation < 5 else (300, 600)
    assert decode(data).dpi == pytest.approx(expected, abs=0.1)


def test_exif_data_without_resolution_make_none_up(colourful):
    """Pillow takes 72 pixels per inch then."""
    exif = Image.Exif()
    exif[DATE] = "1969:07:20 20:17:40"
    data = encoded(Image.fromarray(colourful(20, 30)), "JPEG", exif=exif)
    assert opened(data).info["dpi"] == (72, 72)
    assert decode(data).dpi is None


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF"])
def test_no_resolution_is_made_up(colourful, kind):
    picture = Image.fromarray(colourful(20, 30))
    assert decode(encoded(picture, kind)).dpi is None
    if kind == "TIFF":
        assert decode(encoded(picture, kind, dpi=(300, 150))).dpi == (300, 150)
        centimetres = {296: 3, 282: 100.0, 283: 100.0}
        dpi = decode(encoded(picture, kind, tiffinfo=centimetres)).dpi
        assert [round(value) for value in dpi] == [254, 254]


def test_transparency_turns_with_its_picture(colourful):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    picture = Image.fromarray(colourful(20, 30))
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    photo = decode(encoded(picture, "PNG", exif=exif))
    turned = np.asarray(picture.transpose(Image.Transpose.ROTATE_270))
    np.testing.assert_array_equal(photo.pixels, turned[..., :3])
    np.testing.assert_array_equal(photo.alpha, turned[..., 3])


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_transparency_survives(colourful, kind):
    alpha = np.arange(600, dtype=np.uint8).reshape(20, 30)
    picture = Image.fromarray(colourful(20, 30))
    picture.putalpha(Image.fromarray(alpha))
    photo = decode(encoded(picture, "PNG"))
    np.testing.assert_array_equal(photo.alpha, alpha)
    result = opened(encode(photo.pixels, photo, kind, 95)).convert("RGBA")
    np.testing.assert_array_equal(result.getchannel("A"), alpha)
    flat = np.asarray(opened(encode(photo.pixels, photo, "BMP", 95)).convert("RGB"))
    expected = photo.pixels * (alpha[..., None] / 255) + 255 - alpha[..., None].astype(float)
    assert np.abs(flat - expected).max() <= 1
    assert notes(photo, kind) == ()
    for plain in ("BMP", "JPEG"):
        assert notes(photo, plain) == (
            f"its transparent parts come out white in {plain}; PNG keeps them",
        )


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_transparent_photos_come_out_in_srgb_too(swapped_profile, mode):
    picture = Image.new("RGBA", (2, 1), (250, 0, 0, 255))
    picture.putpixel((1, 0), (0, 0, 0, 0))
    photo = decode(encoded(picture.convert(mode), "PNG", icc_profile=swapped_profile))
    assert np.abs(photo.pixels[0, 0].astype(int) - [0, 0, 250]).max() <= 2
    np.testing.assert_array_equal(photo.alpha, [[255, 0]])


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_transparency_of_16_bit_grays_survives(kind):
    values = np.random.default_rng(0).integers(0, 65536, [7, 9], np.uint16)
    values[2, 3] = 40000
    photo = decode(encoded(Image.fromarray(values), "PNG", transparency=40000))
    np.testing.assert_array_equal(photo.pixels[..., 0], values)
    alpha = np.where(values == 40000, 0, 255)
    np.testing.assert_array_equal(photo.alpha, alpha)
    for pixels in (values, np.dstack([values, values // 2, values // 3])):
        data = encode(pixels, photo, kind, 95)
        np.testing.assert_array_equal(opened(data).convert("RGBA").getchannel("A"), alpha)
        if kind == "PNG":
            import tensorflow as tf

            read = tf.io.decode_png(data, channels=4, dtype=tf.uint16)[..., :3]
            np.testing.assert_array_equal(read, np.broadcast_to(np.atleast_3d(pixels), read.shape))
        if kind == "TIFF":
            read = tifffile.imread(io.BytesIO(data))
            assert read.dtype == np.uint16
            np.testing.assert_array_equal(
                read[..., :3], np.broadcast_to(np.atleast_3d(pixels), [7, 9, 3])
            )


@pytest.mark.parametrize("shape", [(7, 9), (7, 9, 3)])
def test_16_bits_are_rounded_where_a_format_holds_8(shape):
    values = np.random.default_rng(0).integers(0, 65536, shape, np.uint16)
    data = encode(values, Photo(values), "BMP", 95)
    np.testing.assert_array_equal(opened(data), np.rint(values / 257))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_grays_of_16_bits_keep_their_depth(kind, tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, [7, 9], np.uint16)
    photo = decode(encoded(Image.fromarray(values), kind, dpi=(72, 72)))
    np.testing.assert_array_equal(photo.pixels[..., 0], values)
    rgb = np.random.default_rng(1).integers(0, 65536, [7, 9, 3], np.uint16)
    for ending, target in ((".png", "PNG"), (".tif", "TIFF")):
        path = tmp_path / f"result{ending}"
        path.write_bytes(encode(rgb, photo, target, 95))
        assert round(float(Image.open(path).info["dpi"][0])) == 72
        if target == "TIFF":
            np.testing.assert_array_equal(imread(path), rgb)
        else:
            import tensorflow as tf

            read = tf.io.decode_png(path.read_bytes(), dtype=tf.uint16)
            np.testing.assert_array_equal(read, rgb)
    eight = np.asarray(opened(encode(rgb, photo, "BMP", 95)))
    assert np.abs(eight - rgb / 257).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_every_mode_is_decoded(mode):
    picture = Image.linear_gradient("L").resize((30, 20))
    picture = picture if mode == "I;16" else picture.convert("RGB")
    photo = decode(encoded(picture.convert(mode), "TIFF"))
    assert photo.pixels.shape[:2] == (20, 30)
    assert photo.pixels.shape[2] == (1 if mode in ("1", "L", "LA", "I;16", "F") else 3)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_large_pictures_are_decoded_whole(monkeypatch, mode):
    monkeypatch.setattr(pictures, "_STRIP_PIXELS", 300)
    channels = {"L": 1, "RGB": 3, "RGBA": 4}[mode]
    values = np.random.default_rng(0).integers(0, 256, [67, 40, channels], np.uint8)
    photo = decode(encoded(Image.fromarray(values.squeeze()), "PNG"))
    np.testing.assert_array_equal(photo.pixels, values[..., :3])
    if mode == "RGBA":
        np.testing.assert_array_equal(photo.alpha, values[..., 3])


@pytest.mark.parametrize("data", [b"nothing", b"", b"\xff\xd8\xff\xe0 cut"])
def test_damaged_data_is_refused(data):
    with pytest.raises(UnreadablePhoto):
        decode(data)


def test_damaged_transparent_and_deep_pictures_are_refused():
    noise = np.random.default_rng(0).integers(0, 256, [64, 64, 4], np.uint8)
    deep = noise[..., 0].astype(np.uint16) * 257
    for picture in (Image.fromarray(noise), Image.fromarray(deep)):
        with pytest.raises(UnreadablePhoto):
            decode(encoded(picture, "PNG")[:2000])


def test_what_a_format_cannot_hold():
    with pytest.raises(CannotEncode, match=r"WEBP cannot hold 17,000 x 1 pixels .*png can"):
        encode(np.zeros([1, 17000, 3], np.uint8), Photo(np.zeros([1, 1, 3])), "WEBP", 95)


def test_formats_of_names():
    names = {"a.JPG": "JPEG", "a.png": "PNG", "a.gif": None, "a": None, ".png": None}
    assert {name: format_of_name(name) for name in names} == names


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1), (33, 70)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_holds_every_pixel(size, channels):
    random = np.random.default_rng(channels)
    pixels = random.integers(0, 256, [*size, channels], np.uint8)
    colours, alpha = pixels[..., : channels - (channels % 2 == 0)], pixels[..., -1]
    photo = Photo(colours, None if channels % 2 else alpha)
    picture = colours[..., 0] if channels < 3 else colours
    decoded = Image.open(io.BytesIO(encode(picture, photo, "PNG", 95)))
    assert decoded.mode == ("L", "LA", "RGB", "RGBA")[channels - 1]
    np.testing.assert_array_equal(np.asarray(decoded).reshape(pixels.shape), pixels)


@pytest.mark.parametrize(
    "date", [b"2001/02/03", b"2001:02:03 04:05", "caf\u00e9".encode("latin-1")]
)
def test_texts_are_kept_as_they_are(date, colourful):
    """Dates of any form, and letters beyond ASCII."""
    exif = Image.Exif()
    exif[DATE], exif[271] = date, "Gr\u00fc\u00dfe".encode()
    photo = decode(encoded(Image.fromarray(colourful(4, 6)), "JPEG", exif=exif))
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        for dtype in (np.uint8, np.uint16):
            data = encode(np.zeros([4, 6, 3], dtype), photo, kind, 90)
            found = Image.Exif()
            if kind == "TIFF":
                found.load(data)
            else:
                found = Image.open(io.BytesIO(data)).getexif()
            assert found[DATE].encode("latin-1") == date
            assert found[271].encode("latin-1").decode() == "Gr\u00fc\u00dfe"
    page = join_pages([encode(np.zeros([4, 6], np.uint8), further_page(photo), "TIFF", 90)] * 2)
    with Image.open(io.BytesIO(page)) as opened:
        opened.seek(1)
        assert opened.tag_v2[DATE].encode("latin-1") == date


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_large_files_keep_resolution_and_texts(order, dtype):
    """BigTIFF, in both orders of bytes; Pillow opens neither RGB of 16 bits nor planes."""
    photo = decode(
        tiff(
            np.zeros([3, 4, 6], dtype),
            photometric="rgb",
            planarconfig="separate",
            bigtiff=True,
            byteorder=order,
            resolution=(300, 200),
            resolutionunit="CENTIMETER",
            datetime="2001:02:03 04:05:06",
            extratags=[(ORIENTATION, "H", 1, 6, True)],
        )
    )
    assert photo.dpi == pytest.approx((508, 762))  # turned
    assert photo.pixels.shape == (6, 4, 3)
    exif = Image.Exif()
    exif.load(photo.exif)
    assert exif[DATE] == "2001:02:03 04:05:06"
