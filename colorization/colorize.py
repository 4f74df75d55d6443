"""From predicted chroma to finished pictures on disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

import lab_convert
from colorization.lab_tables import is_gray
from colorization.photos import open_photo, read_file

_JPEG_QUALITY = 95


def picture_names(paths: Sequence[str]) -> dict[str, str]:
    """Where the pictures of photos go, relative to a results folder.

    Args:
      paths: photos.

    Returns:
      path -> name: the path below the folder that all photos have in common. Names that Pillow
      cannot write get `.png` added.
    """
    Image.init()
    root = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in paths])
    names = {}
    for path in paths:
        name = os.path.relpath(os.path.abspath(path), root)
        kind = Image.registered_extensions().get(os.path.splitext(name)[1].lower())
        names[path] = name if kind in Image.SAVE else f"{name}.png"
    return names


def colorized(photo: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    """Gives a photo the predicted colours, at its own size and with its own lightness.

    Args:
      photo: uint8 RGB `[height, width, 3]`; only its lightness is used.
      chroma: a*b* in CIE units, float32 `[any height, any width, 2]`; enlarged bilinearly.

    Returns:
      uint8 RGB `[height, width, 3]`.
    """
    lightness = lab_convert.rgb_to_lightness(photo)
    enlarged = tf.image.resize(chroma, photo.shape[:2])
    lab = tf.concat([lightness, enlarged], axis=-1)
    return lab_convert.lab_to_rgb(lab, dtype=tf.uint8).numpy()


def write_pictures(
    predictions: Iterable[Mapping[str, np.ndarray]],
    names: Mapping[str, str],
    output: Path,
    progress: Callable[[], object],
) -> dict[str, dict[str, float]]:
    """Finishes pictures while the next ones are being predicted.

    Args:
      predictions: `chroma` and `path`, as `model.make_model_fn` gives them.
      names: path -> name of the picture, from `picture_names`.
      output: folder; pictures go to `gray/NAME`, `predicted/NAME` and, for photos that have
        colour, `truth/NAME`.
      progress: called after each photo.

    Returns:
      Name -> `rmse` (over a* and b* at full size, in CIE units) and `psnr` (of the RGB picture, in
      dB); empty where there is no truth.
    """

    def finish(prediction: Mapping[str, np.ndarray]) -> tuple[str, dict[str, float]]:
        path = os.fsdecode(prediction["path"])
        name = names[path]
        photo = np.asarray(open_photo(read_file(path)))
        predicted = colorized(photo, prediction["chroma"])
        gray = colorized(photo, np.zeros_like(prediction["chroma"]))
        _write(output / "gray" / name, gray)
        _write(output / "predicted" / name, predicted)
        scores = {}
        if not is_gray(photo):
            _write(output / "truth" / name, photo)
            scores = _scores(predicted, photo)
        progress()
        return name, scores

    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        pending, scores = [], {}
        for prediction in predictions:
            pending.append(pool.submit(finish, prediction))
            # No more photos in memory than there are hands to finish them.
            if len(pending) > 2 * workers:
                name, of_picture = pending.pop(0).result()
                scores[name] = of_picture
        scores.update(future.result() for future in pending)
    return scores


def _scores(predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    difference = lab_convert.rgb_to_chroma(predicted) - lab_convert.rgb_to_chroma(truth)
    return {
        "rmse": float(tf.sqrt(tf.reduce_mean(tf.square(difference)))),
        "psnr": float(tf.image.psnr(predicted, truth, 255)),
    }


def _write(path: Path, picture: np.ndarray) -> None:
    """Writes a picture under a temporary name, then renames it; the format follows from the name.

    Raises:
      OSError: the folder cannot be written or the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        Image.fromarray(picture).save(temporary, quality=_JPEG_QUALITY)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
