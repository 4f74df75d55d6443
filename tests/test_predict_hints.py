"""`--mode predict` with hints."""

import numpy as np
import pytest
from PIL import Image
from predicting import contents, names, network, pixels, read_finished
from skimage.color import rgb2lab

from colorization.errors import UserError
from colorization.prediction.colorize import Colorizer
from colorization.prediction.hints import digest

GREEN = (46, 139, 87)


@pytest.fixture
def photos(photo_folder):
    return photo_folder(2)


def save_strokes(path, row, column, colour=GREEN, size=(60, 80)):
    strokes = np.zeros([*size, 4], np.uint8)
    strokes[row : row + 12, column : column + 12] = (*colour, 255)
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(strokes).save(path)


def is_green(picture, row, column):
    """Whether a*b* in the middle of a stroke is nearer to that of the stroke than to gray."""
    ab = rgb2lab(picture)[row + 4 : row + 8, column + 4 : column + 8, 1:].mean((0, 1))
    true = rgb2lab(np.uint8(GREEN))[1:]
    return np.linalg.norm(ab - true) < np.linalg.norm(true) / 2


def test_a_folder_of_strokes_goes_by_names(run_predict, photos, tmp_path):
    run_predict("--input", photos)
    before = [pixels(tmp_path / f"out/predicted/colour{number}.png") for number in (0, 1)]
    save_strokes(tmp_path / "hints/colour1.png", 30, 20)
    run_predict("--input", photos, "--hints", tmp_path / "hints")
    after = [pixels(tmp_path / f"out/predicted/colour{number}.png") for number in (0, 1)]
    np.testing.assert_array_equal(after[0], before[0])
    assert not is_green(before[1], 30, 20)
    assert is_green(after[1], 30, 20)


def test_strokes_saved_while_their_photo_is_coloured_are_for_the_next_run(
    run_predict, photos, tmp_path, monkeypatch
):
    strokes, colorize = tmp_path / "hints/colour1.png", Colorizer.colorize

    def colorize_and_paint(*arguments):
        coloured = colorize(*arguments)
        save_strokes(strokes, 30, 20)
        return coloured

    save_strokes(strokes, 5, 50)
    arguments = ("--input", photos / "colour1.png", "--hints", strokes)
    with monkeypatch.context() as patched:
        patched.setattr(Colorizer, "colorize", colorize_and_paint)
        run_predict(*arguments)
    picture = tmp_path / "out/predicted/colour1.png"
    assert is_green(pixels(picture), 5, 50) and not is_green(pixels(picture), 30, 20)
    run_predict(*arguments)
    assert is_green(pixels(picture), 30, 20)


def test_points_and_strokes_and_python_agree(run_predict, photos, tmp_path, small_model):
    photo, picture = photos / "colour0.png", tmp_path / "out/predicted/colour0.png"
    points = [(10, 20, "seagreen"), ("75%", "50%", "#808080")]
    given = [word for point in points for word in ("--hint", ",".join(map(str, point)))]
    run_predict("--input", photo, *given)
    expected = Colorizer(small_model, network=network).colorize(photo, hints=points)
    np.testing.assert_array_equal(pixels(picture), expected)
    strokes = np.zeros([60, 80, 4], np.uint8)
    strokes[20, 10], strokes[30, 60] = (*GREEN, 255), (128, 128, 128, 255)
    Image.fromarray(strokes).save(tmp_path / "strokes.png")
    run_predict("--input", photo, "--hints", tmp_path / "strokes.png")
    np.testing.assert_array_equal(pixels(picture), expected)


def test_strokes_that_do_not_fit_their_photo_do_not_stop_the_others(
    run_predict, photos, tmp_path, caplog
):
    save_strokes(tmp_path / "hints/colour0.png", 10, 10, size=(60, 60))
    save_strokes(tmp_path / "hints/colour1.png", 30, 20)
    with pytest.raises(SystemExit) as stopped:
        run_predict("--input", photos, "--hints", tmp_path / "hints")
    assert stopped.value.code == 1
    assert "other proportions than the photo's 80 x 60" in caplog.text
    assert names(tmp_path / "out/predicted") == ["colour1.png"]
    assert (tmp_path / "out/index.html").exists()


def test_damaged_strokes_stop_no_others_of_photos_coloured_before(
    run_predict, photos, tmp_path, caplog
):
    run_predict("--input", photos)
    before = {
        name: pixels(tmp_path / "out/predicted" / name) for name in ("colour0.png", "colour1.png")
    }
    save_strokes(tmp_path / "hints/colour1.png", 30, 20)
    whole = (tmp_path / "hints/colour1.png").read_bytes()
    (tmp_path / "hints/colour0.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SystemExit) as stopped:
        run_predict("--input", photos, "--hints", tmp_path / "hints")
    assert stopped.value.code == 1
    assert "cannot read hints" in caplog.text
    changed = [
        name
        for name in before
        if not np.array_equal(pixels(tmp_path / "out/predicted" / name), before[name])
    ]
    assert changed == ["colour1.png"]


def test_strokes_are_for_the_photo_of_the_same_ending(run_predict, photos, tmp_path):
    Image.open(photos / "colour0.png").save(photos / "colour0.bmp")
    save_strokes(tmp_path / "hints/colour0.png", 30, 20)
    run_predict("--input", photos, "--hints", tmp_path / "hints")
    assert names(tmp_path / "out/unhinted") == ["colour0.png"]
    # Strokes with both endings are for that photo, and leave those with one to the other.
    (photos / "colour0.png").rename(photos / "colour0.tif")
    save_strokes(tmp_path / "hints/colour0.bmp.png", 10, 20)
    run_predict("--input", photos, "--hints", tmp_path / "hints")
    finished = read_finished(tmp_path / "out")
    for photo, strokes in (("colour0.bmp", "colour0.bmp.png"), ("colour0.tif", "colour0.png")):
        assert finished[photo].hints == digest(tmp_path / "hints" / strokes)


def test_strokes_that_are_taken_away_are_forgotten(run_predict, photos, tmp_path):
    run_predict("--input", photos)
    alone = contents(tmp_path / "out/predicted")
    for number in (0, 1):
        save_strokes(tmp_path / f"hints/colour{number}.png", 30, 20)
    run_predict("--input", photos, "--hints", tmp_path / "hints")
    assert contents(tmp_path / "out/predicted") != alone
    (tmp_path / "hints/colour0.png").unlink()
    run_predict("--input", photos, "--hints", tmp_path / "hints")
    assert contents(tmp_path / "out/predicted")["colour0.png"] == alone["colour0.png"]
    assert names(tmp_path / "out/unhinted") == ["colour1.png"]


def test_what_the_network_says_alone_is_kept_beside_hints(run_predict, photos, tmp_path):
    photo, out = photos / "colour0.png", tmp_path / "out"
    run_predict("--input", photo)
    alone = (out / "predicted/colour0.png").read_bytes()
    assert not (out / "unhinted").exists()
    run_predict("--input", photo, "--hint", "50%,50%,red")
    assert (out / "predicted/colour0.png").read_bytes() != alone
    assert (out / "unhinted/colour0.png").read_bytes() == alone
    page = (out / "index.html").read_text(encoding="utf-8")
    assert page.index('"gray/') < page.index('"unhinted/') < page.index('"predicted/')
    assert "Without hints</figcaption>" in page
    run_predict("--input", photo, "--overwrite")
    assert list((out / "unhinted").iterdir()) == []
    assert '"unhinted/' not in (out / "index.html").read_text(encoding="utf-8")


def test_photos_are_coloured_anew_with_other_hints_only(run_predict, photos, tmp_path, capsys):
    photo = photos / "colour0.png"
    picture = tmp_path / "out/predicted/colour0.png"
    versions = []
    for colour, skips in (("red", False), ("red", True), ("blue", False), (None, True)):
        run_predict("--input", photo, *(["--hint", f"50%,50%,{colour}"] if colour else []))
        assert ("Skipping 1 finished" in capsys.readouterr().out) == skips
        versions.append(picture.read_bytes())
    assert versions[0] == versions[1]
    assert versions[0] != versions[2]
    # Without any, what was made with hints stays.
    assert versions[2] == versions[3]
    run_predict("--input", photo, "--overwrite")
    assert picture.read_bytes() not in versions


def test_hints_are_for_the_photo_as_a_viewer_shows_it(run_predict, colourful, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a viewer turns it clockwise
    Image.fromarray(colourful(60, 80)).save(tmp_path / "turned.png", exif=exif)
    save_strokes(tmp_path / "strokes.png", 60, 10, size=(80, 60))
    run_predict("--input", tmp_path / "turned.png", "--hints", tmp_path / "strokes.png")
    picture = pixels(tmp_path / "out/predicted/turned.png")
    assert picture.shape == (80, 60, 3)
    assert is_green(picture, 60, 10)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--input", "PHOTO", "--hint", "80,0,red"], "up to 79 in this photo"),
        (["--input", "PHOTO", "--hint", "0,101%,red"], "from 0% to 100%"),
        (["--input", "PHOTO", "--hint", "0,0,reddish"], "unknown colour 'reddish'"),
        (["--input", "PHOTOS", "--hint", "0,0,red"], "hints for one photo, but 2 photos"),
        (["--input", "PHOTOS", "--hints", "STROKES"], "hints for one photo, but 2 photos"),
        (["--input", "PHOTO", "--hints", "nothing.png"], "cannot read hints nothing.png"),
        (["--input", "PHOTO", "--hints", "PHOTO"], "no transparent pixel"),
        (["--input", "PHOTO", "--hints", "STROKES"], "other proportions than the photo's 80 x 60"),
        (["--input", "PHOTOS", "--hints", "FOLDER"], "no photo has the name of .*strokes.png"),
    ],
)
def test_hints_that_fit_nothing_are_refused(run_predict, photos, tmp_path, arguments, words):
    save_strokes(tmp_path / "hints/strokes.png", 10, 10, size=(60, 60))
    places = {
        "PHOTO": photos / "colour0.png",
        "PHOTOS": photos,
        "STROKES": tmp_path / "hints/strokes.png",
        "FOLDER": tmp_path / "hints",
    }
    with pytest.raises(UserError, match=words) as refusal:
        run_predict(*(places.get(word, word) for word in arguments))
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.glob("out/predicted/*"))
