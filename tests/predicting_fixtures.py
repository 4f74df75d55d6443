"""Fixtures: runs of `--mode predict`."""

import pytest

import color_global
from colorization.modes import predict
from colorization.options import parse


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
