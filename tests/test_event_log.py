"""Event files to curves."""

import numpy as np
import pytest
import tensorflow as tf

from colorization.model.summaries import write_hyperparameters
from colorization.training.event_log import read_curves

tf1 = tf.compat.v1


def write_events(folder, events, suffix):
    """Writes (step, scalars by tag) in one file."""
    with tf.Graph().as_default():
        writer = tf1.summary.FileWriter(str(folder), filename_suffix=suffix)
    for step, scalars in events:
        event = tf1.Event(wall_time=1e9, step=step)
        for tag, value in scalars.items():
            event.summary.value.add(tag=tag, simple_value=value)
        writer.add_event(event)
    writer.close()


def test_seconds_are_those_in_which_steps_were_taken(tmp_path):
    write_hyperparameters({"batch_size": 4, "learning_rate": 1e-3}, str(tmp_path))
    # Two seconds a step. The first run's last point at step 50, where it was slow, is lost: the
    # second run begins at step 40.
    two = {"seconds_per_step": 2.0, "photos_per_second": 2.0}
    slow = {"seconds_per_step": 9.0, "photos_per_second": 0.3}
    write_events(
        tmp_path,
        [
            (10, {"loss": 8.0}),
            (20, {"loss": 7.0, **two}),
            (30, {"loss": 6.0, **two}),
            (40, {"loss": 5.0, **two}),
            (50, {"loss": 4.0, **slow}),
        ],
        ".first",
    )
    write_events(
        tmp_path,
        [(41, {"loss": 5.5, **two}), (51, {"loss": 4.5, "seconds_per_step": 3.0})],
        ".second",
    )
    (tmp_path / "eval").mkdir()
    evaluations = [(30, {"loss": 9.0}), (51, {"loss": 8.5, "psnr": 20.0})]
    write_events(tmp_path / "eval", evaluations, ".eval")
    (cut,) = (tmp_path / "eval").iterdir()
    cut.write_bytes(cut.read_bytes() + b"cut short")

    curves = read_curves(str(tmp_path))
    assert [step for step, _, _ in curves.losses] == [10, 20, 30, 40, 41, 51]
    assert [loss for _, _, loss in curves.losses] == [8, 7, 6, 5, 5.5, 4.5]
    seconds = [at for _, at, _ in curves.losses]
    np.testing.assert_allclose(seconds, [20, 40, 60, 80, 82, 112])
    assert curves.evaluations == [(30, 60, 9.0), (51, 112, 8.5)]
    assert curves.seconds_per_step == 2.0
    assert curves.photos_per_second == 2.0
    assert curves.seconds_until(61) == pytest.approx(132)
    assert curves.seconds_until(15) == pytest.approx(30)
    assert curves.hyperparameters == {"batch_size": 4, "learning_rate": 1e-3}


def test_too_few_steps_have_no_times(tmp_path):
    write_events(tmp_path, [(1, {"loss": 8.0})], "")
    curves = read_curves(str(tmp_path))
    assert curves.seconds_per_step is None
    assert np.isnan(curves.seconds_until(5))
    assert [(step, loss) for step, _, loss in curves.losses] == [(1, 8.0)]
    assert np.isnan(curves.losses[0][1])
    assert read_curves(str(tmp_path / "nowhere")).losses == []
