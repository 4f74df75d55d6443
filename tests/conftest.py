"""Pictures and files that several tests need."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture
def colourful():
    """Makes smooth, colourful uint8 RGB pictures that differ from seed to seed."""

    def make(height: int = 256, width: int = 256, seed: int = 0) -> np.ndarray:
        coarse = np.random.default_rng(seed).integers(0, 256, [4, 4, 3], np.uint8)
        size = (width, height)
        return np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))

    return make


@pytest.fixture(scope="session")
def swapped_profile() -> bytes:
    """An ICC profile of sRGB, but that red and blue primaries have changed places."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = profile.index(b"rXYZ"), profile.index(b"bXYZ")
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(profile)


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


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """Makes model folders as training leaves them, with random weights and visible colours."""
    import tensorflow as tf

    import color
    import color_global
    from colorization.model.layers import Layers
    from colorization.training.settings import store_settings

    made = {}

    def make(model: str = "color_global") -> str:
        if model in made:
            return made[model]
        folder = str(tmp_path_factory.mktemp(model))
        settings = {
            "model": model,
            "global_features": "single",
            "global_channels": 2,
            "normalization": "batch",
            "chroma_scale": 8.0,
            "loss": "mse",
            "classes": [],
        }
        network = {"color": color, "color_global": color_global}[model].network
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            tf.compat.v1.set_random_seed(1)
            tf.compat.v1.train.get_or_create_global_step()
            lightness = tf.zeros([1, 224, 224, 1])
            params = {**settings, "precision": "float32"}
            network(Layers(False, params), lightness, params)
            session.run(tf.compat.v1.global_variables_initializer())
            kernel = next(
                variable
                for variable in tf.compat.v1.global_variables()
                if variable.op.name == "colorization/output/kernel"
            )
            session.run(kernel.assign(20 * kernel))
            tf.compat.v1.train.Saver().save(session, f"{folder}/model.ckpt", global_step=0)
        store_settings(folder, settings)
        made[model] = folder
        return folder

    return make
