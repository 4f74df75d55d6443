"""Enlarging along the edges of a guide, against the guided filter window by window."""

import numpy as np
import pytest
import tensorflow as tf

import upsample


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def guided_slope_reference(image, guide, radius, epsilon):
    """The slope of He et al. 2013, algorithm 1, window by window."""
    height, width = guide.shape

    def windows(y, x):
        rows = slice(max(y - radius, 0), y + radius + 1)
        return rows, slice(max(x - radius, 0), x + radius + 1)

    slope = np.zeros([height, width])
    for y in range(height):
        for x in range(width):
            i, p = guide[windows(y, x)], image[windows(y, x)]
            slope[y, x] = np.mean((i - i.mean()) * (p - p.mean())) / (i.var() + epsilon)
    return np.array([[slope[windows(y, x)].mean() for x in range(width)] for y in range(height)])


@pytest.mark.parametrize(("size", "radius"), [((9, 12), 1), ((9, 12), 3), ((1, 1), 2), ((2, 7), 4)])
def test_guided_coefficients_match_reference(size, radius):
    images, guide = random(2, *size, 2), 50 + 20 * random(2, *size, 1)
    slope, offset = upsample.guided_coefficients(images, guide, radius, 4.0)
    for batch in range(2):
        for channel in range(2):
            image = images[batch, ..., channel].astype(float)
            own_guide = guide[batch, ..., 0].astype(float)
            expected = guided_slope_reference(image, own_guide, radius, 4.0)
            np.testing.assert_allclose(slope[batch, ..., channel], expected, atol=1e-5)
    np.testing.assert_allclose(slope * guide + offset, images, atol=1e-4)


def test_guided_follows_the_edges_of_the_guide():
    guide = np.zeros([1, 64, 64, 1], np.float32)
    guide[:, :, 34:] = 100
    small = tf.nn.avg_pool2d(guide, 4, 4, "VALID")  # the edge runs through a pixel
    result = upsample.guided(0.4 * small, small, guide, 2, 1.0)
    np.testing.assert_allclose(result, 0.4 * guide, atol=0.6)
    blurred = tf.image.resize(0.4 * small, [64, 64], "bicubic")
    assert np.abs(blurred - 0.4 * guide).max() > 15


def test_guided_keeps_constants():
    guide = 50 + 20 * random(1, 30, 20, 1)
    result = upsample.guided(tf.fill([1, 5, 4, 2], 7.0), guide[:, ::6, ::5], guide, 2, 1.0)
    np.testing.assert_allclose(result, np.full([1, 30, 20, 2], 7.0), atol=1e-4)
