"""Colours of films against the formulas of the standards, in NumPy and scikit-image."""

import io
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab

from colorization.errors import UnreadableFilm
from colorization.films.color import Colors, StatedColors, stored_colors
from colorization.films.converter import Converter
from colorization.films.fields import field_order
from colorization.films.geometry import Shape

av = pytest.importorskip("av")

TIME_BASE = Fraction(1, 25)
# Shares of red and blue in luma: BT.709, FCC, BT.601, SMPTE 240M, BT.2020.
SHARES = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
# Linear RGB of BT.2020's primaries from those of BT.709 (BT.2087-0, table 1).
BT2020_FROM_BT709 = np.array(
    [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
)


def linear(srgb):
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def encoded(light):
    curve = 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055
    return np.where(light <= 0.0031308, 12.92 * light, curve)


def to_yuv(rgb, matrix, full):
    """Y'CbCr in 0..255 of R'G'B' in 0..1, as H.273 has it, not rounded."""
    red, blue = SHARES[matrix]
    luma = rgb @ [red, 1 - red - blue, blue]
    chroma = [(rgb[..., 2] - luma) / (2 - 2 * blue), (rgb[..., 0] - luma) / (2 - 2 * red)]
    if full:
        return np.stack([255 * luma, *(255 * plane + 128 for plane in chroma)], -1)
    return np.stack([219 * luma + 16, *(224 * plane + 128 for plane in chroma)], -1)


def from_yuv(yuv, matrix, full):
    red, blue = SHARES[matrix]
    offset, luma_size, chroma_size = (0, 255, 255) if full else (16, 219, 224)
    luma = (yuv[..., 0] - offset) / luma_size
    blue_minus, red_minus = ((yuv[..., place] - 128) / chroma_size for place in (1, 2))
    r, b = luma + (2 - 2 * red) * red_minus, luma + (2 - 2 * blue) * blue_minus
    return np.stack([r, (luma - red * r - blue * b) / (1 - red - blue), b], -1)


def frame_of(planes, layout, number=0):
    return at_time(av.VideoFrame.from_ndarray(planes, layout), number)


def at_time(frame, number=0):
    """A picture as decoders give it, with a time: that of the picture of this number."""
    frame.pts, frame.time_base = number, TIME_BASE
    return frame


def yuv444_frame(yuv, full):
    frame = frame_of(np.rint(yuv).clip(0, 255).astype(np.uint8).transpose(2, 0, 1), "yuv444p")
    frame.color_range = 2 if full else 1
    return frame


def planes_of(frame):
    """Y'CbCr of a 4:2:0 frame, float `[height / 2, width / 2, 3]`: means over four pixels."""
    height, width = frame.height, frame.width
    planes = frame.to_ndarray().astype(float)
    luma = planes[:height].reshape(height // 2, 2, width // 2, 2).mean((1, 3))
    chroma = planes[height:].reshape(2, height // 2, width // 2)
    return np.stack([luma, *chroma], -1)


def halved(picture):
    height, width, _ = picture.shape
    return picture.reshape(height // 2, 2, width // 2, 2, 3).mean((1, 3))


@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", SHARES)
def test_pictures_are_read_and_stored_by_their_matrix_and_range(colourful, matrix, full):
    picture = colourful(64, 96)
    converter = Converter(
        yuv444_frame(to_yuv(picture / 255, matrix, full), full),
        Colors(1, 1, matrix, full),
    )
    upright = converter.upright(yuv444_frame(to_yuv(picture / 255, matrix, full), full))
    read = converter.srgb(upright)
    assert np.abs(read.astype(int) - picture).mean() < 1
    stored = converter.stored(upright, picture, 96)
    expected = halved(to_yuv(picture / 255, matrix, full))
    assert np.abs(planes_of(stored) - expected).mean((0, 1)).max() < 1
    assert stored.pts == 0


def test_the_range_may_change_within_a_film(colourful):
    """As where recordings were joined."""
    picture = colourful(64, 96)
    frames = [yuv444_frame(to_yuv(picture / 255, 1, full), full) for full in (False, True, False)]
    converter = Converter(frames[0], Colors(1, 1, 1, False))
    for frame in frames:
        pixels = converter.srgb(converter.upright(frame)).astype(int)
        assert np.abs(pixels - picture).max() <= 3


def test_lightness_and_colours_of_a_film_are_those_of_the_standard(colourful):
    """The colour error of a whole way, read and stored, is that of 8 bits and 4:2:0."""
    picture = colourful(128, 192)
    for full in (False, True):
        frame = yuv444_frame(to_yuv(picture / 255, 1, full), full)
        converter = Converter(frame, Colors(1, 1, 1, full))
        upright = converter.upright(frame)
        stored = converter.stored(upright, converter.srgb(upright), 192)
        found = rgb2lab(from_yuv(planes_of(stored), 1, full).clip(0, 1))
        wanted = rgb2lab(from_yuv(halved(to_yuv(picture / 255, 1, full)), 1, full).clip(0, 1))
        assert abs((found - wanted)[..., 0].mean()) < 0.15
        assert deltaE_ciede2000(found, wanted).mean() < 0.8


def test_bt2020_colours_are_shown_in_its_primaries(colourful):
    picture = colourful(64, 96)
    wide = encoded(linear(picture / 255) @ BT2020_FROM_BT709.T)
    frame = yuv444_frame(to_yuv(wide, 9, False), False)
    converter = Converter(frame, Colors(9, 14, 9, False))
    upright = converter.upright(frame)
    assert np.abs(converter.srgb(upright).astype(int) - picture).mean() < 1.5
    stored = converter.stored(upright, picture, 96)
    expected = halved(to_yuv(wide, 9, False))
    assert np.abs(planes_of(stored) - expected).mean((0, 1)).max() < 1


@pytest.mark.parametrize("primaries", [4, 5, 6, 7, 8, 9, 11, 12, 22])
def test_gray_stays_gray_in_all_primaries(primaries):
    gray = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2).repeat(16, 0)
    frame = frame_of(gray, "rgb24")
    converter = Converter(frame, Colors(primaries, 1, 1, False))
    read = converter.srgb(converter.upright(frame))
    assert np.abs(read.astype(int) - gray).max() <= 1


@pytest.mark.parametrize("layout", ["gray", "gray10le", "rgb24", "gbrp", "bgra"])
def test_pictures_without_chroma_planes_are_read_as_they_are(colourful, layout):
    picture = colourful(64, 96)
    if layout.startswith("gray"):
        picture = np.repeat(picture[..., :1], 3, axis=2)
    frame = frame_of(picture, "rgb24").reformat(format=layout)
    converter = Converter(frame, Colors(1, 1, 1, False))
    upright = converter.upright(frame)
    assert np.abs(converter.srgb(upright).astype(int) - picture).mean() < 1
    # The decoder may still need its own picture.
    converter.stored(upright, np.zeros_like(picture), 96)
    assert np.abs(frame.to_ndarray(format="rgb24").astype(int) - picture).mean() < 1


@pytest.mark.parametrize("layout", ["yuv420p", "yuv411p", "yuv410p"])
@pytest.mark.parametrize("size", [(6, 18), (7, 19), (2, 2), (3, 3)])
def test_no_column_is_lost_where_chroma_has_fewer(layout, size):
    height, width = size
    luma = np.random.default_rng(0).integers(16, 236, size).astype(np.uint8)
    frame = at_time(av.VideoFrame(width, height, layout))
    for number, plane in enumerate(frame.planes):
        lines = np.full([plane.height, plane.line_size], 128, np.uint8)
        if not number:
            lines[:, :width] = luma
        plane.update(lines.tobytes())
    frame.color_range = 1
    converter = Converter(frame, Colors(1, 1, 1, False))
    read = converter.srgb(converter.upright(frame)).astype(float)
    # A film has even sides.
    expected = (luma[: height // 2 * 2, : width // 2 * 2].astype(float) - 16) * 255 / 219
    assert np.abs(read - expected[..., None]).max() <= 2


@pytest.mark.parametrize("stated", [False, True])
@pytest.mark.parametrize(("layout", "scale"), [("gray", 1), ("gray10le", 4), ("gray16le", 256)])
def test_gray_of_limited_range_is_read_as_such(layout, scale, stated):
    levels = np.arange(256).astype(np.uint16)[None].repeat(16, 0)
    frame = frame_of((levels * scale).astype(np.uint8 if scale == 1 else np.uint16), layout)
    frame.color_range = int(stated)
    colors = Colors(1, 1, 1, False, gray_is_full=stated)
    converter = Converter(frame, colors)
    expected = ((levels.astype(float) - 16) * 255 / 219).clip(0, 255)
    read = converter.srgb(converter.upright(frame)).astype(float)
    assert np.abs(read - expected[..., None]).max() <= 1.5


def test_ten_bits_are_read(colourful):
    yuv = to_yuv(colourful(64, 96) / 255, 1, False)
    planes = (4 * yuv).round().astype(np.uint16).transpose(2, 0, 1)
    frame = at_time(av.VideoFrame(96, 64, "yuv444p10le"))
    for plane, values in zip(frame.planes, planes, strict=True):
        lines = np.zeros([64, plane.line_size // 2], np.uint16)
        lines[:, :96] = values
        plane.update(lines.tobytes())
    frame.color_range = 1
    converter = Converter(frame, Colors(1, 1, 1, False))
    read = converter.srgb(converter.upright(frame))
    assert np.abs(read.astype(int) - colourful(64, 96)).mean() < 1


def test_pictures_that_change_their_size_keep_that_of_the_first(colourful):
    first, second = (
        frame_of(colourful(*size), "rgb24", number)
        for number, size in enumerate([(64, 96), (48, 64)])
    )
    converter = Converter(first, Colors(1, 1, 1, False))
    shown = [converter.upright(frame) for frame in (first, second, first)]
    assert [(frame.width, frame.height) for frame in shown] == 3 * [(96, 64)]


@pytest.mark.parametrize(
    ("orientation", "turns", "step"), [(1, 0, 1), (2, 0, -1), (3, 2, 1), (6, -1, 1), (8, 1, 1)]
)
def test_jpeg_pictures_with_exif_data_are_read_upright(colourful, orientation, turns, step):
    picture, exif = colourful(48, 64), Image.Exif()
    exif[0x010F], exif[0x0112] = "Camera", orientation
    with io.BytesIO() as file:
        Image.fromarray(picture).save(file, "JPEG", exif=exif, quality=95, subsampling=0)
        with av.open(file, format="mjpeg") as film:
            frame = next(film.decode(video=0))
    converter = Converter(frame, Colors(1, 1, 5, True))
    expected = np.rot90(picture[:, ::step], turns)
    np.testing.assert_allclose(converter.srgb(converter.upright(frame)), expected, atol=40)


@pytest.mark.parametrize(
    ("size", "aspect", "rows", "columns"),
    [((48, 64), 1, 64, 86), ((64, 64), 2, 48, 96), ((48, 64), Fraction(9, 8), 64, 96)],
    ids=["higher", "wider", "same"],
)
def test_pictures_of_another_shape_are_not_stretched(colourful, size, aspect, rows, columns):
    first, other = colourful(64, 96), np.maximum(colourful(*size), 64)
    frames = [frame_of(first, "rgb24"), frame_of(other, "rgb24", 1)]
    converter = Converter(frames[0], Colors(1, 1, 1, False), shape=Shape(96, 64))
    np.testing.assert_array_equal(converter.srgb(converter.upright(frames[0])), first)
    assert not converter.barred
    shown = converter.srgb(converter.upright(frames[1], Fraction(aspect)))
    assert shown.shape == (64, 96, 3)
    inside = shown.any(-1)
    assert (inside.any(1).sum(), inside.any(0).sum()) == (rows, columns)
    assert inside.sum() == rows * columns
    assert converter.barred == ((rows, columns) != (64, 96))
    expected = Image.fromarray(other).resize((columns, rows), Image.Resampling.BICUBIC)
    assert np.abs(shown[inside].reshape(rows, columns, 3) - np.float32(expected)).mean() < 2


def context_of(width=64, height=48, layout="yuv420p", tags=(2, 2, 2), color_range=0):
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = width, height, layout
    context.color_primaries, context.color_trc, context.colorspace = tags
    context.color_range = color_range
    return context


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ({}, (1, 1, 6, False)),
        ({"width": 720, "height": 576}, (1, 1, 6, False)),
        ({"width": 1280, "height": 544}, (1, 1, 1, False)),
        ({"width": 720, "height": 720}, (1, 1, 1, False)),
        ({"height": 720, "tags": (5, 6, 5)}, (5, 6, 5, False)),
        ({"tags": (1, 1, 1), "color_range": 2}, (1, 1, 1, True)),
        ({"tags": (9, 14, 9), "layout": "yuv420p10le"}, (9, 14, 9, False)),
        ({"tags": (2, 2, 0)}, (1, 1, 6, False)),
        ({"layout": "yuvj420p"}, (1, 1, 6, True)),
        ({"layout": "gray", "color_range": 2}, (1, 1, 6, False)),
        ({"layout": "rgb24", "tags": (1, 13, 0)}, (1, 13, 6, False)),
    ],
)
def test_tags_are_kept_and_missing_ones_guessed_as_players_do(context, expected):
    assert stored_colors(context_of(**context))[:4] == expected


def test_gray_pictures_that_state_no_range_have_that_of_their_codecs_standard():
    """H.264's is the limited one."""
    read = av.CodecContext.create("ffv1", "r")
    read.width, read.height, read.pix_fmt = 64, 48, "gray"
    assert stored_colors(read).gray_is_full
    assert not stored_colors(context_of(layout="gray")).gray_is_full


@pytest.mark.parametrize(
    ("tags", "named"),
    [((9, 16, 9), r"HDR \(PQ\)"), ((9, 18, 9), r"HDR \(HLG\)"), ((1, 8, 1), "linear"),
     ((1, 1, 8), "YCgCo"), ((9, 14, 10), "constant luminance"), ((9, 14, 14), "ICtCp"),
     ((1, 1, 11), "matrix 11 of H.273")],
)  # fmt: skip
def test_what_no_ordinary_display_shows_is_refused_by_name(tags, named):
    with pytest.raises(UnreadableFilm, match=named):
        stored_colors(context_of(tags=tags))


def test_the_containers_word_counts_where_the_stream_states_nothing():
    container = StatedColors(9, 16, 9)
    with pytest.raises(UnreadableFilm, match="PQ"):
        stored_colors(context_of(), container)
    assert stored_colors(context_of(tags=(1, 1, 1)), container)[:4] == (1, 1, 1, False)
    assert stored_colors(context_of(), StatedColors(9, 14, 9))[:4] == (9, 14, 9, False)


def test_chroma_of_fields_that_only_the_container_states_is_read_field_by_field():
    """Fields of quite different colours, whose chroma 4:2:0 lets no other way keep apart."""
    planes = np.full([96, 64], 100, np.uint8)
    for plane in planes[64:80], planes[80:]:
        # Two lines of chroma after each other in memory are one row of 64 bytes.
        plane[:, :32], plane[:, 32:] = 60, 200
    frame = frame_of(planes, "yuv420p")
    converter = Converter(frame, Colors(1, 1, 1, False), "tff")
    upright = converter.upright(frame)
    assert field_order(upright) == "tff"
    read = converter.srgb(upright)[8:-8].astype(int)
    # Where all are one picture, lines of chroma are mixed.
    for field in (read[0::2], read[1::2]):
        assert np.abs(field - field.mean((0, 1))).max() <= 2
    assert np.abs(read[0::2].mean((0, 1)) - read[1::2].mean((0, 1))).max() > 100


def test_the_order_of_fields_is_found():
    for order, flags in (("tff", "tff"), ("bff", "bff"), (None, "prog")):
        graph = av.filter.Graph()
        source = graph.add_buffer(width=64, height=48, format="yuv420p", time_base=TIME_BASE)
        fields = graph.add("setfield", flags)
        graph.link_nodes(source, fields, graph.add("buffersink")).configure()
        graph.push(at_time(av.VideoFrame(64, 48, "yuv420p")))
        frame = graph.pull()
        assert field_order(frame) == order
        converter = Converter(frame, Colors(1, 1, 1, False))
        upright = converter.upright(frame)
        stored = converter.stored(upright, converter.srgb(upright), 64)
        assert field_order(stored) == order
