"""A photo's L*, a* and b* as they are cached, and the crops that are cut from them."""

import numpy as np
import pytest
from PIL import Image
from skimage.color import rgb2lab

from colorization.data.lab_planes import cropped, to_sheet

PLACES = [(top, left, mirrored) for top in range(17) for left in range(17) for mirrored in (0, 1)]


@pytest.mark.parametrize("size", [(256, 256), (700, 300), (100, 90), (1, 1), (90, 400)])
def test_a_sheet_is_the_lab_of_the_resized_photo(colourful, size):
    """Equal to half a step of a byte and what rounding within tables adds."""
    photo = Image.fromarray(colourful(*size))
    sheet, kind = to_sheet(photo)
    assert (sheet.dtype, sheet.shape) == (np.uint8, (384, 256))
    assert kind in ("colour", "toned")
    method = Image.Resampling.BOX if min(size) >= 256 else Image.Resampling.BILINEAR
    picture = np.asarray(photo.resize((256, 256), method))
    np.testing.assert_allclose(sheet[:256] / 2.55, rgb2lab(picture)[..., 0], rtol=0, atol=0.22)
    halved = rgb2lab(picture.reshape(128, 2, 128, 2, 3).mean((1, 3)) / 255)
    for channel, plane in ((1, sheet[256:, :128]), (2, sheet[256:, 128:])):
        np.testing.assert_allclose(plane - 128.0, halved[..., channel], rtol=0, atol=0.56)


def test_gray_photos_are_told():
    gray = Image.linear_gradient("L").convert("RGB")
    assert to_sheet(gray)[1] == "gray"
    gray.putpixel((100, 100), (255, 0, 0))
    assert to_sheet(gray)[1] != "gray"


def test_crops_are_windows_at_even_places_some_mirrored():
    """Every number of the sheet says where it is from; most places come up."""
    rows, columns = np.mgrid[:256, :256]
    sheet = np.empty([384, 256], np.uint8)
    sheet[:256] = rows ^ columns
    sheet[256:, :128] = rows[:128, :128]
    sheet[256:, 128:] = columns[:128, :128]
    randoms = np.random.default_rng(0).integers(0, 2**63, 1000)
    lightness, chroma = cropped([sheet] * len(randoms), randoms)
    assert lightness.dtype == chroma.dtype == np.uint8
    assert lightness.shape == (1000, 224, 224, 1)
    assert chroma.shape == (1000, 112, 112, 2)
    seen = set()
    for i in range(len(randoms)):
        top = int(chroma[i, 0, 0, 0])
        ends = int(chroma[i, 0, 0, 1]), int(chroma[i, 0, -1, 1])
        left, mirrored = min(ends), ends[0] > ends[1]
        seen.add((top, left, mirrored))
        step = -1 if mirrored else 1
        window = sheet[2 * top : 2 * top + 224, 2 * left : 2 * left + 224][:, ::step]
        np.testing.assert_array_equal(lightness[i, ..., 0], window)
        np.testing.assert_array_equal(chroma[i, ..., 0], rows[top : top + 112, :112])
        expected = columns[:112, left : left + 112][:, ::step]
        np.testing.assert_array_equal(chroma[i, ..., 1], expected)
    assert seen <= set(PLACES)
    assert len(seen) > 0.75 * len(PLACES)
