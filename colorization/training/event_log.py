"""How a training went, from the event files that it left in the model's folder."""

from __future__ import annotations

import contextlib
import itertools
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


class Curves(NamedTuple):
    """What the event files of a model tell about its training.

    Attributes:
      losses: of training: step, seconds of training until then, loss.
      evaluations: likewise, on the test photos.
      seconds_per_step: median; None if there were too few steps to tell, and then seconds are NaN.
      photos_per_second: median; None likewise.
      hyperparameters: of the last start of training.
    """

    losses: list[tuple[int, float, float]]
    evaluations: list[tuple[int, float, float]]
    seconds_per_step: float | None
    photos_per_second: float | None
    hyperparameters: dict[str, Any]

    def seconds_until(self, step: int) -> float:
        """Seconds of training until a step."""
        return _seconds_until(step, self.losses, self.seconds_per_step)


class _Point(NamedTuple):
    """A loss as it was written down."""

    step: int
    file: str
    time: float
    loss: float


def read_curves(model_dir: str) -> Curves:
    """Reads the event files of a model's folder.

    Seconds are those in which steps were taken: evaluations and the time between two runs do not
    count. Of steps that were taken twice, since the first time was lost, the second counts.
    """
    # What this process wrote may not have reached the disk yet.
    tf1.summary.FileWriterCache.clear()
    points: list[_Point] = []
    rates: list[float] = []
    saved: list[float] = []
    hyperparameters: dict[str, Any] = {}
    for file, event in _events(model_dir):
        if event.session_log.status == tf1.SessionLog.CHECKPOINT:
            saved.append(event.wall_time)
        for value in event.summary.value:
            if value.tag == "loss":
                while points and points[-1].step >= event.step:
                    points.pop()
                points.append(_Point(event.step, file, event.wall_time, value.simple_value))
            elif value.tag == "photos_per_second":
                rates.append(value.simple_value)
            elif value.tag == "_hparams_/session_start_info":
                hyperparameters = _hyperparameters(value)
    evaluated: dict[int, float] = {}
    ended: list[float] = []
    for _, event in _events(os.path.join(model_dir, "eval")):
        for value in event.summary.value:
            if value.tag == "loss":
                evaluated[event.step] = value.simple_value
                ended.append(event.wall_time)
    seconds, per_step = _clock(points, _pauses(saved, ended))
    losses = [(point.step, at, point.loss) for point, at in zip(points, seconds, strict=True)]
    evaluations = [
        (step, _seconds_until(step, losses, per_step), loss)
        for step, loss in sorted(evaluated.items())
    ]
    rate = statistics.median(rates) if rates else None
    return Curves(losses, evaluations, per_step, rate, hyperparameters)


def _events(folder: str) -> Iterator[tuple[str, Any]]:
    """Every event of a folder with the file that it is in, in the order of writing."""
    for file in sorted(Path(folder).glob("*tfevents*")):
        # What a crash cut short ends with half an event.
        with contextlib.suppress(tf.errors.DataLossError):
            for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
                yield file.name, tf1.Event.FromString(record)


def _hyperparameters(value: Any) -> dict[str, Any]:
    found = plugin_data_pb2.HParamsPluginData.FromString(value.metadata.plugin_data.content)
    return {
        name: getattr(setting, setting.WhichOneof("kind"))
        for name, setting in found.session_start_info.hparams.items()
    }


def _pauses(saved: Sequence[float], ended: Sequence[float]) -> list[tuple[float, float]]:
    """When evaluations began and ended: each begins when a checkpoint has been saved."""
    pauses = {}
    for end in sorted(ended):
        begin = max((time for time in saved if time <= end), default=end)
        pauses.setdefault(begin, end)
    return list(pauses.items())


def _clock(
    points: Sequence[_Point], pauses: Sequence[tuple[float, float]]
) -> tuple[list[float], float | None]:
    """Seconds of training until each point, and the median of a step."""
    took: list[float | None] = []
    for before, after in itertools.pairwise(points):
        paused = sum(
            max(0.0, min(end, after.time) - max(begin, before.time)) for begin, end in pauses
        )
        took.append(after.time - before.time - paused if before.file == after.file else None)
    steps = [after.step - before.step for before, after in itertools.pairwise(points)]
    rates = [time / count for time, count in zip(took, steps, strict=True) if time is not None]
    if not rates:
        return [math.nan] * len(points), None
    per_step = statistics.median(rates)
    seconds = [points[0].step * per_step]
    for time_taken, count in zip(took, steps, strict=True):
        seconds.append(seconds[-1] + (count * per_step if time_taken is None else time_taken))
    return seconds, per_step


def _seconds_until(
    step: int, losses: Sequence[tuple[int, float, float]], per_step: float | None
) -> float:
    if per_step is None:
        return math.nan
    last, seconds, _ = losses[-1]
    if step > last:
        return seconds + (step - last) * per_step
    steps, times, _ = zip((0, 0.0, 0.0), *losses, strict=True)
    return float(np.interp(step, steps, times))
