"""Aging: makes lightness look like an old print, faded, soft, grainy, dusty and scratched.

Only the lightness ages; the chroma to learn stays that of the photo. Each photo has a seed, which
TensorFlow's stateless generators turn into the same print on every machine.
"""

from __future__ import annotations

import math

import tensorflow as tf

# The blur is in pixels of a photo with this side, so that others are as soft. Grain, dust and
# scratches are as fine as the pixels of any photo, as a scanner sees them.
_SIDE = 224

# Number of random numbers that `_Draws` can hand out for one photo.
_MAX_DRAWS = 48


class _Draws:
    """Random numbers for one photo, each float32 `[]`, handed out in a fixed order."""

    def __init__(self, seed: tf.Tensor):
        self._remaining = iter(tf.unstack(tf.random.stateless_uniform([_MAX_DRAWS], seed)))

    def uniform(self, low: float, high: float) -> tf.Tensor:
        return low + (high - low) * next(self._remaining)

    def log_uniform(self, low: float, high: float) -> tf.Tensor:
        return tf.exp(self.uniform(math.log(low), math.log(high)))

    def happens(self, probability: float) -> tf.Tensor:
        """1 with a probability, else 0."""
        return tf.cast(next(self._remaining) < probability, tf.float32)


def aged_batch(
    lightness: tf.Tensor, chroma: tf.Tensor, seeds: tf.Tensor, share: float
) -> tf.Tensor:
    """Ages some photos of a batch.

    Args:
      lightness: L* in 0..100, float32 `[batch, height, width, 1]`.
      chroma: a*b* in CIE units, float32 `[batch, height / 2, width / 2, 2]`.
      seeds: int64 `[batch]`; decide which photos age, and how.
      share: of the photos that age, 0..1.

    Returns:
      L* in 0..100, float32 `[batch, height, width, 1]`.
    """

    def age_some(values: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
        lightness, chroma, seed = values
        is_aged = tf.random.stateless_uniform([], tf.stack([seed, 1])) < share
        return tf.cond(
            is_aged, lambda: aged(lightness, chroma, tf.stack([seed, 2])), lambda: lightness
        )

    return tf.map_fn(
        age_some,
        (lightness, chroma, seeds),
        fn_output_signature=tf.TensorSpec(lightness.shape[1:], tf.float32),
        parallel_iterations=1,
    )


def aged(lightness: tf.Tensor, chroma: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Ages one photo.

    The effects come in the order in which they happened to old prints: an emulsion that saw colours
    differently, a soft lens, the paper's tone curve, grain, a dark or bleached margin, dust,
    scratches, and finally blacks that turned gray and whites that turned darker.

    Args:
      lightness: L* in 0..100, float32 `[height, width, 1]`.
      chroma: a*b* in CIE units, float32 `[height / 2, width / 2, 2]`.
      seed: int64 `[2]`, for TensorFlow's stateless generators.

    Returns:
      L* in 0..100, float32 `[height, width, 1]`.
    """
    height, width, _ = lightness.shape
    draws = _Draws(seed)
    x = _exposed(lightness / 100, chroma, draws)
    x = _blurred(x, draws.happens(0.6) * draws.log_uniform(0.3, 1.2) * height / _SIDE)
    x = _developed(x, draws)
    x = _grained(x, draws, seed)
    x = _unevenly_faded(x, draws, seed)
    x = _scratched(x, draws, seed)
    black = draws.happens(0.85) * draws.uniform(0, 0.28)
    white = 1 - draws.happens(0.85) * draws.uniform(0, 0.3)
    x = black + (tf.maximum(black + 0.35, white) - black) * x
    return tf.ensure_shape(100 * tf.clip_by_value(x, 0, 1), [height, width, 1])


def _exposed(x: tf.Tensor, chroma: tf.Tensor, draws: _Draws) -> tf.Tensor:
    """Orthochromatic emulsions, common until the 1920s, show reds darker and blues lighter."""
    red, yellow = tf.split(tf.image.resize(chroma / 100, x.shape[:2]), 2, axis=-1)
    blind = draws.happens(0.4)
    return x - blind * (draws.uniform(0, 0.35) * red + draws.uniform(0, 0.3) * yellow)


def _blurred(x: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    """Gaussian blur of a standard deviation in pixels."""
    radius = 4
    places = tf.range(-radius, radius + 1, dtype=tf.float32)
    weights = tf.exp(-0.5 * tf.square(places / tf.maximum(sigma, 0.05)))
    weights /= tf.reduce_sum(weights)
    padded = tf.pad(x, [[radius, radius], [radius, radius], [0, 0]], "REFLECT")[None]
    rows = tf.nn.conv2d(padded, tf.reshape(weights, [1, -1, 1, 1]), 1, "VALID")
    return tf.nn.conv2d(rows, tf.reshape(weights, [-1, 1, 1, 1]), 1, "VALID")[0]


def _developed(x: tf.Tensor, draws: _Draws) -> tf.Tensor:
    """A gamma of 0.6 to 1.7, and more or less contrast in the midtones."""
    # The exponential of a logarithm is faster than TensorFlow's power.
    x = tf.exp(draws.log_uniform(0.6, 1.7) * tf.math.log(tf.clip_by_value(x, 1e-3, 1)))
    return x + draws.uniform(-1, 1.4) * (x - 0.5) * x * (1 - x)


def _grained(x: tf.Tensor, draws: _Draws, seed: tf.Tensor) -> tf.Tensor:
    """Grain, fine or coarse, strongest in the midtones."""
    height, width, _ = x.shape
    fine = tf.random.stateless_normal(x.shape, seed + 1)
    coarse = tf.random.stateless_normal([height // 2, width // 2, 1], seed + 2)
    mix = draws.uniform(0, 1)
    grain = (1 - mix) * fine + 1.5 * mix * tf.image.resize(coarse, [height, width])
    strength = draws.happens(0.7) * draws.log_uniform(0.004, 0.035)
    bounded = tf.clip_by_value(x, 0, 1)
    return x + grain * strength * (0.4 + 2.4 * bounded * (1 - bounded))


def _unevenly_faded(x: tf.Tensor, draws: _Draws, seed: tf.Tensor) -> tf.Tensor:
    """A vignette, and large soft patches that are lighter or darker."""
    height, width, _ = x.shape
    down = tf.linspace(-1.0, 1.0, height)[:, None, None] - draws.uniform(-0.3, 0.3)
    across = tf.linspace(-1.0, 1.0, width)[None, :, None] - draws.uniform(-0.3, 0.3)
    vignette = draws.happens(0.4) * draws.uniform(0, 0.35)
    x *= 1 - vignette * (tf.square(down) + tf.square(across)) / 2
    patches = tf.random.stateless_normal([4, 4, 1], seed + 3)
    patches = tf.image.resize(patches, [height, width], method="bicubic")
    return x + draws.happens(0.5) * draws.uniform(0, 0.12) * patches * (1 - x)


def _scratched(x: tf.Tensor, draws: _Draws, seed: tf.Tensor) -> tf.Tensor:
    """A few specks of dust, light or dark, and up to two thin light lines."""
    height, width, _ = x.shape
    dust = tf.random.stateless_uniform(x.shape, seed + 4) < 0.0006 * draws.uniform(0, 1)
    light = draws.happens(0.75)
    depth = draws.happens(0.35) * draws.uniform(0.15, 0.7) * tf.cast(dust, tf.float32)
    x += depth * (light * (1 - x) - (1 - light) * x)
    down = tf.linspace(-1.0, 1.0, height)[:, None, None]
    across = tf.linspace(-1.0, 1.0, width)[None, :, None]
    for _ in range(2):
        along, start, slope = draws.happens(0.5), draws.uniform(-1, 1), draws.uniform(-0.6, 0.6)
        distance = tf.abs(
            along * (across - slope * down) + (1 - along) * (down - slope * across) - start
        )
        line = tf.cast(distance < 1.3 / height, tf.float32)
        x += draws.happens(0.15) * draws.uniform(0.2, 0.7) * line * (1 - x)
    return x
