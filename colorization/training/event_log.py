"""Curves of a training, from the event files in the model's folder."""

from __future__ import annotations

import contextlib
import math
import os
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import plugin_data_pb2

tf1 = tf.compat.v1

# Tags of what `hooks.TrainProgress` logs beside the loss.
SECONDS_PER_STEP = "seconds_per_step"
PHOTOS_PER_SECOND = "photos_per_second"

_HYPERPARAMETERS = "_hparams_/session_start_info"


class Curves(NamedTuple):
    """Curves and times of a training.

    Attributes:
      losses: (step, seconds of training until then, training loss).
      evaluations: the same with the loss on the test photos.
      clock: steps, from 0 on, and the seconds of training until each of them.
      seconds_per_step: median; None if none are logged, in which case all seconds are NaN.
      photos_per_second: median; None if none are logged.
      hyperparameters: of the last start of training.
    """

    losses: list[tuple[int, float, float]]
    evaluations: list[tuple[int, float, float]]
    clock: list[tuple[int, float]]
    seconds_per_step: float | None
    photos_per_second: float | None
    hyperparameters: dict[str, Any]

    def seconds_until(self, step: int) -> float:
        """Seconds of training until a step."""
        return _seconds_until(step, self.clock, self.seconds_per_step)


def read_curves(model_dir: str) -> Curves:
    """Reads the event files of a model's folder.

    Only the time of training steps counts. Steps that a crash has lost are trained again; they
    count once.
    """
    # This process may have written events that have not reached the disk yet.
    tf1.summary.FileWriterCache.clear()
    scalars: dict[str, dict[int, float]] = {}
    hyperparameters: dict[str, Any] = {}
    for file in _event_files(model_dir):
        run, run_hyperparameters = _read_file(file)
        if run:
            first_step = min(min(points) for points in run.values())
            for tag, points in scalars.items():
                scalars[tag] = {step: value for step, value in points.items() if step < first_step}
        for tag, points in run.items():
            scalars.setdefault(tag, {}).update(points)
        hyperparameters = run_hyperparameters or hyperparameters
    rates = scalars.get(SECONDS_PER_STEP, {})
    seconds_per_step = _median(rates)
    clock = _clock(rates)

    def timed(points: dict[int, float]) -> list[tuple[int, float, float]]:
        return [
            (step, _seconds_until(step, clock, seconds_per_step), value)
            for step, value in sorted(points.items())
        ]

    eval_losses: dict[int, float] = {}
    for file in _event_files(os.path.join(model_dir, "eval")):
        eval_losses.update(_read_file(file)[0].get("loss", {}))
    return Curves(
        timed(scalars.get("loss", {})),
        timed(eval_losses),
        clock,
        seconds_per_step,
        _median(scalars.get(PHOTOS_PER_SECOND, {})),
        hyperparameters,
    )


def _event_files(folder: str) -> list[Path]:
    """Event files of a folder, in the order in which they were written."""
    return sorted(Path(folder).glob("*tfevents*"))


def _read_file(file: Path) -> tuple[dict[str, dict[int, float]], dict[str, Any]]:
    """Tag -> step -> value of the scalars in an event file; and hyperparameters, if it has any."""
    scalars: dict[str, dict[int, float]] = {}
    hyperparameters: dict[str, Any] = {}
    for event in _events(file):
        for value in event.summary.value:
            if value.tag == _HYPERPARAMETERS:
                hyperparameters = _hyperparameters(value)
            elif value.tag in ("loss", SECONDS_PER_STEP, PHOTOS_PER_SECOND):
                scalars.setdefault(value.tag, {})[event.step] = value.simple_value
    return scalars, hyperparameters


def _events(file: Path) -> Iterator[Any]:
    # A file that a crash cut short ends with half an event.
    with contextlib.suppress(tf.errors.DataLossError):
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            yield tf1.Event.FromString(record)


def _hyperparameters(value: Any) -> dict[str, Any]:
    plugin_data = plugin_data_pb2.HParamsPluginData.FromString(value.metadata.plugin_data.content)
    return {
        name: getattr(setting, setting.WhichOneof("kind"))
        for name, setting in plugin_data.session_start_info.hparams.items()
    }


def _median(points: dict[int, float]) -> float | None:
    return statistics.median(points.values()) if points else None


def _clock(rates: dict[int, float]) -> list[tuple[int, float]]:
    """Steps and the seconds until each; `rates` are the seconds per step since the previous one."""
    clock = [(0, 0.0)]
    for step, rate in sorted(rates.items()):
        previous, seconds = clock[-1]
        clock.append((step, seconds + (step - previous) * rate))
    return clock


def _seconds_until(step: int, clock: Sequence[tuple[int, float]], per_step: float | None) -> float:
    if per_step is None:
        return math.nan
    last_step, seconds = clock[-1]
    if step > last_step:
        return seconds + (step - last_step) * per_step
    steps, times = zip(*clock, strict=True)
    return float(np.interp(step, steps, times))
