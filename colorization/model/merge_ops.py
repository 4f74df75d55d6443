"""Merging as TensorFlow ops: lightness at full size and small chroma become a finished picture.

The ops take one picture of any size and work strip by strip, which needs only a few megabytes
besides the picture. They are for exported models; in Python, `merge_numpy` does the same faster.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

import lab_convert
import upsample
from colorization.lab.merge_numpy import GUIDE_EPSILON, GUIDE_RADIUS

# Pixels of a strip, few enough for its float32 planes to stay in the processor's cache between ops.
_STRIP_PIXELS = 2**17


def small_lightness(picture: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """The network's input for a picture.

    Args:
      picture: uint8 RGB `[height, width, 3]`, or grays `[height, width, 1]` of uint8 or uint16.
      size: int32 `[2]`, height and width; shrinking averages (bilinear with antialiasing).

    Returns:
      L* in 0..100, float32 `[*size, 1]`.
    """
    small = tf.image.resize(picture[None], size, antialias=True)[0] / picture.dtype.max
    # The weights of a resized white pixel may sum to slightly more than 1.
    small = tf.clip_by_value(small, 0.0, 1.0)
    if picture.shape[-1] == 1:
        return lab_convert.gray_to_lightness(small)
    return lab_convert.rgb_to_lightness(small)


def merge(picture: tf.Tensor, lightness: tf.Tensor, chroma: tf.Tensor) -> tf.Tensor:
    """Colours a picture at its own size, keeping its own lightness.

    The fast guided filter enlarges the chroma, guided by the full-size lightness. Colours outside
    of sRGB lose chroma, never lightness.

    Args:
      picture: uint8 RGB `[height, width, 3]`, or grays `[height, width, 1]` of uint8 or uint16.
      lightness: of the picture at twice the size of the chroma, float32 `[2 * rows, 2 * columns,
        1]`, as `small_lightness` gives it.
      chroma: a*b* in CIE units, float32 `[rows, columns, 2]`.

    Returns:
      RGB `[height, width, 3]` of the picture's dtype.
    """
    height, width = tf.unstack(tf.shape(picture)[:2])
    rows, columns = tf.unstack(tf.shape(chroma)[:2])
    across = upsample.interpolation(columns, 0, width, width)
    guide = tf.nn.avg_pool2d(lightness[None], 2, 2, "VALID")
    coefficients = upsample.guided_coefficients(chroma[None], guide, GUIDE_RADIUS, GUIDE_EPSILON)
    coefficients = tf.transpose(tf.concat(coefficients, axis=-1)[0], [0, 2, 1])
    widened = tf.linalg.matmul(
        tf.reshape(coefficients, [rows * 4, columns]), across, transpose_b=True
    )
    widened = tf.reshape(widened, [rows, 4 * width])

    def merged_strip(start: tf.Tensor, stop: tf.Tensor) -> tf.Tensor:
        down = upsample.interpolation(rows, start, stop, height)
        enlarged = tf.reshape(tf.linalg.matmul(down, widened), [-1, 4, width])
        slope_a, slope_b, offset_a, offset_b = tf.unstack(enlarged, axis=1)
        strip = _full_lightness(picture[start:stop])
        a, b = slope_a * strip + offset_a, slope_b * strip + offset_b
        return lab_convert.planes_to_rgb(strip, a, b, picture.dtype)

    return _by_strips(merged_strip, height, width, picture.dtype)


def _by_strips(
    make_strip: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    height: tf.Tensor,
    width: tf.Tensor,
    dtype: tf.DType,
) -> tf.Tensor:
    """Joins the strips `make_strip(first row, row after the last)` of an RGB picture."""
    step = tf.maximum(1, _STRIP_PIXELS // width)
    count = -(-height // step)

    def write(number: tf.Tensor, strips: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        start = number * step
        return number + 1, strips.write(number, make_strip(start, tf.minimum(start + step, height)))

    strips = tf.TensorArray(dtype, count, infer_shape=False, element_shape=[None, None, 3])
    _, strips = tf.while_loop(
        lambda number, strips: number < count, write, [0, strips], parallel_iterations=4
    )
    return tf.ensure_shape(strips.concat(), [None, None, 3])


def _full_lightness(picture: tf.Tensor) -> tf.Tensor:
    """L* of a picture, float32 `[height, width]`."""
    if picture.shape[-1] == 1:
        return lab_convert.gray_to_lightness(picture[..., 0])
    return lab_convert.rgb_to_lightness(picture)[..., 0]
