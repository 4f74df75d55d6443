"""Pictures of every layout, against what they were made to show."""

import io
import logging
import struct

import numpy as np
import pytest
import tifffile
from encoding import encoded, plain_png, png_chunk, tiff
from PIL import Image, ImageCms, features

from benchmarks.layouts import HEIGHT, WIDTH, Layout, icc_profile, is_possible, layouts, make
from colorization.decoding import refusals
from colorization.decoding.decode import open_photo, open_picture
from colorization.errors import UnreadablePhoto
from colorization.prediction.pictures import decode


def over_white(sample) -> np.ndarray:
    opacity = sample.opacity[..., None]
    return 255 * (sample.shown * opacity + 1 - opacity)


def tolerance(layout: Layout) -> float:
    """Levels of 255: rounding, and what samples of few bits or a curve's steepness make of it."""
    if layout.profile != "none" or layout.colors in ("lab", "icclab") or layout.kind == "i":
        return 2.1
    return 1.01


@pytest.mark.parametrize("seed", range(8))
def test_layouts_show_what_was_stored(seed):
    for number, layout in enumerate(layouts(60, seed)):
        sample = make(layout, number)
        shown = np.asarray(open_photo(sample.data), float)
        worst = np.abs(shown - over_white(sample)).max()
        assert worst <= tolerance(layout), f"{layout}: off by {worst:.1f} of 255"


COMMON = [
    Layout(**{"colors": colors, "planar": planar, "order": order, **rest})
    for colors in ("white is zero", "black is zero", "rgb")
    for planar in (False, True)
    for order in "<>"
    for rest in (
        {"bits": 16},
        {"bits": 16, "compression": "lzw", "predictor": 2},
        {"bits": 16, "predictor": 2},
        {"bits": 32, "compression": "packbits", "predictor": 2},
        {"bits": 16, "alpha": "straight"},
        {"bits": 16, "profile": "gamma 2.2" if colors == "rgb" else "linear"},
        {"bits": 32},
        {"bits": 32, "kind": "f", "compression": "deflate", "predictor": 3},
        {"bits": 32, "kind": "f", "tiles": True},
        {"bits": 12},
    )
]


@pytest.mark.parametrize("layout", list(filter(is_possible, COMMON)), ids=str)
def test_common_layouts_of_scanners_and_editors(layout):
    sample = make(layout)
    np.testing.assert_allclose(
        np.asarray(open_photo(sample.data), float), over_white(sample), rtol=0, atol=2.1
    )
    photo = decode(sample.data)
    assert photo.kind == "TIFF"
    if layout.colors != "rgb":
        # Grays keep their depth.
        assert (photo.pixels.dtype, photo.pixels.shape) == (np.uint16, (HEIGHT, WIDTH, 1))
        np.testing.assert_allclose(photo.pixels[..., 0] / 65535, sample.shown[..., 0], atol=3e-4)
    if layout.alpha == "straight":
        np.testing.assert_allclose(photo.alpha / 255, sample.opacity, rtol=0, atol=0.003)


@pytest.mark.parametrize("compression", ["none", "lzw"])
@pytest.mark.parametrize("alpha", ["straight", "premultiplied", "other"])
@pytest.mark.parametrize("colors", ["black is zero", "rgb"])
def test_8_bits_with_a_further_channel(colors, alpha, compression):
    sample = make(Layout(bits=8, colors=colors, alpha=alpha, compression=compression))
    np.testing.assert_allclose(
        np.asarray(open_photo(sample.data), float), over_white(sample), rtol=0, atol=2.1
    )
    if alpha == "other":
        assert decode(sample.data).alpha is None
    else:
        np.testing.assert_allclose(
            decode(sample.data).alpha / 255, sample.opacity, rtol=0, atol=0.003
        )


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("order", "<>")
def test_the_layouts_are_what_tifffile_takes_them_for(planar, order):
    for kind, bits in (("u", 8), ("u", 16), ("u", 32), ("i", 16), ("f", 16), ("f", 32)):
        layout = Layout(
            colors="rgb", kind=kind, bits=bits, planar=planar, order=order, compression="deflate"
        )
        sample = make(layout)
        read = tifffile.imread(io.BytesIO(sample.data))
        read = np.moveaxis(read, 0, 2) if planar else read
        white = 1 if kind == "f" else np.iinfo(f"{kind}{bits // 8}").max
        np.testing.assert_allclose(read / white, sample.shown, rtol=0, atol=0.51 / min(white, 1000))


def test_floats_are_clipped_to_0_and_1():
    values = np.array([[-np.inf, -1, 0, 0.5, 1, 7.5, np.inf, np.nan]], np.float32)
    expected = [0, 0, 0, 128, 255, 255, 255, 0]
    for photometric, shape in (("minisblack", values), ("rgb", np.dstack([values] * 3))):
        opened = np.asarray(open_photo(tiff(shape, photometric=photometric)))
        np.testing.assert_array_equal(opened[0, :, 1], expected)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("colors", "photometric"), [("lab", "cielab"), ("icclab", "icclab")])
def test_lightness_is_not_signed_whatever_the_sample_format(colors, photometric, bits):
    sample = make(Layout("tiff", "u", bits, colors))
    stored = tifffile.imread(io.BytesIO(sample.data)).view(f"i{bits // 8}")
    opened = np.asarray(open_photo(tiff(stored, photometric=photometric)))
    np.testing.assert_allclose(opened / 255, sample.shown, rtol=0, atol=2.1 / 255)
    # Nor is alpha.
    opacity = np.full_like(stored[..., 0], -1)
    opacity[0] = 0
    deeper = np.dstack([stored, opacity])
    data = tiff(deeper, photometric=photometric, extrasamples=["unassalpha"])
    np.testing.assert_array_equal(np.asarray(open_photo(data))[1:], opened[1:])
    np.testing.assert_array_equal(decode(data).alpha, np.where(opacity, 255, 0))


def test_dark_colours_are_rounded_once():
    lightness = np.linspace(0, 9, 6000, dtype=np.float32).reshape(60, 100)
    lab = np.dstack([lightness, 0 * lightness, 0 * lightness])
    opened = np.asarray(open_photo(tiff(lab, photometric="cielab")), float)
    # Below L* 8, luminance is L* over 903.3 (CIE 15:2004).
    luminance = np.where(lightness > 8, ((lightness + 16) / 116) ** 3, lightness / 903.3)
    curve = 1.055 * luminance.clip(0.0031308) ** (1 / 2.4) - 0.055
    expected = np.rint(255 * np.where(luminance > 0.0031308, curve, 12.92 * luminance))
    assert np.abs(opened - expected[..., None]).max() <= 1
    assert abs((opened - expected[..., None]).mean()) < 0.003


@pytest.mark.parametrize("white", [255, 65535])
def test_floats_that_were_integers_keep_their_white(white):
    values = np.linspace(0, white, 52).round().astype(np.float32)[None]
    opened = np.asarray(open_photo(tiff(values, photometric="minisblack")))
    np.testing.assert_allclose(opened[0, :, 0], values[0] / white * 255, atol=0.51)


def test_integers_have_their_full_range_unless_all_would_be_black():
    for dtype in (np.uint32, np.int32, np.uint64):
        full = np.iinfo(dtype).max
        for white in (255, 65535, full):
            values = np.array([[0, white // 2, white]], dtype)
            opened = np.asarray(open_photo(tiff(values, photometric="minisblack")))
            np.testing.assert_allclose(opened[0, :, 0], [0, 127.5, 255], atol=0.6)
        values = np.array([[0, full // 4]], dtype)
        opened = np.asarray(open_photo(tiff(values, photometric="minisblack")))
        assert opened.max() == 64


def test_a_files_own_range_counts():
    values = np.array([[1124, 2148, 3172]], np.uint16)
    tags = [(340, "H", 1, 100, True), (341, "H", 1, 4195, True)]
    opened = np.asarray(open_photo(tiff(values, photometric="minisblack", extratags=tags)))
    np.testing.assert_array_equal(opened[0, :, 0], [64, 128, 191])
    values = np.array([[-2, 0, 2]], np.float32)
    tags = [(340, "f", 1, -2.0, True), (341, "f", 1, 2.0, True)]
    opened = np.asarray(open_photo(tiff(values, photometric="minisblack", extratags=tags)))
    np.testing.assert_array_equal(opened[0, :, 0], [0, 128, 255])


@pytest.mark.parametrize("photometric", ["minisblack", "rgb"])
@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.uint32])
@pytest.mark.parametrize("smallest", [None, 0, 37])
def test_white_of_fewer_bits_than_are_stored_counts(photometric, dtype, smallest):
    """Cameras of 12 bits, whose least and largest value may be the picture's own."""
    count = 3 if photometric == "rgb" else 1
    tags = [(341, "I", count, (4095,) * count, True)]
    if smallest is not None:
        tags.append((340, "I", count, (smallest,) * count, True))
    for levels in ([smallest or 0, 2048, 4095], [500, 2048, 3000]):
        values = np.repeat(np.array([levels], dtype)[..., None], count, 2)
        data = tiff(
            values if count == 3 else values[..., 0], photometric=photometric, extratags=tags
        )
        black = 0 if levels[-1] == 4095 else smallest or 0
        expected = [255 * (level - black) / (4095 - black) for level in levels]
        np.testing.assert_allclose(np.asarray(open_photo(data))[0, :, 1], expected, atol=0.51)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
@pytest.mark.parametrize("bounds", [(3000, 30250), (4000, 20000), (0, 20000), (4000, 32767)])
def test_statistics_stretch_nothing(dtype, bounds):
    """What TIFF 6.0 means by least and largest value, or what is not true of the picture."""
    values = np.linspace(3000, 30250, 200).astype(np.int64)
    bounds = np.array(bounds)
    if dtype == np.uint8:
        values, bounds = values >> 8, bounds >> 8
    values = values.astype(dtype).reshape(10, 20)
    tags = [(340, "H", 1, int(bounds[0]), True), (341, "H", 1, int(bounds[1]), True)]
    plain = tiff(values, photometric="minisblack")
    with_tags = tiff(values, photometric="minisblack", extratags=tags)
    expected, opened = (np.asarray(open_picture(data).image) for data in (plain, with_tags))
    np.testing.assert_array_equal(opened, expected)
    if dtype == np.uint16:
        np.testing.assert_array_equal(opened, np.asarray(Image.open(io.BytesIO(with_tags))))


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colors_that_are_told_to_be_a_gray_are_mentioned(planar):
    values = np.random.default_rng(0).integers(0, 256, (3, 5, 7), np.uint8)
    stored = values if planar == "separate" else np.moveaxis(values, 0, 2)
    for dtype in (np.uint8, np.uint16):
        data = tiff(stored.astype(dtype), photometric="minisblack", planarconfig=planar)
        assert decode(data).notes == ("its 2 further channels are left out",)
    assert decode(tiff(stored, photometric="rgb", planarconfig=planar)).notes == ()


def test_palettes_of_16_bits_and_other_odd_kinds_are_refused_by_name():
    palette = np.arange(3 * 256, dtype=np.uint16).reshape(3, 256)
    indices = np.zeros([4, 4], np.uint8)
    data = bytearray(tiff(indices, photometric="palette", colormap=palette))
    open_photo(bytes(data))
    with tifffile.TiffFile(io.BytesIO(data)) as opened:
        place = opened.pages[0].tags["BitsPerSample"].valueoffset
    struct.pack_into("<H", data, place, 16)
    with pytest.raises(UnreadablePhoto, match=r"16 bits.*PALETTE.*save it as"):
        open_photo(bytes(data))
    complex_numbers = tiff(np.zeros([4, 4], np.complex64), photometric="minisblack")
    with pytest.raises(UnreadablePhoto, match=r"COMPLEX.*save it as"):
        open_photo(complex_numbers)


def tiff_of_jpegs(parts: list[np.ndarray], **settings) -> bytearray:
    """A page of which each tile is a JPEG of grays."""
    jpegs = []
    for part in parts:
        memory = io.BytesIO()
        Image.fromarray(part).save(memory, "JPEG", quality=95)
        jpegs.append(memory.getvalue())
    settings = {"dtype": "u1", "photometric": "minisblack", "tile": parts[0].shape, **settings}
    # By itself, tifffile knows JPEG only as something that others have compressed.
    data = bytearray(tiff(iter(jpegs), compression="zlib", **settings))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        struct.pack_into("<H", data, file.pages[0].tags["Compression"].valueoffset, 7)
    return data


def test_gray_and_opacity_in_planes_of_their_own_in_jpeg_are_refused():
    """Pillow takes such a photo for a transparent one."""
    planes = [np.tile(np.arange(0, 256, 4, np.uint8), (64, 1)), np.full([64, 64], 255, np.uint8)]
    settings = {"shape": (2, 64, 64), "planarconfig": "separate", "extrasamples": ["unassalpha"]}
    with pytest.raises(UnreadablePhoto, match=r"kind of TIFF that .*JPEG.*save it"):
        open_photo(bytes(tiff_of_jpegs(planes, **settings)))


def test_jpeg_of_which_parts_are_not_stored_is_no_damage():
    tiles = [np.full([64, 64], 10 * number, np.uint8) for number in range(4)]
    data = tiff_of_jpegs(tiles, shape=(128, 128))
    np.testing.assert_allclose(
        np.asarray(open_photo(bytes(data)))[::64, ::64, 0], [[0, 10], [20, 30]]
    )
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        for tag in (file.pages[0].tags[name] for name in ("TileOffsets", "TileByteCounts")):
            size = tag.valuebytecount // tag.count
            data[tag.valueoffset + size : tag.valueoffset + 2 * size] = bytes(size)
    with pytest.raises(UnreadablePhoto, match=r"not all of its .* not in JPEG; save it"):
        open_photo(bytes(data))


@pytest.mark.parametrize("settings", [{"tile": (32, 16)}, {"rowsperstrip": 20}])
@pytest.mark.parametrize("compression", [None, "zlib", "lzma"])
@pytest.mark.parametrize(("dtype", "planar"), [("u1", 1), ("u2", 1), ("u1", 2)])
def test_parts_that_are_not_stored_are_zero_or_what_the_file_says(
    settings, compression, dtype, planar
):
    """Maps are stored so (GDAL, "GeoTIFF File Format": sparse files)."""
    values = np.random.default_rng(0).integers(1, 256, (70, 40, 3)).astype(dtype)
    extra = {"compression": compression, "planarconfig": planar, **settings}
    values = np.moveaxis(values, 2, 0) if planar == 2 else values
    for missing in (None, "200"):
        tags = [(42113, "s", 0, missing, True)] if missing else []
        data = bytearray(tiff(values, photometric="rgb", extratags=tags, **extra))
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            names = ("TileOffsets", "TileByteCounts")
            names = names if "tile" in settings else ("StripOffsets", "StripByteCounts")
            for tag in (file.pages[0].tags[name] for name in names):
                size = tag.valuebytecount // tag.count
                for number in (1, tag.count - 1):
                    place = tag.valueoffset + size * number
                    data[place : place + size] = bytes(size)
        expected = tifffile.imread(io.BytesIO(data))
        expected = np.moveaxis(expected, 0, 2) if planar == 2 else expected
        assert (expected == int(missing or 0)).any()
        shown = np.asarray(open_photo(bytes(data)))
        np.testing.assert_allclose(shown, expected / (257 if dtype == "u2" else 1), atol=0.51)


def test_a_file_without_any_pixels_is_damaged():
    data = bytearray(tiff(np.zeros((9, 9), np.uint8), photometric="minisblack"))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        places = [
            file.pages[0].tags[name].valueoffset for name in ("StripOffsets", "StripByteCounts")
        ]
    for place in places:
        data[place : place + 4] = bytes(4)
    with pytest.raises(UnreadablePhoto, match="damaged: none of its pixels"):
        open_photo(bytes(data))


def test_tiles_whose_places_are_told_as_those_of_strips():
    values = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    data = bytearray(tiff(values, photometric="rgb", tile=(16, 32)))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        places = {tag.code: tag.offset for tag in file.pages[0].tags}
    for tile, strip in ((324, 273), (325, 279)):
        struct.pack_into("<H", data, places[tile], strip)
    np.testing.assert_array_equal(open_photo(bytes(data)), values)


@pytest.mark.parametrize("compression", ["none", "lzw", "deflate", "packbits"])
@pytest.mark.parametrize("planar", [False, True])
def test_deep_files_cut_short_are_damaged(compression, planar):
    layout = Layout(colors="rgb", planar=planar, compression=compression, rows=64)
    whole = make(layout).data
    # The directory stands at the end, so pixels are cut out before it: their offsets stay.
    with pytest.raises(UnreadablePhoto, match="damaged"):
        open_photo(whole[: len(whole) // 2])
    with tifffile.TiffFile(io.BytesIO(whole)) as opened:
        page = opened.pages[0]
        counts = page.tags["StripByteCounts"]
        if compression != "none":
            wrong = bytearray(whole)
            start = page.dataoffsets[-1]
            wrong[start + 4 : start + counts.value[-1] if planar else start + 200] = b""
            with pytest.raises(UnreadablePhoto):
                open_photo(bytes(wrong))


def test_deep_files_have_a_limit_of_pixels(monkeypatch):
    monkeypatch.setattr(refusals, "MAX_PIXELS", 100)
    with pytest.raises(UnreadablePhoto, match="37 x 21 pixels, above the limit of 100"):
        open_photo(make(Layout()).data)


def test_pillows_limit_of_pixels_is_none_of_bytes(monkeypatch):
    """Of twice as many pixels as it warns about, Pillow refuses to make a picture."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20 * 30)
    values = np.full([20, 30, 3], 2**16 - 1, np.uint16)
    assert np.asarray(open_photo(tiff(values))).min() == 255


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_pictures_are_upright(orientation):
    values = np.random.default_rng(0).integers(0, 65536, [5, 7, 3], np.uint16)
    data = tiff(values, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    eight = io.BytesIO()
    exif = Image.Exif()
    exif[274] = orientation
    rounded = np.rint(values / 257).astype(np.uint8)
    Image.fromarray(rounded).save(eight, "PNG", exif=exif)
    np.testing.assert_array_equal(open_photo(data), open_photo(eight.getvalue()))


def test_deep_files_keep_date_and_resolution():
    values = np.zeros([4, 4, 3], np.float32)
    for big in (False, True):
        data = tiff(
            values,
            photometric="rgb",
            datetime="1969:07:20 20:17:40",
            resolution=(300, 300),
            resolutionunit="INCH",
            bigtiff=big,
        )
        photo = decode(data)
        exif = Image.Exif()
        exif.load(photo.exif)
        assert exif[306] == "1969:07:20 20:17:40"
        if not big:
            assert photo.dpi == (300, 300)


# Profiles


@pytest.mark.parametrize("name", ["gamma 2.2", "romm"])
def test_profiles_are_evaluated_as_little_cms_does(name):
    """Compared on colours that 8 bits hold, because Little CMS takes no others here."""
    profile = icc_profile(name, gray=False)
    values = np.random.default_rng(0).integers(0, 256, [64, 64, 3], np.uint8)
    source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    expected = np.asarray(
        ImageCms.profileToProfile(Image.fromarray(values), source, target), np.int16
    )
    deep = tiff(values.astype(np.uint16) * 257, photometric="rgb", iccprofile=profile)
    difference = np.abs(np.asarray(open_photo(deep), np.int16) - expected)
    assert difference.max() <= 2
    assert difference.mean() < 0.3


def curves():
    """Tone curves of ICC.1:2010, types `curv` and `para`, and the function of each."""

    def parametric(form, *numbers):
        fixed = (round(number * 65536) for number in numbers)
        return struct.pack(f">4sIHH{len(numbers)}i", b"para", 0, form, 0, *fixed)

    points = np.rint(65535 * np.linspace(0, 1, 1024) ** 1.5).astype(int).tolist()
    yield struct.pack(">4sII", b"curv", 0, 0), lambda x: x
    yield struct.pack(">4sII1024H", b"curv", 0, 1024, *points), lambda x: x**1.5
    yield parametric(0, 1.8), lambda x: x**1.8
    yield (
        parametric(1, 2.0, 1.25, -0.25),
        lambda x: np.where(x >= 0.2, np.maximum(1.25 * x - 0.25, 0) ** 2, 0),
    )
    yield (
        parametric(2, 2.0, 1.0, -0.25, 0.25),
        lambda x: np.where(x >= 0.25, np.maximum(x - 0.25, 0) ** 2, 0) + 0.25,
    )
    srgb = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    yield (
        parametric(3, *srgb),
        lambda x: np.where(x >= 0.04045, ((x + 0.055) / 1.055) ** 2.4, x / 12.92),
    )
    yield (
        parametric(4, 2.0, 0.8, 0.1, 0.5, 0.2, 0.05, 0.05),
        lambda x: np.where(x >= 0.2, (0.8 * x + 0.1) ** 2 + 0.05, 0.5 * x + 0.05),
    )


@pytest.mark.parametrize("number", range(7))
@pytest.mark.parametrize("bits", [8, 16])
def test_gray_profiles_of_every_curve(number, bits):
    curve, function = list(curves())[number]
    plain = icc_profile("linear", gray=True)
    old = struct.pack(">4sIIH", b"curv", 0, 1, 256)
    entry = plain.index(b"kTRC")
    start = len(plain)
    profile = bytearray(plain + curve)
    assert old in plain
    struct.pack_into(">II", profile, entry + 4, start, len(curve))
    struct.pack_into(">I", profile, 0, len(profile))
    white = 2**bits - 1
    values = np.linspace(0, white, 60).round().astype(f"u{bits // 8}")[None]
    linear = np.clip(function(values / white), 0, 1)
    expected = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    data = tiff(values, photometric="minisblack", iccprofile=bytes(profile))
    opened = np.asarray(open_photo(data))[..., 0]
    np.testing.assert_allclose(opened, 255 * expected, rtol=0, atol=0.8)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_gray_profiles_of_avif():
    """Pillow before 12 reads gray AVIF as RGB."""
    values = np.repeat(np.linspace(0, 255, 8), 8).round().astype(np.uint8).reshape(8, 8).T
    linear = np.repeat(values / 255, 8, axis=1).repeat(8, axis=0)
    expected = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    picture = Image.fromarray(values).resize((64, 64), Image.Resampling.NEAREST)
    data = encoded(picture, "AVIF", quality=100, icc_profile=icc_profile("linear", gray=True))
    opened = np.asarray(open_photo(data))[..., 0]
    # The steepest part of the curve makes 13 levels of one.
    np.testing.assert_allclose(opened, 255 * expected, rtol=0, atol=13)
    assert np.abs(opened - 255 * expected).mean() < 1
    # Colour photos keep their colours, whatever profile they have.
    colour = Image.merge("RGB", [picture, picture, picture.rotate(180)])
    data = encoded(colour, "AVIF", quality=95, icc_profile=icc_profile("linear", gray=True))
    assert np.abs(np.asarray(open_photo(data), int) - np.asarray(colour)).mean() < 4


@pytest.mark.parametrize("name", ["gamma 2.2", "romm", "srgb"])
def test_grays_with_a_profile_for_rgb_are_equal_red_green_and_blue(name):
    """As ImageMagick and Firefox read them; Little CMS tells what the colours are."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    profile = srgb.tobytes() if name == "srgb" else icc_profile(name, gray=False)
    grays = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    expected = ImageCms.profileToProfile(grays.convert("RGB"), source, srgb)
    deep = np.asarray(grays).astype(np.uint16) * 257
    for values in (np.asarray(grays), deep):
        data = tiff(values, photometric="minisblack", iccprofile=profile)
        difference = np.asarray(open_photo(data), int) - np.asarray(expected)
        assert np.abs(difference).max() <= (0 if name == "srgb" else 2)
    # PNG allows none such in a gray picture.
    shown = np.asarray(open_photo(encoded(grays, "PNG", icc_profile=profile)))
    np.testing.assert_array_equal(shown[..., 0], grays)


def test_profiles_of_another_colour_space_say_nothing():
    gray = np.linspace(0, 65535, 40).astype(np.uint16)[None]
    colours = np.dstack([gray, gray[:, ::-1], gray])
    wrong = {"minisblack": b"nonsense", "rgb": icc_profile("linear", gray=True)}
    for values, photometric in ((gray, "minisblack"), (colours, "rgb")):
        plain = open_photo(tiff(values, photometric=photometric))
        for profile in (wrong[photometric], icc_profile("romm", gray=False)[:200]):
            data = tiff(values, photometric=photometric, iccprofile=profile)
            np.testing.assert_array_equal(open_photo(data), plain)


def test_profiles_with_tables_go_through_little_cms(swapped_profile):
    """Such a profile has `A2B0`; what it says is told apart by red and blue having changed."""
    profile = swapped_profile
    values = np.random.default_rng(0).integers(0, 256, [8, 8, 3]).astype(np.uint16) * 257
    opened = open_photo(tiff(values, photometric="rgb", iccprofile=profile))
    difference = np.asarray(opened, int) - values[..., ::-1] // 257
    assert np.abs(difference).max() <= 2


def test_transparent_colours_of_16_bit_png():
    values = np.array([[[1, 2, 3], [1, 2, 4], [65535, 0, 0]]], np.uint16)
    key = png_chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3))
    data = plain_png(3, 1, 2, 16, b"\0" + values.astype(">u2").tobytes(), key)
    np.testing.assert_array_equal(decode(data).alpha, [[0, 255, 255]])


def test_nothing_is_logged_of_sound_files(caplog):
    caplog.set_level(logging.DEBUG)
    for layout in layouts(20, 100):
        open_photo(make(layout).data)
    assert [record for record in caplog.records if "tifffile" in record.name] == []
