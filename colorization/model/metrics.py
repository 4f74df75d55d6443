"""Metrics of coloured pictures, and of predictions that need no model."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

Metrics = dict[str, tuple[tf.Tensor, tf.Operation]]


def colourfulness(pictures: tf.Tensor) -> tf.Tensor:
    """Colourfulness after Hasler and Süsstrunk, "Measuring colourfulness in natural images", 2003.

    With rg = R - G and yb = (R + G) / 2 - B in 0..255, it is the norm of their standard deviations
    plus 0.3 times the norm of their means. 0 is gray, about 15 slightly, 45 averagely and 80 highly
    colourful.

    Args:
      pictures: float RGB in 0..1, `[batch, height, width, 3]`.

    Returns:
      `[batch]`.
    """
    red, green, blue = tf.unstack(255 * pictures, axis=-1)
    opponents = tf.stack([red - green, (red + green) / 2 - blue], axis=-1)
    mean, variance = tf.nn.moments(opponents, axes=[1, 2])
    return tf.sqrt(tf.reduce_sum(variance, -1)) + 0.3 * tf.norm(mean, axis=-1)


def picture_quality(truth: tf.Tensor, predicted: tf.Tensor) -> dict[str, tf.Tensor]:
    """PSNR (dB), SSIM (Wang et al. 2004) and colourfulness of each picture.

    Args:
      truth, predicted: float RGB in 0..1, `[batch, height, width, 3]`, sides of 11 at least.

    Returns:
      `psnr`, `ssim` and `colourfulness`, `[batch]` each.
    """
    return {
        "psnr": tf.image.psnr(truth, predicted, 1.0),
        "ssim": tf.image.ssim(truth, predicted, 1.0),
        "colourfulness": colourfulness(predicted),
    }


def picture_metrics(truth: tf.Tensor, predicted: tf.Tensor) -> Metrics:
    """The means over photos of `picture_quality`.

    Args:
      truth, predicted: see there.

    Returns:
      These and `colourfulness_truth` for an EstimatorSpec.
    """
    figures = picture_quality(truth, predicted)
    figures["colourfulness_truth"] = colourfulness(truth)
    return {name: tf.compat.v1.metrics.mean(values) for name, values in figures.items()}


def chroma_metrics(truth: tf.Tensor, predicted: tf.Tensor) -> Metrics:
    """Root mean squared error over all a* and b* values, in CIE units, and its baselines.

    Args:
      truth, predicted: a*b*, `[batch, height, width, 2]`.

    Returns:
      `ab_rmse`, `ab_rmse_no_colour` and `ab_rmse_mean_colour` for an EstimatorSpec; `saturation`,
      the factor on the predicted chroma that minimizes the error, and `ab_rmse_saturated`, the
      error with that factor.
    """
    rmse = tf.compat.v1.metrics.root_mean_squared_error(truth, predicted)
    return {
        "ab_rmse": rmse,
        **_saturated(truth, predicted),
        **baselines("ab_rmse", truth, 0.0, tf.sqrt),
    }


def _saturated(truth: tf.Tensor, predicted: tf.Tensor) -> Metrics:
    """The factor that minimizes the squares of truth - factor * predicted, in closed form."""
    products = (truth * predicted, predicted * predicted, truth * truth)
    means, updates = zip(*map(tf.compat.v1.metrics.mean, products), strict=True)
    cross_mean, predicted_mean, truth_mean = means
    remaining_error = truth_mean - tf.math.divide_no_nan(cross_mean**2, predicted_mean)
    update = tf.group(*updates)
    return {
        "saturation": (tf.math.divide_no_nan(cross_mean, predicted_mean), update),
        "ab_rmse_saturated": (tf.sqrt(tf.maximum(remaining_error, 0)), update),
    }


def classification_metrics(classes: tf.Tensor, class_logits: tf.Tensor) -> Metrics:
    """Share of correctly classified photos among those of known class.

    Args:
      classes: int32 `[batch]`, -1 where not known.
      class_logits: `[batch, classes]`.

    Returns:
      `accuracy`, and `labelled`, the share of photos of known class, for an EstimatorSpec.
    """
    is_labelled = tf.cast(classes >= 0, tf.float32)
    predicted_classes = tf.argmax(class_logits, axis=1, output_type=tf.int32)
    return {
        "accuracy": tf.compat.v1.metrics.accuracy(classes, predicted_classes, is_labelled),
        "labelled": tf.compat.v1.metrics.mean(is_labelled),
    }


def baselines(
    name: str, truth: tf.Tensor, no_colour: float, of_mean_square: Callable[[tf.Tensor], tf.Tensor]
) -> Metrics:
    """A metric of two constant predictions: no colour, and the colour that fits all photos best.

    Args:
      name: of the metric.
      truth: `[batch, height, width, 2]`.
      no_colour: value of both channels without colour.
      of_mean_square: function that turns a mean squared error into the metric.

    Returns:
      `NAME_no_colour` and `NAME_mean_colour` for an EstimatorSpec.
    """
    truth = truth - no_colour
    square, update_square = tf.compat.v1.metrics.mean(tf.square(truth))
    mean, update_mean = tf.compat.v1.metrics.mean_tensor(
        tf.reduce_mean(truth, axis=[0, 1, 2]), weights=tf.cast(tf.shape(truth)[0], tf.float32)
    )
    updates = tf.group(update_square, update_mean)
    # The mean is the best constant prediction, and the variance is its squared error.
    variance = tf.maximum(square - tf.reduce_mean(tf.square(mean)), 0)
    return {
        f"{name}_no_colour": (of_mean_square(square), updates),
        f"{name}_mean_colour": (of_mean_square(variance), updates),
    }
