"""The general models that ship with the suite: who gets them, and what if they are damaged."""

import contextlib
import dataclasses
import errno
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from unmeasured import unmeasured

from colorization.data import held_out
from colorization.errors import UserError
from colorization.model.layers import Layers
from colorization.modes import evaluate, export, predict, train
from colorization.options import parse
from colorization.prediction.colorize import Colorizer
from colorization.prediction.trained_network import TrainedNetwork
from colorization.training import checkpoint, general_model, start, training, weights
from colorization.training.evaluation import keep_if_best
from colorization.training.liveliness import stored_liveliness
from colorization.training.settings import copy_settings, store_settings, stored_settings


def network(nn, lightness, params):
    x = nn.conv(nn.input(lightness), params["global_channels"], "conv", stride=2)
    return nn.output(x, 2, "output"), None


def run(mode, *arguments, **settings):
    """Runs a mode; a training without its evaluations, for which see `unmeasured`."""
    if mode is train:
        # One evaluation of one stage.
        brief = ["--save_checkpoints_steps", 100, "--half_size_share", 0]
        arguments = [*brief, "--max_steps", 2, "--batch_size", 2, *arguments]
    else:
        arguments = ["--mode", mode.__name__.rpartition(".")[2], *arguments]
    with unmeasured(**settings) if mode is train else contextlib.nullcontext():
        mode.run(network, parse("color_global", list(map(str, arguments))))


@pytest.fixture
def photos(photo_folder, tmp_path, monkeypatch):
    """A folder of photos; the test runs in a folder without any model."""
    folder = photo_folder(3)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a small model as training leaves it, its network not of the default shape."""
    folder = tmp_path_factory.mktemp("made")
    options = parse("color_global", ["--global_channels", "3", "--model_dir", str(folder)])
    store_settings(options)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.set_random_seed(1)
        step = tf.compat.v1.train.get_or_create_global_step()
        params = {**dataclasses.asdict(options), "precision": "float32"}
        logits, _ = network(Layers(True, params), tf.zeros([1, 224, 224, 1]), params)
        tf.compat.v1.train.AdamOptimizer().minimize(tf.reduce_sum(logits), step)
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, f"{folder}/model.ckpt", global_step=0)
    copy_settings(str(folder), folder / "best")
    figures = {"loss": 1.0, "global_step": 0, "saturation": 1.25}
    kept = keep_if_best(str(folder), f"{folder}/model.ckpt-0", figures, True)
    assert kept == 0
    return folder


@pytest.fixture
def trained(made, photos, tmp_path):
    """A copy of that folder."""
    return Path(shutil.copytree(made, tmp_path / "trained"))


@pytest.fixture
def shipped(trained, tmp_path, monkeypatch):
    """The folder of the same model where general ones are looked for."""
    place = tmp_path / "installed" / "pretrained"
    run(export, "--format", "weights", "--model_dir", trained, "--output", place / "color_global")
    monkeypatch.setattr(general_model, "_PLACE", place)
    return place / "color_global"


def only_best(folder, names):
    """What `shutil.copytree` leaves out: all checkpoints but the best, as if to save disk."""
    is_best = Path(folder).name == "best"
    return [] if is_best else [name for name in names if "ckpt" in name or name == "checkpoint"]


def bytes_below(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_exported_weights_are_a_model_without_what_only_training_needs(shipped, trained):
    files = {str(path.relative_to(shipped)) for path in bytes_below(shipped)}
    assert files == {"settings.json", "weights.npz", "best/evaluation.json"}
    held = weights.read(shipped / weights.FILE)
    before = checkpoint.tensors(checkpoint.best_checkpoint(str(trained)))
    assert {"conv/kernel/Adam", "beta1_power"} <= before.keys()
    assert held.keys() == {name for name in before if not name.endswith(("Adam", "_1", "power"))}
    assert stored_settings(str(shipped)) == stored_settings(str(trained))
    assert stored_liveliness(str(shipped)).saturation == stored_liveliness(str(trained)).saturation


def test_exported_weights_predict_what_the_checkpoint_predicts(shipped, trained):
    lightness = np.random.default_rng(0).uniform(0, 100, [2, 224, 224, 1]).astype(np.float32)
    found = []
    for folder in (trained, shipped):
        model = TrainedNetwork(str(folder), network, "float32")
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            predict_chroma, load = model.build()
            chroma = predict_chroma(tf.constant(lightness), tf.constant(lightness))
            load(session)
            found.append(session.run(chroma))
    difference = np.sqrt(np.mean((found[0] - found[1]) ** 2) / np.mean(found[0] ** 2))
    assert 0 < difference < 0.02


@pytest.mark.parametrize("name", [None, "pretrained/color_global"])
def test_without_a_model_of_ones_own_predict_takes_the_general_one(
    shipped, photos, caplog, tmp_path, name
):
    before = bytes_below(shipped)
    named = ["--model_dir", name] if name else []
    run(predict, "--input", photos, "--output", "out", *named)
    assert len(list((tmp_path / "here" / "out" / "predicted").iterdir())) == 3
    said = [record.getMessage() for record in caplog.records]
    if name:
        assert not said
    else:
        (line,) = said
        assert "No model of your own in models/color_global" in line and str(shipped) in line
    assert bytes_below(shipped) == before


@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "only best"])
def test_a_model_of_ones_own_comes_first(shipped, trained, photos, caplog, tmp_path, is_whole):
    left_out = None if is_whole else only_best
    shutil.copytree(trained, tmp_path / "here" / "models" / "color_global", ignore=left_out)
    options = general_model.with_model(parse("color_global", ["--mode", "predict"]))
    assert options.model_dir == "models/color_global"
    assert not caplog.records


def test_a_working_folder_that_may_not_be_read_is_named(shipped, tmp_path, monkeypatch):
    def refuse(path, pattern):
        raise PermissionError(errno.EACCES, "permission denied", str(path))

    monkeypatch.setattr(Path, "glob", refuse)
    with pytest.raises(UserError) as refused:
        general_model.with_model(parse("color_global", ["--mode", "predict"]))
    assert f"in {tmp_path / 'here' / 'models' / 'color_global'} (perm" in str(refused.value)


def test_a_folder_of_that_name_comes_first(shipped, trained, tmp_path):
    own = tmp_path / "here" / "pretrained" / "color_global"
    shutil.copytree(trained, own)
    assert general_model.located("pretrained/color_global", "color") == "pretrained/color_global"


def test_evaluating_the_general_model_prints_and_leaves_it_alone(shipped, photos, capsys):
    before = bytes_below(shipped.parent)
    run(evaluate, "--test_data", photos)
    printed = capsys.readouterr().out
    assert "a*b* RMSE" in printed and str(shipped / weights.FILE) in printed
    assert "Nothing is stored" in printed
    assert bytes_below(shipped.parent) == before


def test_a_colorizer_takes_it_too(shipped, colourful):
    gray = np.asarray(Image.fromarray(colourful(40, 60)).convert("L"))
    named = Colorizer(str(shipped), network=network, precision="float32")
    found = Colorizer(network=network, precision="float32").colorize(gray)
    assert np.array_equal(found, named.colorize(gray))


def spoil(folder, how):
    file = folder / weights.FILE
    if how == "missing":
        shutil.rmtree(folder.parent)
    elif how == "pointer":
        file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    else:
        data = bytearray(file.read_bytes())
        data[len(data) // 2 - 200 : len(data) // 2 + 200] = bytes(400)
        file.write_bytes(data)


SPOILT = [("missing", "no general model"), ("pointer", "git lfs pull"), ("damaged", "is damaged")]


@pytest.mark.parametrize(("how", "words"), SPOILT)
@pytest.mark.parametrize("mode", [predict, evaluate, export])
def test_without_any_usable_model_one_line_says_what_to_do(shipped, mode, how, words):
    spoil(shipped, how)
    with pytest.raises(UserError, match=words) as caught:
        run(mode, *([] if mode is evaluate else ["--output", "out"]))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("root", "words"),
    [
        ([], "where the program is installed with pip install -e"),
        (["pyproject.toml"], "download the program again"),
        (["pyproject.toml", ".git"], "git -C .* checkout"),
    ],
)
def test_a_missing_general_model_comes_the_way_that_the_program_came(shipped, root, words):
    spoil(shipped, "missing")
    for name in root:
        (shipped.parents[1] / name).touch()
    with pytest.raises(UserError, match=words):
        Colorizer()


@pytest.mark.parametrize(("how", "words"), SPOILT)
def test_training_goes_on_without_the_general_model(shipped, photos, capsys, how, words):
    spoil(shipped, how)
    run(train, "--train_data", photos, "--test_data", photos)
    printed = capsys.readouterr().out
    (line,) = (line for line in printed.splitlines() if line.startswith("Starting from nothing"))
    assert words in line
    assert checkpoint.trained_steps("models/color_global") == 2


@pytest.mark.parametrize("asked", [[], ["--warm_start", "pretrained"]])
def test_training_starts_from_the_general_model(shipped, photos, capsys, asked):
    data = ["--train_data", photos, "--test_data", photos, "--learning_rate", 1e-12]
    run(train, *data, *asked)
    printed = capsys.readouterr().out
    assert f"Starting from {shipped / weights.FILE}" in printed
    assert "7 of 7 variables" in printed
    expected = weights.read(shipped / weights.FILE)
    found = checkpoint.tensors(checkpoint.latest_checkpoint("models/color_global"))
    for name in ("conv/kernel", "output/kernel", "output/bias"):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-6)
    assert found["global_step"] == 2
    assert stored_settings("models/color_global")["global_channels"] == 3
    assert not [path for path in Path("models").rglob("*_temp")]
    run(train, *data, *asked, "--max_steps", 3)
    assert "Starting" not in capsys.readouterr().out


def test_a_start_that_nothing_beats_colours_as_it_did(shipped, photos):
    stored = shipped / "best" / "evaluation.json"
    lively = {"saturation": 1.25, "vibrance": 3.0, "added_saturation": 1.1}
    stored.write_text(json.dumps(json.loads(stored.read_text()) | lively))
    run(train, "--train_data", photos, "--test_data", photos, loss=float)
    assert checkpoint.step_of(checkpoint.best_checkpoint("models/color_global")) == 0
    assert stored_liveliness("models/color_global") == stored_liveliness(str(shipped))
    assert stored_liveliness(str(shipped)) == pytest.approx((1.375, 3.0))


def test_a_training_stopped_while_its_start_is_evaluated_evaluates_it_again(
    shipped, photos, monkeypatch
):
    arguments = ["--train_data", photos, "--test_data", photos]
    with monkeypatch.context() as patched, pytest.raises(ZeroDivisionError):
        patched.setattr(training, "keep_if_best", lambda *_: 1 / 0)
        run(train, *arguments)
    assert checkpoint.step_of(checkpoint.latest_checkpoint("models/color_global")) == 0
    run(train, *arguments, loss=float)
    assert checkpoint.step_of(checkpoint.best_checkpoint("models/color_global")) == 0


@pytest.mark.parametrize(
    ("start_", "is_best"), [("best/model.ckpt-0", True), ("model.ckpt-0.index", False)]
)
def test_a_checkpoint_to_start_from_colours_as_it_did(trained, photos, start_, is_best):
    """Figures that were stored for another checkpoint are none of its."""
    stored = trained / "best" / "evaluation.json"
    lively = {"saturation": 1.25, "vibrance": 3.0, "global_step": 0 if is_best else 7}
    stored.write_text(json.dumps(json.loads(stored.read_text()) | lively))
    run(train, "--train_data", photos, "--test_data", photos, "--warm_start", trained / start_,
        "--model_dir", "tuned", loss=float)  # fmt: skip
    assert checkpoint.step_of(checkpoint.best_checkpoint("tuned")) == 0
    found = stored_liveliness("tuned")
    assert (found == stored_liveliness(str(trained))) == is_best
    assert found.vibrance == (3.0 if is_best else 0.0)


def test_what_does_not_fit_the_general_model_is_named(shipped, photos, capsys):
    run(train, "--train_data", photos, "--test_data", photos, "--warm_start", "pretrained",
        "--global_channels", 4)  # fmt: skip
    printed = capsys.readouterr().out
    assert "for want of a match: conv/kernel" in printed and "1 of 7 variables" in printed


def test_training_starts_from_nothing_if_asked_to(shipped, photos, capsys):
    run(train, "--train_data", photos, "--test_data", photos, "--from_scratch")
    assert "Starting" not in capsys.readouterr().out


def test_training_starts_from_nothing_for_another_network_and_says_why(shipped, photos, capsys):
    run(train, "--train_data", photos, "--test_data", photos, "--chroma_scale", "8")
    told = "Starting from nothing, for --chroma_scale may not fit the general model."
    assert told in capsys.readouterr().out


def test_a_training_keeps_the_start_that_it_had(shipped, photos, capsys):
    def noted(*arguments):
        options = parse("color_global", list(map(str, arguments)))
        return start.with_starting_point(options, False)

    data = ["--train_data", photos, "--test_data", photos]
    run(train, *data, "--global_channels", 3, "--model_dir", "a")
    run(train, *data, "--warm_start", f"{shipped}/.", "--model_dir", "b")
    run(train, *data, "--warm_start", "a", "--model_dir", "c")
    run(train, *data, "--warm_start", "a/model.ckpt-2", "--model_dir", "d")
    for model, same, others in (
        ("a", ["--from_scratch"], [["--warm_start", "pretrained"], ["--warm_start", "b"]]),
        ("b", ["--warm_start", "pretrained"], [["--warm_start", "a"], ["--from_scratch"]]),
        ("c", ["--warm_start", "./a/"], [["--warm_start", "pretrained"], ["--from_scratch"]]),
        ("c", ["--warm_start", Path("a/best").absolute()], [["--warm_start", "b"]]),
        ("d", ["--warm_start", "./a/model.ckpt-2.index"], [["--warm_start", "b/model.ckpt-2"]]),
    ):
        for other in others:
            told = f"training in {model} began with .* leave {other[0]} out"
            with pytest.raises(UserError, match=told):
                run(train, *data, "--model_dir", model, *other)
        left_out = noted("--model_dir", model)
        assert noted("--model_dir", model, *same).learning_rate == left_out.learning_rate
        # A network that goes on from nothing normalizes and learns as it did.
        assert bool(left_out.warm_start) == (model != "a")
        assert left_out.learning_rate == (3e-4 if model == "a" else 1e-4)
    # Earlier versions stored the file that a checkpoint was named by.
    stored = Path("d/start.json")
    stored.write_text(json.dumps({"start": f"{json.loads(stored.read_text())['start']}.index"}))
    for named in ("a/model.ckpt-2", "a/model.ckpt-2.index"):
        assert noted("--model_dir", "d", "--warm_start", named).learning_rate == 1e-4
    shutil.rmtree(shipped)
    shutil.rmtree("a")
    for model, start_ in (("b", "pretrained"), ("c", "a"), ("d", "moved/model.ckpt-2")):
        capsys.readouterr()
        run(train, *data, "--model_dir", model, "--warm_start", start_, "--max_steps", 3)
        assert f"Going on from step 2 of {model}" in capsys.readouterr().out


def test_learning_on_has_defaults_of_its_own_where_none_are_given(shipped):
    def chosen(*arguments, bundled=False):
        options = parse("color_global", list(arguments))
        found = start.with_starting_point(options, bundled)
        return found.learning_rate, found.half_size_share, found.max_steps

    assert chosen() == chosen("--warm_start", "elsewhere") == (1e-4, 0, 1250)
    assert chosen("--from_scratch") == chosen(bundled=True) == (3e-4, 0.96, 5000)
    given = ["--learning_rate", "2e-3", "--half_size_share", "0.5", "--max_steps", "70"]
    assert chosen(*given) == (2e-3, 0.5, 70)


def test_the_bundled_photos_are_learnt_from_nothing(shipped):
    options = parse("color_global", [])
    assert start.with_starting_point(options, True) == options


def test_a_folder_of_weights_is_not_trained_in(shipped, photos):
    before = bytes_below(shipped)
    with pytest.raises(UserError, match="--warm_start"):
        run(train, "--train_data", photos, "--model_dir", shipped)
    assert bytes_below(shipped) == before


def test_weights_do_not_replace_checkpoints(trained, tmp_path):
    best = shutil.copytree(trained, tmp_path / "best_alone", ignore=only_best)
    before = bytes_below(best)
    for folder in (trained, best):
        with pytest.raises(UserError, match="choose another --output"):
            run(export, "--format", "weights", "--model_dir", trained, "--output", folder)
    assert bytes_below(best) == before


def test_weights_that_do_not_fit_their_settings_are_refused(shipped):
    file = shipped / "settings.json"
    settings = {**json.loads(file.read_text()), "global_channels": 5}
    file.write_text(json.dumps(settings))
    with pytest.raises(UserError, match="does not fit its network"):
        TrainedNetwork(str(shipped), network, "float32")


def test_the_general_models_are_offered_by_name(shipped):
    assert general_model.general_models() == {"pretrained/color_global": str(shipped)}


def test_both_ways_to_begin_are_not_taken_at_once():
    with pytest.raises(UserError, match="contradict each other"):
        parse("color_global", ["--warm_start", "pretrained", "--from_scratch"])
    assert dataclasses.replace(parse("color", ["--from_scratch"])).from_scratch


@pytest.mark.parametrize("copied", ["weights", "best"])
def test_a_model_passed_on_takes_along_what_was_held_out(
    photo_folder, photos, tmp_path, capsys, small_bundled, copied
):
    folder = photo_folder(20, name="twenty")
    run(train, "--from_scratch", "--train_data", folder, "--model_dir", "first")
    noted = held_out.read(Path("first/held_out.json"))
    assert len(noted) == 2
    if copied == "weights":
        run(export, "--format", "weights", "--model_dir", "first", "--output", "passed on")
        assert str(tmp_path) not in Path("passed on/held_out.json").read_text()
    else:
        shutil.copytree("first/best", "passed on")
    folder.rename(tmp_path / "elsewhere")
    for number, photo in enumerate(sorted((tmp_path / "elsewhere").iterdir())):
        photo.rename(photo.with_name(f"again{number}.png"))
    data = "--train_data", tmp_path / "elsewhere"
    for begun in (["--warm_start", "passed on"], []):
        capsys.readouterr()
        run(train, *data, "--model_dir", "second", "--max_steps", 5 - len(begun), *begun)
        assert "Testing on the 2 photos held out before" in capsys.readouterr().out
        if copied == "best":  # the rest depends on the list alone
            return
    # Nor does it hold out what the first was trained on, where those are not among the photos.
    contents = {photo.sha256 for photo in noted}
    for photo in (tmp_path / "elsewhere").iterdir():
        if hashlib.sha256(photo.read_bytes()).hexdigest() in contents:
            photo.unlink()
    capsys.readouterr()
    run(train, *data, "--model_dir", "third", "--warm_start", "passed on")
    assert "was trained on photos of these sizes before" in capsys.readouterr().out


def test_nothing_is_trained_in_the_folder_of_the_best_checkpoint(trained, photos):
    before = bytes_below(trained)
    for folder in (trained / "best", f"{trained}/best/"):
        with pytest.raises(UserError, match=r"holds the best checkpoint of .*; to start from"):
            run(train, "--train_data", photos, "--model_dir", folder, "--max_steps", 9)
    assert bytes_below(trained) == before


def test_evaluating_the_best_checkpoint_leaves_what_training_stored(trained, photos, capsys):
    before = bytes_below(trained)
    run(evaluate, "--test_data", photos, "--model_dir", trained / "best")
    printed = capsys.readouterr().out
    assert "a*b* RMSE" in printed
    assert f"Nothing is stored: {trained / 'best'} holds the figures of its training." in printed
    assert bytes_below(trained) == before
