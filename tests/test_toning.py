"""Toned prints are told from colour photos."""

import io

import numpy as np
import pytest
from PIL import Image
from skimage import data

from benchmarks.toned import EDGES, NOISES, QUALITIES, TONES, VIGNETTES, make_print, with_vignette
from colorization.data.lab_planes import SIZE, to_sheet
from colorization.decoding.decode import open_photo

PHOTOS = ("astronaut", "cat", "coffee", "rocket")


def kind_of(data):
    return to_sheet(open_photo(data, SIZE))[1]


@pytest.mark.parametrize("tone", list(TONES))
def test_prints_of_every_tone_are_told(tone):
    random = np.random.default_rng(0)
    kinds = []
    # Half of the photos, in turn; `benchmarks/toned.py` takes more.
    for name in PHOTOS[list(TONES).index(tone) % 2 :: 2]:
        photo = Image.fromarray(getattr(data, name)())
        for noise in NOISES:
            quality = QUALITIES[random.integers(len(QUALITIES))]
            kinds.append(kind_of(make_print(photo, tone, noise, quality, random)))
    assert "gray" not in kinds or tone == "gray" or tone.endswith("tint")
    assert kinds.count("colour") <= (1 if tone == "strong split" else 0)


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("tone", ["sepia", "cyanotype", "selenium", "faded", "warm tint"])
def test_prints_are_told_whatever_lies_along_their_edges(tone, edge):
    random = np.random.default_rng(0)
    for name in PHOTOS:
        photo = Image.fromarray(getattr(data, name)())
        assert kind_of(make_print(photo, tone, "fine", 85, random, edge)) != "colour"


@pytest.mark.parametrize("tone", ["gray", "sepia", "cyanotype", "faded", "warm tint"])
def test_prints_are_told_in_light_that_is_warmer_on_one_side(tone):
    random = np.random.default_rng(0)
    for name in PHOTOS:
        photo = Image.fromarray(getattr(data, name)())
        assert kind_of(make_print(photo, tone, "fine", 90, random, warmer=0.02)) != "colour"


@pytest.mark.parametrize("vignette", VIGNETTES)
@pytest.mark.parametrize("tone", ["gray", "sepia", "editor's sepia", "cyanotype", "hue 35, 25%"])
def test_prints_are_told_in_a_vignette(tone, vignette):
    random = np.random.default_rng(0)
    kinds = []
    for name in PHOTOS:
        photo = Image.fromarray(getattr(data, name)())
        made = make_print(photo, tone, "none", 90, random, vignette=vignette)
        kinds.append(kind_of(made))
    assert kinds.count("colour") <= 1


@pytest.mark.parametrize("page", [(160, 130, 95), (60, 80, 60)], ids=["kraft", "green"])
def test_prints_are_told_on_a_page_that_takes_more_than_they(page):
    for name in PHOTOS:
        photo = Image.fromarray(getattr(data, name)())
        for tone in ("gray", "sepia", None):
            print_ = photo
            if tone:
                made = make_print(photo, tone, "none", None, np.random.default_rng(0))
                print_ = Image.open(io.BytesIO(made))
            width, height = photo.size
            album = Image.new("RGB", (width * 8 // 5, height * 8 // 5), page)
            album.paste(print_, (width // 4, height // 3))
            assert (to_sheet(album)[1] == "colour") == (tone is None)


@pytest.mark.parametrize("page", [(128, 128, 128), (160, 130, 95)], ids=["gray", "kraft"])
def test_things_of_one_colour_before_a_plain_ground_are_no_prints(page):
    y, x = np.mgrid[-1:1:300j, -1:1:300j]
    height = np.sqrt(np.clip(1 - (x**2 + y**2) / 0.36, 0, 1))[..., None]
    ball = np.where(height, height * (120, 120, 230), page).astype(np.uint8)
    assert to_sheet(Image.fromarray(ball))[1] == "colour"


def test_a_small_thing_in_colour_makes_a_gray_picture_a_colour_photo():
    for name in PHOTOS:
        pixels = np.array(Image.fromarray(getattr(data, name)()).convert("L").convert("RGB"))
        height, width, _ = pixels.shape
        pixels[height // 2 :, width // 2 :][: height // 12, : width // 12] = 200, 30, 40
        assert to_sheet(Image.fromarray(pixels))[1] == "colour"


@pytest.mark.parametrize("quality", [None, 50, 90])
@pytest.mark.parametrize("name", PHOTOS)
def test_prints_whose_highlights_are_clipped_are_told(name, quality):
    bright = Image.fromarray(getattr(data, name)()).point(lambda value: min(255, 1.3 * value))
    made = make_print(bright, "editor's sepia", "none", quality, np.random.default_rng(0))
    assert kind_of(made) == "toned"


def test_colour_photos_are_none():
    for name in PHOTOS:
        photo = Image.fromarray(getattr(data, name)())
        assert to_sheet(photo)[1] == "colour"
        # Pale and hazy ones neither.
        pale = Image.blend(photo, photo.convert("L").convert("RGB"), 0.5)
        assert to_sheet(pale)[1] == "colour"
        # Nor does a vignette make them one.
        for vignette in VIGNETTES:
            shown = with_vignette(np.asarray(photo, float), vignette, np.random.default_rng(0))
            assert to_sheet(Image.fromarray(np.rint(shown).astype(np.uint8)))[1] == "colour"


def test_photos_with_gray_things_along_their_edges_are_colour_photos():
    for name in PHOTOS:
        pixels = getattr(data, name)().copy()
        pixels[:, : pixels.shape[1] // 10] = pixels[: pixels.shape[0] // 10] = 150
        assert to_sheet(Image.fromarray(pixels))[1] == "colour"


def test_things_of_equal_lightness_and_different_colour_are_no_toned_print(colourful):
    assert [to_sheet(Image.fromarray(colourful(seed=seed)))[1] for seed in range(8)] == [
        "colour"
    ] * 8
