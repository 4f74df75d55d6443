"""Which photos are trained and tested on."""

import shutil
from pathlib import Path

import pytest

from colorization.data.shards import Shards
from colorization.data.split import photos_for_testing, photos_for_training, store_held_out
from colorization.errors import UserError
from colorization.options import parse


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def select(*arguments):
    _, selection = photos_for_training(
        parse("color", ["--model_dir", "model", *map(str, arguments)])
    )
    return selection


def names(paths):
    return {Path(path).name for path in paths}


@pytest.mark.parametrize(("photos", "tested"), [(10, 1), (29, 2), (30, 3)])
def test_a_tenth_of_the_photos_is_held_out(photo_folder, capsys, photos, tested):
    folder = photo_folder(photos)
    selection = select("--train_data", folder)
    assert (len(selection.train), len(selection.test)) == (photos - tested, tested)
    assert names(selection.train) | names(selection.test) == names(folder.iterdir())
    assert selection.held_out == selection.test
    assert f"Holding out {tested} of {photos} photos" in capsys.readouterr().out


def test_no_more_than_200_are_held_out(photo_folder, tmp_path):
    photo = next(photo_folder(1).iterdir())
    (tmp_path / "many").mkdir()
    for number in range(2100):
        (tmp_path / "many" / f"{number}.png").hardlink_to(photo)
    selection = select("--train_data", "many")
    assert (len(selection.train), len(selection.test)) == (1900, 200)
    # By chance, not from one end.
    assert 700 < sum(int(Path(path).stem) for path in selection.test) / 200 < 1400


def test_however_the_photos_are_named_the_same_are_held_out(photo_folder, tmp_path):
    folder = photo_folder(40)
    first = names(select("--train_data", folder).test)
    assert names(select("--train_data", "photos").test) == first
    assert names(select("--train_data", *sorted(folder.iterdir(), reverse=True)).test) == first
    # Most of them stay where they are when photos are added.
    for photo in list(folder.iterdir())[:10]:
        shutil.copy(photo, folder / f"more {photo.name}")
    assert len(names(select("--train_data", folder).test) & first) >= 3


def test_gray_and_broken_photos_are_not_held_out(photo_folder):
    # So many that some would be.
    folder = photo_folder(40, gray=30, damaged=30)
    selection = select("--train_data", folder)
    assert 1 <= len(selection.test) < 10
    assert all(name.startswith("colour") for name in names(selection.test))
    assert len(selection.train) + len(selection.test) == 100


@pytest.mark.parametrize("photos", [{"count": 9}, {"count": 0, "gray": 20}])
def test_without_enough_photos_the_bundled_ones_are_tested_on(photo_folder, photos):
    folder = photo_folder(**photos)
    selection = select("--train_data", folder)
    assert names(selection.train) == names(folder.iterdir())
    assert {Path(path).parent.name for path in selection.test} == {"test"}
    assert selection.held_out == []


def test_the_only_photo_of_colour_is_trained_on(photo_folder):
    folder = photo_folder(1, gray=9)
    selection = select("--train_data", folder)
    assert (len(selection.train), selection.held_out) == (10, [])


def test_photos_that_are_tested_on_are_not_trained_on(photo_folder, tmp_path, capsys):
    folder = photo_folder(12)
    (folder / "2019").mkdir()
    for number in range(5):
        (folder / f"colour{number}.png").rename(folder / "2019" / f"colour{number}.png")
    selection = select("--train_data", folder, "--test_data", "photos/2019")
    assert names(selection.test) == {f"colour{number}.png" for number in range(5)}
    assert names(selection.train) == {f"colour{number}.png" for number in range(5, 12)}
    assert selection.held_out == []
    assert "Not training on 5 photos that are tested on." in capsys.readouterr().out


def test_the_same_photos_may_be_trained_and_tested_on(photo_folder, capsys):
    folder = photo_folder(3)
    selection = select("--train_data", folder, "--test_data", folder)
    assert names(selection.train) == names(selection.test) == names(folder.iterdir())
    assert "flatter" in capsys.readouterr().out


def test_photos_in_the_data_folder_are_found(photo_folder, tmp_path):
    (tmp_path / "data").mkdir()
    photo_folder(12, name="data/train")
    assert len(select().test) == 1
    photo_folder(2, name="data/test")
    selection = select()
    assert (len(selection.train), len(selection.test), selection.held_out) == (12, 2, [])


def test_what_was_held_out_is_tested_on_later(photo_folder, tmp_path, capsys):
    held_out = select("--train_data", photo_folder(30)).held_out
    options = parse("color", ["--mode", "predict", "--model_dir", "model"])
    store_held_out("model", held_out)
    assert photos_for_testing(options) == sorted(held_out)
    Path(held_out[0]).unlink()
    assert photos_for_testing(options) == sorted(held_out[1:])
    other = parse("color", ["--mode", "evaluate", "--model_dir", "model", "--test_data", "photos"])
    assert len(photos_for_testing(other)) == 29
    store_held_out("model", [])
    assert list((tmp_path / "model").iterdir()) == []
    capsys.readouterr()
    assert names(photos_for_testing(options)).isdisjoint(names(held_out))
    assert "bundled" in capsys.readouterr().out


@pytest.mark.parametrize("note", [b"", b"[1]", b'{"a": 1}', b"[" * 100_000, b'["a\\u0000b"]'])
def test_a_note_that_makes_no_sense_is_passed_over(tmp_path, note):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "held_out.json").write_bytes(note)
    photos = photos_for_testing(parse("color", ["--mode", "predict", "--model_dir", "model"]))
    assert {Path(path).parent.name for path in photos} == {"test"}


def test_prepared_photos_are_all_trained_on(photo_folder, tmp_path):
    from colorization.data.prepare import prepare

    prepare([str(path) for path in photo_folder(12).iterdir()], str(tmp_path / "prepared"), 0)
    selection = select("--train_data", "prepared")
    assert isinstance(selection.train, Shards)
    assert (len(selection.train), selection.held_out) == (12, [])


def test_nothing_to_find_is_refused():
    with pytest.raises(UserError, match="missing"):
        select("--train_data", "missing")


@pytest.mark.parametrize("name", [".gitkeep", "README.md", ".DS_Store"])
def test_a_data_folder_without_photos_is_as_good_as_none(photo_folder, tmp_path, capsys, name):
    folder = tmp_path / "data" / "train"
    folder.mkdir(parents=True)
    (folder / name).touch()
    assert len(select().train) > 10
    assert "no photos in data/train" in capsys.readouterr().out
    shutil.copytree(photo_folder(12), folder, dirs_exist_ok=True)
    assert len(select().train) == 11
