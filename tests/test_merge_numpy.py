"""Predicted chroma joined with a photo's own lightness, against the ops and scikit-image."""

import subprocess
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from platforms import HANG, posix
from skimage.color import lab2rgb, rgb2lab
from test_merge_ops import whole

from colorization import machine
from colorization.lab import lab_numpy, merge_numpy
from colorization.model import merge_ops

RNG = np.random.default_rng(0)


def merged(pixels, lightness, chroma):
    return merge_numpy.merge(pixels, lightness.numpy(), chroma)


@pytest.mark.parametrize("several_cores", [1, 2**20])
@pytest.mark.parametrize("strip", [1, 700, 2**15])
def test_merged_pictures_are_those_of_scikit_image(colourful, monkeypatch, strip, several_cores):
    monkeypatch.setattr(merge_numpy, "_STRIP_PIXELS", strip)
    monkeypatch.setattr(merge_numpy, "_THREADED_STRIP_PIXELS", strip)
    monkeypatch.setattr(merge_numpy, "_THREADING_PIXELS", several_cores)
    photo = colourful(61, 83) // 2 + 64
    before = photo.copy()
    chroma = RNG.normal(0, 4, [28, 28, 2]).astype(np.float32)
    lightness, expected = whole(photo, chroma)
    result = merged(photo, lightness, chroma)
    assert result.dtype == np.uint8
    np.testing.assert_allclose(result, expected, atol=1)
    np.testing.assert_array_equal(photo, before)


def test_all_pictures_are_merged_by_the_same_threads(colourful, monkeypatch):
    monkeypatch.setattr(merge_numpy, "_THREADING_PIXELS", 1)
    threads = set()
    convert = lab_numpy.luminance_and_root

    def noted(pixels):
        threads.add(threading.current_thread())
        return convert(pixels)

    photo = colourful(8, 8)
    lightness = merge_numpy.small_lightness(photo, (4, 4))
    monkeypatch.setattr(lab_numpy, "luminance_and_root", noted)
    for _ in range(machine.cores() + 1):
        merge_numpy.merge(photo, lightness, np.zeros([2, 2, 2], np.float32))
    assert threading.current_thread() not in threads
    assert 1 <= len(threads) <= machine.cores()


@posix
def test_a_fork_has_threads_of_its_own():
    """Those of the process it comes from have stayed there, and would be waited for for ever."""
    code = """
import os
import numpy as np
from colorization.lab import merge_numpy
picture, chroma = np.zeros([1024, 1024, 3], np.uint8), np.zeros([4, 4, 2], np.float32)
lightness = merge_numpy.small_lightness(picture, (8, 8))
merge_numpy.merge(picture, lightness, chroma)
child = os.fork()
if child:
    raise SystemExit(os.waitpid(child, 0)[1])
merge_numpy.merge(picture, lightness, chroma)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=HANG).returncode == 0


@pytest.mark.parametrize("shape", [(61, 83, 3), (1, 1, 3), (300, 2, 1), (2, 300, 3)])
@pytest.mark.parametrize("strength", [5, 60])
@pytest.mark.parametrize("few_colours", [0, 2**20])
def test_they_are_those_of_exported_models(colourful, monkeypatch, shape, strength, few_colours):
    """The twins agree to one level, also where sRGB cannot show the colour."""
    monkeypatch.setattr(merge_numpy, "_FEW_COLORS", few_colours)
    photo = colourful(*shape[:2])[..., : shape[2]]
    chroma = RNG.normal(0, strength, [28, 28, 2]).astype(np.float32)
    lightness = merge_ops.small_lightness(tf.constant(photo), [56, 56])
    expected = merge_ops.merge(tf.constant(photo), lightness, tf.constant(chroma)).numpy()
    result = merged(photo, lightness, chroma)
    # Half a step off at most, but two halves where the last halving of the chroma falls otherwise.
    assert np.abs(result.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("grid", [(28, 28), (5, 23), (112, 40), (1, 7)])
@pytest.mark.parametrize("radius", [1, 2])
def test_so_are_those_of_any_grid_and_window(monkeypatch, grid, radius):
    """Chroma is enlarged and reduced, and windows reach beyond several pixels at the edges."""
    for module in (merge_numpy, merge_ops):
        monkeypatch.setattr(module, "GUIDE_RADIUS", radius)
    monkeypatch.setattr(merge_numpy, "_STRIP_PIXELS", 4 * 26)
    random = np.random.default_rng(0)
    photo = random.integers(0, 256, [20, 26, 3], np.uint8)
    chroma = random.normal(0, 20, [*grid, 2]).astype(np.float32)
    lightness = random.uniform(0, 100, [2 * grid[0], 2 * grid[1], 1]).astype(np.float32)
    inputs = map(tf.constant, (photo, lightness, chroma))
    result = merge_numpy.merge(photo, lightness, chroma)
    assert np.abs(result.astype(int) - merge_ops.merge(*inputs).numpy()).max() <= 1


def test_colours_beyond_srgb_lose_chroma_and_keep_lightness_and_hue(colourful):
    photo = colourful(40, 30)
    chroma = np.full([28, 28, 2], [90, -70], np.float32)
    lightness = merge_ops.small_lightness(tf.constant(photo), [56, 56])
    lab = rgb2lab(merged(photo, lightness, chroma))
    assert np.abs(lab[..., 0] - rgb2lab(photo)[..., 0]).max() < 0.5
    clipped = rgb2lab(
        lab2rgb(np.dstack([rgb2lab(photo)[..., :1], np.full([40, 30, 2], [90, -70])]))
    )
    assert np.abs(clipped[..., 0] - rgb2lab(photo)[..., 0]).max() > 5
    middle = (lab[..., 0] > 30) & (lab[..., 0] < 90)
    hue = np.degrees(np.arctan2(lab[..., 2], lab[..., 1]))[middle]
    np.testing.assert_allclose(hue, np.degrees(np.arctan2(-70, 90)), atol=6)


def test_grays_of_16_bits_keep_their_depth():
    gray = RNG.integers(0, 65536, [50, 40, 1]).astype(np.uint16)
    chroma = RNG.normal(0, 3, [28, 28, 2]).astype(np.float32)
    lightness = merge_ops.small_lightness(tf.constant(gray), [56, 56])
    result = merged(gray, lightness, chroma)
    assert result.dtype == np.uint16
    shown = rgb2lab(result / 65535)[..., 0]
    expected = rgb2lab(np.repeat(gray / 65535, 3, axis=2))[..., 0]
    # Colours within 0.0001 of what sRGB shows are clipped: 0.09 in L* at black.
    np.testing.assert_allclose(shown, expected, atol=0.1)
    no_colour = merged(gray, lightness, np.zeros_like(chroma))
    assert np.abs(no_colour.astype(int) - gray).max() <= 2


@pytest.mark.parametrize(
    "shape", [(300, 500, 3), (100, 50, 3), (448, 448, 1), (1, 1, 3), (2000, 1500, 3)]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_small_lightness_is_that_of_exported_models(shape, dtype):
    """The twins agree to two levels of a byte: one rounds and takes whole blocks first."""
    coarse = RNG.integers(0, 256, [5, 5, shape[2]], np.uint8)
    photo = Image.fromarray(coarse.squeeze()).resize(shape[1::-1], Image.Resampling.BICUBIC)
    photo = np.asarray(photo).reshape(shape)
    if dtype == np.uint16:
        photo = photo[..., :1].astype(np.uint16) * 257
    expected = merge_ops.small_lightness(tf.constant(photo), [224, 200])
    result = merge_numpy.small_lightness(photo, (224, 200))
    assert (result.shape, result.dtype) == ((224, 200, 1), np.float32)
    np.testing.assert_allclose(result, expected, atol=0.8)


@pytest.mark.parametrize("shape", [(1803, 905, 3), (77, 4001, 1), (3001, 50, 3)])
def test_small_lightness_is_that_of_pillow_reducing_first(monkeypatch, shape):
    monkeypatch.setattr(merge_numpy, "_STRIP_PIXELS", 30000)
    photo = RNG.integers(0, 256, shape, np.uint8)
    picture = Image.fromarray(photo.squeeze())
    small = picture.resize((48, 56), Image.Resampling.BILINEAR, reducing_gap=4.0)
    expected = merge_numpy.small_lightness(np.asarray(small).reshape(56, 48, -1), (56, 48))
    np.testing.assert_array_equal(merge_numpy.small_lightness(photo, (56, 48)), expected)


def test_gray_keeps_lightness(colourful):
    photo = colourful(50, 40)
    gray = merge_numpy.gray(photo)
    assert (gray.shape, gray.dtype) == ((50, 40), np.uint8)
    shown = rgb2lab(np.repeat(gray[..., None], 3, axis=2))[..., 0]
    assert np.abs(shown - rgb2lab(photo)[..., 0]).max() < 0.25
