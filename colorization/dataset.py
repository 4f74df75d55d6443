"""From photos on disk to batches of lightness and chroma code.

A photo becomes a picture (uint8 RGB, 256 x 256) first. Pictures are cropped, mirrored and batched;
colour is converted batch by batch.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

import lab_convert
from colorization.photos import UnreadablePhoto, is_plain_jpeg, open_photo, read_file

PICTURE_SIZE = 256
LIGHTNESS_SIZE = 224
CHROMA_SIZE = 112

# Pictures stay in memory after their first epoch if all of them fit into this share of it.
CACHE_SHARE_OF_MEMORY = 0.25

_log = logging.getLogger(__name__)


class Report:
    """What became of the photos of one data set; filled in while the data set is read.

    Attributes:
      total: photos listed.
      gray: paths of the photos left out because they have no colour.
      unreadable: path -> reason for the photos that could not be opened.
    """

    def __init__(self, total: int):
        self.total = total
        self.gray: set[str] = set()
        self.unreadable: dict[str, str] = {}
        self._lock = threading.Lock()

    def add_gray(self, path: str) -> None:
        with self._lock:
            self.gray.add(path)

    def add_unreadable(self, path: str, reason: str) -> None:
        with self._lock:
            known = path in self.unreadable
            self.unreadable[path] = reason
        if not known:
            _log.warning("skipped %s: %s", path, reason)

    @property
    def usable(self) -> int:
        return self.total - len(self.gray) - len(self.unreadable)

    def __str__(self) -> str:
        return (
            f"{self.usable:,} photos, {len(self.gray):,} gray left out, "
            f"{len(self.unreadable):,} unreadable"
        )


def is_gray(pictures: tf.Tensor) -> tf.Tensor:
    """Whether every a* and b* value lies strictly between -1 and 1.

    Args:
      pictures: uint8 RGB `[..., height, width, 3]`.

    Returns:
      bool `[...]`.
    """
    chroma = lab_convert.rgb_to_chroma(pictures)
    return tf.reduce_all(tf.abs(chroma) < 1, axis=[-3, -2, -1])


def _shrunk_jpeg(data: tf.Tensor) -> tf.Tensor:
    """Decodes a JPEG at 1, 1/2, 1/4 or 1/8 of its size, no side below `PICTURE_SIZE`."""
    shorter_side = tf.reduce_min(tf.io.extract_jpeg_shape(data)[:2])
    halvings = sum(tf.cast(shorter_side >= PICTURE_SIZE * ratio, tf.int32) for ratio in (2, 4, 8))
    return tf.switch_case(
        halvings,
        [lambda r=ratio: tf.io.decode_jpeg(data, channels=3, ratio=r) for ratio in (1, 2, 4, 8)],
    )


def _resized(images: tf.Tensor, size: int) -> tf.Tensor:
    """Bilinear, rounded; uint8 in and out."""
    resized = tf.image.resize(images, [size, size])
    return tf.cast(resized + 0.5, tf.uint8)


def _pictures(paths: Sequence[str], indices: tf.data.Dataset, report: Report) -> tf.data.Dataset:
    """Opens photos.

    Args:
      paths: all photos.
      indices: int64 positions in `paths`, in the order in which to open them.
      report: takes note of the unreadable ones, which are passed over.

    Returns:
      A data set of `(picture, path)`: uint8 `[256, 256, 3]`, string.
    """
    # Handing over positions instead of paths keeps the graph small with millions of photos.
    table = np.array(paths, dtype=object)

    def read(index: np.int64) -> tuple[bytes, bytes, bool]:
        path = table[index]
        try:
            data = read_file(path)
        except UnreadablePhoto as error:
            report.add_unreadable(path, str(error))
            data = b""
        return os.fsencode(path), data, is_plain_jpeg(data)

    def open_with_pillow(index: np.int64, data: bytes) -> np.ndarray:
        if data:
            try:
                picture = open_photo(data, draft_size=PICTURE_SIZE)
                size = (PICTURE_SIZE, PICTURE_SIZE)
                return np.asarray(picture.resize(size, Image.Resampling.BILINEAR))
            except UnreadablePhoto as error:
                report.add_unreadable(table[index], str(error))
        return np.zeros([0, PICTURE_SIZE, 3], np.uint8)

    def open_plain_jpeg(index: tf.Tensor, path: tf.Tensor, data: tf.Tensor, plain: tf.Tensor):
        with tf.control_dependencies([tf.debugging.Assert(plain, ["not a plain JPEG"])]):
            return _resized(_shrunk_jpeg(tf.identity(data)), PICTURE_SIZE)

    def open_any(index: tf.Tensor, path: tf.Tensor, data: tf.Tensor, plain: tf.Tensor):
        return tf.numpy_function(open_with_pillow, [index, data], tf.uint8)

    def load(index: tf.Tensor):
        path, data, plain = tf.numpy_function(read, [index], [tf.string, tf.string, tf.bool])
        # The fast decoder first. Whatever it refuses goes to Pillow, which knows more kinds of
        # pictures and can say what is wrong with a damaged one.
        photo = tf.data.Dataset.from_tensors((index, path, data, plain))
        attempts = photo.map(open_plain_jpeg).ignore_errors().concatenate(photo.map(open_any))
        picture = attempts.take(1).get_single_element()
        return picture, tf.ensure_shape(path, [])

    return (
        indices.map(load, num_parallel_calls=tf.data.AUTOTUNE)
        .filter(lambda picture, path: tf.shape(picture)[0] > 0)
        .map(lambda picture, path: (tf.ensure_shape(picture, [PICTURE_SIZE] * 2 + [3]), path))
    )


def _coloured(pictures: tf.data.Dataset, report: Report) -> tf.data.Dataset:
    """Leaves gray photos out and takes note of them."""

    def note(path: bytes) -> np.bool_:
        report.add_gray(os.fsdecode(path))
        return np.bool_(False)

    def has_colour(picture: tf.Tensor, path: tf.Tensor) -> tf.Tensor:
        # One pixel with colour settles it, and a sparse sample mostly has one.
        gray = tf.cond(
            is_gray(picture[::16, ::16]), lambda: is_gray(picture), lambda: tf.constant(False)
        )
        return tf.cond(
            gray,
            lambda: tf.ensure_shape(tf.numpy_function(note, [path], tf.bool), []),
            lambda: tf.constant(True),
        )

    return pictures.filter(has_colour)


def _fits_into_memory(pictures: int) -> bool:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return pictures * PICTURE_SIZE**2 * 3 <= CACHE_SHARE_OF_MEMORY * memory


def _cropped(picture: tf.Tensor, random: tf.Tensor) -> tf.Tensor:
    """A random crop of 224 x 224, mirrored half of the time (paper, section 4).

    Args:
      picture: uint8 `[256, 256, 3]`.
      random: int64; decides where and whether.
    """
    margin = PICTURE_SIZE - LIGHTNESS_SIZE + 1
    top, left = random % margin, random // margin % margin
    crop = picture[top : top + LIGHTNESS_SIZE, left : left + LIGHTNESS_SIZE]
    crop = tf.cond(random // margin**2 % 2 > 0, lambda: crop[:, ::-1], lambda: crop)
    return tf.ensure_shape(crop, [LIGHTNESS_SIZE, LIGHTNESS_SIZE, 3])


def to_lightness(pictures: tf.Tensor) -> tf.Tensor:
    """What the network sees.

    Args:
      pictures: uint8 RGB `[batch, 224, 224, 3]`.

    Returns:
      L* in 0..100, float32 `[batch, 224, 224, 1]`.
    """
    return lab_convert.rgb_to_lightness(pictures)


def to_chroma(pictures: tf.Tensor) -> tf.Tensor:
    """What the network should find: the chroma at half the size.

    Args:
      pictures: uint8 RGB `[batch, 224, 224, 3]`.

    Returns:
      a*b* in CIE units, float32 `[batch, 112, 112, 2]`.
    """
    halved = tf.nn.avg_pool2d(tf.cast(pictures, tf.float32) / 255, 2, 2, "VALID")
    return lab_convert.rgb_to_chroma(halved)


def _examples(pictures: tf.Tensor, paths: tf.Tensor, chroma_scale: float) -> tuple[dict, dict]:
    chroma = to_chroma(pictures)
    features = {"lightness": to_lightness(pictures), "path": paths}
    return features, {"chroma": chroma, "code": lab_convert.encode_chroma(chroma, chroma_scale)}


def train_dataset(
    paths: Sequence[str], batch_size: int, chroma_scale: float, seed: int, report: Report
) -> tf.data.Dataset:
    """Endless training batches: shuffled anew every epoch, cropped, mirrored.

    Args:
      paths: photos.
      batch_size: examples in a batch; every batch is full.
      chroma_scale: of the sigmoid code, in CIE units.
      seed: fixes order, crops and mirroring.
      report: takes note of the photos left out.

    Returns:
      Batches of `(features, labels)`: features `{"lightness": L* in 0..100, float32
      [batch, 224, 224, 1], "path": string [batch]}`, labels `{"chroma": a*b* in CIE units, "code":
      its sigmoid code in 0..1, both float32 [batch, 112, 112, 2]}`. Empty, not endless, if no photo
      is usable.
    """
    indices = tf.data.Dataset.range(len(paths))
    if _fits_into_memory(len(paths)):
        pictures = _coloured(_pictures(paths, indices, report), report)
        pictures = pictures.cache().shuffle(len(paths), seed)
    else:
        pictures = _coloured(_pictures(paths, indices.shuffle(2**20, seed), report), report)
    # Repeating after the filter lets a set without any usable photo end instead of going round.
    pictures = pictures.repeat()
    randoms = tf.data.Dataset.random(seed)
    return (
        tf.data.Dataset.zip((pictures, randoms))
        .map(lambda photo, random: (_cropped(photo[0], random), photo[1]))
        .batch(batch_size, drop_remainder=True)
        .map(
            lambda pictures, paths: _examples(pictures, paths, chroma_scale),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        .prefetch(tf.data.AUTOTUNE)
    )


def eval_dataset(
    paths: Sequence[str], batch_size: int, chroma_scale: float, report: Report
) -> tf.data.Dataset:
    """Whole photos, once each in the order of `paths`; batches as in `train_dataset`.

    The last batch may be smaller.
    """
    indices = tf.data.Dataset.range(len(paths))
    return (
        _coloured(_pictures(paths, indices, report), report)
        .batch(batch_size)
        .map(
            lambda pictures, paths: _examples(
                _resized(pictures, LIGHTNESS_SIZE), paths, chroma_scale
            )
        )
        .prefetch(tf.data.AUTOTUNE)
    )


def predict_dataset(paths: Sequence[str], batch_size: int, report: Report) -> tf.data.Dataset:
    """Like `eval_dataset`, but gray photos stay in and there are no labels."""
    indices = tf.data.Dataset.range(len(paths))

    def features(pictures: tf.Tensor, paths: tf.Tensor) -> dict:
        return {"lightness": to_lightness(_resized(pictures, LIGHTNESS_SIZE)), "path": paths}

    return (
        _pictures(paths, indices, report).batch(batch_size).map(features).prefetch(tf.data.AUTOTUNE)
    )
