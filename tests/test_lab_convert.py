"""sRGB to CIE L*a*b* and back, against scikit-image, and the script that draws the channels."""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from platforms import HANG
from skimage.color import lab2rgb, lab2xyz, rgb2lab

import lab_convert
from colorization.program import exit_code
from lab_convert import (
    decode_chroma,
    encode_chroma,
    lab_to_rgb,
    rgb_to_chroma,
    rgb_to_lab,
    rgb_to_lightness,
)

CORNERS = np.array(list(itertools.product([0, 255], repeat=3)), np.uint8)
GRAYS = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)


@pytest.fixture(scope="module")
def colours() -> np.ndarray:
    """100,000 random colours, the corners of the cube and all grays, uint8 [n, 3]."""
    random = np.random.default_rng(0).integers(0, 256, (100_000, 3), dtype=np.uint8)
    return np.concatenate([random, CORNERS, GRAYS])


def test_lab_agrees_with_scikit_image(colours):
    np.testing.assert_allclose(rgb_to_lab(colours), rgb2lab(colours), rtol=0, atol=0.001)


@pytest.mark.parametrize(
    ("rgb", "lab"),
    # Published values for sRGB under D65, two decimals.
    [
        ((255, 255, 255), (100, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.74, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((0, 0, 0), (0, 0, 0)),
    ],
)
def test_lab_of_known_colours(rgb, lab):
    np.testing.assert_allclose(rgb_to_lab(np.array(rgb, np.uint8)), lab, rtol=0, atol=0.02)


def test_grays_have_no_chroma():
    assert np.abs(rgb_to_chroma(GRAYS)).max() < 0.01


def test_lightness_and_chroma_alone_agree_with_lab(colours):
    lab = rgb_to_lab(colours).numpy()
    # The same arithmetic, so only rounding may differ.
    np.testing.assert_allclose(rgb_to_lightness(colours), lab[:, :1], rtol=0, atol=1e-4)
    np.testing.assert_allclose(rgb_to_chroma(colours), lab[:, 1:], rtol=0, atol=1e-4)


def test_float_and_uint8_agree(colours):
    expected = rgb_to_lab(colours)
    for dtype in np.float32, np.float64:
        floats = colours.astype(dtype) / 255
        np.testing.assert_allclose(rgb_to_lab(floats), expected, rtol=0, atol=0.001)


def test_rgb_agrees_with_scikit_image(colours):
    lab = rgb2lab(colours)
    np.testing.assert_allclose(lab_to_rgb(lab), colours / 255, rtol=0, atol=1e-4)
    beyond = np.random.default_rng(1).uniform((0, -110, -110), (100, 110, 110), (20_000, 3))
    # scikit-image moves colours whose f(Z) is negative before it clips them: they are left out.
    beyond = beyond[(beyond[:, 0] + 16) / 116 >= beyond[:, 2] / 200]
    np.testing.assert_allclose(lab_to_rgb(beyond), lab2rgb(beyond), rtol=0, atol=1e-4)


@pytest.mark.parametrize("dense", range(3))
def test_uint8_comes_back_unchanged(dense, colours):
    axes = [np.arange(0, 256, 15)] * 3
    axes[dense] = np.arange(256)
    grid = np.stack(np.meshgrid(*axes), axis=-1).astype(np.uint8)
    for rgb in grid, colours:
        back = lab_to_rgb(rgb_to_lab(rgb), tf.uint8)
        assert back.dtype == tf.uint8
        np.testing.assert_array_equal(back, rgb)


def test_out_of_gamut_is_clipped():
    lab = np.array([[50, 300, 0], [50, 0, -300], [150, 0, 0], [-20, 0, 0]], np.float32)
    rgb = lab_to_rgb(lab).numpy()
    assert rgb.min() == 0 and rgb.max() == 1
    np.testing.assert_array_equal(rgb[2:], [[1, 1, 1], [0, 0, 0]])
    np.testing.assert_array_equal(lab_to_rgb(lab, tf.uint8)[2:], [[255] * 3, [0] * 3])


def gradient(function, x: np.ndarray) -> np.ndarray:
    x = tf.constant(x, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    assert np.isfinite(y).all()
    return tape.gradient(y, x).numpy()


@pytest.mark.parametrize("function", [rgb_to_lab, rgb_to_lightness, rgb_to_chroma])
def test_gradients_of_rgb_are_finite(function):
    # Black, white, both sides of the knee, and beyond the range.
    values = [0, 1, 1e-8, 0.04045, 0.04, 0.5, -0.1, -5, 1.5]
    rgb = np.array(list(itertools.product(values, repeat=3)))
    assert np.isfinite(gradient(function, rgb)).all()


def test_gradients_of_lab_are_finite():
    lab = list(itertools.product([-50, 0, 8, 50, 100, 200], [-300, 0, 300], [-300, 0, 300]))
    assert np.isfinite(gradient(lab_to_rgb, np.array(lab))).all()


def test_gradients_are_right():
    # At black L* is linear in gray: 24389/27 (CIE 15) over 12.92 (IEC 61966-2-1).
    at_black = gradient(rgb_to_lightness, np.zeros([3]))
    np.testing.assert_allclose(at_black.sum(), 24389 / 27 / 12.92, rtol=1e-4)
    # Elsewhere it is the difference quotient; h is wide enough for float32.
    h = 0.01
    for rgb in [0.5, 0.3, 0.8], [0.02, 0.02, 0.02], [0.9, 0.1, 0.2]:
        rgb = np.array(rgb)
        rise = rgb2lab(rgb + h * np.eye(3)).sum(-1) - rgb2lab(rgb - h * np.eye(3)).sum(-1)
        np.testing.assert_allclose(gradient(rgb_to_lab, rgb), rise / (2 * h), rtol=0.02, atol=0.5)
    # There and back is the identity, and so is its gradient.
    rgb = np.random.default_rng(2).uniform(0.01, 0.99, (100, 3))
    there_and_back = gradient(lambda x: lab_to_rgb(rgb_to_lab(x)), rgb)
    np.testing.assert_allclose(there_and_back, np.ones([100, 3]), atol=0.001)


@pytest.mark.parametrize("scale", [1, 8.0, 30.0])
def test_code_decodes_to_what_was_encoded(scale):
    ab = np.linspace((-8 * scale, 8 * scale), (8 * scale, -8 * scale), 10_001)
    code = encode_chroma(ab, scale)
    np.testing.assert_allclose(code, 1 / (1 + np.exp(-ab / scale)), rtol=0, atol=1e-6)
    np.testing.assert_allclose(decode_chroma(code, scale), ab, rtol=0, atol=2e-4 * scale)


def test_all_chroma_of_srgb_survives_the_code():
    ab = rgb_to_chroma(CORNERS)
    np.testing.assert_allclose(decode_chroma(encode_chroma(ab, 8.0), 8.0), ab, rtol=0, atol=0.1)


def test_extreme_codes_are_finite():
    code = np.array([[0, 1], [1e-30, 0.5]], np.float32)
    limit = 8 * np.log(2.0**24)
    np.testing.assert_allclose(decode_chroma(code, 8.0), [[-limit, limit], [-limit, 0]], rtol=1e-5)
    assert np.isfinite(gradient(lambda x: decode_chroma(x, 8.0), code)).all()
    far = np.array([[-1e30, 1e30], [0, 200]])
    assert np.isfinite(gradient(lambda x: encode_chroma(x, 8.0), far)).all()


@pytest.mark.parametrize("shape", [(3,), (2, 3), (1, 4, 5, 3), (0, 3), (2, 0, 3)])
def test_shapes(shape):
    rgb = np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)
    lab, ab = rgb_to_lab(rgb), rgb_to_chroma(rgb)
    assert lab.shape == shape and lab.dtype == tf.float32
    assert rgb_to_lightness(rgb).shape == (*shape[:-1], 1)
    assert ab.shape == (*shape[:-1], 2)
    assert encode_chroma(ab, 8.0).shape == ab.shape
    assert decode_chroma(encode_chroma(ab, 8.0), 8.0).shape == ab.shape
    assert lab_to_rgb(lab).dtype == tf.float32
    np.testing.assert_array_equal(lab_to_rgb(lab, tf.uint8), rgb)


def test_session_of_a_graph(colours):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        rgb = tf.compat.v1.placeholder(tf.uint8, [None, 3])
        lab = rgb_to_lab(rgb)
        code = encode_chroma(rgb_to_chroma(rgb), 8.0)
        outputs = [lab, rgb_to_lightness(rgb), decode_chroma(code, 8.0), lab_to_rgb(lab, tf.uint8)]
        assert [output.shape[-1] for output in outputs] == [3, 1, 2, 3]
        lab, lightness, ab, back = session.run(outputs, {rgb: colours})
    np.testing.assert_allclose(lab, rgb_to_lab(colours), rtol=0, atol=1e-3)
    np.testing.assert_allclose(lightness, lab[:, :1], rtol=0, atol=1e-3)
    np.testing.assert_allclose(ab, lab[:, 1:], rtol=0, atol=0.1)  # the code is coarse near 1
    np.testing.assert_array_equal(back, colours)


def test_input_pipeline():
    photos = np.stack([GRAYS, GRAYS[::-1]])
    rows = list(tf.data.Dataset.from_tensor_slices(photos).map(rgb_to_lightness))
    np.testing.assert_allclose(rows, rgb_to_lightness(photos), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rgb_to_lab(np.zeros([2, 4], np.uint8)), r"rgb must have shape \[..., 3\]"),
        (lambda: rgb_to_lightness(np.zeros([3, 1])), "rgb must have shape"),
        (lambda: rgb_to_chroma(0.5), "rgb must have shape"),
        (lambda: rgb_to_lab([255, 0, 0]), "rgb must be uint8 or float, not int32"),
        (lambda: rgb_to_lab(["a", "b", "c"]), "rgb must be uint8 or float, not string"),
        (lambda: lab_to_rgb(np.zeros([2, 2])), "lab must have shape"),
        (lambda: lab_to_rgb(np.zeros([2, 3], np.uint8)), "lab must be float, not uint8"),
        (lambda: lab_to_rgb(np.zeros([2, 3]), tf.int32), "dtype must be .* not .*int32"),
        (lambda: encode_chroma(np.zeros([2, 3]), 8.0), r"ab must have shape \[..., 2\]"),
        (lambda: encode_chroma(np.zeros([2, 2]), 0.0), "scale must be positive, not 0.0"),
        (lambda: decode_chroma(np.zeros([2, 2], np.int64), 8.0), "code must be float, not int64"),
        (lambda: decode_chroma(np.zeros([2, 2]), -1.0), "scale must be positive"),
        (lambda: decode_chroma(np.zeros([2, 2]), float("nan")), "scale must be positive"),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_unknown_last_dimension():
    with tf.Graph().as_default():
        for shape in None, [2, None]:
            with pytest.raises(ValueError, match="rgb must have shape"):
                rgb_to_lab(tf.compat.v1.placeholder(tf.uint8, shape))


def run_script(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, lab_convert.__file__, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=HANG)


def save_photo(path: Path, size: tuple[int, int] = (40, 30), orientation: int = 1) -> np.ndarray:
    width, height = size
    pixels = np.random.default_rng(4).integers(0, 256, (height, width, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    return pixels


def test_script_draws_an_upright_photo(tmp_path):
    # Orientation 6: to be turned by 90 degrees clockwise.
    pixels = np.rot90(save_photo(tmp_path / "photo.png", orientation=6), -1)
    done = run_script(tmp_path, "photo.png")
    assert (done.returncode, done.stdout, done.stderr) == (0, "photo_lab.png\n", "")
    assert {path.name for path in tmp_path.iterdir()} == {"photo.png", "photo_lab.png"}

    sheet = np.asarray(Image.open(tmp_path / "photo_lab.png").convert("RGB"))
    captions = sheet.shape[0] - 40
    assert sheet.shape == (40 + captions, 3 * 30, 3) and 0 < captions < 40
    # The panels convert back to the channel each one shows (8 bits: about 1 unit of L*; a* and b*
    # are clipped to the gamut, so only their sign is sure).
    lightness, a, b = np.split(rgb_to_lab(sheet[captions:]).numpy(), 3, axis=1)
    lab = rgb_to_lab(pixels).numpy()
    np.testing.assert_allclose(lightness[..., 0], lab[..., 0], atol=1)
    assert np.ptp(sheet[captions:, :30].astype(int), axis=-1).max() <= 1  # gray, but for rounding
    for panel, channel in (a, 1), (b, 2):
        strong = np.abs(lab[..., channel]) > 5
        assert (np.sign(panel[..., channel]) == np.sign(lab[..., channel]))[strong].all()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["missing.jpg"], "cannot read missing.jpg: no such file or directory"),
        (["text.jpg"], "cannot read text.jpg: not a picture"),
        (["photo.png", "--output", "nowhere/x.png"], "cannot write nowhere/x.png: no such file"),
    ],
)
def test_main_refuses(tmp_path, monkeypatch, capsys, arguments, complaint):
    save_photo(tmp_path / "photo.png")
    (tmp_path / "text.jpg").write_text("no picture")
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["lab_convert.py", *arguments])
    assert exit_code(lab_convert.main) == 2
    out, errors = capsys.readouterr()
    assert out == ""
    assert errors.startswith(f"lab_convert.py: {complaint}")
    assert errors.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("output", ["x.unknown", "x.psd", "x", ".", "folder.png"])
def test_main_refuses_output(tmp_path, monkeypatch, capsys, output):
    save_photo(tmp_path / "photo.png")
    (tmp_path / "folder.png").mkdir()
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["lab_convert.py", "photo.png", "--output", output])
    assert exit_code(lab_convert.main) == 2
    assert capsys.readouterr().err.startswith(f"lab_convert.py: cannot write {output}: ")
    assert sorted(tmp_path.rglob("*")) == before


def test_main_refuses_broken_photo(tmp_path, monkeypatch, capsys):
    save_photo(tmp_path / "photo.png")
    whole = (tmp_path / "photo.png").read_bytes()
    (tmp_path / "photo.png").write_bytes(whole[: len(whole) // 2])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["lab_convert.py", "photo.png"])
    assert exit_code(lab_convert.main) == 2
    assert capsys.readouterr().err.startswith("lab_convert.py: cannot read photo.png: ")
    assert not (tmp_path / "photo_lab.png").exists()


def test_main_reduces_large_photos(tmp_path, monkeypatch):
    save_photo(tmp_path / "photo.jpg", (1536, 300))
    output = tmp_path / f"{'a' * 251}.jpg"  # as long as names can be
    arguments = ["lab_convert.py", str(tmp_path / "photo.jpg"), "--output", str(output)]
    monkeypatch.setattr(sys, "argv", arguments)
    assert exit_code(lab_convert.main) == 0
    with Image.open(output) as sheet:
        assert sheet.format == "JPEG" and sheet.size == (3 * 1024, 200 + 24)


def test_main_draws_photos_of_16_bits(tmp_path, monkeypatch):
    values = np.linspace(0, 65535, 64).astype(np.uint16)[None].repeat(8, axis=0)
    Image.fromarray(values).save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["lab_convert.py", "photo.png"])
    assert exit_code(lab_convert.main) == 0
    with Image.open("photo_lab.png") as sheet:
        grays = np.asarray(sheet)[-8:, :64, 0]
    assert np.abs(grays - values / 257).max() <= 1


def test_main_heeds_profile_and_transparency(tmp_path, monkeypatch, swapped_profile):
    """Red that is blue by its profile, beside what cannot be seen, which lies over white."""
    photo = Image.new("RGBA", (40, 30), (255, 0, 0, 255))
    photo.paste((0, 0, 0, 0), (20, 0, 40, 30))
    photo.save(tmp_path / "photo.png", icc_profile=swapped_profile)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["lab_convert.py", "photo.png"])
    assert exit_code(lab_convert.main) == 0
    with Image.open("photo_lab.png") as sheet:
        panel = np.asarray(sheet.convert("RGB"))[-30:, :40]
    blue = float(rgb2lab(np.array([[0.0, 0.0, 1.0]]))[0, 0])
    np.testing.assert_allclose(rgb_to_lab(panel[:, :20])[..., 0], blue, atol=1)
    np.testing.assert_allclose(rgb_to_lab(panel[:, 20:])[..., 0], 100, atol=0.1)


def fit_reference(lab: np.ndarray) -> np.ndarray:
    """The largest displayable chroma by trying, with scikit-image's and IEC 61966-2-1's numbers."""
    xyz_from_rgb = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    rgb_from_xyz = np.linalg.inv(xyz_from_rgb)
    fitted = lab.copy()
    for place in np.ndindex(lab.shape[:-1]):
        for factor in np.linspace(1, 0, 2001):
            fitted[place] = lab[place] * [1, factor, factor]
            linear = lab2xyz(fitted[place][None])[0] @ rgb_from_xyz.T
            if linear.min() >= -1e-4 and linear.max() <= 1 + 1e-4:
                break
    return fitted


# Of colours that no light has, scikit-image takes Z as 0.
@pytest.mark.filterwarnings("ignore:Conversion from CIE-LAB.*negative Z")
def test_fit_gamut_matches_reference():
    random = np.random.default_rng(0)
    lab = np.stack(
        [random.uniform(0, 100, 60), *random.uniform(-110, 110, [2, 60])], axis=-1
    ).astype(np.float32)
    lab[:4, 0] = [0, 100, 50, 50]
    lab[3, 1:] = 0
    a, b = lab_convert.fit_gamut(*map(tf.constant, lab.T))
    expected = fit_reference(lab.astype(np.float64))
    np.testing.assert_allclose(a, expected[:, 1], atol=0.15)
    np.testing.assert_allclose(b, expected[:, 2], atol=0.15)


def test_fit_gamut_leaves_displayable_colours_alone():
    rgb = np.random.default_rng(0).integers(0, 256, [40, 50, 3], np.uint8)
    planes = tf.unstack(lab_convert.rgb_to_lab(rgb), axis=-1)
    a, b = lab_convert.fit_gamut(*planes)
    np.testing.assert_array_equal(a, planes[1])
    np.testing.assert_array_equal(b, planes[2])
    np.testing.assert_array_equal(lab_convert.planes_to_rgb(*planes, dtype=tf.uint8), rgb)


def test_planes_keep_lightness_and_hue():
    random = np.random.default_rng(1)
    lab = np.stack(
        [random.uniform(0, 100, [30, 40]), *random.uniform(-120, 120, [2, 30, 40])], axis=-1
    ).astype(np.float32)
    planes = [lab[..., channel] for channel in range(3)]
    shown = lab_convert.rgb_to_lab(lab_convert.planes_to_rgb(*planes)).numpy()
    np.testing.assert_allclose(shown[..., 0], lab[..., 0], atol=0.1)
    cross = shown[..., 1] * lab[..., 2] - shown[..., 2] * lab[..., 1]
    assert np.abs(cross / np.hypot(lab[..., 1], lab[..., 2])).max() < 0.5


@pytest.mark.parametrize(("dtype", "limit"), [(np.uint8, 255), (np.uint16, 65535)])
def test_lightness_of_grays_is_that_of_equal_red_green_and_blue(dtype, limit):
    grays = np.arange(0, limit + 1, limit // 255).astype(dtype)
    lightness = lab_convert.gray_to_lightness(grays)
    rgb = tf.repeat(tf.cast(grays, tf.float32)[:, None] / limit, 3, axis=1)
    np.testing.assert_allclose(lightness, lab_convert.rgb_to_lightness(rgb)[:, 0], atol=1e-4)
    with pytest.raises(ValueError, match="gray must be uint8, uint16 or float, not int32"):
        lab_convert.gray_to_lightness(grays.astype(np.int32))
