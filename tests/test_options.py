"""The command line: defaults, what values may be, and what is refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from platforms import link

from colorization.errors import UserError
from colorization.options import parse

ROOT = Path(__file__).parent.parent


def test_defaults_depend_on_the_model():
    options = parse("color", [])
    assert (options.mode, options.model_dir, options.output) == (
        "train",
        "models/color",
        "results/color",
    )
    assert parse("color_global", ["--mode", "predict"]).output == "results/color_global"
    assert parse("color", ["--mode", "prepare", "--input", "a"]).output == "data/prepared"
    compared = parse("color_global", ["--mode", "compare"])
    assert (compared.model_dir, compared.output) == ("models/compare", "results/compare")


def test_values_are_converted_and_remembered_as_given():
    options = parse("color", ["--train_data", "a", "b", "--batch_size", "4"])
    assert options.train_data == ("a", "b")
    assert options.batch_size == 4
    assert options.given == {"train_data", "batch_size"}


def test_photos_may_be_named_by_an_option_given_several_times():
    train = parse("color", ["--train_data", "a", "b", "--train_data", "c", "--test_data", "d"])
    assert (train.train_data, train.test_data) == (("a", "b", "c"), ("d",))
    predict = parse("color", ["--mode", "predict", "--input", "a", "--input", "b"])
    assert predict.input == ("a", "b")
    assert parse("color", ["--mode", "predict"]).input == ()


def test_values_may_begin_with_a_minus():
    options = parse("color", ["--mode", "predict", "--hint", "-5,1,red"])
    assert options.hint == (("-5", "1", "red"),)


def test_a_tilde_is_the_users_folder(monkeypatch):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, "/home/grandma")
    words = ["--mode", "predict", "--input=~/photos", "--input", "a~/b", "--output=~/out"]
    options = parse("color", words)
    assert options.input == ("/home/grandma/photos", "a~/b")
    assert options.output == "/home/grandma/out"


def test_addresses_of_files_are_paths(tmp_path):
    folder = tmp_path / "ä b%20"
    for address in (folder.as_uri(), folder.as_uri().replace("file://", "file://localhost")):
        words = ["--mode", "predict", "--output", address, "--style", address]
        options = parse("color_global", words)
        assert (options.output, options.style) == (str(folder), str(folder))


def test_parents_of_links_are_those_of_what_they_lead_to(tmp_path, monkeypatch):
    """TensorFlow would take `link/../model` for `model`."""
    (tmp_path / "disk" / "photos").mkdir(parents=True)
    link(tmp_path / "link", tmp_path / "disk" / "photos")
    monkeypatch.chdir(tmp_path)
    words = ["--model_dir", "link/../model", "--warm_start", "link/../other", "--output", "a/../b"]
    options = parse("color", words[:4])
    assert options.model_dir == os.path.realpath(tmp_path / "disk" / "model")
    assert options.warm_start == os.path.realpath(tmp_path / "disk" / "other")
    assert parse("color", ["--mode", "predict", *words[4:]]).output == "a/../b"


def test_colours_of_hints_may_hold_commas():
    options = parse(
        "color", ["--mode", "predict", "--hint", "1,2,red", "--hint", "5%,6%,hsl(1,2%,3%)"]
    )
    assert options.hint == (("1", "2", "red"), ("5%", "6%", "hsl(1,2%,3%)"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--mode", "paint"], ["--mode", "paint", "train"]),
        (["--batch_sise", "4"], ["--batch_sise", "--batch_size"]),
        (["photo.jpg"], ["photo.jpg"]),
        (["--batch_size", "0"], ["--batch_size", "at least 1", "'0'"]),
        (["--batch_size", "many"], ["--batch_size", "'many'"]),
        (["--max_steps", "-3"], ["--max_steps", "'-3'"]),
        (["--learning_rate", "0"], ["--learning_rate", "above 0"]),
        (["--learning_rate", "nan"], ["--learning_rate", "'nan'"]),
        (["--chroma_scale", "inf"], ["--chroma_scale", "'inf'"]),
        (["--train_data"], ["--train_data"]),
        (["--mode", "predict", "--max_steps", "3"], ["--max_steps", "predict", "train"]),
        (["--input", "a"], ["--input", "predict"]),
        (["--mode", "prepare"], ["--mode prepare", "--input"]),
        (["--mode", "prepare", "--input", "a", "--split", "1"], ["--split", "below 1", "'1'"]),
        (["--half_size_share", "-0.1"], ["--half_size_share", "from 0 to below 1", "'-0.1'"]),
        (["--half_size_share", "nan"], ["--half_size_share", "from 0 to below 1", "'nan'"]),
        (["--mode", "prepare", "--input", "a", "--seed", "1"], ["--seed", "prepare"]),
        (["--split", "0.1"], ["--split", "prepare"]),
        (["--mode", "predict", "--input", "a", "--test_data", "b"], ["--input", "--test_data"]),
        (["--mode", "predict", "--hint", "1,2"], ["--hint", "X,Y,COLOUR", "'1,2'"]),
        (["--mode", "predict", "--shard", "-1/2"], ["--shard", "-1/2"]),
        (["--batch_size", "-1"], ["--batch_size", "-1"]),
        (["--mode", "predict", "--hint", "1,2,red", "--hints", "a"], ["--hints", "one of them"]),
        (["--hints", "a"], ["--hints", "predict"]),
        (["--minutes", "3"], ["--minutes", "compare"]),
        (["--mode", "compare", "--minutes", "nan"], ["--minutes", "'nan'"]),
        (
            ["--mode", "compare", "--minutes", "3", "--max_steps", "5"],
            ["--minutes", "--max_steps", "one of them"],
        ),
        (["--mode", "compare", "--gpus", "2"], ["--gpus", "compare"]),
        (["--model_dir", ""], ["--model_dir is empty"]),
        (["--train_data", "a", ""], ["--train_data is empty"]),
        (["--model_dir", "my [1]"], ["--model_dir my [1]", "finds no checkpoints", " [ "]),
        (
            ["--mode", "export", "--format", "weights", "--output", "my [1]"],
            ["--output my [1]", "finds no checkpoints", " [ "],
        ),
        (["--batch_size", "99999999999"], ["--batch_size", "at most 2048"]),
        (["--clip_norm", "1e300"], ["--clip_norm", "above 0"]),
        (["--global_channels", "99999999999"], ["--global_channels", "at most 4096"]),
        (["--save_checkpoints_steps", "99999999999"], ["--save_checkpoints_steps", "at most"]),
        (["--chroma_scale", "1e-300"], ["--chroma_scale", "from 0.001 to 1000"]),
        (["--mode", "predict", "--saturation", "1e30"], ["--saturation", "from 0.001 to 1000"]),
        (["--mode", "export", "--vibrance", "-1"], ["--vibrance", "from 0 to 20"]),
        (["--mode", "predict", "--vibrance", "3"], ["--vibrance", "--mode export"]),
        (
            ["--global_features", "paper", "--global_channels", "8"],
            ["--global_channels", "paper"],
        ),
    ],
)
def test_nonsense_is_refused_in_one_line(arguments, words):
    with pytest.raises(UserError) as caught:
        parse("color_global", arguments)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


@pytest.mark.parametrize("option", ["--style", "--global_channels", "--classes"])
def test_the_basic_model_has_no_global_options(option):
    with pytest.raises(UserError, match=rf"{option} needs color_global\.py"):
        parse("color", ["--mode", "predict", f"{option}=1"])


def test_help_is_grouped(capsys):
    with pytest.raises(SystemExit) as caught:
        parse("color", ["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert all(f"\n{group}:\n" in text for group in ("what to do", "photos", "training", "network"))


@pytest.mark.parametrize("script", ["color.py", "color_global.py"])
def test_refusal_does_not_wait_for_tensorflow(script):
    blocked = "import sys; sys.modules['tensorflow'] = None; sys.argv = ['x', '--mod', 'train'];"
    blocked += f"import runpy; runpy.run_path({str(ROOT / script)!r}, run_name='__main__')"
    result = subprocess.run(
        [sys.executable, "-c", blocked], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "--mode" in result.stderr


def test_shards(monkeypatch):
    words = ["--mode", "predict"]
    assert parse("color", words).shard == (0, 1)
    assert parse("color", [*words, "--shard", "3/8"]).shard == (3, 8)
    for nonsense in ("8/8", "-1/8", "1", "1/", "/2", "a/b", "0/0", "1/2/3"):
        with pytest.raises(UserError, match="--shard: needs I/N"):
            parse("color", [*words, f"--shard={nonsense}"])
    for name in ("JOB_COMPLETION_INDEX", "JOB_COMPLETIONS"):
        monkeypatch.setenv(name, "")
    assert parse("color", words).shard == (0, 1)
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "7")
    with pytest.raises(UserError, match="JOB_COMPLETIONS is not"):
        parse("color", words)
    assert parse("color", [*words, "--shard", "1/2"]).shard == (1, 2)
    monkeypatch.setenv("JOB_COMPLETIONS", "7")
    with pytest.raises(UserError, match="I from 0 to N - 1, not '7/7'"):
        parse("color", words)
    assert parse("color", [*words, "--shard", "1/2"]).shard == (1, 2)
    monkeypatch.setenv("JOB_COMPLETIONS", "8")
    assert parse("color", words).shard == (7, 8)
    assert parse("color", ["--mode", "prepare", "--input", "x"]).shard == (7, 8)
    assert parse("color", ["--mode", "evaluate"]).shard == (0, 1)
    assert parse("color", [*words, "--shard", "1/2"]).shard == (1, 2)


@pytest.mark.parametrize("mode", ["predict", "gallery", "export", "compare"])
def test_outputs_elsewhere_are_refused_at_once(mode):
    for address in ("gs://bucket/results", "s3://bucket"):
        for option in ("--output", "--model_dir")[: 1 if mode == "gallery" else 2]:
            with pytest.raises(UserError, match="takes folders of this machine only"):
                parse("color", ["--mode", mode, option, address])
    words = ["--mode", "prepare", "--input", "x", "--output", "gs://bucket/prepared"]
    assert parse("color", words).output == "gs://bucket/prepared"
