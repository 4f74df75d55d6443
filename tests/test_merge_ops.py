"""Predicted chroma joined with a photo's own lightness by TensorFlow ops, as exports do it."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from skimage.color import lab2rgb, rgb2lab

import upsample
from colorization.model import merge_ops


def whole(pixels, chroma):
    """The same without strips, in scikit-image but for the filter."""
    size = [2 * side for side in chroma.shape[:2]]
    lightness = merge_ops.small_lightness(tf.constant(pixels), size)
    small = tf.nn.avg_pool2d(lightness[None], 2, 2, "VALID")
    lab = rgb2lab(pixels)
    full = tf.constant(lab[None, ..., :1], tf.float32)
    lab[..., 1:] = upsample.guided(
        chroma[None], small, full, merge_ops.GUIDE_RADIUS, merge_ops.GUIDE_EPSILON
    )[0]
    return lightness, lab2rgb(lab) * 255


@pytest.mark.parametrize("strip", [700, 2**17])
def test_strips_make_no_difference(colourful, monkeypatch, strip):
    monkeypatch.setattr(merge_ops, "_STRIP_PIXELS", strip)
    photo = colourful(61, 83) // 2 + 64
    chroma = np.random.default_rng(0).normal(0, 4, [28, 28, 2]).astype(np.float32)
    lightness, expected = whole(photo, chroma)
    result = merge_ops.merge(tf.constant(photo), lightness, tf.constant(chroma))
    assert result.dtype == tf.uint8
    np.testing.assert_allclose(result, expected, atol=1)


def test_colour_bleeds_less_over_edges():
    photo = np.full([448, 448, 3], 60, np.uint8)
    photo[:, 226:] = 200
    truth = np.zeros([448, 448, 2], np.float32)
    truth[:, 226:, 0] = 25
    chroma = truth.reshape(112, 4, 112, 4, 2).mean(axis=(1, 3))
    lightness = merge_ops.small_lightness(tf.constant(photo), [224, 224])
    lab = rgb2lab(merge_ops.merge(tf.constant(photo), lightness, tf.constant(chroma)).numpy())
    bicubic = tf.image.resize(chroma, [448, 448], "bicubic")
    error, unguided = (np.square(one - truth).mean() for one in (lab[..., 1:], bicubic))
    assert error < unguided / 2


@pytest.mark.parametrize("shape", [(300, 500, 3), (100, 50, 3), (448, 448, 1), (1, 1, 3)])
def test_small_lightness_averages(shape):
    coarse = np.random.default_rng(0).integers(0, 256, [5, 5, shape[2]], np.uint8)
    photo = np.atleast_3d(
        Image.fromarray(coarse.squeeze()).resize(shape[1::-1], Image.Resampling.BICUBIC)
    )
    reduced = Image.fromarray(photo.squeeze() if photo.size > 3 else photo)
    reduced = reduced.convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
    result = merge_ops.small_lightness(tf.constant(photo), [224, 224])
    np.testing.assert_allclose(result, rgb2lab(reduced)[..., :1], atol=1)
