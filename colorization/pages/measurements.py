"""Measurements for the comparison page: baselines, numbers of parameters, times and pictures."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image

from colorization.data import dataset
from colorization.data.lab_planes import LIGHTNESS_SIZE
from colorization.data.report import Report
from colorization.data.shards import Shards
from colorization.errors import UnreadablePhoto
from colorization.model import metrics
from colorization.model.layers import Layers, Network, new_graph
from colorization.model.model_fn import to_rgb
from colorization.options import Options
from colorization.prediction.colorize import Colorizer
from colorization.prediction.colorize_folder import colorize_photos
from colorization.prediction.pictures import JPEG_QUALITY

tf1 = tf.compat.v1

MAX_PHOTOS = 24
_TIMED_PREDICTIONS = 5


def count_parameters(network: Network, options: Options) -> int:
    """Number of trainable parameters, without those for classes."""
    with new_graph().as_default():
        lightness = tf.zeros([1, LIGHTNESS_SIZE, LIGHTNESS_SIZE, 1])
        params = {**dataclasses.asdict(options), "class_names": (), "precision": "float32"}
        network(Layers(False, params), lightness, params)
        return sum(variable.shape.num_elements() for variable in tf1.trainable_variables())


def measure_baselines(data: list[str] | Shards, batch_size: int) -> dict[str, dict[str, float]]:
    """Measures two baselines: pictures without colour, and pictures of one colour.

    Args:
      data: test photos.
      batch_size: number of photos to measure at a time.

    Returns:
      `no_colour` and `mean_colour` (the mean a*b* of all photos), each with the means over photos
      of `psnr`, `ssim` and `colourfulness`; see `colorization.model.metrics`.
    """

    def batches() -> tf.data.Dataset:
        return dataset.eval_dataset(data, batch_size, Report(len(data)))

    total, count = np.zeros(2), 0
    for _, labels in batches():
        total += tf.reduce_sum(tf.reduce_mean(labels["chroma"], axis=[1, 2]), axis=0).numpy()
        count += len(labels["chroma"])
    colours = {"no_colour": np.zeros(2), "mean_colour": total / count}
    of_batches: dict[str, list[dict[str, tf.Tensor]]] = {name: [] for name in colours}
    for features, labels in batches():
        truth = to_rgb(features["lightness"], labels["chroma"])
        for name, colour in colours.items():
            chroma = tf.zeros_like(labels["chroma"]) + colour.astype(np.float32)
            picture = to_rgb(features["lightness"], chroma)
            of_batches[name].append(metrics.picture_quality(truth, picture))
    return {
        name: {
            figure: float(np.mean(np.concatenate([batch[figure] for batch in figures])))
            for figure in figures[0]
        }
        for name, figures in of_batches.items()
    }


class Coloured(NamedTuple):
    """Figures and times of a model on the shown photos.

    Attributes:
      scores: name of a picture -> what `colorize_folder.colorize_photos` measures.
      network_seconds: the network alone, per photo.
      file_seconds: from file to file, per photo.
    """

    scores: dict[str, dict[str, float]]
    network_seconds: float
    file_seconds: float


def _evenly_chosen(photos: Sequence[Any]) -> list[Any]:
    """At most `MAX_PHOTOS` of the photos, evenly chosen."""
    count = min(len(photos), MAX_PHOTOS)
    return [photos[number * len(photos) // count] for number in range(count)]


def photos_to_show(data: list[str] | Shards, report: Report, scratch: Path) -> list[str]:
    """Paths of the photos to show; prepared ones are written to a folder at their reduced size."""
    if not isinstance(data, Shards):
        return _evenly_chosen(
            [path for path in data if path not in report.without_color | report.unreadable.keys()]
        )
    chosen = set(_evenly_chosen(range(len(data))))
    examples = dataset.eval_dataset(data, 1, Report(len(data)))
    paths = []
    for number, (features, labels) in enumerate(examples):
        if number in chosen:
            (picture,) = to_rgb(features["lightness"], labels["chroma"]).numpy()
            name = Path(os.fsdecode(features["path"].numpy()[0])).name
            path = scratch / f"{number:06d}" / f"{name}.png"
            path.parent.mkdir()
            Image.fromarray((255 * picture + 0.5).astype(np.uint8)).save(path)
            paths.append(str(path))
    return paths


def colorize_timed(
    colorizer: Colorizer,
    names: Mapping[str, str],
    output: Path,
    workers: int,
    progress: Callable[[], object],
) -> Coloured:
    """Colours photos and measures the time.

    Args:
      colorizer: the model.
      names: path -> name of the picture, see `picture_names`.
      output: folder for the pictures, see `colorize_folder.colorize_photos`.
      workers: photos to work on at the same time.
      progress: called after each photo.
    """
    gray = np.full([LIGHTNESS_SIZE, LIGHTNESS_SIZE, 1], 50, np.float32)
    # The first use builds graphs, which is not timed.
    colorizer.predict(gray, gray)
    with contextlib.suppress(UnreadablePhoto):
        colorizer.colorize(next(iter(names)))
    seconds = []
    for _ in range(_TIMED_PREDICTIONS):
        started = time.monotonic()
        colorizer.predict(gray, gray)
        seconds.append(time.monotonic() - started)
    started = time.monotonic()
    scores = colorize_photos(
        colorizer,
        names,
        output,
        Report(len(names)),
        progress,
        workers=workers,
        quality=JPEG_QUALITY,
    )
    file_seconds = (time.monotonic() - started) / len(names)
    return Coloured(scores, statistics.median(seconds), file_seconds)
