"""Merging as TensorFlow ops: lightness at full size and small chroma become a finished picture.

The ops take one picture of any size and work strip by strip, which needs a few megabytes beside the
picture. Exported models are made of them. The twin `merge_numpy` does the same faster where there
is Python.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

import lab_convert
import upsample
from colorization.lab.merge_numpy import GUIDE_EPSILON, GUIDE_RADIUS

# Pixels of a strip: planes of so many float32 values stay in a processor's cache from one op to the
# next.
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
    """Gives a picture colours, at its own size and with its own lightness.

    Chroma is enlarged by the fast guided filter under the guidance of the full-size lightness.
    Colours that sRGB cannot show lose chroma, never lightness.

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
    wide = tf.linalg.matmul(tf.reshape(coefficients, [rows * 4, columns]), across, transpose_b=True)
    wide = tf.reshape(wide, [rows, 4 * width])

    def merged(start: tf.Tensor, stop: tf.Tensor) -> tf.Tensor:
        down = upsample.interpolation(rows, start, stop, height)
        enlarged = tf.reshape(tf.linalg.matmul(down, wide), [-1, 4, width])
        slope_a, slope_b, offset_a, offset_b = tf.unstack(enlarged, axis=1)
        strip = _full_lightness(picture[start:stop])
        a, b = slope_a * strip + offset_a, slope_b * strip + offset_b
        return lab_convert.planes_to_rgb(strip, a, b, picture.dtype)

    return _by_strips(merged, height, width, picture.dtype)


def _by_strips(
    strip: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    height: tf.Tensor,
    width: tf.Tensor,
    dtype: tf.DType,
) -> tf.Tensor:
    """Joins what `strip(first row, row behind the last)` gives for all rows of an RGB picture."""
    step = tf.maximum(1, _STRIP_PIXELS // width)
    count = -(-height // step)

    def write(number: tf.Tensor, strips: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        start = number * step
        return number + 1, strips.write(number, strip(start, tf.minimum(start + step, height)))

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
