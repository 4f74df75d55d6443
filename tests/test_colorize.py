import os

import numpy as np
import pytest
from PIL import Image
from skimage.color import lab2rgb, rgb2lab
from skimage.metrics import peak_signal_noise_ratio

from colorization.colorize import colorized, picture_names, write_pictures


def prediction(path, a=20.0, b=-30.0, size=(112, 112)):
    return {"path": os.fsencode(path), "chroma": np.full([*size, 2], [a, b], np.float32)}


def test_lightness_is_the_photos_own_and_chroma_the_networks(colourful):
    photo = colourful(37, 53)
    coloured = colorized(photo, prediction("")["chroma"])
    lab = rgb2lab(photo)
    lab[..., 1:] = [20, -30]
    assert coloured.dtype == np.uint8
    np.testing.assert_allclose(coloured, lab2rgb(lab) * 255, atol=1)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (500, 3)])
def test_any_size_is_coloured(size):
    assert colorized(np.full([*size, 3], 99, np.uint8), prediction("")["chroma"]).shape == (
        *size,
        3,
    )


def test_chroma_is_enlarged_smoothly():
    chroma = np.zeros([112, 112, 2], np.float32)
    chroma[:, 56:] = 40
    lab = rgb2lab(colorized(np.full([448, 448, 3], 128, np.uint8), chroma))
    assert np.abs(np.diff(lab[200, :, 1])).max() < 40 / 3
    assert lab[200, 10, 1] == pytest.approx(0, abs=1)
    assert lab[200, -10, 1] == pytest.approx(40, abs=1)


def test_names_mirror_folders_and_never_collide():
    paths = ["/photos/a.jpg", "/photos/x/a.jpg", "/photos/x/b.PNG", "/photos/x/c.raw", "/photos/d"]
    assert picture_names(paths) == {
        "/photos/a.jpg": "a.jpg",
        "/photos/x/a.jpg": "x/a.jpg",
        "/photos/x/b.PNG": "x/b.PNG",
        "/photos/x/c.raw": "x/c.raw.png",
        "/photos/d": "d.png",
    }


def test_pictures_and_figures_are_written(tmp_path, photo_folder, colourful):
    folder = photo_folder(1, gray=1)
    paths = [str(folder / "colour0.png"), str(folder / "gray0.png")]
    done = []
    scores = write_pictures(
        [prediction(path) for path in paths],
        picture_names(paths),
        tmp_path / "results",
        lambda: done.append(1),
    )
    assert len(done) == 2
    written = {
        str(path.relative_to(tmp_path / "results"))
        for path in (tmp_path / "results").rglob("*")
        if path.is_file()
    }
    assert written == {
        "gray/colour0.png",
        "gray/gray0.png",
        "predicted/colour0.png",
        "predicted/gray0.png",
        "truth/colour0.png",
    }
    truth = colourful(60, 80)
    np.testing.assert_array_equal(Image.open(tmp_path / "results/truth/colour0.png"), truth)
    gray = np.asarray(Image.open(tmp_path / "results/gray/colour0.png"), int)
    assert np.ptp(gray, axis=-1).max() <= 1
    predicted = np.asarray(Image.open(tmp_path / "results/predicted/colour0.png"))
    error = rgb2lab(predicted)[..., 1:] - rgb2lab(truth)[..., 1:]
    assert scores["colour0.png"]["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-3)
    ratio = peak_signal_noise_ratio(truth, predicted)
    assert scores["colour0.png"]["psnr"] == pytest.approx(ratio, rel=1e-3)
    assert scores["gray0.png"] == {}


def test_an_existing_picture_survives_a_failure(tmp_path, photo_folder):
    path = str(photo_folder(1) / "colour0.png")
    kept = tmp_path / "results" / "predicted" / "colour0.png"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"kept")
    broken = {"path": os.fsencode(path), "chroma": np.zeros([2, 2, 5], np.float32)}
    with pytest.raises(ValueError):
        write_pictures([broken], picture_names([path]), tmp_path / "results", lambda: None)
    assert [file.read_bytes() for file in (tmp_path / "results").rglob("*.png")] == [b"kept"]
