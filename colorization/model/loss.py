"""Losses that training minimizes."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from colorization.model.layers import moving_average, update_average

# Histogram of Zhang, Isola and Efros, "Colorful Image Colorization" (2016), section 2.2. Cells of
# a*b* are 10 units wide, and sRGB can display 313 of them. A uniform distribution makes up half of
# the weight's denominator. A Gaussian of 5 units smooths the frequencies.
_CELL = 10.0
_CELLS = 22  # along each axis, from -110 to 110
_DISPLAYABLE_CELLS = 313
_UNIFORM_SHARE = 0.5
_SMOOTHING = 5.0

# Weight of the classification loss (paper, "Colorization with Classification").
_CLASSIFICATION_WEIGHT = 1 / 300


def color_losses(
    logits: tf.Tensor, labels: dict[str, tf.Tensor], params: dict[str, Any], training: bool
) -> tf.Tensor:
    """Mean squared error of the chroma code (paper, equation 6, up to a factor).

    With `loss` "rebalanced", pixels of rare colours count more.

    Args:
      logits: of the code, float32 `[batch, height, width, 2]`.
      labels: `chroma`, a*b* in CIE units, and `code`, its code in 0..1, of the same shape.
      params: `loss`, "mse" (the default) or "rebalanced"; those of `update_average`.
      training: see `color_weights`.

    Returns:
      Loss of each example, `[batch]`.
    """
    errors = tf.math.squared_difference(tf.sigmoid(logits), labels["code"])
    if params.get("loss") == "rebalanced":
        errors *= color_weights(labels["chroma"], params, training)[..., None]
    return tf.reduce_mean(errors, axis=[1, 2, 3])


def color_weights(chroma: tf.Tensor, params: dict[str, Any], training: bool) -> tf.Tensor:
    """Weight of each pixel, larger for rarer colours.

    After Zhang, Isola and Efros 2016, equation 4: w = 1 / ((1 - l) p + l / Q), scaled so that its
    mean over all pixels is 1. In training, the frequencies p are a moving average over batches,
    which the checkpoint keeps. Otherwise they are those of the batch itself: evaluations of all
    checkpoints weigh the same photos alike then, so that their losses can be compared.

    Args:
      chroma: true a*b* in CIE units, float32 `[batch, height, width, 2]`.
      params: those of `update_average`.
      training: whether the loss is for training.

    Returns:
      `[batch, height, width]`.
    """
    cells = tf.cast((chroma + _CELL * _CELLS / 2) / _CELL, tf.int32)
    cells = tf.clip_by_value(cells, 0, _CELLS - 1)
    cells = cells[..., 0] * _CELLS + cells[..., 1]
    counts = tf.math.bincount(tf.reshape(cells, [-1]), minlength=_CELLS**2)
    frequencies = tf.cast(counts, tf.float32) / tf.cast(tf.size(cells), tf.float32)
    if training:
        with tf.compat.v1.variable_scope("colour_frequencies"):
            average = moving_average("moving_histogram", [_CELLS**2], 1 / _CELLS**2)
            frequencies = update_average(average, frequencies, params)
    smooth = _smoothed(tf.reshape(frequencies, [_CELLS, _CELLS]))
    weights = 1 / ((1 - _UNIFORM_SHARE) * smooth + _UNIFORM_SHARE / _DISPLAYABLE_CELLS)
    weights = tf.reshape(weights, [-1])
    return tf.gather(weights / tf.reduce_sum(frequencies * weights), cells)


def _smoothed(frequencies: tf.Tensor) -> tf.Tensor:
    """A histogram `[height, width]` after a Gaussian, cut off at four standard deviations."""
    offsets = [offset * _CELL for offset in range(-2, 3)]
    gaussian = tf.constant([math.exp(-((offset / _SMOOTHING) ** 2) / 2) for offset in offsets])
    kernel = gaussian[:, None] * gaussian / tf.reduce_sum(gaussian) ** 2
    return tf.nn.conv2d(frequencies[None, ..., None], kernel[..., None, None], 1, "SAME")[0, ..., 0]


def classification_losses(class_logits: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
    """Weighted cross-entropy of the photos' classes (paper, "Colorization with Classification").

    Args:
      class_logits: float32 `[batch, classes]`.
      classes: int32 `[batch]`; -1 where the class is not known, for which the loss is 0.

    Returns:
      Loss of each example, `[batch]`.
    """
    is_labelled = classes >= 0
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(classes, 0), class_logits)
    return _CLASSIFICATION_WEIGHT * tf.where(is_labelled, losses, tf.zeros_like(losses))
