"""Rare colours and classes in the loss."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import correlate1d

from colorization.model.loss import (
    classification_losses,
    color_losses,
    color_weights,
)


def weights_of(batches, training=True):
    """The weights of the last of several batches, each of which one step is taken with."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        step = tf.compat.v1.train.get_or_create_global_step()
        chroma = tf.compat.v1.placeholder(tf.float32, [None, None, None, 2])
        weights = color_weights(chroma, {}, training)
        updates = tf.compat.v1.get_collection(tf.compat.v1.GraphKeys.UPDATE_OPS)
        session.run(tf.compat.v1.global_variables_initializer())
        for batch in batches:
            # The weights first: they are those that the step itself uses.
            found = session.run(weights, {chroma: batch})
            session.run(updates, {chroma: batch})
            session.run(step.assign_add(1))
        return found


def expected_weights(batches, training=True):
    """The weights of Zhang et al. 2016, with loops and SciPy."""
    average = np.full([22, 22], 1 / 484)
    for step, batch in enumerate(batches):
        histogram, _, _ = np.histogram2d(
            *np.clip(batch.reshape(-1, 2).T, -109.9, 109.9), bins=np.arange(-110, 111, 10)
        )
        decay = min(0.99, (1 + step) / (10 + step)) if training else 0
        average = decay * average + (1 - decay) * histogram / histogram.sum()
    bell = np.exp(-((np.arange(-2, 3) * 10 / 5) ** 2) / 2)
    smooth = average
    for axis in (0, 1):
        smooth = correlate1d(smooth, bell / bell.sum(), axis, mode="constant")
    weights = 1 / (0.5 * smooth + 0.5 / 313)
    weights /= np.sum(average * weights)
    cells = np.clip(np.floor((batches[-1] + 110) / 10).astype(int), 0, 21)
    return weights[cells[..., 0], cells[..., 1]]


def chromas(count, seed=0):
    random = np.random.default_rng(seed)
    return [random.normal(5, 20, [2, 9, 7, 2]).astype(np.float32) for _ in range(count)]


def test_colour_weights_agree_with_a_reference():
    batches = chromas(3)
    batches[-1][0, 0] = 500  # beyond every cell
    batches[-1][0, 1] = -500
    np.testing.assert_allclose(weights_of(batches), expected_weights(batches), rtol=1e-4)


def test_the_update_of_the_frequencies_does_not_count_twice():
    """Weights and update in one step, as training runs them."""
    (batch,) = chromas(1)
    expected = expected_weights([batch])
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.train.get_or_create_global_step()
        weights = color_weights(tf.constant(batch), {}, True)
        (update,) = tf.compat.v1.get_collection(tf.compat.v1.GraphKeys.UPDATE_OPS)
        start = tf.compat.v1.global_variables_initializer()
        for _ in range(200):
            session.run(start)
            found, _ = session.run([weights, update])
            np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_rare_colours_weigh_more_and_the_mean_is_one():
    common = np.full([1, 30, 30, 2], 2, np.float32)
    common[0, 0, :3] = [70, 50]
    weights = weights_of([common] * 60)
    assert weights[0, 0, 0] > 20 * weights[0, 5, 5]
    assert weights.mean() == pytest.approx(1, abs=0.05)


def test_evaluations_weigh_photos_by_their_own_colours():
    """So that the losses of all checkpoints can be compared, that of a start included."""
    batches = chromas(2)
    found = weights_of(batches, training=False)
    np.testing.assert_allclose(found, expected_weights(batches, training=False), rtol=1e-4)
    np.testing.assert_array_equal(found, weights_of(batches[1:], training=False))


def test_colour_losses():
    random = np.random.default_rng(0)
    logits, chroma = random.normal(size=(2, 3, 4, 5, 2)).astype(np.float32)
    code = random.uniform(size=[3, 4, 5, 2]).astype(np.float32)
    labels = {"code": tf.constant(code), "chroma": tf.constant(20 * chroma)}
    squares = (1 / (1 + np.exp(-logits)) - code) ** 2
    losses = color_losses(tf.constant(logits), labels, {}, training=False)
    np.testing.assert_allclose(losses, squares.mean((1, 2, 3)), rtol=1e-5)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        labels = {"code": tf.constant(code), "chroma": tf.constant(20 * chroma)}
        losses = color_losses(tf.constant(logits), labels, {"loss": "rebalanced"}, training=False)
        session.run(tf.compat.v1.global_variables_initializer())
        weights = weights_of([20 * chroma], training=False)[..., None]
        expected = (squares * weights).mean((1, 2, 3))
        np.testing.assert_allclose(session.run(losses), expected, rtol=1e-4)


def test_classification_losses():
    logits = np.random.default_rng(0).normal(size=[4, 3]).astype(np.float32)
    classes = np.array([2, -1, 0, 1], np.int32)
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = [0 if c < 0 else -np.log(p[c]) / 300 for p, c in zip(shares, classes, strict=True)]
    found = classification_losses(tf.constant(logits), tf.constant(classes))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
