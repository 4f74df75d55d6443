"""The number of training steps that fit into a given time."""

from __future__ import annotations

import dataclasses
import statistics
import time
from pathlib import Path

from colorization.data import dataset
from colorization.data.report import Report
from colorization.data.shards import Shards
from colorization.files import read_note, write_json
from colorization.model.layers import Network
from colorization.options import Options
from colorization.training import hooks
from colorization.training.model_folder import BUDGET
from colorization.training.training import make_estimator, scratch_model_dir

# Steps before timing begins, steps to time, and the seconds after which fewer timed steps suffice.
_WARM_UP_STEPS, _TIMED_STEPS, _TIMED_SECONDS = 3, 20, 30.0


def steps_in_minutes(
    minutes: float,
    network: Network,
    options: Options,
    data: list[str] | Shards,
) -> int:
    """Number of steps that fit into some minutes of training, found by timing a few steps.

    The result is stored in the model's folder, so that an interrupted training goes on with the
    same number of steps.

    Args:
      minutes: of training, evaluations not counted.
      network: see `color.network`.
      options: of the run, `model_dir` the model's own.
      data: photos to train on.

    Returns:
      The number of steps, at least 1.
    """
    budget_file = Path(options.model_dir) / BUDGET
    budget = {
        "minutes": minutes,
        "batch_size": options.batch_size,
        "accumulate_steps": options.accumulate_steps,
        "half_size_share": options.half_size_share,
        "aged": options.aged,
        "precision": options.precision,
        "xla": options.xla,
    }
    stored = read_note(budget_file)
    steps = stored.get("steps") if isinstance(stored, dict) else None
    if type(steps) is int and steps > 0 and stored == {**budget, "steps": steps}:
        return steps
    print("Timing a few steps.", flush=True)
    half_size_share = options.half_size_share
    seconds = sum(
        share * _seconds_per_step(network, options, data, half_size)
        for share, half_size in ((half_size_share, True), (1 - half_size_share, False))
        if share
    )
    steps = max(1, round(60 * minutes / seconds))
    write_json(budget_file, {**budget, "steps": steps})
    return steps


class _StepTimes(hooks.SessionRunHook):
    """Times steps and stops when there are enough."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def after_create_session(self, session, coord) -> None:
        self._last = time.monotonic()

    def after_run(self, run_context, run_values) -> None:
        now = time.monotonic()
        self.seconds.append(now - self._last)
        self._last = now
        timed = self.seconds[_WARM_UP_STEPS:]
        if len(timed) >= _TIMED_STEPS or (timed and sum(self.seconds) > _TIMED_SECONDS):
            run_context.request_stop()


def _seconds_per_step(
    network: Network,
    options: Options,
    data: list[str] | Shards,
    half_size: bool,
) -> float:
    """Median time of a step, measured on a model that is thrown away."""
    times = _StepTimes()
    batch_size = options.batch_size * options.accumulate_steps
    report = Report(len(data))
    with scratch_model_dir() as scratch, report.as_user_error():
        estimator = make_estimator(
            network,
            dataclasses.replace(options, model_dir=scratch),
            save_checkpoints_secs=None,
            save_checkpoints_steps=None,
            save_summary_steps=None,
            log_step_count_steps=None,
        )
        estimator.train(
            lambda: dataset.train_dataset(
                data,
                batch_size,
                options.seed,
                report,
                half_size=half_size,
                aged=options.aged,
                class_names=options.class_names,
            ),
            hooks=[times],
        )
    return statistics.median(times.seconds[_WARM_UP_STEPS:] or times.seconds)
