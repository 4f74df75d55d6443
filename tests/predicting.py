"""What runs of `--mode predict` wrote."""

import numpy as np
from PIL import Image


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB"))


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


def contents(folder):
    return {name: (folder / name).read_bytes() for name in names(folder)}
