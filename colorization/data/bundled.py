"""The default photos: crops of those that come with scikit-image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from colorization.errors import UserError
from colorization.files import atomic_write, remove_left_behind

# Photo -> axis along which it is cut. The training part and the test part overlap, so that a few
# photos suffice to learn part of what the test part shows; the rest of it is new.
_COLORED = {
    "astronaut": 0,
    "chelsea": 1,
    "coffee": 1,
    "immunohistochemistry": 0,
    "retina": 1,
    "rocket": 1,
    "stereo_motorcycle": 1,
}
_TRAINING_ENDS = 0.75
_TEST_STARTS = 0.45
_EXAMPLES = ("astronaut", "chelsea", "coffee", "rocket", "camera")
_GRAY = {"train": ("camera", "coins", "moon", "page"), "test": ("grass", "text")}

# Sides of the square training crops, as shares of the shorter side of the training part.
_CROP_SIZES = (1.0, 0.7)


def bundled_photos(folder: Path) -> Path:
    """Cuts the bundled photos into files, unless that has been done.

    Args:
      folder: gets subfolders `train` and `test` with PNGs; it appears whole or not at all.

    Returns:
      `folder`.

    Raises:
      UserError: the folder cannot be written.
    """
    if folder.is_dir():
        return folder
    # scikit-image is slow to import, and only the first run needs it.
    from skimage import data

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_left_behind(folder.parent)
        with atomic_write(folder) as temporary:
            for name, picture in _crops(data):
                path = temporary / f"{name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(path)
    except OSError as error:
        # Another process may have created the folder first.
        if folder.is_dir():
            return folder
        raise UserError(
            f"cannot write the bundled photos to {folder} ({error.strerror}); "
            "run in a writable folder, or name photos of your own, to test on as well"
        ) from error
    return folder


def gray_photos() -> dict[str, np.ndarray]:
    """Name -> bundled photo to try a model on, uint8 grays `[height, width]`."""
    from skimage import data

    photos = {name: getattr(data, name)() for name in _EXAMPLES}
    return {name: np.asarray(Image.fromarray(photo).convert("L")) for name, photo in photos.items()}


def _crops(data) -> Iterator[tuple[str, np.ndarray]]:
    for name, axis in _COLORED.items():
        photo = getattr(data, name)()
        photo = photo[0] if isinstance(photo, tuple) else photo
        length = photo.shape[axis]
        for_training, _ = np.split(photo, [int(_TRAINING_ENDS * length)], axis)
        _, for_test = np.split(photo, [int(_TEST_STARTS * length)], axis)
        yield f"test/{name}", for_test
        for number, crop in enumerate(_squares(for_training)):
            yield f"train/{name}_{number:02d}", crop
    for part, names in _GRAY.items():
        for name in names:
            yield f"{part}/{name}", getattr(data, name)()


def _squares(photo: np.ndarray) -> Iterator[np.ndarray]:
    """Squares of each size that cover the photo, each overlapping the next by half or more."""
    height, width = photo.shape[:2]
    for size in _CROP_SIZES:
        side = int(size * min(height, width))
        for top in _starts(height, side):
            for left in _starts(width, side):
                yield photo[top : top + side, left : left + side]


def _starts(length: int, side: int) -> list[int]:
    count = 1 + -(-(length - side) // (side // 2))
    return np.linspace(0, length - side, count).astype(int).tolist()
