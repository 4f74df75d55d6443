"""Stopping, saving in time and going on, through the official Estimator with one small variable."""

import signal
import time

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from colorization.errors import UserError
from colorization.estimator import tf_estimator
from colorization.training import hooks
from colorization.training.checkpoint import resume
from colorization.training.hooks import (
    FitsCheckpoint,
    Interrupted,
    OnFoundCheckpoint,
    OnSave,
    SaveEverySeconds,
    Signals,
    StopOnSignal,
    TrainProgress,
)

# Sent when a terminal is closed, where there is such a signal.
HANG_UP = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []


def model_fn(features, labels, mode):
    weight = tf.compat.v1.get_variable("weight", [])
    loss = tf.reduce_mean(tf.square(features["x"] - weight))
    optimizer = tf.compat.v1.train.AdamOptimizer(0.01)
    train_op = optimizer.minimize(loss, tf.compat.v1.train.get_global_step())
    return tf_estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)


def numbers():
    return tf.data.Dataset.from_tensors(({"x": np.float32(1)}, np.float32(0))).repeat()


def estimator(folder, **settings):
    config = tf_estimator.RunConfig(
        str(folder), **{"save_checkpoints_steps": 1000, "save_summary_steps": 10, **settings}
    )
    return tf_estimator.Estimator(model_fn, config=config)


def steps(folder):
    return sorted(int(path.stem.split("-")[1]) for path in folder.glob("model.ckpt-*.index"))


class At(tf.compat.v1.train.SessionRunHook):
    """Does something after a certain number of steps."""

    def __init__(self, count, action):
        self._left, self._action = count, action

    def after_run(self, run_context, run_values):
        self._left -= 1
        if self._left == 0:
            self._action()


@pytest.fixture
def handler():
    """Sets what a signal does; the tests themselves may have been started by nohup."""
    former = {}

    def set_(number, action):
        former[number] = signal.signal(number, action)
        return action

    yield set_
    for number, action in former.items():
        signal.signal(number, action)


def send(number):
    return lambda: signal.raise_signal(number)


def test_a_checkpoint_of_another_task_is_found_once(tmp_path):
    chief, found = tmp_path / "chief", []
    hooks = [
        At(3, lambda: estimator(chief).train(numbers, steps=1)),
        OnFoundCheckpoint(str(chief), lambda: found.append(steps(chief))),
    ]
    estimator(tmp_path / "worker").train(numbers, steps=6, hooks=hooks)
    assert found == [[0, 1]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, *HANG_UP])
def test_a_signal_stops_training_after_its_checkpoint(tmp_path, number, handler):
    signals, before = Signals(), handler(number, signal.SIG_DFL)
    hooks = [At(7, send(number)), StopOnSignal(signals, str(tmp_path))]
    with pytest.raises(Interrupted) as stopped, signals.recorded():
        estimator(tmp_path).train(numbers, steps=10**6, hooks=hooks)
    assert stopped.value.signal_number == number
    assert 7 <= stopped.value.step <= 8
    assert steps(tmp_path) == [0, stopped.value.step]
    assert signal.getsignal(number) is before
    assert resume(str(tmp_path)) == stopped.value.step


def test_a_signal_after_the_last_step_ends_what_follows(handler):
    signals, received = Signals(), []
    handler(signal.SIGTERM, lambda number, frame: received.append(number))
    with signals.recorded():
        signal.raise_signal(signal.SIGTERM)
        assert received == []
    assert received == [signal.SIGTERM]


@pytest.mark.skipif(not HANG_UP, reason="windows are closed by another signal here")
def test_a_program_that_shall_outlive_its_window_does(handler):
    signals, (hang_up,) = Signals(), HANG_UP
    handler(hang_up, signal.SIG_IGN)
    with signals.recorded():
        signal.raise_signal(hang_up)
    assert signals.number is None


def test_a_signal_stops_an_evaluation(tmp_path):
    trained = estimator(tmp_path)
    trained.train(numbers, steps=5)
    signals = Signals()
    hooks = [At(3, send(signal.SIGTERM)), StopOnSignal(signals, None)]
    with pytest.raises(Interrupted) as stopped, signals.recorded():
        trained.evaluate(numbers, steps=10**6, hooks=hooks)
    assert stopped.value.step == 5
    assert steps(tmp_path) == [0, 5]


def test_a_checkpoint_of_other_shapes_is_refused(tmp_path):
    trained = estimator(tmp_path).train(numbers, steps=2)
    newest = trained.latest_checkpoint()
    trained.evaluate(numbers, steps=1, hooks=[FitsCheckpoint(newest)])
    with tf.Graph().as_default():
        tf.compat.v1.get_variable("weight", [2])
        with pytest.raises(UserError, match=r"weight is \[\], not \[2\]"):
            FitsCheckpoint(newest).begin()
    FitsCheckpoint(None).begin()


class Clock(tf.compat.v1.train.SessionRunHook):
    """Stands for the time of the hooks; each step takes a second."""

    def __init__(self, monkeypatch):
        self.now = 0
        monkeypatch.setattr(hooks, "time", self)

    def monotonic(self):
        return self.now

    perf_counter = monotonic

    def after_run(self, run_context, run_values):
        self.now += 1


def test_checkpoints_are_saved_in_time(tmp_path, monkeypatch):
    saved = estimator(tmp_path, save_checkpoints_steps=30, keep_checkpoint_max=100)
    every_ten = [Clock(monkeypatch), SaveEverySeconds(str(tmp_path), 10)]
    saved.train(numbers, steps=40, hooks=every_ten)
    # The other saver's are at 30 or 31. After each one, the next step begins to count.
    assert set(steps(tmp_path)) - {30, 31} == {0, 10, 21, 40}

    rare = tmp_path / "rare"
    estimator(rare).train(numbers, steps=20, hooks=[SaveEverySeconds(str(rare), 3600)])
    assert steps(rare) == [0, 20]


def test_curves_go_on_without_gap_or_double(tmp_path):
    """A crash loses what came after the last checkpoint; TensorBoard shows each step once."""

    class Crash(Exception):
        pass

    def crash():
        raise Crash

    def train(max_steps, *hooks):
        progress = TrainProgress(max_steps, 1, str(tmp_path), "training")
        training = estimator(tmp_path, save_checkpoints_steps=25, log_step_count_steps=None)
        training.train(numbers, max_steps=max_steps, hooks=[progress, *hooks])
        tf.compat.v1.summary.FileWriterCache.clear()

    with pytest.raises(Crash):
        train(200, At(62, crash))
    tf.compat.v1.summary.FileWriterCache.clear()
    # Event files are read in the order of their names, which hold the second they were made in.
    (events,) = tmp_path.glob("events.out.tfevents.*")
    second = events.name.split(".")[3]
    earlier = events.name.replace(second, str(int(second) - 2), 1)
    events.rename(events.with_name(earlier))
    assert resume(str(tmp_path)) in (50, 51)
    train(100)
    curves = EventAccumulator(str(tmp_path)).Reload()
    for tag in ("loss", "photos_per_second"):
        seen = [event.step for event in curves.Scalars(tag)]
        assert seen == sorted(set(seen)), tag
        assert max(np.diff(seen)) <= 20, tag
        assert min(seen) <= 11, tag
        assert max(seen) >= 89, tag


def logged(folder, tag):
    tf.compat.v1.summary.FileWriterCache.clear()
    return [event.value for event in EventAccumulator(str(folder)).Reload().Scalars(tag)]


def test_the_share_of_time_spent_waiting_for_data_is_logged(tmp_path, monkeypatch):
    """Steps of a second each, a quarter of which they wait for their batch; later none of it."""
    clock = Clock(monkeypatch)
    waits = iter([0.25] * 20 + [0.0] * 20)

    class Waits(TrainProgress):
        """Its times do not depend on how busy the machine is."""

        def after_run(self, run_context, run_values):
            loss, step, begun, _ = run_values.results
            values = run_values._replace(results=[loss, step, begun, begun + next(waits)])
            super().after_run(run_context, values)

    progress = Waits(40, 1, str(tmp_path), "training")
    training = estimator(tmp_path, log_step_count_steps=None)
    training.train(numbers, max_steps=40, hooks=[clock, progress])
    shares = logged(tmp_path, "data_wait_share")
    assert len(shares) >= 3
    assert shares[0] == pytest.approx(0.25, abs=0.03)
    assert shares[-1] == pytest.approx(0, abs=0.03)
    # Nine, ten or eleven steps in ten seconds.
    assert logged(tmp_path, "photos_per_second") == pytest.approx([1] * len(shares), abs=0.12)


def test_saving_and_evaluating_are_no_time_of_training(tmp_path, monkeypatch):
    clock = Clock(monkeypatch)

    class Evaluation(tf.compat.v1.train.CheckpointSaverListener):
        def after_save(self, session, global_step_value):
            clock.now += 1000

    progress = TrainProgress(40, 1, str(tmp_path), "training")
    listeners = [OnSave(progress.stop_clock), Evaluation()]
    training = estimator(tmp_path, log_step_count_steps=None, save_checkpoints_steps=15)
    training.train(numbers, max_steps=40, hooks=[clock, progress], saving_listeners=listeners)
    assert clock.now > 3000
    seconds = logged(tmp_path, "seconds_per_step")
    assert len(seconds) >= 3
    # The step that a checkpoint is saved after seems to end one second earlier by this clock.
    assert seconds == pytest.approx([1] * len(seconds), abs=0.21)


def test_waiting_for_data_is_measured(tmp_path):
    """At least a part of the 50 ms that each batch takes, however busy the machine is."""

    def wait(x):
        time.sleep(0.05)
        return x

    def data():
        return numbers().map(
            lambda features, label: (
                {"x": tf.ensure_shape(tf.numpy_function(wait, [features["x"]], tf.float32), [])},
                label,
            )
        )

    progress = TrainProgress(20, 1, str(tmp_path), "training")
    estimator(tmp_path, log_step_count_steps=None).train(data, max_steps=20, hooks=[progress])
    shares = np.array(logged(tmp_path, "data_wait_share"))
    waited = shares / logged(tmp_path, "photos_per_second")
    assert waited.max() > 0.01
    assert shares.max() <= 1
