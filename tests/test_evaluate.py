"""`--mode evaluate` where its figures cannot be stored, or a training goes on meanwhile."""

import errno
import json
import os
import shutil

import predicting
import pytest

from colorization.data import split
from colorization.modes import evaluate
from colorization.options import parse


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_model_that_is_read_only_is_measured(
    small_model, photo_folder, monkeypatch, capsys, number
):
    def refuse(source, target):
        raise OSError(number, os.strerror(number), str(target))

    arguments = ["--model_dir", small_model, "--test_data", str(photo_folder(1))]
    options = parse("color_global", ["--mode", "evaluate", *arguments])
    monkeypatch.setattr(os, "replace", refuse)
    evaluate.run(predicting.network, options)
    told = capsys.readouterr().out
    assert "a*b* RMSE" in told
    assert f"Nothing is stored: {small_model} cannot be written to" in told
    assert "Stored in" not in told


def test_a_training_may_replace_the_checkpoint_meanwhile(
    small_model, photo_folder, tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "model"
    shutil.copytree(small_model, folder)
    chosen = split.photos_for_testing

    def choose(*arguments):
        for file in folder.glob("model.ckpt-*"):
            file.unlink()
        return chosen(*arguments)

    monkeypatch.setattr(split, "photos_for_testing", choose)
    arguments = ["--model_dir", str(folder), "--test_data", str(photo_folder(1))]
    evaluate.run(predicting.network, parse("color_global", ["--mode", "evaluate", *arguments]))
    assert "a*b* RMSE" in capsys.readouterr().out
    assert not list(folder.glob("model.ckpt-*"))


def test_figures_of_aged_photos_are_told_apart(small_model, photo_folder, tmp_path, capsys):
    folder = tmp_path / "model"
    shutil.copytree(small_model, folder, ignore=shutil.ignore_patterns("evaluation.json"))
    words = ["--mode", "evaluate", "--model_dir", str(folder), "--test_data", str(photo_folder(1))]
    for aged in (["--aged"], []):
        evaluate.run(predicting.network, parse("color_global", [*words, *aged]))
        assert ("aged (--aged), step" in capsys.readouterr().out) == bool(aged)
        stored = json.loads((folder / "evaluation.json").read_text())
        assert stored.get("aged", False) is bool(aged)
