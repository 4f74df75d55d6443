"""From photos on disk to batches of lightness and chroma code.

A photo becomes a picture (uint8 RGB, 256 x 256) first, or comes as one from prepared shards. Colour
is converted, cropped and mirrored batch by batch.
"""

from __future__ import annotations

import logging
import os
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NoReturn

import numpy as np
import tensorflow as tf

from colorization import lab_tables
from colorization.errors import UserError
from colorization.photos import UnreadablePhoto, open_photo, read_file
from colorization.shards import FEATURES, Shards

PICTURE_SIZE = 256
LIGHTNESS_SIZE = 224
CHROMA_SIZE = 112

# Pictures stay in memory after their first epoch if all of them fit into this share of it.
CACHE_SHARE_OF_MEMORY = 0.25

_PHOTOS_AT_A_TIME = 8

# Photos are in random order within their shards, so shards in random order, several at a time and
# a buffer of a few thousand small files are enough to shuffle them.
_SHARDS_AT_A_TIME = 4
_SHUFFLED_RECORDS = 2048

_log = logging.getLogger(__name__)


class Report:
    """What became of the photos of one data set; filled in while the data set is read.

    Attributes:
      total: photos listed.
      problem: what the user has to mend, once it has stopped the reading; see `explained`.
      gray: paths of the photos left out because they have no colour.
      unreadable: path -> reason for the photos that could not be opened.
    """

    def __init__(self, total: int):
        self.total = total
        self.problem: UserError | None = None
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

    def stop(self, problem: UserError) -> NoReturn:
        """Ends the reading for a reason that the user should hear."""
        self.problem = problem
        raise problem

    @property
    def too_many_unreadable(self) -> bool:
        """Whether it is certain already that more than half of the photos are unreadable."""
        return 2 * len(self.unreadable) > self.total

    def require_readable(self) -> None:
        """Stops when too many are unreadable."""
        if self.too_many_unreadable:
            reasons = named_reasons(self.unreadable)
            self.stop(
                UserError(
                    f"{len(self.unreadable):,} of {self.total:,} photos are unreadable: {reasons}; "
                    "mend them or name other photos"
                )
            )

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turns what TensorFlow makes of a `problem` that stopped the reading back into it."""
        try:
            yield
        except tf.errors.OpError as error:
            if self.problem is None:
                raise
            # Lets go of the data set's iterator: its threads must not outlive Python's.
            traceback.clear_frames(error.__traceback__)
            raise self.problem from error

    def write_unreadable(self, file: str) -> None:
        """Writes the unreadable photos and their reasons, one a line, or removes an old list."""
        with self._lock:
            lines = [f"{path}\t{reason}\n" for path, reason in sorted(self.unreadable.items())]
        if not lines:
            if tf.io.gfile.exists(file):
                tf.io.gfile.remove(file)
            return
        temporary = f"{file}.{os.getpid()}"
        with tf.io.gfile.GFile(temporary, "wb") as output:
            output.write(os.fsencode("".join(lines)))
        tf.io.gfile.rename(temporary, file, overwrite=True)

    @property
    def usable(self) -> int:
        return self.total - len(self.gray) - len(self.unreadable)

    def __str__(self) -> str:
        summary = (
            f"{self.usable:,} photos, {len(self.gray):,} gray left out, "
            f"{len(self.unreadable):,} unreadable"
        )
        return f"{summary}: {named_reasons(self.unreadable)}" if self.unreadable else summary


def named_reasons(unreadable: Mapping[str, str], most: int = 3) -> str:
    """A few unreadable photos with their reasons, and how many more there are."""
    paths = sorted(unreadable)
    named = [f"{os.path.basename(path)} ({unreadable[path]})" for path in paths[:most]]
    return ", ".join(named) + (f" and {len(paths) - most:,} more" if len(paths) > most else "")


def _resized(images: tf.Tensor, size: int) -> tf.Tensor:
    """Bilinear, rounded; uint8 in and out."""
    return tf.cast(tf.image.resize(images, [size, size]) + 0.5, tf.uint8)


def to_picture(image: tf.Tensor) -> tf.Tensor:
    """A photo as `photos.open_photo` gives it, uint8 `[height, width, 3]`, at the common size."""
    return tf.ensure_shape(_resized(image, PICTURE_SIZE), [PICTURE_SIZE, PICTURE_SIZE, 3])


def _opened(
    paths: Sequence[str],
    indices: tf.data.Dataset,
    report: Report,
    colour_only: bool,
    memory: dict[int, np.ndarray | None] | None = None,
) -> tf.data.Dataset:
    """Opens photos.

    Args:
      paths: all photos.
      indices: int64 positions in `paths`, in the order in which to open them.
      report: takes note of the photos left out.
      colour_only: leave gray photos out, and stop when more than half are unreadable.
      memory: remembers position -> picture, or None for a photo that was left out; what it has
        already is not opened again.

    Returns:
      A data set of `(picture, path)`: uint8 `[256, 256, 3]`, string; with a `memory`, of
      `(position, path)`, the pictures being there.
    """
    # Handing over positions instead of paths keeps the graph small with millions of photos.
    table = np.array(paths, dtype=object)
    no_image = np.zeros([1, 1, 3], np.uint8)

    def open_image(path: str) -> np.ndarray:
        try:
            return np.asarray(open_photo(read_file(path), PICTURE_SIZE))
        except UnreadablePhoto as error:
            report.add_unreadable(path, str(error))
            if colour_only:
                report.require_readable()
            return no_image

    def names(indices: np.ndarray) -> np.ndarray:
        return np.array([os.fsencode(table[index]) for index in indices], dtype=object)

    def read(indices: np.ndarray) -> list[np.ndarray]:
        images = [no_image] * _PHOTOS_AT_A_TIME
        images[: len(indices)] = [open_image(table[index]) for index in indices]
        return images

    def check(indices: np.ndarray, pictures: np.ndarray) -> np.ndarray:
        usable = np.zeros(len(indices), bool)
        for i, (index, picture) in enumerate(zip(indices.tolist(), pictures, strict=True)):
            path = table[index]
            if path in report.unreadable:
                pass
            elif colour_only and lab_tables.is_gray(picture):
                report.add_gray(path)
            else:
                usable[i] = True
            if memory is not None:
                memory[index] = picture.copy() if usable[i] else None
        return usable

    def open_all(indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images = tf.numpy_function(read, [indices], [tf.uint8] * _PHOTOS_AT_A_TIME)
        pictures = [to_picture(tf.ensure_shape(image, [None, None, 3])) for image in images]
        pictures = tf.stack(pictures)[: tf.size(indices)]
        usable = tf.numpy_function(check, [indices, pictures], tf.bool)
        return pictures, tf.ensure_shape(usable, [None])

    def known(indices: np.ndarray) -> np.bool_:
        return np.bool_(all(index in memory for index in indices.tolist()))

    def recall(indices: np.ndarray) -> np.ndarray:
        return np.array([memory[index] is not None for index in indices.tolist()])

    def load(indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if memory is None:
            found, usable = open_all(indices)
        else:
            found = indices
            usable = tf.cond(
                tf.ensure_shape(tf.numpy_function(known, [indices], tf.bool), []),
                lambda: tf.ensure_shape(tf.numpy_function(recall, [indices], tf.bool), [None]),
                lambda: open_all(indices)[1],
            )
        paths = tf.ensure_shape(tf.numpy_function(names, [indices], tf.string), [None])
        return tf.boolean_mask(found, usable), tf.boolean_mask(paths, usable)

    # Several photos at a time, since each call of Python costs as much as a fifth of a photo.
    return indices.batch(_PHOTOS_AT_A_TIME).map(load, num_parallel_calls=tf.data.AUTOTUNE).unbatch()


def _records(shards: Shards, report: Report, seed: int | None) -> tf.data.Dataset:
    """One epoch of records; shuffled if there is a seed."""
    files = tf.data.Dataset.from_tensor_slices(sorted(shards.photos))
    checked: set[bytes] = set()

    def check(file: bytes) -> bytes:
        if file not in checked:
            try:
                shards.check(os.fsdecode(file))
            except UserError as error:
                report.stop(error)
            checked.add(file)
        return file

    def read(file: tf.Tensor) -> tf.data.Dataset:
        return tf.data.TFRecordDataset(
            tf.ensure_shape(tf.numpy_function(check, [file], tf.string), []), buffer_size=2**20
        )

    if seed is None:
        return files.flat_map(read).shard(shards.step, shards.first)
    # Records are numbered in an order of files that is the same for every worker, then shuffled.
    if shards.step > 1:
        records = files.flat_map(read).shard(shards.step, shards.first)
    else:
        records = files.shuffle(len(shards.photos), seed).interleave(
            read, cycle_length=_SHARDS_AT_A_TIME, num_parallel_calls=_SHARDS_AT_A_TIME
        )
    return records.shuffle(_SHUFFLED_RECORDS, seed)


def _prepared(records: tf.data.Dataset) -> tf.data.Dataset:
    """Pictures from records, as `_opened` gives them."""

    def decode(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        example = tf.io.parse_single_example(record, FEATURES)
        picture = tf.io.decode_jpeg(example["picture"], channels=3)
        return tf.ensure_shape(picture, [PICTURE_SIZE, PICTURE_SIZE, 3]), example["path"]

    return records.map(decode, num_parallel_calls=tf.data.AUTOTUNE)


def _fits_into_memory(pictures: int) -> bool:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return pictures * PICTURE_SIZE**2 * 3 <= CACHE_SHARE_OF_MEMORY * memory


def to_lightness(pictures: np.ndarray) -> np.ndarray:
    """What the network sees.

    Args:
      pictures: uint8 RGB `[batch, 224, 224, 3]`.

    Returns:
      L* in 0..100, float32 `[batch, 224, 224, 1]`.
    """
    return np.stack([lab_tables.lightness(picture) for picture in pictures])


def to_chroma(pictures: np.ndarray) -> np.ndarray:
    """What the network should find: the chroma at half the size.

    Args:
      pictures: uint8 RGB `[batch, 224, 224, 3]`.

    Returns:
      a*b* in CIE units, float32 `[batch, 112, 112, 2]`.
    """
    return np.stack([lab_tables.halved_chroma(picture) for picture in pictures])


def _cropped(pictures: Sequence[np.ndarray], randoms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lightness and chroma of random crops, mirrored half of the time (paper, section 4).

    Args:
      pictures: uint8 RGB, each `[256, 256, 3]`.
      randoms: int64 `[batch]`; decide where and whether.

    Returns:
      As `to_lightness` and `to_chroma`.
    """
    margin = PICTURE_SIZE - LIGHTNESS_SIZE + 1
    lightness = np.empty([len(pictures), LIGHTNESS_SIZE, LIGHTNESS_SIZE, 1], np.float32)
    chroma = np.empty([len(pictures), CHROMA_SIZE, CHROMA_SIZE, 2], np.float32)
    for i, (picture, random) in enumerate(zip(pictures, randoms.tolist(), strict=True)):
        top, left = random % margin, random // margin % margin
        crop = picture[top : top + LIGHTNESS_SIZE, left : left + LIGHTNESS_SIZE]
        # Mirrored last: rows of single numbers turn round faster than rows of colours.
        columns = slice(None, None, -1 if random // margin**2 % 2 else 1)
        lightness[i] = lab_tables.lightness(crop)[:, columns]
        chroma[i] = lab_tables.halved_chroma(crop)[:, columns]
    return lightness, chroma


def _cropped_from(
    memory: Mapping[int, np.ndarray], positions: np.ndarray, randoms: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`_cropped` of the pictures that lie at some positions in memory."""
    return _cropped([memory[position] for position in positions.tolist()], randoms)


def _examples(
    lightness_and_chroma: Callable, inputs: list[tf.Tensor], paths: tf.Tensor, chroma_scale: float
) -> tuple[dict, dict]:
    """A batch of `(features, labels)` from NumPy arrays of pictures."""

    def compute(*arrays: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        lightness, chroma = lightness_and_chroma(*arrays)
        return lightness, chroma, lab_tables.code(chroma, chroma_scale)

    lightness, chroma, code = tf.numpy_function(compute, inputs, [tf.float32] * 3)
    batch = paths.shape[0]
    lightness = tf.ensure_shape(lightness, [batch, LIGHTNESS_SIZE, LIGHTNESS_SIZE, 1])
    chroma, code = (
        tf.ensure_shape(part, [batch, CHROMA_SIZE, CHROMA_SIZE, 2]) for part in (chroma, code)
    )
    return {"lightness": lightness, "path": paths}, {"chroma": chroma, "code": code}


def train_dataset(
    data: Sequence[str] | Shards,
    batch_size: int,
    chroma_scale: float,
    seed: int,
    report: Report,
) -> tf.data.Dataset:
    """Endless training batches: shuffled anew every epoch, cropped, mirrored.

    Args:
      data: photos, or prepared ones.
      batch_size: examples in a batch; every batch is full.
      chroma_scale: of the sigmoid code, in CIE units.
      seed: fixes order, crops and mirroring.
      report: takes note of the photos left out.

    Returns:
      Batches of `(features, labels)`: features `{"lightness": L* in 0..100, float32
      [batch, 224, 224, 1], "path": string [batch]}`, labels `{"chroma": a*b* in CIE units, "code":
      its sigmoid code in 0..1, both float32 [batch, 112, 112, 2]}`. Empty, not endless, if no photo
      is usable.

    Reading the batches raises `tf.errors.OpError` where there is a `report.problem`.
    """
    crop = _cropped
    if isinstance(data, Shards):
        # Repeating the records and not the pictures leaves no gap between two epochs.
        pictures = _prepared(_records(data, report, seed).repeat())
    else:
        indices = tf.data.Dataset.range(len(data)).shuffle(len(data), seed)
        if _fits_into_memory(len(data)):
            memory: dict[int, np.ndarray | None] = {}
            pictures = _opened(data, indices, report, True, memory)
            crop = partial(_cropped_from, memory)
        else:
            pictures = _opened(data, indices, report, True)
        # Repeating after the filter lets a set without any usable photo end, not go round for ever.
        pictures = pictures.repeat()
    randoms = tf.data.Dataset.random(seed)
    return (
        tf.data.Dataset.zip((pictures, randoms))
        .batch(batch_size, drop_remainder=True)
        .map(
            lambda photos, randoms: _examples(crop, [photos[0], randoms], photos[1], chroma_scale),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        .prefetch(tf.data.AUTOTUNE)
    )


def eval_dataset(
    data: Sequence[str] | Shards, batch_size: int, chroma_scale: float, report: Report
) -> tf.data.Dataset:
    """Whole photos, once each in the order of `data`; batches as in `train_dataset`.

    The last batch may be smaller.
    """
    if isinstance(data, Shards):
        pictures = _prepared(_records(data, report, None))
    else:
        pictures = _opened(data, tf.data.Dataset.range(len(data)), report, True)

    def whole(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return to_lightness(pictures), to_chroma(pictures)

    return (
        pictures.batch(batch_size)
        .map(
            lambda pictures, paths: _examples(
                whole, [_resized(pictures, LIGHTNESS_SIZE)], paths, chroma_scale
            ),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        .prefetch(tf.data.AUTOTUNE)
    )


def predict_dataset(paths: Sequence[str], batch_size: int, report: Report) -> tf.data.Dataset:
    """For `Estimator.predict`: like `eval_dataset`, but gray photos too, and without labels."""

    def features(pictures: tf.Tensor, paths: tf.Tensor) -> dict:
        lightness = tf.numpy_function(
            to_lightness, [_resized(pictures, LIGHTNESS_SIZE)], tf.float32
        )
        shape = [None, LIGHTNESS_SIZE, LIGHTNESS_SIZE, 1]
        return {"lightness": tf.ensure_shape(lightness, shape), "path": paths}

    return (
        _opened(paths, tf.data.Dataset.range(len(paths)), report, False)
        .batch(batch_size)
        .map(features, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )
