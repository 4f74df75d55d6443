"""Pictures and files that several tests need."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture
def colourful():
    """Makes smooth, colourful uint8 RGB pictures that differ from seed to seed."""

    def make(height: int = 256, width: int = 256, seed: int = 0) -> np.ndarray:
        coarse = np.random.default_rng(seed).integers(0, 256, [4, 4, 3], np.uint8)
        size = (width, height)
        return np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))

    return make


@pytest.fixture
def photo_folder(tmp_path: Path, colourful):
    """Makes a folder of `count` colourful PNGs, `gray` gray ones and `damaged` broken ones."""

    def make(count: int, gray: int = 0, damaged: int = 0, name: str = "photos") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for number in range(count):
            Image.fromarray(colourful(60, 80, number)).save(folder / f"colour{number}.png")
        for number in range(gray):
            Image.fromarray(colourful(60, 80, number)).convert("L").save(
                folder / f"gray{number}.png"
            )
        for number in range(damaged):
            (folder / f"damaged{number}.jpg").write_bytes(b"\xff\xd8 no picture")
        return folder

    return make
