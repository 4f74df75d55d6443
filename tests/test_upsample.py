"""Upsampling ops against references in NumPy, and the script as its users run it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tifffile
from PIL import Image
from platforms import HANG

import upsample

SCRIPT = Path(upsample.__file__)
FACTORS = (1, 2, 3, 4, 5)
# batch, height, width, channels: odd sizes, a single pixel, lines
SHAPES = ((2, 5, 7, 3), (1, 1, 1, 1), (1, 6, 1, 7), (3, 1, 4, 2))
# images, out: the last would take a kernel with in and out swapped without complaint
CONVS = (
    ((2, 5, 7, 3), 4),
    ((1, 1, 1, 1), 1),
    ((1, 4, 3, 5), 2),
    ((1, 1, 6, 2), 7),
    ((2, 3, 3, 3), 3),
)


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def assert_close(actual, expected, tolerance: float = 1e-5) -> None:
    actual = tf.cast(actual, tf.float64).numpy()
    expected = tf.cast(expected, tf.float64).numpy()
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= tolerance * np.abs(expected).max()


def bilinear_reference(images: np.ndarray, factor: int) -> np.ndarray:
    """Each result pixel from the four pixels around its centre, indices held within the image."""
    batch, height, width, channels = images.shape
    result = np.zeros((batch, height * factor, width * factor, channels))
    for row in range(height * factor):
        y = (row + 0.5) / factor - 0.5
        top = int(np.floor(y))
        for column in range(width * factor):
            x = (column + 0.5) / factor - 0.5
            left = int(np.floor(x))
            for i, y_weight in ((top, top + 1 - y), (top + 1, y - top)):
                for j, x_weight in ((left, left + 1 - x), (left + 1, x - left)):
                    pixel = images[:, min(max(i, 0), height - 1), min(max(j, 0), width - 1)]
                    result[:, row, column] += y_weight * x_weight * pixel
    return result


def conv_reference(images: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Repeats each pixel 2x2, then correlates with the kernel, zeros around the image."""
    repeated = images.astype(np.float64).repeat(2, axis=1).repeat(2, axis=2)
    batch, height, width, _ = repeated.shape
    padded = np.pad(repeated, ((0, 0), (1, 1), (1, 1), (0, 0)))
    result = np.zeros((batch, height, width, kernel.shape[3]))
    for row in range(height):
        for column in range(width):
            patch = padded[:, row : row + 3, column : column + 3]
            result[:, row, column] = np.tensordot(patch, kernel, axes=3)
    return result


def two_steps(images, kernel):
    repeated = tf.repeat(tf.repeat(images, 2, axis=1), 2, axis=2)
    return tf.nn.conv2d(repeated, kernel, strides=1, padding="SAME")


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("shape", SHAPES)
def test_nearest_repeats(shape, factor):
    images = random(*shape)
    expected = np.repeat(np.repeat(images, factor, axis=1), factor, axis=2)
    np.testing.assert_array_equal(upsample.nearest(images, factor), expected)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int64", "bool", "bfloat16", "string"])
def test_nearest_takes_any_dtype(dtype):
    values = ["a", "b", "c", "d"] if dtype == "string" else tf.cast([0, 1, 2, 3], dtype)
    result = upsample.nearest(tf.reshape(values, [1, 2, 2, 1]), 2)
    assert result.dtype == dtype
    expected = tf.gather(values, [0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3])
    assert tf.reshape(result, [-1]).numpy().tolist() == expected.numpy().tolist()


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("shape", SHAPES)
def test_bilinear_matches_reference(shape, factor):
    images = random(*shape)
    assert_close(upsample.bilinear(images, factor), bilinear_reference(images, factor))


@pytest.mark.parametrize("factor", FACTORS)
def test_bilinear_keeps_constants(factor):
    result = upsample.bilinear(tf.fill([1, 3, 4, 2], 0.7), factor)
    np.testing.assert_allclose(result, 0.7, rtol=1e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 2e-3), ("bfloat16", 1.6e-2)])
def test_bilinear_in_half_precision(dtype, tolerance):
    images = tf.cast(random(2, 4, 5, 3), dtype)
    result = upsample.bilinear(images, 3)
    assert result.dtype == dtype
    reference = bilinear_reference(tf.cast(images, tf.float32).numpy(), 3)
    assert_close(result, reference, tolerance)


def test_bilinear_gradient_is_the_transpose():
    images, grads = tf.constant(random(1, 3, 4, 2)), tf.constant(random(1, 9, 12, 2))
    with tf.GradientTape() as tape:
        tape.watch(images)
        result = upsample.bilinear(images, 3)
    back = tape.gradient(result, images, grads)
    # <A x, g> = <x, A' g> for the linear map A
    np.testing.assert_allclose(np.vdot(result, grads), np.vdot(images, back), rtol=1e-4)


@pytest.mark.parametrize(("shape", "out"), CONVS)
def test_upsample_conv_matches_reference(shape, out):
    images, kernel = random(*shape), random(3, 3, shape[3], out)
    result = upsample.upsample_conv(images, kernel)
    assert_close(result, conv_reference(images, kernel))
    assert_close(result, two_steps(images, kernel))


@pytest.mark.parametrize(("shape", "out"), CONVS)
def test_upsample_conv_gradients_match_two_steps(shape, out):
    images, kernel = tf.constant(random(*shape)), tf.constant(random(3, 3, shape[3], out))
    grads = tf.constant(random(shape[0], 2 * shape[1], 2 * shape[2], out))
    found = []
    for function in (upsample.upsample_conv, two_steps):
        with tf.GradientTape() as tape:
            tape.watch([images, kernel])
            result = function(images, kernel)
        found.append(tape.gradient(result, [images, kernel], grads))
    for fused, expected in zip(*found, strict=True):
        assert_close(fused, expected)


def test_upsample_conv_in_bfloat16():
    images = tf.cast(random(2, 6, 5, 16), tf.bfloat16)
    kernel = tf.cast(random(3, 3, 16, 8), tf.bfloat16)
    result = upsample.upsample_conv(images, kernel)
    assert result.dtype == tf.bfloat16
    # 8 bits: the 4x4 kernel and the result are rounded to 2^-9 each
    exact = conv_reference(*(tf.cast(x, tf.float32).numpy() for x in (images, kernel)))
    assert_close(result, exact, 1e-2)


def test_upsample_conv_is_one_transposed_convolution():
    with tf.Graph().as_default() as graph:
        upsample.upsample_conv(tf.zeros([2, 4, 4, 3]), tf.zeros([3, 3, 3, 5]))
    (convolution,) = [op for op in graph.get_operations() if "Conv" in op.type]
    assert convolution.type == "Conv2DBackpropInput"
    assert convolution.get_attr("strides") == [1, 2, 2, 1]


KERNEL = random(3, 3, 3, 4)
OPS = {
    "nearest": lambda images: upsample.nearest(images, 2),
    "bilinear": lambda images: upsample.bilinear(images, 2),
    "upsample_conv": lambda images: upsample.upsample_conv(images, KERNEL),
}


@pytest.mark.parametrize("known", [(None, None, None, 3), (2, 5, None, 3), (None,) * 4])
@pytest.mark.parametrize("op", OPS)
def test_graph_of_unknown_sizes(op, known):
    value = random(2, 5, 4, 3)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        images = tf.compat.v1.placeholder(tf.float32, known)
        result = OPS[op](images)
        (gradient,) = tf.compat.v1.gradients(result, images)
        actual, slope = session.run([result, gradient], {images: value})
    channels = 4 if op == "upsample_conv" else known[3]
    assert result.shape.as_list() == [known[0], known[1] and 10, None, channels]
    np.testing.assert_allclose(actual, OPS[op](value), rtol=1e-5, atol=1e-5)
    assert slope.shape == value.shape


@pytest.mark.parametrize("op", OPS)
def test_graph_knows_its_static_shape(op):
    with tf.Graph().as_default():
        result = OPS[op](tf.compat.v1.placeholder(tf.float32, [None, 28, 14, 3]))
    assert result.shape.as_list() == [None, 56, 28, 4 if op == "upsample_conv" else 3]


@pytest.mark.parametrize("function", [upsample.nearest, upsample.bilinear])
@pytest.mark.parametrize("factor", [0, -2, 1.5, 2.0, "2", None, True])
def test_factor_must_be_a_positive_integer(function, factor):
    with pytest.raises(ValueError, match="factor must be an integer"):
        function(np.zeros([1, 2, 2, 1], np.float32), factor)


@pytest.mark.parametrize("op", OPS)
def test_images_must_have_rank_4(op):
    with pytest.raises(ValueError, match="images must be"):
        OPS[op](np.zeros([2, 2, 3], np.float32))


def test_bilinear_must_have_floats():
    with pytest.raises(ValueError, match="floating-point, not uint8"):
        upsample.bilinear(np.zeros([1, 2, 2, 3], np.uint8), 2)


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((4, 4, 3, 2), np.float32, "kernel must be"),
        ((3, 1, 3, 2), np.float32, "kernel must be"),
        ((3, 3, 3), np.float32, "kernel must be"),
        ((3, 3, 2, 3), np.float32, "differ in channels"),
        ((3, 3, 3, 2), np.float64, "kernel is float64, but images are float32"),
    ],
)
def test_kernel_must_fit(shape, dtype, message):
    with pytest.raises(ValueError, match=message):
        upsample.upsample_conv(tf.zeros([1, 2, 2, 3]), tf.zeros(shape, dtype))


def run_main(monkeypatch, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", ["upsample.py", *map(str, arguments)])
    return upsample.main()


def run_script(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, SCRIPT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=HANG, check=False)


def pixels(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(1).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def test_script_upsamples(tmp_path):
    values = pixels(5, 4, 3)
    Image.fromarray(values).save(tmp_path / "in.png")
    run = run_script(tmp_path / "in.png", tmp_path / "out.png", "--factor", 3)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    expected = bilinear_reference(values[np.newaxis].astype(float), 3)[0]
    with Image.open(tmp_path / "out.png") as image:
        assert image.mode == "RGB"
        assert np.abs(np.asarray(image) - expected).max() <= 0.501
    assert {path.name for path in tmp_path.iterdir()} == {"in.png", "out.png"}


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(pixels(3, 5), id="L"),
        pytest.param(pixels(3, 5, 2), id="LA"),
        pytest.param(pixels(1, 1, 3), id="RGB"),
        pytest.param(pixels(3, 5, 4), id="RGBA"),
        pytest.param(pixels(3, 5, dtype=np.uint16), id="16 bits"),
    ],
)
def test_script_keeps_modes(tmp_path, monkeypatch, values):
    path = tmp_path / "picture.png"
    Image.fromarray(values).save(path)
    with Image.open(path) as image:
        mode = image.mode
    run_main(monkeypatch, path, path, "--method", "nearest")
    with Image.open(path) as image:
        assert image.mode == mode
        np.testing.assert_array_equal(image, values.repeat(2, axis=0).repeat(2, axis=1))


@pytest.mark.parametrize("ending", ["jpg", "webp", "bmp", "gif"])
def test_script_writes_grays_of_16_bits_to_any_format(tmp_path, monkeypatch, capsys, ending):
    values = np.linspace(0, 65535, 64 * 48).astype(np.uint16).reshape(48, 64)
    Image.fromarray(values).save(tmp_path / "in.png")
    run_main(monkeypatch, tmp_path / "in.png", tmp_path / f"out.{ending}")
    with Image.open(tmp_path / f"out.{ending}") as image:
        shown = np.asarray(image.convert("L"), float)[::2, ::2]
    np.testing.assert_allclose(shown, values / 257, atol=6)
    assert capsys.readouterr().err.endswith("of 8 bits, which is all it can hold\n")


@pytest.mark.parametrize("script", ["upsample.py", "lab_convert.py"])
def test_script_that_is_stopped_early_ends_quietly(tmp_path, script):
    """Importing TensorFlow takes longest."""
    (tmp_path / "tensorflow.py").write_text("raise KeyboardInterrupt")
    done = subprocess.run(
        [sys.executable, SCRIPT.with_name(script), "in.png", "out.png"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=HANG,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize(("mode", "result"), [("1", "L"), ("P", "RGB"), ("CMYK", "RGB")])
def test_script_converts_other_modes(tmp_path, monkeypatch, mode, result):
    picture = Image.fromarray(pixels(4, 6, 3)).convert(mode)
    picture.save(tmp_path / "in.tif")
    run_main(monkeypatch, tmp_path / "in.tif", tmp_path / "out.png", "--factor", 1)
    with Image.open(tmp_path / "out.png") as image:
        assert image.mode == result
        np.testing.assert_array_equal(image, picture.convert(result))


def test_script_keeps_16_bits_of_any_byte_order_and_with_transparency(tmp_path, monkeypatch):
    values = pixels(3, 5, dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "key.png", transparency=40000)
    tifffile.imwrite(tmp_path / "big.tif", values, byteorder=">", photometric="minisblack")
    for name in ("key.png", "big.tif"):
        run_main(monkeypatch, tmp_path / name, tmp_path / "out.png", "--method", "nearest")
        with Image.open(tmp_path / "out.png") as image:
            np.testing.assert_array_equal(image, values.repeat(2, axis=0).repeat(2, axis=1))


def test_script_keeps_the_pages_of_tiff_files(tmp_path, monkeypatch, capsys):
    shapes = [(3, 5, 3), (4, 2, 3), (6, 3, 3)]
    first, *rest = (Image.fromarray(pixels(*shape)) for shape in shapes)
    path = tmp_path / "album.tif"
    first.save(path, save_all=True, append_images=rest)
    run_main(monkeypatch, path, path, "--method", "nearest")
    with Image.open(path) as album:
        assert album.n_frames == 3
        for number, shape in enumerate(shapes):
            album.seek(number)
            expected = pixels(*shape).repeat(2, axis=0).repeat(2, axis=1)
            np.testing.assert_array_equal(album, expected)
    assert not capsys.readouterr().err
    run_main(monkeypatch, path, tmp_path / "out.png")
    assert "album.tif: its 2 further pages are left out" in capsys.readouterr().err


def test_script_leaves_out_a_page_that_an_album_lacks(tmp_path, monkeypatch, capsys):
    path, page = tmp_path / "album.tif", Image.fromarray(pixels(3, 5, 3))
    page.save(path, save_all=True, append_images=[page, page])
    with tifffile.TiffFile(path) as album:
        last = album.pages[2].offset
    path.write_bytes(cut := path.read_bytes()[: last + 30])
    # The album itself is not replaced by less than it holds.
    assert run_main(monkeypatch, path, tmp_path / "out.tif") == 1
    with pytest.raises(SystemExit, match="2"):
        run_main(monkeypatch, path, path)
    assert capsys.readouterr().err.count(f"left out of {path}: page 3: ") == 2
    with Image.open(tmp_path / "out.tif") as album:
        assert album.n_frames == 2
    assert path.read_bytes() == cut


def test_script_says_that_transparency_of_16_bits_is_left_out(tmp_path, monkeypatch, capsys):
    values = pixels(3, 5, 2, dtype=np.uint16)
    tifffile.imwrite(tmp_path / "in.tif", values, photometric="minisblack", extrasamples=[2])
    run_main(monkeypatch, tmp_path / "in.tif", tmp_path / "out.png")
    assert "transparency of 16 bits is left out" in capsys.readouterr().err


def test_script_hides_the_colour_of_invisible_pixels(tmp_path, monkeypatch):
    values = np.array([[[200, 100, 50, 255], [0, 255, 0, 0]]], np.uint8)
    Image.fromarray(values).save(tmp_path / "in.png")
    run_main(monkeypatch, tmp_path / "in.png", tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as image:
        row = np.asarray(image)[0]
    np.testing.assert_array_equal(row[:, 3], [255, 191, 64, 0])
    np.testing.assert_array_equal(row[:3, :3], [[200, 100, 50]] * 3)


def test_script_turns_photos_upright(tmp_path, monkeypatch):
    values = pixels(2, 3, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter clockwise to be seen
    Image.fromarray(values).save(tmp_path / "in.png", exif=exif)
    run_main(monkeypatch, tmp_path / "in.png", tmp_path / "out.png", "--method", "nearest")
    with Image.open(tmp_path / "out.png") as image:
        upright = np.rot90(values, -1)
        np.testing.assert_array_equal(image, upright.repeat(2, axis=0).repeat(2, axis=1))
        assert 0x0112 not in image.getexif()


def test_script_brings_colours_to_srgb(tmp_path, monkeypatch, swapped_profile):
    red = Image.new("RGB", (3, 2), (255, 0, 0))
    red.save(tmp_path / "in.png", icc_profile=swapped_profile)
    run_main(monkeypatch, tmp_path / "in.png", tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as image:
        np.testing.assert_allclose(image, np.full([4, 6, 3], [0, 0, 255]), atol=2)
        assert "icc_profile" not in image.info


def test_script_reads_layouts_that_pillow_misreads(tmp_path, monkeypatch):
    gray, colours = pixels(3, 5, dtype=np.uint16), pixels(3, 4, 5, dtype=np.uint16)
    tifffile.imwrite(tmp_path / "gray.tif", 65535 - gray, photometric="miniswhite")
    tifffile.imwrite(tmp_path / "rgb.tif", colours, photometric="rgb", planarconfig="separate")
    for name, values in (("gray", gray), ("rgb", np.moveaxis(colours / 257, 0, -1))):
        run_main(monkeypatch, tmp_path / f"{name}.tif", tmp_path / "out.png", "--factor", 1)
        with Image.open(tmp_path / "out.png") as image:
            np.testing.assert_allclose(image, values, atol=0.51)


def test_script_writes_names_as_long_as_file_systems_allow(tmp_path, monkeypatch):
    Image.fromarray(pixels(3, 3, 3)).save(tmp_path / "in.png")
    run_main(monkeypatch, tmp_path / "in.png", tmp_path / f"{'a' * 251}.png")
    assert {path.name for path in tmp_path.iterdir()} == {"in.png", f"{'a' * 251}.png"}


BAD = {
    "missing": ("missing.png", "out.png"),
    "not a picture": ("text.png", "out.png"),
    "damaged": ("cut.png", "out.png"),
    "folder": (".", "out.png"),
    "unknown extension": ("in.png", "out.xyz"),
    "no such folder": ("in.png", "missing/out.png"),
    "output is a folder": ("in.png", "folder.png"),
    "alpha in JPEG": ("alpha.png", "out.jpg"),
    "factor 0": ("in.png", "out.png", "--factor", "0"),
    "factor 1.5": ("in.png", "out.png", "--factor", "1.5"),
    "factor 65": ("in.png", "out.png", "--factor", "65"),
    "too large a result": ("large.png", "out.png", "--factor", "64"),
    "no output": ("in.png",),
}


@pytest.fixture
def untouched(tmp_path, monkeypatch):
    """Works in a folder of pictures, none of which may change, and to which none may come."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(pixels(30, 30, 3)).save("in.png")
    Image.fromarray(pixels(3, 3, 4)).save("alpha.png")
    Image.new("L", (300, 300)).save("large.png")
    Image.new("F", (3, 3)).save("float.tif")
    Path("text.png").write_text("no picture\n")
    Path("cut.png").write_bytes(Path("in.png").read_bytes()[:-1000])
    Path("folder.png").mkdir()
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    yield
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before


def assert_one_line(errors: str) -> None:
    assert errors.startswith("upsample.py: error: ")
    assert errors.endswith("\n")
    assert errors.count("\n") == 1


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("case", BAD)
def test_main_refuses(monkeypatch, capfd, case):
    with pytest.raises(SystemExit) as exit_info:
        run_main(monkeypatch, *BAD[case])
    assert exit_info.value.code == 2
    out, errors = capfd.readouterr()
    assert out == ""
    assert_one_line(errors)


# A process takes seconds to load TensorFlow, so this one stands for all.
@pytest.mark.usefixtures("untouched")
def test_script_refuses():
    run = run_script(*BAD["output is a folder"])
    assert (run.returncode, run.stdout) == (2, "")
    assert_one_line(run.stderr)


@pytest.mark.parametrize(("size", "whole"), [(1, 5), (4, 4), (5, 17), (28, 9), (7, 1)])
def test_interpolation_is_that_of_resize(size, whole):
    line = random(1, 1, size, 2)
    expected = tf.image.resize(line, [1, whole], "bicubic")[0, 0]
    weights = upsample.interpolation(size, 0, whole, whole)
    # TensorFlow looks its weights up in a table of 1024 places.
    np.testing.assert_allclose(weights @ line[0, 0], expected, atol=5e-3)
    part = upsample.interpolation(size, whole // 2, whole, whole)
    np.testing.assert_array_equal(part, weights[whole // 2 :])
