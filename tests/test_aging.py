"""Old prints: what ages, what does not, and that the same seed gives the same print."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from colorization.data import aging


def photos(count, side=48, seed=0):
    rng = np.random.default_rng(seed)
    lightness = ndimage.gaussian_filter(rng.uniform(0, 100, [count, side, side, 1]), [0, 2, 2, 0])
    chroma = rng.normal(0, 20, [count, side // 2, side // 2, 2])
    lightness = 100 * (lightness - lightness.min()) / np.ptp(lightness)
    return lightness.astype(np.float32), chroma.astype(np.float32)


def aged(lightness, chroma, seeds, share=1.0):
    as_graph = tf.function(aging.aged_batch)
    return as_graph(
        tf.constant(lightness), tf.constant(chroma), tf.constant(seeds, tf.int64), share
    ).numpy()


def test_aged_lightness_is_lightness():
    lightness, chroma = photos(40)
    extremes = np.stack([np.zeros_like(lightness[0]), np.full_like(lightness[0], 100)])
    for values, colors in ((lightness, chroma), (extremes, chroma[:2])):
        found = aged(values, colors, range(len(values)))
        assert found.dtype == np.float32 and found.shape == values.shape
        assert np.isfinite(found).all() and found.min() >= 0 and found.max() <= 100


def test_the_same_seed_gives_the_same_print_whatever_is_in_the_batch():
    lightness, chroma = photos(6)
    together = aged(lightness, chroma, [5, 6, 7, 8, 9, 10])
    alone = aged(lightness[2:3], chroma[2:3], [7])
    np.testing.assert_allclose(together[2:3], alone, atol=1e-4)
    other = aged(lightness, chroma, [15, 16, 17, 18, 19, 20])
    assert np.abs(together - other).mean(axis=(1, 2, 3)).min() > 0.1


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0, 0), (0.3, 0.2, 0.4), (1.0, 1, 1)])
def test_a_share_of_the_photos_ages_and_the_others_stay(share, low, high):
    lightness, chroma = photos(300, side=16)
    found = aged(lightness, chroma, range(300), share)
    assert low <= np.mean((found != lightness).any(axis=(1, 2, 3))) <= high


def test_old_prints_have_less_contrast_and_fewer_details():
    lightness, chroma = photos(60, side=64)
    found = aged(lightness, chroma, range(60))
    contrast = np.ptp(found, axis=(1, 2, 3)).mean() / np.ptp(lightness, axis=(1, 2, 3)).mean()
    assert 0.4 < contrast < 0.9
    # Aged photos stay recognizable.
    same = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(found, lightness, strict=True)]
    assert np.median(same) > 0.9


def test_blur_is_gaussian():
    lightness, _ = photos(1, side=40)
    for sigma in (0.5, 1.0):
        found = aging._blurred(tf.constant(lightness[0]), tf.constant(sigma)).numpy()
        wanted = ndimage.gaussian_filter(lightness[0], [sigma, sigma, 0], mode="mirror", radius=4)
        np.testing.assert_allclose(found, wanted, atol=1e-3)
    same = aging._blurred(tf.constant(lightness[0]), tf.constant(0.0)).numpy()
    np.testing.assert_allclose(same, lightness[0], atol=1e-4)
