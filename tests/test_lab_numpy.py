"""The conversions without TensorFlow, against scikit-image and the ops of lab_convert."""

import numpy as np
import pytest
from skimage.color import rgb2lab

import lab_convert
from colorization.lab import lab_numpy

RNG = np.random.default_rng(0)
GRAYS = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(16, 16, 3)
CORNERS = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [255] * 3, [255, 255, 0]])
PICTURES = [
    RNG.integers(0, 256, [20, 30, 3], np.uint8),
    # The curves have their knees here.
    RNG.integers(0, 14, [20, 30, 3], np.uint8),
    GRAYS,
    np.repeat(np.repeat(CORNERS.astype(np.uint8)[None], 2, 0), 2, 1),
    np.zeros([2, 2, 3], np.uint8),
]


@pytest.mark.parametrize("picture", PICTURES)
def test_values_are_those_of_scikit_image(picture):
    before = picture.copy()
    chroma = lab_numpy.chroma(picture)
    assert chroma.dtype == np.float32
    np.testing.assert_allclose(chroma, rgb2lab(picture)[..., 1:], rtol=0, atol=5e-4)
    np.testing.assert_array_equal(picture, before)


def test_the_matrix_is_that_of_the_ops():
    np.testing.assert_array_equal(lab_numpy.RATIOS_FROM_RGB, lab_convert.RATIOS_FROM_RGB)


@pytest.mark.parametrize("picture", PICTURES)
def test_values_are_those_of_the_ops(picture):
    """The results are the twin's: chroma to a thousandth, L* in bytes to half a step."""
    lab = lab_convert.rgb_to_lab(picture).numpy()
    np.testing.assert_allclose(lab_numpy.chroma(picture), lab[..., 1:], rtol=0, atol=1e-3)
    with_padding = np.concatenate([picture, picture[..., :1]], axis=-1)
    encoded = lab_numpy.lightness_bytes(with_padding).astype(float)
    assert np.abs(encoded - 2.55 * lab[..., 0]).max() <= 0.52


@pytest.mark.parametrize("picture", PICTURES)
def test_bytes_are_those_of_scikit_image_to_half_a_step(picture):
    """Half a step of L* is 50 / 255, of a* and b* 0.5; what is above is the tables' own error."""
    height, width, _ = picture.shape
    anything = RNG.integers(0, 256, [height, width, 1], np.uint8)
    pixels = np.concatenate([picture, anything], axis=-1)
    before = pixels.copy()
    lightness = lab_numpy.lightness_bytes(pixels)
    assert (lightness.dtype, lightness.shape) == (np.uint8, (height, width))
    expected = rgb2lab(picture)[..., 0]
    np.testing.assert_allclose(lightness / 2.55, expected, rtol=0, atol=50 / 255 + 0.02)
    halved = picture.reshape(height // 2, 2, width // 2, 2, 3).mean((1, 3)) / 255
    expected = np.moveaxis(rgb2lab(halved)[..., 1:], -1, 0)
    chroma = lab_numpy.halved_chroma_bytes(pixels)
    for plane, values in zip(chroma, expected, strict=True):
        assert (plane.dtype, plane.shape) == (np.uint8, (height // 2, width // 2))
        np.testing.assert_allclose(plane - 128.0, values, rtol=0, atol=0.5 + 0.06)
    np.testing.assert_array_equal(pixels, before)


def test_no_gray_has_colour():
    pixels = np.arange(256, dtype=np.uint8)[:, None, None].repeat(2, 0).repeat(2, 1).repeat(4, 2)
    for plane in lab_numpy.halved_chroma_bytes(pixels):
        np.testing.assert_array_equal(plane, 128)


def test_gray_means_every_value_strictly_between_minus_one_and_one():
    """Decided as scikit-image's values say, for single odd pixels anywhere."""
    verdicts = set()
    for colour in ([130, 128, 128], [129, 128, 128], [128, 128, 129], [127, 128, 130], [0, 2, 2]):
        for place in ((0, 0), (17, 5), (39, 39)):
            picture = np.full([40, 40, 3], 128, np.uint8)
            picture[place] = colour
            gray = bool((np.abs(rgb2lab(picture)[..., 1:]) < 1).all())
            assert lab_numpy.is_gray(picture) == gray
            verdicts.add(gray)
    assert verdicts == {True, False}
    assert lab_numpy.is_gray(GRAYS)
    assert not lab_numpy.is_gray(PICTURES[0])
