"""`--mode predict`: hints, names and changed photos."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image
from skimage.color import rgb2lab

import color_global
from colorization.errors import UserError
from colorization.modes import predict
from colorization.options import parse

GREEN = (46, 139, 87)


@pytest.fixture
def photos(photo_folder):
    return photo_folder(2)


@pytest.fixture
def run(model_folder, tmp_path):
    """Colours photos into `tmp_path / "out"` with options of the command line."""
    always = ["--model_dir", model_folder(), "--output", str(tmp_path / "out")]

    def colorize(*arguments):
        words = ["--mode", "predict", *always, *map(str, arguments)]
        predict.run(color_global.network, parse("color_global", words))

    return colorize


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB"))


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


def test_a_folder_of_strokes_goes_by_names(run, photos, tmp_path):
    run("--input", photos)
    before = [pixels(tmp_path / f"out/predicted/colour{number}.png") for number in (0, 1)]
    save_strokes(tmp_path / "hints/colour1.png", 30, 20)
    run("--input", photos, "--hints", tmp_path / "hints")
    after = [pixels(tmp_path / f"out/predicted/colour{number}.png") for number in (0, 1)]
    np.testing.assert_array_equal(after[0], before[0])
    assert not is_green(before[1], 30, 20)
    assert is_green(after[1], 30, 20)


def test_points_and_strokes_and_python_agree(run, photos, tmp_path, model_folder):
    from colorization.prediction.colorize import Colorizer

    photo, picture = photos / "colour0.png", tmp_path / "out/predicted/colour0.png"
    points = [(10, 20, "seagreen"), ("75%", "50%", "#808080")]
    given = [word for point in points for word in ("--hint", ",".join(map(str, point)))]
    run("--input", photo, *given)
    expected = Colorizer(model_folder()).colorize(photo, hints=points)
    np.testing.assert_array_equal(pixels(picture), expected)
    strokes = np.zeros([60, 80, 4], np.uint8)
    strokes[20, 10], strokes[30, 60] = (*GREEN, 255), (128, 128, 128, 255)
    Image.fromarray(strokes).save(tmp_path / "strokes.png")
    run("--input", photo, "--hints", tmp_path / "strokes.png")
    np.testing.assert_array_equal(pixels(picture), expected)


def test_photos_are_coloured_anew_with_other_hints_only(run, photos, tmp_path, capsys):
    photo = photos / "colour0.png"
    picture = tmp_path / "out/predicted/colour0.png"
    versions = []
    for colour, skips in (("red", False), ("red", True), ("blue", False), (None, True)):
        run("--input", photo, *(["--hint", f"50%,50%,{colour}"] if colour else []))
        assert ("Skipping 1 finished" in capsys.readouterr().out) == skips
        versions.append(picture.read_bytes())
    assert versions[0] == versions[1]
    assert versions[0] != versions[2]
    # Without any, what was made with hints stays.
    assert versions[2] == versions[3]
    run("--input", photo, "--overwrite")
    assert picture.read_bytes() not in versions


def test_hints_are_for_the_photo_as_a_viewer_shows_it(run, colourful, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a viewer turns it clockwise
    Image.fromarray(colourful(60, 80)).save(tmp_path / "turned.png", exif=exif)
    save_strokes(tmp_path / "strokes.png", 60, 10, size=(80, 60))
    run("--input", tmp_path / "turned.png", "--hints", tmp_path / "strokes.png")
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
def test_hints_that_fit_nothing_are_refused(run, photos, tmp_path, arguments, words):
    save_strokes(tmp_path / "hints/strokes.png", 10, 10, size=(60, 60))
    places = {
        "PHOTO": photos / "colour0.png",
        "PHOTOS": photos,
        "STROKES": tmp_path / "hints/strokes.png",
        "FOLDER": tmp_path / "hints",
    }
    with pytest.raises(UserError, match=words) as refusal:
        run(*(places.get(word, word) for word in arguments))
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.glob("out/predicted/*"))


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


def test_names_stay_when_folders_are_added(run, photos, tmp_path, capsys):
    (tmp_path / "all/1950").mkdir(parents=True)
    shutil.copy(photos / "colour0.png", tmp_path / "all/1950/a.png")
    run("--input", tmp_path / "all")
    assert names(tmp_path / "out/predicted") == ["1950/a.png"]
    (tmp_path / "all/1960").mkdir()
    shutil.copy(photos / "colour1.png", tmp_path / "all/1960/b.png")
    shutil.copy(photos / "colour1.png", tmp_path / "all/a.png")
    capsys.readouterr()
    run("--input", tmp_path / "all")
    assert "Skipping 1 finished" in capsys.readouterr().out
    assert names(tmp_path / "out/predicted") == ["1950/a.png", "1960/b.png", "a.png"]


def test_a_replaced_photo_is_coloured_anew(run, photos, tmp_path, capsys):
    photo, truth = photos / "colour0.png", tmp_path / "out/truth/colour0.png"
    run("--input", photos)
    before, old = pixels(tmp_path / "out/predicted/colour0.png"), photo.stat()
    # Another photo of the same size in bytes, with the time of the old one a second later.
    content = (photos / "colour1.png").read_bytes()
    size = max(old.st_size, len(content))
    for path, data in ((photo, content), (photos / "colour1.png", content)):
        path.write_bytes(data + bytes(size - len(data)))
    os.utime(photo, ns=(old.st_atime_ns, old.st_mtime_ns + 10**9))
    capsys.readouterr()
    run("--input", photo)
    assert "Skipping" not in capsys.readouterr().out
    assert not np.array_equal(pixels(tmp_path / "out/predicted/colour0.png"), before)
    assert truth.read_bytes() == photo.read_bytes()
    Image.open(photo).convert("L").save(photo)
    run("--input", photo)
    assert names(tmp_path / "out/truth") == ["colour1.png"]
    assert names(tmp_path / "out/predicted") == ["colour0.png", "colour1.png"]
    assert "truth/colour0.png" not in (tmp_path / "out/index.html").read_text()
    # Neither a new time nor another folder makes another photo of it.
    os.utime(photo)
    shutil.move(photos, tmp_path / "moved")
    (tmp_path / "moved/colour1.png").unlink()
    capsys.readouterr()
    run("--input", tmp_path / "moved")
    assert "Skipping 1 finished" in capsys.readouterr().out


def test_records_that_do_not_know_versions_vouch_for_nothing(run, photos, tmp_path, capsys):
    photo, record = photos / "colour0.png", tmp_path / "out/finished.jsonl"
    run("--input", photo)
    facts = json.loads(record.read_text())
    del facts["version"]
    record.write_text(json.dumps(facts))
    capsys.readouterr()
    run("--input", photo)
    assert "Skipping" not in capsys.readouterr().out
    assert names(tmp_path / "out/predicted") == ["colour0.png"]
