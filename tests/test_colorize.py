"""Colorizer: photos of any size and kind in, coloured pictures out."""

import io
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import predicting
import pytest
import tensorflow as tf
from encoding import encoded, tiff
from PIL import Image
from skimage.color import rgb2lab

from colorization.errors import UnreadablePhoto, UserError
from colorization.model.layers import Layers
from colorization.prediction.colorize import Colorizer
from colorization.prediction.trained_network import livelier
from colorization.training.liveliness import stored_liveliness


@pytest.fixture
def colorizer(full_colorizer):
    return full_colorizer


def test_programs_may_have_gone_back_to_tensorflow_1(colorizer, model_folder, colourful):
    photo = colourful(30, 40)
    code = (
        "import sys, numpy as np, tensorflow as tf; tf.compat.v1.disable_v2_behavior();"
        "from colorization.prediction.colorize import Colorizer;"
        "photo = np.frombuffer(sys.stdin.buffer.read(), np.uint8).reshape(30, 40, 3);"
        f"colorizer = Colorizer({model_folder()!r}, precision='float32');"
        "sys.stdout.buffer.write(colorizer.colorize(photo).tobytes())"
    )
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=photo.tobytes(),
        cwd=root,
        capture_output=True,
        check=True,
    )
    assert done.stdout == colorizer.colorize(photo).tobytes()


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (500, 3), (37, 53), (300, 1001)])
def test_lightness_is_the_photos_own_at_any_size(colorizer, colourful, size):
    photo = colourful(*size)
    coloured = colorizer.colorize(photo)
    assert (coloured.shape, coloured.dtype) == (photo.shape, np.uint8)
    # Half a step in each channel of RGB is at most 0.5 in L*.
    difference = rgb2lab(coloured)[..., 0] - rgb2lab(photo)[..., 0]
    assert np.abs(difference).max() < 0.5


def test_only_lightness_decides(colorizer, colourful):
    photo = colourful(100, 80)
    coloured = colorizer.colorize(photo)
    assert rgb2lab(coloured)[..., 1:].std() > 1
    again = rgb2lab(colorizer.colorize(coloured))
    np.testing.assert_allclose(again, rgb2lab(coloured), atol=3)


def test_grays_of_8_and_16_bits_and_paths_agree(colorizer, colourful, tmp_path):
    gray = np.asarray(Image.fromarray(colourful(90, 70)).convert("L"))
    of_rgb = colorizer.colorize(np.repeat(gray[..., None], 3, axis=2)).astype(int)
    Image.fromarray(gray).save(tmp_path / "gray.png")
    assert np.abs(of_rgb - colorizer.colorize(gray)).max() <= 1
    np.testing.assert_array_equal(
        colorizer.colorize(gray), colorizer.colorize(tmp_path / "gray.png")
    )
    deep = colorizer.colorize(gray.astype(np.uint16) * 257)
    assert deep.dtype == np.uint16
    # The network's input is rounded to bytes where the photo is of bytes.
    assert np.abs(deep / 257 - of_rgb).max() <= 1.5


@pytest.mark.parametrize("order", "<>")
def test_the_order_of_bytes_changes_nothing(colorizer, colourful, order):
    """Pillow reads TIFF files in the order of bytes that they have."""
    gray = colourful(40, 30)[..., 0].astype(np.uint16) * 257
    expected = colorizer.colorize(gray)
    given = gray.astype(f"{order}u2")
    stored = np.asarray(Image.open(io.BytesIO(tiff(gray, byteorder=order))))
    assert stored.dtype == given.dtype
    for pixels in (given, given[..., None], stored):
        coloured = colorizer.colorize(pixels)
        assert coloured.dtype == np.uint16 and coloured.dtype.isnative
        np.testing.assert_array_equal(coloured, expected)


def test_threads_share_it(colorizer, colourful):
    photos = [colourful(50 + 7 * seed, 64, seed) for seed in range(6)]
    expected = [colorizer.colorize(photo) for photo in photos]
    results = [None] * len(photos)

    def colour(number):
        results[number] = colorizer.colorize(photos[number])

    threads = [threading.Thread(target=colour, args=[number]) for number in range(len(photos))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result, one in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result, one)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no forks")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_is_told_of_other_processes(colorizer, model_folder, colourful):
    folder = model_folder()
    answer, told = os.pipe()
    child = os.fork()
    if not child:
        try:
            for work in (lambda: colorizer.colorize(colourful(20, 30)), lambda: Colorizer(folder)):
                try:
                    work()
                except RuntimeError as error:
                    os.write(told, f"{error}\n".encode())
        finally:
            os._exit(0)
    os.close(told)
    with os.fdopen(answer) as file:
        lines = file.read().splitlines()
    os.waitpid(child, 0)
    assert len(lines) == 2
    assert all('get_context("spawn") or get_context("forkserver")' in line for line in lines)


def test_prediction_is_that_of_the_training_graph(colorizer, model_folder, colourful):
    from color_global import network

    folder = model_folder()
    small = colorizer.small_lightness(colourful())
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        settings = {"global_features": "single", "global_channels": 2, "normalization": "batch"}
        params = {**settings, "precision": "float32"}
        logits, _ = network(Layers(False, params), small[None], params)
        saver = tf.compat.v1.train.Saver()
        saver.restore(session, tf.train.latest_checkpoint(folder))
        expected = 8 * session.run(logits)[0]
    chroma = colorizer.predict(small, small)
    np.testing.assert_allclose(chroma, expected, atol=1e-4 * np.abs(expected).max())


def test_style_of_the_photo_itself_changes_nothing(colorizer, model_folder, colourful):
    photo = colourful(80, 80)
    own = Colorizer(model_folder(), precision="float32", style=photo)
    other = Colorizer(model_folder(), precision="float32", style=colourful(80, 80, 9))
    expected = colorizer.colorize(photo).astype(int)
    assert np.abs(own.colorize(photo) - expected).max() <= 1
    assert np.abs(other.colorize(photo) - expected).max() > 1


def test_the_basic_model_has_no_style(model_folder, colourful):
    with pytest.raises(UserError, match="global features"):
        Colorizer(model_folder("color"), style=colourful())


def test_saturation_multiplies_chroma(colorizer, model_folder, colourful):
    half = Colorizer(model_folder(), precision="float32", saturation=0.5)
    small = colorizer.small_lightness(colourful())
    chroma, halved = (one.predict(small, small) for one in (colorizer, half))
    np.testing.assert_allclose(halved, chroma / 2, rtol=1e-6)


def test_bytes_in_bytes_out(colorizer, colourful):
    photo = colourful(40, 30)
    file = encoded(Image.fromarray(photo), "PNG")
    picture = Image.open(io.BytesIO(colorizer.colorize_bytes(file)))
    assert picture.format == "PNG"
    np.testing.assert_array_equal(picture, colorizer.colorize(photo))
    data = colorizer.colorize_bytes(file, "JPEG", quality=30)
    assert Image.open(io.BytesIO(data)).format == "JPEG"
    assert len(data) < len(colorizer.colorize_bytes(file, "JPEG", quality=95))
    for kind in ("jpeg", "GIF"):
        with pytest.raises(ValueError, match=f"one of BMP, JPEG, PNG, TIFF, WEBP, not '{kind}'"):
            colorizer.colorize_bytes(file, kind)
    for quality in (0, 101, 95.5):
        with pytest.raises(ValueError, match="a whole number from 1 to 100"):
            colorizer.colorize_bytes(file, "JPEG", quality)


def test_a_hint_colours_its_place_and_keeps_lightness(colorizer, colourful):
    photo = colourful(90, 120)
    plain = colorizer.colorize(photo)
    strokes = np.zeros([90, 120, 4], np.uint8)
    strokes[20:32, 30:60] = (46, 139, 87, 255)
    painted = rgb2lab(colorizer.colorize(photo, hints=strokes))
    np.testing.assert_allclose(painted[..., 0], rgb2lab(plain)[..., 0], atol=1)
    true = rgb2lab(strokes[20, 30, :3])[1:]
    error = np.linalg.norm(painted[23:29, 36:54, 1:] - true, axis=-1)
    # Colours that sRGB cannot show at the photo's lightness are paler.
    assert np.median(error) < 3
    assert (
        np.median(error)
        < np.median(np.linalg.norm(rgb2lab(plain)[23:29, 36:54, 1:] - true, axis=-1)) / 3
    )


def test_hints_of_all_kinds_agree(colorizer, colourful, tmp_path):
    photo = colourful(112, 112)
    strokes = np.zeros([112, 112, 4], np.uint8)
    strokes[50, 60] = (46, 139, 87, 255)
    Image.fromarray(strokes).save(tmp_path / "strokes.png")
    expected = colorizer.colorize(photo, hints=strokes)
    for hints in (
        tmp_path / "strokes.png",
        [(60, 50, "seagreen")],
        [("53.9%", "45%", (46, 139, 87))],
    ):
        np.testing.assert_array_equal(colorizer.colorize(photo, hints=hints), expected)
    data = colorizer.colorize_bytes(encoded(Image.fromarray(photo), "PNG"), hints=strokes)
    np.testing.assert_array_equal(Image.open(io.BytesIO(data)), expected)


def test_without_a_hint_nothing_changes(colorizer, colourful):
    photo = colourful(50, 60)
    for hints in ([], np.zeros([50, 60, 4], np.uint8)):
        np.testing.assert_array_equal(
            colorizer.colorize(photo, hints=hints), colorizer.colorize(photo)
        )


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (70, 2)])
def test_hints_for_photos_of_any_size(colorizer, colourful, size):
    photo = colourful(*size)
    coloured = colorizer.colorize(photo, hints=[("50%", "50%", "gray")])
    assert coloured.shape == photo.shape
    gray = colorizer.colorize(photo, hints=np.full([*size, 4], 255, np.uint8)).astype(int)
    assert np.ptp(gray, axis=2).max() <= 1


def test_bad_input_is_refused(colorizer, tmp_path, model_folder):
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    with pytest.raises(UnreadablePhoto):
        colorizer.colorize(tmp_path / "broken.jpg")
    for pixels in (np.zeros([4, 4, 3]), np.zeros([0, 4, 3], np.uint8), np.zeros([4], np.uint8)):
        with pytest.raises(ValueError, match="pixels must be"):
            colorizer.colorize(pixels)
    with pytest.raises(UserError, match="pixel from 0 on up to 3"):
        colorizer.colorize(np.zeros([4, 4], np.uint8), hints=[(4, 0, "red")])
    with pytest.raises(UserError, match="no trained model"):
        Colorizer(str(tmp_path))
    for saturation in (float("nan"), float("inf"), 0, -1, 1e39):
        with pytest.raises(UserError, match=r"--saturation must be a number from 0\.001 to 1000"):
            Colorizer(model_folder(), saturation=saturation)
    with pytest.raises(UserError, match="float32, bfloat16 or auto, not float16"):
        Colorizer(model_folder(), precision="float16")
    with pytest.raises(ValueError, match="colorize_bytes takes the bytes"):
        colorizer.colorize(b"bytes of a file")
    altered = tmp_path / "altered"
    shutil.copytree(model_folder(), altered)
    settings = json.loads((altered / "settings.json").read_text())
    (altered / "settings.json").write_text(json.dumps({**settings, "global_channels": 5}))
    with pytest.raises(UserError, match="does not fit its network"):
        Colorizer(str(altered))


def test_the_saturation_of_the_best_evaluation_is_part_of_the_prediction(small_model, tmp_path):
    plain, livelier = small_model, str(tmp_path / "livelier")
    shutil.copytree(plain, livelier)
    best = Path(livelier) / "best"
    best.mkdir()
    figures = {"loss": 1.0, "evaluations_since": 0}
    (best / "evaluation.json").write_text(json.dumps({**figures, "saturation": 1.1}))
    small = np.random.default_rng(1).uniform(0, 100, [224, 224, 1]).astype(np.float32)

    made = [
        Colorizer(folder, network=predicting.network, precision="float32", saturation=saturation)
        for folder, saturation in ((plain, 1.0), (livelier, 1.0), (livelier, 1.2), (livelier, 1.7))
    ]
    chroma = [colorizer.predict(small, small) for colorizer in made]
    np.testing.assert_allclose(chroma[1], 1.1 * chroma[0], rtol=1e-4, atol=1e-4)
    # The page multiplies itself, and shall have the same pictures to the byte.
    for saturation, multiplied in ((1.2, chroma[2]), (1.7, chroma[3])):
        np.testing.assert_array_equal(multiplied, chroma[1] * np.float32(saturation))
    assert len({colorizer.fingerprint for colorizer in made}) == len(made)


def pulled_apart(chroma: np.ndarray, vibrance: float) -> np.ndarray:
    deviation = chroma - chroma.mean((0, 1))
    return chroma.mean((0, 1)) + deviation * (1 + vibrance / (8 + np.sqrt((deviation**2).mean())))


def test_the_vibrance_of_the_best_evaluation_is_part_of_the_prediction(small_model, tmp_path):
    settings = {"network": predicting.network, "precision": "float32"}
    plain, livelier = small_model, tmp_path / "livelier"
    shutil.copytree(plain, livelier)
    (livelier / "best").mkdir()
    figures = {"loss": 1.0, "evaluations_since": 0, "saturation": 1.5, "vibrance": 6.0}
    (livelier / "best" / "evaluation.json").write_text(json.dumps(figures))
    small = np.random.default_rng(1).uniform(0, 100, [224, 224, 1]).astype(np.float32)
    chroma = Colorizer(plain, **settings).predict(small, small)
    found = Colorizer(str(livelier), **settings, saturation=2.0).predict(small, small)
    expected = 2 * pulled_apart(1.5 * chroma, 6)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert np.abs(expected - 3 * chroma).max() > 0.1


@pytest.mark.parametrize("vibrance", [0.0, 4.0, 20.0])
def test_livelier_agrees_with_numpy_and_leaves_the_mean_alone(vibrance):
    random = np.random.default_rng(3)
    chroma = random.normal(3, np.reshape([1, 30], [2, 1, 1, 1]), [2, 6, 10, 2]).astype(np.float32)
    chroma = np.concatenate([chroma, np.full([1, 6, 10, 2], -7, np.float32)])
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        found = session.run(livelier(tf.constant(chroma), vibrance))
    expected = [pulled_apart(each.astype(np.float64), vibrance) for each in chroma]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.mean((1, 2)), chroma.mean((1, 2)), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "stored", "used"),
    [
        *(("saturation", "0.1", 0.5), ("saturation", "30", 2.0), ("saturation", "NaN", 1.0)),
        *(("saturation", '"livelier"', 1.0), ("saturation", "1", 1.0)),
        *(("vibrance", "-1", 0.0), ("vibrance", "300", 20.0), ("vibrance", "NaN", 0.0)),
        *(("vibrance", '"much"', 0.0), ("vibrance", "5", 5.0)),
    ],
)
def test_liveliness_that_means_nothing_is_not_used(tmp_path, name, stored, used):
    (tmp_path / "best").mkdir()
    text = f'{{"loss": 1, "evaluations_since": 0, "{name}": {stored}}}'
    (tmp_path / "best" / "evaluation.json").write_text(text)
    assert getattr(stored_liveliness(str(tmp_path)), name) == used


@pytest.mark.parametrize("kind", ["checkpoints", "weights", "best"])
@pytest.mark.parametrize("damage", ["{", "[]", "[" * 90_000, None], ids=range(4))
def test_a_lost_saturation_is_said(tmp_path, caplog, kind, damage):
    folder = tmp_path / "best" if kind == "best" else tmp_path
    evaluation = folder / "evaluation.json" if kind == "best" else folder / "best/evaluation.json"
    evaluation.parent.mkdir(exist_ok=True)
    (tmp_path / ("weights.npz" if kind == "weights" else "best/model.ckpt-5.index")).touch()
    evaluation.write_text('{"loss": 1, "evaluations_since": 0, "saturation": 1.25}')
    assert stored_liveliness(str(folder)).saturation == 1.25
    assert not caplog.records
    if damage is None:
        evaluation.unlink()
    else:
        evaluation.write_text(damage)
    assert stored_liveliness(str(folder)).saturation == 1
    (record,) = caplog.records
    assert "evaluation.json" in record.getMessage() and str(folder) in record.getMessage()
