"""Runs of `--mode predict`: a network that they are soon done with, and what they wrote."""

import numpy as np
from PIL import Image

from colorization.prediction.results import existing, read_known


def network(nn, lightness, params):
    """A few channels, of each pixel and of the whole photo."""

    def local(nn, x):
        return nn.conv(x, 4, "local", stride=2)

    x = local(nn, nn.input(lightness))
    whole = nn.dense(nn.flatten(nn.of_whole_photo(local, x, 28)), 4, "global")
    return nn.output(nn.fuse(x, whole, 4, "fusion"), 2, "output"), None


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB"))


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


def contents(folder):
    return {name: (folder / name).read_bytes() for name in names(folder)}


def read_finished(output):
    """Name -> latest record of it, for finished pictures that still exist."""
    return existing(read_known(output), output)
