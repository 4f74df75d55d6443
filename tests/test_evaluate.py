"""`--mode evaluate` where its figures cannot be stored."""

import errno
import os

import pytest

import color_global
from colorization.modes import evaluate
from colorization.options import parse


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_model_that_is_read_only_is_measured(
    model_folder, photo_folder, monkeypatch, capsys, number
):
    def refuse(source, target):
        raise OSError(number, os.strerror(number), str(target))

    arguments = ["--model_dir", model_folder(), "--test_data", str(photo_folder(1))]
    options = parse("color_global", ["--mode", "evaluate", *arguments])
    monkeypatch.setattr(os, "replace", refuse)
    evaluate.run(color_global.network, options)
    told = capsys.readouterr().out
    assert "a*b* RMSE" in told
    assert f"Nothing is stored: {model_folder()} cannot be written to" in told
    assert "Stored in" not in told
