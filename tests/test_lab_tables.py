import numpy as np
import pytest
from skimage.color import rgb2lab

import lab_convert
from colorization import lab_tables

RNG = np.random.default_rng(0)
GRAYS = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(16, 16, 3)
CORNERS = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [255] * 3, [255, 255, 0]])
PICTURES = [
    RNG.integers(0, 256, [20, 30, 3], np.uint8),
    # Where the curves have their knees.
    RNG.integers(0, 14, [20, 30, 3], np.uint8),
    GRAYS,
    np.repeat(np.repeat(CORNERS.astype(np.uint8)[None], 2, 0), 2, 1),
    np.zeros([2, 2, 3], np.uint8),
]


@pytest.mark.parametrize("picture", PICTURES)
def test_values_are_those_of_scikit_image(picture):
    before = picture.copy()
    lab = rgb2lab(picture)
    lightness, chroma = lab_tables.lightness(picture), lab_tables.chroma(picture)
    assert lightness.dtype == chroma.dtype == np.float32
    np.testing.assert_allclose(lightness, lab[..., :1], rtol=0, atol=5e-4)
    np.testing.assert_allclose(chroma, lab[..., 1:], rtol=0, atol=5e-4)
    height, width, _ = picture.shape
    halved = picture.reshape(height // 2, 2, width // 2, 2, 3).mean((1, 3)) / 255
    found = lab_tables.halved_chroma(picture)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, rgb2lab(halved)[..., 1:], rtol=0, atol=5e-4)
    np.testing.assert_array_equal(picture, before)


def test_windows_of_pictures_are_taken():
    picture = PICTURES[0]
    window = picture[3:9, 5:17]
    for function in (lab_tables.lightness, lab_tables.chroma, lab_tables.halved_chroma):
        np.testing.assert_array_equal(function(window), function(window.copy()))


@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_the_code_is_that_of_lab_convert(scale):
    ab = RNG.uniform(-110, 110, [8, 8, 2]).astype(np.float32)
    code = lab_tables.code(ab, scale)
    assert code.dtype == np.float32
    np.testing.assert_allclose(code, lab_convert.encode_chroma(ab, scale), rtol=0, atol=1e-6)


def test_gray_means_every_value_strictly_between_minus_one_and_one():
    """Decided as scikit-image's values say, for single odd pixels anywhere."""
    verdicts = set()
    for colour in ([130, 128, 128], [129, 128, 128], [128, 128, 129], [127, 128, 130], [0, 2, 2]):
        for place in ((0, 0), (17, 5), (39, 39)):
            picture = np.full([40, 40, 3], 128, np.uint8)
            picture[place] = colour
            gray = bool((np.abs(rgb2lab(picture)[..., 1:]) < 1).all())
            assert lab_tables.is_gray(picture) == gray
            verdicts.add(gray)
    assert verdicts == {True, False}
    assert lab_tables.is_gray(GRAYS)
    assert not lab_tables.is_gray(PICTURES[0])
