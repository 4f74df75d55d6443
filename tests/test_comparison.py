"""`--mode compare`, through the page that it writes."""

import base64
import dataclasses
import hashlib
import io
import itertools
import json
import os
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from skimage import color as skimage_color
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import color
from colorization.data import held_out, prepare
from colorization.data.dataset import eval_dataset
from colorization.data.report import Report
from colorization.errors import UserError
from colorization.modes import compare as compare_mode
from colorization.options import parse
from colorization.pages.measurements import count_parameters, measure_baselines
from colorization.prediction.results import add_finished
from colorization.training.settings import store_settings
from colorization.training.step_budget import steps_in_minutes

tf1 = tf.compat.v1


def tiny(nn, lightness, params):
    """A network that trains in no time."""
    kernel = tf1.get_variable("kernel", [1, 1, 1, 2], initializer=tf1.initializers.zeros())
    halved = tf.nn.avg_pool2d(lightness / 100, 2, 2, "SAME")
    return tf.nn.conv2d(halved, kernel, 1, "SAME"), None


class Page(HTMLParser):
    """The page as a browser sees it."""

    def __init__(self, path):
        super().__init__()
        self.text = path.read_text(encoding="utf-8")
        self.elements, self.photos, self.tables = [], {}, {}
        self._tag = ""
        self.feed(self.text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.elements.append((tag, values))
        self._tag = tag
        if tag == "li":
            self._name = ""
        elif tag == "figure" and "class" in values:
            self._view = values["class"]
        elif tag == "img":
            self.photos.setdefault(self._name, {})[self._view] = values
        elif tag == "div" and values.get("role") == "region":
            self._rows = self.tables[values["aria-label"]] = []
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("th", "td"):
            self._rows[-1].append("")

    def handle_data(self, data):
        if self._tag == "bdi":
            self._name += data
        elif self._tag in ("th", "td", "b") and self.tables and self._rows and data.strip():
            self._rows[-1][-1] += data.strip()


def compare(*arguments):
    fixed = "--mode compare --batch_size 2 --chroma_scale 20 --learning_rate 0.1"
    brief = ("--save_checkpoints_steps", 15, "--half_size_share", 0)
    arguments = (*fixed.split(), *brief, *arguments)
    compare_mode.run(tiny, parse("color_global", [*map(str, arguments)]))


def test_trains_both_and_shows_them(tmp_path, photo_folder, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(color, "network", tiny)
    photos = photo_folder(3, gray=1)
    (photos / "colour2.png").rename(photos / '<b onclick="x()">&amp;.png')
    # A file of somebody else's, and a picture that --mode predict has made of another photo.
    others = [
        tmp_path / f"results/compare/{name}/predicted/colour{number}.png"
        for number, name in enumerate(("color", "color_global"))
    ]
    for path in others:
        path.parent.mkdir(parents=True)
        path.write_text("mine")
    add_finished(tmp_path / "results/compare/color_global", "colour1.png", "else.png", None, {})
    compare("--train_data", photos, "--test_data", photos, "--max_steps", 25)
    assert [path.read_text() for path in others] == ["mine", "mine"]
    assert "side by side in results/compare/index.html" in capsys.readouterr().out
    page = Page(tmp_path / "results/compare/index.html")

    # Of what HTML gives a meaning, `&` alone is a character that every disk takes.
    assert set(page.photos) == {"colour0 (2).png", "colour1 (2).png", "_b onclick=_x()__&amp;.png"}
    for name, views in page.photos.items():
        assert list(views) == ["gray", "basic", "full", "truth"]
        for view, image in views.items():
            assert image["alt"] == f"{view}: {name}"
            data = base64.b64decode(image["src"].removeprefix("data:image/jpeg;base64,"))
            assert Image.open(io.BytesIO(data)).size == (80, 60)
        own = tmp_path / "results/compare/color_global/predicted" / name
        assert Image.open(own).size == (80, 60)

    quality = {first: rest for first, *rest in page.tables["How close to the truth"]}
    assert quality[""] == ["basic", "full", "mean colour", "no colour", "truth"]
    # The same network twice, trained alike.
    assert all(basic == full for basic, full, *_ in quality.values() if basic != "basic")
    assert quality["PSNR, dB"][4] == "∞"
    assert 0 < float(quality["average loss"][0]) < float(quality["average loss"][3])
    cost = {first: rest for first, *rest in page.tables["What it costs"]}
    assert cost["parameters"] == ["2", "2", "1.00"]
    assert cost["steps"] == ["25", "25", "1.00"]
    timed = ["seconds per step", "photos per second", "seconds per photo predicted"]
    assert all(float(value.replace(",", "")) > 0 for name in timed for value in cost[name])
    options = {first: rest for first, *rest in page.tables["Hyperparameters"]}
    assert options["--max_steps"] == ["25", "25"]
    assert options["--global_channels"] == ["–", "32"]
    evaluations = page.tables["Loss on the test photos in the course of training"]
    assert [row[0] for row in evaluations[1:]] == ["15", "25"]
    assert page.text.count('<svg class="chart"') == 2

    # Nothing from outside, no code, exactly this style.
    assert not re.search(r"https?:|//\w+\.|@import|url\((?!#)", page.text)
    assert not [tag for tag, _ in page.elements if tag in ("script", "b onclick")]
    assert not [key for _, values in page.elements for key in values if key.startswith("on")]
    style = re.search("<style>(.*?)</style>", page.text, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in page.text
    assert "%%{" not in page.text

    # Again: nothing is left to train; prepared photos are shown as well. One model has seen a photo
    # that the other has not, as where one has come between their trainings.
    assert "trained alike: the same 4 photos" in page.text
    sizes = tmp_path / "models/compare/color_global/trained_on.json"
    sizes.write_text(json.dumps([*json.loads(sizes.read_text()), 12345]))
    assert prepare.prepare([str(path) for path in sorted(photos.iterdir())], str(tmp_path / "p"))
    compare("--train_data", photos, "--test_data", tmp_path / "p", "--max_steps", 25)
    assert capsys.readouterr().out.count("trained for 25 steps already") == 2
    again = Page(tmp_path / "results/compare/index.html")
    assert len(again.photos) == 3
    assert "but that photos have come or gone between their trainings: 4 photos" in again.text
    assert {image["width"] for views in again.photos.values() for image in views.values()} == {
        "224"
    }


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="this system has no /proc")
def test_an_output_that_cannot_be_made_is_found_before_training(tmp_path, photo_folder):
    photos, models = photo_folder(1), tmp_path / "models"
    data = ("--train_data", photos, "--test_data", photos, "--model_dir", models)
    # A folder that is said to be writable, at least to root.
    with pytest.raises((OSError, UserError), match="/proc/compare"):
        compare(*data, "--max_steps", 1, "--output", "/proc/compare")
    assert not models.exists()


def test_a_page_of_somebody_else_is_found_before_training(tmp_path, photo_folder):
    photos, models, page = photo_folder(1), tmp_path / "models", tmp_path / "site/index.html"
    page.parent.mkdir()
    page.write_text("my page")
    data = ("--train_data", photos, "--test_data", photos, "--model_dir", models)
    with pytest.raises(UserError, match=r"index\.html is none of this program's"):
        compare(*data, "--max_steps", 1, "--output", page.parent)
    assert page.read_text() == "my page"
    assert not models.exists()


def test_minutes_become_steps_and_stay_so(tmp_path, photo_folder):
    photos = [str(path) for path in photo_folder(2).iterdir()]
    options = parse(
        "color_global",
        ["--mode", "compare", "--batch_size", "1", "--model_dir", str(tmp_path / "m")],
    )
    steps = steps_in_minutes(0.5, tiny, options, photos)
    noted = json.loads((tmp_path / "m" / "budget.json").read_text())
    assert (noted["minutes"], noted["steps"]) == (0.5, steps)
    assert steps >= 1
    # Half a minute of steps that take what the noted number says.
    (tmp_path / "m" / "budget.json").write_text(json.dumps({**noted, "steps": 7}))
    assert steps_in_minutes(0.5, tiny, options, photos) == 7
    assert steps_in_minutes(1e-6, tiny, options, photos) == 1
    # What takes another time is timed anew.
    options = dataclasses.replace(options, precision="bfloat16")
    assert steps_in_minutes(1e-6, tiny, options, photos) == 1
    assert json.loads((tmp_path / "m" / "budget.json").read_text())["precision"] == "bfloat16"


def test_yardsticks_agree_with_scikit_image(photo_folder):
    photos = [str(path) for path in sorted(photo_folder(3).iterdir())]
    examples = list(eval_dataset(photos, 1, Report(3)))
    lightness = [features["lightness"][0].numpy() for features, _ in examples]
    chroma = [np.asarray(labels["chroma"][0]) for _, labels in examples]
    mean = np.mean([one.mean(axis=(0, 1)) for one in chroma], axis=0)
    found = measure_baselines(photos, 2)
    for name, colour in (("no_colour", np.zeros(2)), ("mean_colour", mean)):
        psnr, ssim = [], []
        for one, its in zip(lightness, chroma, strict=True):
            wide = tf.image.resize(its, [224, 224]).numpy()
            truth, picture = (
                skimage_color.lab2rgb(np.concatenate([one, ab], axis=-1))
                for ab in (wide, np.broadcast_to(colour, wide.shape))
            )
            psnr.append(peak_signal_noise_ratio(truth, picture, data_range=1))
            ssim.append(
                structural_similarity(
                    truth, picture, data_range=1, channel_axis=2,
                    gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
                )
            )  # fmt: skip
        assert found[name]["psnr"] == pytest.approx(np.mean(psnr), rel=1e-3)
        assert found[name]["ssim"] == pytest.approx(np.mean(ssim), abs=2e-3)
    assert found["no_colour"]["colourfulness"] == pytest.approx(0, abs=0.1)
    assert found["mean_colour"]["psnr"] > found["no_colour"]["psnr"]


def test_parameters_are_kernels_and_biases():
    channels = [1, 64, 128, 128, 256, 256, 512, 512, 256, 128, 64, 64, 32, 2]
    expected = sum(9 * a * b + b for a, b in itertools.pairwise(channels))
    assert count_parameters(color.network, parse("color", ["--normalization", "none"])) == expected


def test_a_cluster_is_refused(monkeypatch):
    cluster = {"chief": ["127.0.0.1:1"], "worker": ["127.0.0.1:2"], "ps": ["127.0.0.1:3"]}
    task = {"cluster": cluster, "task": {"type": "chief", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(task))
    with pytest.raises(UserError, match="one machine; unset TF_CONFIG"):
        compare()


def test_weights_without_what_training_needs_are_not_compared(tmp_path, photo_folder):
    models = tmp_path / "models"
    (models / "color").mkdir(parents=True)
    (models / "color" / "weights.npz").touch()
    arguments = ("--model_dir", models, "--output", tmp_path / "out")
    with pytest.raises(UserError, match="color holds weights without what training needs"):
        compare(*arguments, "--train_data", photo_folder(12), "--max_steps", "1")


def test_models_that_were_trained_on_other_photos_each_are_not_compared(tmp_path, photo_folder):
    folder, models = photo_folder(12), tmp_path / "models"
    photos = [str(path) for path in sorted(folder.iterdir())]
    for name, photo in zip(("color", "color_global"), photos, strict=False):
        held_out.write(models / name / "held_out.json", held_out.identify([photo]))
    arguments = ["--mode", "compare", "--model_dir", str(models), "--output", str(tmp_path / "out")]
    options = parse("color_global", [*arguments, "--train_data", *photos])
    with pytest.raises(UserError, match="trained and tested on other photos each"):
        compare_mode.run(tiny, options)


@pytest.mark.parametrize("stored", [(1, 1), (1, 3), (3, 1), (0, 2)])
def test_a_comparison_goes_on_whatever_its_models_have_stored_yet(
    tmp_path, photo_folder, monkeypatch, stored
):
    folder, models = photo_folder(14), tmp_path / "models"
    identified = held_out.identify([str(folder / f"colour{number}.png") for number in range(3)])
    for name, count in zip(("color", "color_global"), stored, strict=True):
        # Each model stores where the photos lay in its own last training.
        moved = [photo._replace(path=f"/disk of {name}/{photo.path}") for photo in identified]
        held_out.write(models / name / "held_out.json", moved[:count])
        if count:
            (models / name / "model.ckpt-1.index").touch()
            store_settings(parse(name, ["--model_dir", str(models / name)]))
    trained_on = []

    def train_model(network, options, task, data):
        trained_on.extend(data.train)
        raise KeyboardInterrupt

    monkeypatch.setattr(compare_mode, "train_model", train_model)
    arguments = ("--model_dir", models, "--output", tmp_path / "out", "--train_data", folder)
    with pytest.raises(KeyboardInterrupt):
        compare(*arguments)
    assert len(trained_on) == 14 - max(stored)
    assert not set(trained_on) & {photo.path for photo in identified[: max(stored)]}
