"""Models that have seen the bundled photos alone: who takes them, and what becomes of them."""

import contextlib
import shutil
from pathlib import Path

import pytest
from unmeasured import unmeasured

from colorization.errors import UserError
from colorization.modes import predict, train
from colorization.options import parse
from colorization.training import checkpoint, general_model, tryout
from colorization.training.model_folder import TRYOUT

DEFAULT = Path("models/color_global")
SHORT = ["--max_steps", 1, "--batch_size", 2, "--half_size_share", 0]


def network(nn, lightness, params):
    x = nn.conv(nn.input(lightness), params["global_channels"], "conv", stride=2)
    return nn.output(x, 2, "output"), None


def run(mode, *arguments):
    arguments = ["--mode", mode.__name__.rpartition(".")[2], *arguments]
    with unmeasured():
        mode.run(network, parse("color_global", list(map(str, arguments))))


def model_of(mode, *arguments):
    """The folder of the model that a mode would take."""
    options = parse("color_global", ["--mode", mode, *map(str, arguments)])
    own = predict.has_own_photos(options, "test")
    return general_model.with_model(options, own).model_dir


@pytest.fixture
def photos(photo_folder, tmp_path, monkeypatch):
    """A folder of photos; the test runs in another, which has bundled ones."""
    (tmp_path / "here" / "data" / "bundled").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    photo_folder(2, name="here/data/bundled/train")
    photo_folder(1, name="here/data/bundled/test")
    return photo_folder(3)


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """A folder for what the first test has trained, and the others copy."""
    return tmp_path_factory.mktemp("once")


@pytest.fixture
def tried(photos, once):
    """The same, after a training on the bundled photos."""
    if (once / "models").exists():
        shutil.copytree(once / "models", "models")
    else:
        run(train, *SHORT)
        shutil.copytree("models", once / "models")
    return photos


def test_bundled_photos_are_coloured_by_it_and_others_by_the_general_model(tried, caplog):
    general = general_model.general_model("color_global")
    assert model_of("predict") == model_of("evaluate") == str(DEFAULT)
    assert not caplog.records
    for mode, option in (("predict", "--input"), ("predict", "--test_data")):
        assert model_of(mode, option, tried) == general
    said = [record.getMessage() for record in caplog.records]
    assert all("has seen the bundled photos alone" in line and general in line for line in said)
    assert model_of("predict", "--input", tried, "--model_dir", DEFAULT) == str(DEFAULT)


def test_photos_in_data_count_as_others(tried, photo_folder):
    assert model_of("evaluate") == str(DEFAULT)
    photo_folder(1, name="here/data/test")
    assert model_of("evaluate") == general_model.general_model("color_global")


def test_without_a_general_model_it_is_better_than_none(tried, monkeypatch):
    monkeypatch.setattr(general_model, "_PLACE", Path("nowhere"))
    assert model_of("predict", "--input", tried) == str(DEFAULT)


def test_training_on_other_photos_sets_it_aside_and_begins_anew(tried, capsys):
    for aside in ("models/color_global_bundled", "models/color_global_bundled2"):
        capsys.readouterr()
        run(train, *SHORT, "--from_scratch", "--train_data", tried)
        printed = capsys.readouterr().out
        said = f"The model of the bundled photos that was in {DEFAULT} is {aside} now."
        assert said in printed
        assert checkpoint.trained_steps(aside) == checkpoint.trained_steps(str(DEFAULT)) == 1
        assert tryout.is_tryout(aside) and not tryout.is_tryout(str(DEFAULT))
        assert model_of("predict", "--input", tried) == str(DEFAULT)
        # Another model of bundled photos in its place.
        DEFAULT.rename(f"{aside}_own")
        run(train, *SHORT)


def test_more_bundled_photos_go_on_with_it(tried, capsys):
    run(train, "--max_steps", 2, *SHORT[2:])
    assert "Going on from step 1" in capsys.readouterr().out
    assert tryout.is_tryout(str(DEFAULT))


def test_by_name_it_is_trained_on_and_is_a_model_of_ones_own_then(tried, capsys):
    arguments = ["--train_data", tried, "--model_dir", DEFAULT, "--max_steps", 2]
    run(train, *arguments, *SHORT[2:])
    assert "Going on from step 1" in capsys.readouterr().out
    assert not tryout.is_tryout(str(DEFAULT))


def test_bundled_photos_are_not_added_to_a_model_of_ones_own(photos):
    run(train, *SHORT, "--from_scratch", "--train_data", photos)
    with pytest.raises(UserError, match="has seen other photos"):
        run(train, "--max_steps", 3, *SHORT[2:])
    run(train, "--max_steps", 3, *SHORT[2:], "--model_dir", DEFAULT)
    assert not tryout.is_tryout(str(DEFAULT))


def test_a_best_checkpoint_of_other_photos_makes_no_tryout(photos):
    run(train, *SHORT, "--from_scratch", "--train_data", photos)
    for path in [*DEFAULT.glob("*ckpt*"), DEFAULT / "checkpoint"]:
        path.unlink()
    with pytest.raises(UserError, match="has seen other photos"):
        run(train, *SHORT)
    run(train, *SHORT, "--model_dir", DEFAULT)
    assert not tryout.is_tryout(str(DEFAULT))


def test_it_is_not_moved_while_it_is_trained(tried):
    with (
        checkpoint.locked(str(DEFAULT)),
        pytest.raises(UserError, match="another training"),
    ):
        run(train, *SHORT, "--train_data", tried)
    assert checkpoint.trained_steps(str(DEFAULT)) == 1


def test_in_a_cluster_it_is_not_renamed_but_refused(tried):
    options = parse("color_global", ["--train_data", str(tried)])
    with (
        pytest.raises(UserError, match="name another folder with --model_dir"),
        tryout.kept_apart(options, True, may_rename=False),
    ):
        pass
    assert tryout.is_tryout(str(DEFAULT))


def test_a_folder_that_another_training_has_begun_in_is_left_to_that(tried):
    options = parse("color_global", ["--train_data", str(tried)])
    with contextlib.ExitStack() as other:
        with pytest.raises(UserError, match="in vain"), tryout.kept_apart(options, True):
            other.enter_context(checkpoint.locked(str(DEFAULT)))
            raise UserError("in vain")
        assert not checkpoint.has_model(str(DEFAULT))
    assert tryout.is_tryout(f"{DEFAULT}_bundled")


@pytest.mark.parametrize("photos_named", ["missing", "empty"])
def test_a_training_that_does_not_begin_gives_it_its_name_back(tried, tmp_path, photos_named):
    (tmp_path / "empty").mkdir()
    before = {path: path.read_bytes() for path in DEFAULT.rglob("*") if path.is_file()}
    with pytest.raises(UserError):
        run(train, *SHORT, "--train_data", tmp_path / photos_named)
    after = {path: path.read_bytes() for path in DEFAULT.rglob("*") if path.is_file()}
    assert after == before
    assert [path.name for path in Path("models").iterdir()] == ["color_global"]


def comparison_begun(photos_are_own, *models):
    """A context for comparing in the default folder, where these models have been trained."""
    for model in models:
        shutil.copytree(DEFAULT, Path("models/compare") / model)
    options = parse("color_global", ["--mode", "compare"])
    return tryout.kept_apart(options, photos_are_own, "color", "color_global")


@pytest.mark.parametrize("models", [["color"], ["color", "color_global"]])
def test_a_comparison_of_bundled_photos_is_set_aside_even_if_it_was_stopped(tried, models):
    with comparison_begun(True):
        pass
    with comparison_begun(False, *models):
        assert Path("models/compare").exists()
    with comparison_begun(True):
        assert not Path("models/compare").exists()
        shutil.copytree(DEFAULT, Path("models/compare/color"))
    assert {path.name for path in Path("models").iterdir()} == {
        "color_global", "compare", "compare_bundled",
    }  # fmt: skip
    assert {path.name for path in Path("models/compare_bundled").iterdir()} == set(models)


@pytest.mark.parametrize("models", [["color"], ["color", "color_global"]])
def test_bundled_photos_are_not_added_to_a_comparison_of_others(tried, models):
    (DEFAULT / TRYOUT).unlink()
    with comparison_begun(True, *models):
        assert Path("models/compare").exists()
    with (
        pytest.raises(UserError, match="models/compare has seen other photos"),
        comparison_begun(False),
    ):
        pass
