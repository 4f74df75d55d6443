"""Hooks of a training: progress bar, photos per second, saving in time, stopping on a signal."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType

import tensorflow as tf
from tqdm import tqdm

from colorization.console import progress_bar
from colorization.program import on_stop_signals
from colorization.training import checkpoint
from colorization.training.event_log import PHOTOS_PER_SECOND, SECONDS_PER_STEP
from colorization.training.model_folder import CHECKPOINT

SessionRunHook = tf.compat.v1.train.SessionRunHook

# Steps between two points of a curve in TensorBoard.
SUMMARY_STEPS = 10

# Types of the operations by which a step takes its batch from a data set.
_NEXT_BATCH = ("IteratorGetNext", "MultiDeviceIteratorGetNextFromShard")


class Interrupted(Exception):
    """Training was stopped by a signal, after its checkpoint was saved."""

    def __init__(self, signal_number: int, step: int):
        super().__init__(signal_number, step)
        self.signal_number = signal_number
        self.step = step


class TrainProgress(SessionRunHook):
    """Shows step, loss, photos per second, time left and the share of time spent waiting for data.

    Seconds per step, photos per second and that share are logged. Saving and evaluating do not
    count, see `stop_clock`. A step counts as waiting from its first operation until its batch has
    arrived, which overstates the wait where other operations run meanwhile.
    """

    def __init__(self, max_steps: int, batch_size: int, model_dir: str, label: str):
        self._max_steps = max_steps
        self._batch_size = batch_size
        self._model_dir = model_dir
        self._label = label
        self._run_ended: float | None = None

    def begin(self) -> None:
        self._loss = tf.compat.v1.get_collection(tf.compat.v1.GraphKeys.LOSSES)[0]
        self._step = tf.compat.v1.train.get_global_step()
        graph = tf.compat.v1.get_default_graph()
        batches = [op for op in graph.get_operations() if op.type in _NEXT_BATCH]
        # TensorFlow refuses `tf.timestamp` where its operations have to be deterministic.
        is_deterministic = os.environ.get("TF_DETERMINISTIC_OPS", "").lower() in ("1", "true")
        timestamp_op = partial(tf.constant, 0.0, tf.float64) if is_deterministic else tf.timestamp
        with tf.device("/cpu:0"):
            self._step_start_op = timestamp_op()
            with tf.control_dependencies(batches):
                self._batch_arrival_op = timestamp_op()

    def after_create_session(self, session, coord) -> None:
        self._last_step = session.run(self._step)
        self._seconds = self._waited_seconds = 0.0
        self._wait_text = ""
        # The bar counts photos, not steps, because people compare photos per second.
        self._bar = progress_bar(
            self._max_steps * self._batch_size,
            self._label,
            " photos",
            initial=int(self._last_step) * self._batch_size,
        )

    def stop_clock(self) -> None:
        """Stops timing the current step, before a checkpoint is saved and evaluated."""
        self._run_ended = time.perf_counter()

    def before_run(self, run_context) -> tf.compat.v1.train.SessionRunArgs:
        self._run_started, self._run_ended = time.perf_counter(), None
        return tf.compat.v1.train.SessionRunArgs(
            [self._loss, self._step, self._step_start_op, self._batch_arrival_op]
        )

    def after_run(self, run_context, run_values) -> None:
        # Estimator saves and evaluates before it calls these hooks; `stop_clock` has run then.
        run_ended = time.perf_counter() if self._run_ended is None else self._run_ended
        self._seconds += run_ended - self._run_started
        self._loss_value, step, step_start, batch_arrival = run_values.results
        self._waited_seconds += max(0.0, batch_arrival - step_start)
        self._show(int(step))
        if step - self._last_step >= SUMMARY_STEPS:
            self._log_rate(step)

    def _log_rate(self, step: int) -> None:
        steps = step - self._last_step
        values = {
            SECONDS_PER_STEP: self._seconds / steps,
            PHOTOS_PER_SECOND: steps * self._batch_size / self._seconds,
            "data_wait_share": self._waited_seconds / self._seconds,
        }
        self._wait_text = f", waiting for data {values['data_wait_share']:.1%}"
        self._last_step = step
        self._seconds = self._waited_seconds = 0.0
        summary = tf.compat.v1.Summary(
            value=[
                tf.compat.v1.Summary.Value(tag=tag, simple_value=value)
                for tag, value in values.items()
            ]
        )
        tf.compat.v1.summary.FileWriterCache.get(self._model_dir).add_summary(summary, step)

    def _show(self, step: int) -> None:
        state = f"step {step}/{self._max_steps}, loss {self._loss_value:.4f}{self._wait_text}"
        self._bar.set_postfix_str(state, refresh=False)
        self._bar.update(step * self._batch_size - self._bar.n)

    def end(self, session) -> None:
        # The step that a run fetches may not have been incremented yet.
        self._show(int(session.run(self._step)))
        self._bar.close()


class EvalProgress(SessionRunHook):
    """Shows how far an evaluation has come."""

    def __init__(self, batches: int):
        self._batches = batches

    def begin(self) -> None:
        self._bar = progress_bar(self._batches, "evaluating", " batches", leave=False)

    def after_run(self, run_context, run_values) -> None:
        self._bar.update()

    def end(self, session) -> None:
        self._bar.close()


class Signals:
    """Records the signals that ask the program to end, for `StopOnSignal` to act on.

    Attributes:
      number: number of the signal that was received, or None.
    """

    def __init__(self) -> None:
        self.number: int | None = None

    @contextlib.contextmanager
    def recorded(self) -> Iterator[None]:
        """Records signals for the duration of the body; a second Ctrl-C ends it at once.

        One that came after the last step, so that no hook has acted on it, is sent once more.
        """

        def record(number: int, frame: FrameType | None) -> None:
            self.number = number
            if number == signal.SIGINT:
                signal.signal(number, signal.SIG_DFL)

        with on_stop_signals(record):
            yield
        if self.number is not None:
            signal.raise_signal(self.number)


class StopOnSignal(SessionRunHook):
    """Raises `Interrupted` after the step during which a signal was received."""

    def __init__(self, signals: Signals, model_dir: str | None):
        """Initializes the hook.

        Args:
          signals: the signals received.
          model_dir: where to save a checkpoint first; None for an evaluation, before which
            training has just saved one.
        """
        self._signals = signals
        self._model_dir = model_dir

    def begin(self) -> None:
        self._step = tf.compat.v1.train.get_global_step()

    def after_run(self, run_context, run_values) -> None:
        if self._signals.number is None:
            return
        step = int(run_context.session.run(self._step))
        if self._model_dir:
            _save(run_context.session, self._model_dir, step)
        raise Interrupted(self._signals.number, step)


class StopWithoutProgress(SessionRunHook):
    """Ends training after `patience` evaluations in a row without a new best one."""

    def __init__(self, evaluations_since_best: Callable[[], int], patience: int):
        self._evaluations_since_best = evaluations_since_best
        self._patience = patience

    def after_run(self, run_context, run_values) -> None:
        if self._evaluations_since_best() >= self._patience:
            run_context.request_stop()


class TraceStep(SessionRunHook):
    """Traces the time and memory of each operation in one step, for TensorBoard's Graphs page."""

    def __init__(self, step: int, model_dir: str):
        """Initializes the hook.

        Args:
          step: number of the step, counted from 1 over all runs.
          model_dir: folder of the event files.
        """
        self._traced_step = step
        self._model_dir = model_dir

    def begin(self) -> None:
        self._step = tf.compat.v1.train.get_global_step()

    def after_create_session(self, session, coord) -> None:
        self._next_step = int(session.run(self._step)) + 1

    def before_run(self, run_context) -> tf.compat.v1.train.SessionRunArgs | None:
        if self._next_step != self._traced_step:
            return None
        level = tf.compat.v1.RunOptions.FULL_TRACE
        return tf.compat.v1.train.SessionRunArgs(
            [], options=tf.compat.v1.RunOptions(trace_level=level)
        )

    def after_run(self, run_context, run_values) -> None:
        if self._next_step == self._traced_step:
            writer = tf.compat.v1.summary.FileWriterCache.get(self._model_dir)
            writer.add_run_metadata(
                run_values.run_metadata, f"step {self._traced_step}", self._traced_step
            )
            tqdm.write(f"Traced step {self._traced_step}: see the Graphs page of TensorBoard.")
        self._next_step += 1


class FitsCheckpoint(SessionRunHook):
    """Refuses a checkpoint that does not fit; see `checkpoint.require_fitting`."""

    def __init__(self, prefix: str | None, name: str | None = None):
        self._prefix, self._name = prefix, name

    def begin(self) -> None:
        if self._prefix is not None:
            checkpoint.require_fitting(self._prefix, self._name)


class SaveEverySeconds(SessionRunHook):
    """Saves a checkpoint when nothing, Estimator included, has saved one for some time."""

    def __init__(self, model_dir: str, seconds: float):
        self._model_dir = model_dir
        self._seconds = seconds

    def begin(self) -> None:
        self._step = tf.compat.v1.train.get_global_step()

    def after_create_session(self, session, coord) -> None:
        self._newest, self._saved_at = _saver().last_checkpoints[-1:], time.monotonic()

    def after_run(self, run_context, run_values) -> None:
        newest = _saver().last_checkpoints[-1:]
        if newest != self._newest:
            self._newest, self._saved_at = newest, time.monotonic()
        elif time.monotonic() - self._saved_at >= self._seconds:
            session = run_context.session
            _save(session, self._model_dir, int(session.run(self._step)))


class OnFoundCheckpoint(SessionRunHook):
    """Calls a function once, after a step, when the folder of a model holds a checkpoint."""

    def __init__(self, model_dir: str, function: Callable[[], object]):
        self._model_dir = model_dir
        self._function: Callable[[], object] | None = function

    def after_run(self, run_context, run_values) -> None:
        if self._function is not None and tf.train.latest_checkpoint(self._model_dir):
            self._function()
            self._function = None


def _saver() -> tf.compat.v1.train.Saver:
    (saver,) = tf.compat.v1.get_collection(tf.compat.v1.GraphKeys.SAVERS)
    return saver


def _save(session, model_dir: str, step: int) -> None:
    _saver().save(session, f"{model_dir}/{CHECKPOINT}", global_step=step)


class OnSave(tf.compat.v1.train.CheckpointSaverListener):
    """Calls a function before, and one after, each checkpoint that Estimator saves."""

    def __init__(
        self,
        before: Callable[[], object] = lambda: None,
        after: Callable[[], object] = lambda: None,
    ):
        self._before, self._after = before, after

    def before_save(self, session, global_step_value) -> None:
        self._before()

    def after_save(self, session, global_step_value) -> None:
        self._after()
