"""Hints and strokes, from the command line to the cells of the network's output."""

import numpy as np
import pytest
from PIL import Image
from skimage.color import rgb2lab

from colorization.errors import UserError
from colorization.prediction.hints import (
    digest,
    hinted_chroma,
    parse_point,
    strokes_of_photos,
)

GREEN, RED = (46, 139, 87), (200, 30, 40)
GRID = (8, 10)


def ab(colour):
    return rgb2lab(np.array(colour, np.uint8).reshape(1, 1, 3))[0, 0, 1:]


def test_points_in_pixels_and_per_cent():
    points = [(0, 0, GREEN), ("100%", "50 %", "rgb(200, 30, 40)"), ("55", 79.9, "#c81e28")]
    chroma, given = hinted_chroma(points, (80, 100), GRID)
    assert {tuple(place) for place in np.argwhere(given)} == {(0, 0), (4, 9), (7, 5)}
    np.testing.assert_allclose(chroma[0, 0], ab(GREEN), atol=0.01)
    np.testing.assert_allclose(chroma[4, 9], ab(RED), atol=0.01)
    np.testing.assert_allclose(chroma[7, 5], ab(RED), atol=0.01)
    assert (chroma.dtype, chroma.shape) == (np.float32, (*GRID, 2))


def test_points_of_one_cell_are_averaged():
    chroma, given = hinted_chroma([(1, 1, GREEN), (2, 3, RED)], (80, 100), GRID)
    assert given.sum() == 1
    np.testing.assert_allclose(chroma[0, 0], (ab(GREEN) + ab(RED)) / 2, atol=0.01)


def test_gray_points_take_colour_away():
    chroma, given = hinted_chroma([(5, 5, "gray"), (50, 50, "black")], (80, 100), GRID)
    assert given.sum() == 2
    np.testing.assert_allclose(chroma[given], 0, atol=0.01)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (3, 2), (8, 7)])
def test_a_pixel_of_a_small_photo_covers_all_its_cells(size):
    strokes = np.full([*size, 4], 255, np.uint8)
    _, given = hinted_chroma(strokes, size, GRID)
    assert given.all()
    seen = np.zeros(GRID, int)
    for y in range(size[0]):
        for x in range(size[1]):
            seen += hinted_chroma([(x, y, GREEN)], size, GRID)[1]
    assert seen.min() >= 1


def test_strokes_are_averaged_over_each_cell_by_alpha():
    random = np.random.default_rng(0)
    strokes = random.integers(0, 256, [83, 97, 4], np.uint8)
    strokes[:20, :, 3] = 127
    chroma, given = hinted_chroma(strokes, (83, 97), GRID)
    sums, weights = np.zeros([*GRID, 2]), np.zeros(GRID)
    colours = rgb2lab(strokes[..., :3])[..., 1:]
    for y in range(83):
        for x in range(97):
            if (alpha := float(strokes[y, x, 3])) >= 128:
                cell = y * 8 // 83, x * 10 // 97
                sums[cell] += alpha * colours[y, x]
                weights[cell] += alpha
    np.testing.assert_array_equal(given, weights > 0)
    assert not given[0].any()
    np.testing.assert_allclose(chroma[given], sums[given] / weights[given][:, None], atol=0.02)


def test_a_single_opaque_pixel_of_a_large_photo_counts():
    strokes = np.zeros([900, 700, 4], np.uint8)
    strokes[899, 350] = (*GREEN, 255)
    chroma, given = hinted_chroma(strokes, (900, 700), (112, 112))
    assert np.argwhere(given).tolist() == [[111, 56]]
    np.testing.assert_allclose(chroma[111, 56], ab(GREEN), atol=0.01)


def test_strokes_of_the_same_proportions_need_not_be_of_the_same_size():
    strokes = np.zeros([33, 50, 4], np.uint8)
    strokes[16, 25] = (*RED, 255)
    _, given = hinted_chroma(strokes, (2003, 3008), GRID)
    assert np.argwhere(given).tolist() == [[3, 5]]


def test_nothing_painted_says_nothing():
    assert not hinted_chroma([], (80, 100), GRID)[1].any()
    assert not hinted_chroma(np.zeros([80, 100, 4], np.uint8), (80, 100), GRID)[1].any()


def test_files_of_strokes_are_upright(tmp_path):
    strokes = np.zeros([40, 80, 4], np.uint8)
    strokes[2, 3] = (*GREEN, 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # a viewer turns it clockwise
    Image.fromarray(strokes).save(tmp_path / "turned.png", exif=exif)
    chroma, given = hinted_chroma(tmp_path / "turned.png", (80, 40), (80, 40))
    assert np.argwhere(given).tolist() == [[3, 37]]
    np.testing.assert_allclose(chroma[3, 37], ab(GREEN), atol=0.01)


def test_files_of_strokes_may_be_gray_or_have_a_palette(tmp_path):
    strokes = Image.new("RGBA", (20, 10))
    strokes.putpixel((4, 6), (90, 90, 90, 255))
    strokes.convert("LA").save(tmp_path / "gray.png")
    strokes.quantize(4).save(tmp_path / "palette.png")
    for path in tmp_path.iterdir():
        chroma, given = hinted_chroma(path, (10, 20), (10, 20))
        assert np.argwhere(given).tolist() == [[6, 4]]
        np.testing.assert_allclose(chroma[6, 4], 0, atol=0.01)


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ((100, 0, GREEN), "X of a hint must be a pixel from 0 on up to 99 in this photo"),
        ((0, -1, GREEN), "Y of a hint"),
        (("nan", 0, GREEN), "X of a hint"),
        ((None, 0, GREEN), "X of a hint"),
        (("101%", 0, GREEN), "from 0% to 100%"),
        (("left", 0, GREEN), "X of a hint"),
        ((0, 0, "greenish"), "unknown colour 'greenish'"),
        ((0, 0, "rgb(256, 0, 0)"), "unknown colour"),
        ((0, 0, None), "unknown colour"),
        ((0, 0, (1, 2, 256)), "unknown colour"),
        ((0, 0, (1.0, 2.0, 3.0)), "unknown colour"),
        ((0, 0, (1, 2)), "unknown colour"),
        ((0, 0, (1, [2])), "unknown colour"),
        ((10**400, 0, "red"), "X of a hint must be"),
        ((0, 0), "X,Y,COLOUR"),
        (7, "X,Y,COLOUR"),
    ],
)
def test_points_that_make_no_sense_are_refused(point, words):
    with pytest.raises(UserError, match=words):
        hinted_chroma([point], (80, 100), GRID)


def test_a_colour_may_be_a_pixel_of_a_picture():
    pixel = np.array([1, 254, 255], np.uint8)
    for colour in (pixel, tuple(pixel), pixel.astype(np.int64)):
        assert parse_point((0, 0, colour))[1] == (1, 254, 255)
    with pytest.raises(UserError, match="unknown colour"):
        parse_point((0, 0, pixel.astype(np.int16) + 1))


def test_points_are_checked_before_the_photo_is_known():
    assert parse_point(("10", "99999", "#fff"))[1] == (255, 255, 255)
    with pytest.raises(UserError, match="unknown colour"):
        parse_point(("10", "10", "nocolour"))


@pytest.mark.parametrize(
    ("strokes", "words"),
    [
        (np.zeros([80, 100, 3], np.uint8), "must be RGBA"),
        (np.zeros([80, 100, 4]), "must be RGBA"),
        (np.zeros([0, 100, 4], np.uint8), "other proportions"),
        (np.zeros([100, 80, 4], np.uint8), "80 x 100 pixels have other proportions"),
    ],
)
def test_arrays_that_are_no_strokes_are_refused(strokes, words):
    with pytest.raises(UserError, match=words):
        hinted_chroma(strokes, (80, 100), GRID)


def test_files_that_are_no_strokes_are_refused(tmp_path):
    (tmp_path / "text.png").write_text("green")
    Image.new("RGB", (100, 80)).save(tmp_path / "flat.png")
    for name, words in (("text", "not a picture"), ("flat", "no transparent"), ("no", "no such")):
        with pytest.raises(UserError, match=words):
            hinted_chroma(tmp_path / f"{name}.png", (80, 100), GRID)


def test_strokes_belong_to_the_photo_in_the_same_place(tmp_path):
    names = ("a.png", "B.PNG", "sub/a.webp", "c.jpg.png", "notes.txt")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    places = {"/x/a.jpg": "a.jpg", "/x/a.tif": "a.tif", "/x/b.tif": "b.tif", "/x/d.jpg": "d.jpg"}
    places |= {"/x/sub/a.jpg": "sub/a.jpg", "/x/c.jpg": "c.jpg", "/x/c.tif": "c.tif"}
    expected = {"a.jpg": "a.png", "a.tif": "a.png", "b.tif": "B.PNG", "c.jpg": "c.jpg.png"}
    expected |= {"sub/a.jpg": "sub/a.webp"}
    # As Macs write ä, and others.
    (tmp_path / "A\u0308.png").touch()
    places |= {"/x/ä.jpg": "ä.jpg"}
    expected |= {"ä.jpg": "A\u0308.png"}
    # Not every disk takes these names of photos; the second one's is of another photo.
    for name in ("10_30.png", "x_.png"):
        (tmp_path / name).touch()
    places |= {"/x/10:30.jpg": "10:30.jpg", "/x/x?.jpg": "x?.jpg", "/x/x_.jpg": "x_.jpg"}
    expected |= {"10:30.jpg": "10_30.png", "x_.jpg": "x_.png"}
    assert strokes_of_photos(str(tmp_path), places) == {
        f"/x/{photo}": str(tmp_path / strokes) for photo, strokes in expected.items()
    }


def test_strokes_without_a_photo_are_refused(tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=r"no photo has the name of .*b\.png and 1 more"):
        strokes_of_photos(str(tmp_path), {"/x/a.jpg": "a.jpg"})
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("no strokes")
    with pytest.raises(UserError, match="no photos in"):
        strokes_of_photos(str(other), {"/x/a.jpg": "a.jpg"})


def test_a_folder_from_which_all_strokes_were_deleted(tmp_path, capsys):
    for name in (".DS_Store", "desktop.ini", "Thumbs.db"):
        (tmp_path / name).touch()
    (tmp_path / "@eaDir").mkdir()
    assert strokes_of_photos(str(tmp_path), {"/x/a.jpg": "a.jpg"}) == {}
    assert "is empty: no photo has hints any more" in capsys.readouterr().out


def test_digests_tell_hints_apart(tmp_path):
    strokes = np.zeros([4, 5, 4], np.uint8)
    hints = [None, [("1", "2", "red")], [("1", "2", "blue")], strokes, strokes.copy()]
    hints[4][0, 0] = 255
    found = [digest(one) for one in hints]
    assert found[0] == ""
    assert len(set(found)) == len(found)
    Image.fromarray(hints[4]).save(tmp_path / "a.png")
    Image.fromarray(hints[4]).save(tmp_path / "b.tif")
    assert digest(tmp_path / "a.png") == digest(str(tmp_path / "b.tif")) == found[4]
