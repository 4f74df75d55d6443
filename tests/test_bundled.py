"""The bundled photos: crops of scikit-image's, some to train on and others to test on."""

import os

import numpy as np
import pytest
from PIL import Image
from skimage import data

from colorization.data.bundled import bundled_photos
from colorization.errors import UserError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return bundled_photos(tmp_path_factory.mktemp("data") / "bundled")


def test_crops_are_parts_of_the_photos(folder):
    names = {path.stem.rsplit("_", 1)[0] for path in (folder / "train").glob("*_*.png")}
    tested = {path.stem for path in (folder / "test").iterdir()}
    assert {"astronaut", "chelsea", "coffee", "rocket", "stereo_motorcycle"} <= names & tested
    photo = data.chelsea()
    windows = np.lib.stride_tricks.sliding_window_view(photo[:, :, 0], (8, 8))
    for path in (folder / "train").glob("chelsea_*.png"):
        corner = np.asarray(Image.open(path))[:8, :8, 0]
        assert (windows == corner).all((2, 3)).any()


def test_nearly_half_of_a_test_crop_is_in_no_training_crop(folder):
    """Counted in blocks of 16 x 16 pixels."""
    test = np.asarray(Image.open(folder / "test" / "chelsea.png"))
    blocks = {
        test[top : top + 16, left : left + 16].tobytes()
        for top in range(0, test.shape[0] - 15, 16)
        for left in range(0, test.shape[1] - 15, 16)
    }
    new = set(blocks)
    for path in (folder / "train").glob("chelsea_*.png"):
        picture = np.asarray(Image.open(path))
        for top in range(picture.shape[0] - 15):
            for left in range(picture.shape[1] - 15):
                new.discard(picture[top : top + 16, left : left + 16].tobytes())
    assert 0.4 < len(new) / len(blocks) < 0.6


def test_gray_photos_are_among_them(folder):
    for part in ("train", "test"):
        assert any(Image.open(path).mode == "L" for path in (folder / part).iterdir())


def test_it_is_made_once_and_whole(folder):
    marker = folder / "train" / "marker.txt"
    marker.touch()
    assert bundled_photos(folder) == folder
    assert marker.exists()
    marker.unlink()
    assert [path.name for path in folder.parent.iterdir()] == ["bundled"]


def test_another_process_that_is_faster_is_no_harm(tmp_path, monkeypatch):
    folder = tmp_path / "data" / "bundled"

    def fast(source, target):
        (folder / "train").mkdir(parents=True)
        raise OSError("Directory not empty")

    monkeypatch.setattr(os, "replace", fast)
    monkeypatch.setattr(Image.Image, "save", lambda picture, path: path.touch())
    assert bundled_photos(folder) == folder
    assert [path.name for path in folder.parent.iterdir()] == ["bundled"]
    assert [path.name for path in folder.iterdir()] == ["train"]


def test_an_unwritable_place_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="photos of your own"):
        bundled_photos(tmp_path / "file" / "bundled")
