"""Batches of lightness and chroma from photos on disk.

A photo becomes a sheet first (`lab_planes`), or comes as one from prepared shards. Sheets are
cropped, mirrored and turned into floats batch by batch.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import tensorflow as tf

from colorization.data import aging, lab_planes
from colorization.data.lab_planes import CHROMA_SIZE, LIGHTNESS_SIZE, SHEET_SHAPE
from colorization.data.places import folder_name
from colorization.data.report import RECORD_SCOPE, Report
from colorization.data.shards import FEATURES, Shards
from colorization.errors import UnreadablePhoto, UserError
from colorization.machine import total_memory

# Share of the memory that all sheets must fit into to stay in memory after their first epoch.
CACHE_SHARE_OF_MEMORY = 0.25
# Likewise for those of photos to test on, which stay from one evaluation to the next.
TEST_SHARE_OF_MEMORY = 0.0625

_PHOTOS_AT_A_TIME = 8

# Shards that are read at the same time, and records that are shuffled together. Photos are in
# random order within their shards, so that these few suffice.
_SHARDS_AT_A_TIME = 4
_SHUFFLED_RECORDS = 2048


def _opened(
    paths: Sequence[str],
    indices: tf.data.Dataset,
    report: Report,
    color_only: bool,
    memory: dict[int, np.ndarray | None] | None = None,
) -> tf.data.Dataset:
    """Opens photos.

    Args:
      paths: all photos.
      indices: int64 positions in `paths`, in the order in which to open them.
      report: records the photos left out.
      color_only: leave out gray photos and toned prints, and stop when more than half of the
        photos are unreadable.
      memory: keeps the sheet of each position, or None for a photo that was left out, so that no
        photo is opened twice.

    Returns:
      A data set of small batches `(sheets, paths)`, to be rebatched: uint8 `[n, 384, 256]`, string
      `[n]`. With a `memory`, which holds the sheets, batches are `(positions, paths)` instead.
    """
    # Positions instead of paths keep the graph small with millions of photos.
    table = np.array(paths, dtype=object)

    def open_sheet(path: str) -> np.ndarray | None:
        try:
            sheet, kind = lab_planes.from_path(path)
        except UnreadablePhoto as error:
            report.add_unreadable(path, str(error))
            if color_only:
                report.require_readable()
            return None
        report.add_readable(path)
        if color_only and kind != "colour":
            report.add_without_color(path, kind)
            return None
        return sheet

    def load(indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sheets = {} if memory is None else memory
        for index in indices.tolist():
            if index not in sheets:
                sheets[index] = open_sheet(table[index])
        usable = np.array([index for index in indices if sheets[index] is not None], np.int64)
        names = np.array([os.fsencode(table[index]) for index in usable], dtype=object)
        if memory is not None:
            return usable, names
        planes = np.array([sheets[index] for index in usable], np.uint8)
        return planes.reshape(-1, *SHEET_SHAPE), names

    def load_all(indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        dtype, shape = (tf.uint8, SHEET_SHAPE) if memory is None else (tf.int64, [])
        planes, names = tf.numpy_function(load, [indices], [dtype, tf.string])
        return tf.ensure_shape(planes, [None, *shape]), tf.ensure_shape(names, [None])

    # Each call takes several photos, because calling Python costs as much as a fifth of a photo.
    opened = indices.batch(_PHOTOS_AT_A_TIME).map(load_all, num_parallel_calls=tf.data.AUTOTUNE)
    return opened.filter(lambda planes, names: tf.size(names) > 0)


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
        return _without_left_out(
            files.flat_map(read).shard(shards.step, shards.first), shards.left_out
        )
    # Workers number the records in the same order of files, and shuffle only afterwards.
    if shards.step > 1:
        records = files.flat_map(read).shard(shards.step, shards.first)
    else:
        records = files.shuffle(len(shards.photos), seed).interleave(
            read, cycle_length=_SHARDS_AT_A_TIME, num_parallel_calls=_SHARDS_AT_A_TIME
        )
    return _without_left_out(records, shards.left_out).shuffle(_SHUFFLED_RECORDS, seed)


def _without_left_out(records: tf.data.Dataset, left_out: frozenset[bytes]) -> tf.data.Dataset:
    """The records of photos that are not left out."""
    if not left_out:
        return records
    # Eight bytes tell photos apart, and looking them up takes as long for many as for few.
    starts = np.sort([int.from_bytes(digest[:8], "little", signed=True) for digest in left_out])
    starts = tf.constant(starts, tf.int64)

    def is_wanted(record: tf.Tensor) -> tf.Tensor:
        with tf.name_scope(RECORD_SCOPE):
            digest = tf.io.parse_single_example(record, FEATURES)["sha256"]
        start = tf.io.decode_raw(tf.strings.substr(digest, 0, 8), tf.int64)
        place = tf.minimum(tf.searchsorted(starts, start), starts.shape[0] - 1)
        # In a graph, `!=` compares the tensor objects and not their values.
        return tf.reduce_all(tf.not_equal(start, tf.gather(starts, place)))

    return records.filter(is_wanted)


def _prepared(records: tf.data.Dataset) -> tf.data.Dataset:
    """A data set of `(sheet, path)` from records: uint8 `[384, 256]`, string."""

    def decode(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.name_scope(RECORD_SCOPE):
            example = tf.io.parse_single_example(record, FEATURES)
            # The size is checked before decoding, because a header that lies about it would cost
            # gigabytes.
            size = tf.io.extract_jpeg_shape(example["sheet"])[:2]
            with tf.control_dependencies([tf.debugging.assert_equal(size, SHEET_SHAPE)]):
                # The fast method is no faster on today's processors and would darken by half a step
                # on average.
                sheet = tf.io.decode_jpeg(
                    example["sheet"], channels=1, dct_method="INTEGER_ACCURATE"
                )
            return tf.ensure_shape(tf.squeeze(sheet, -1), SHEET_SHAPE), example["path"]

    return records.map(decode, num_parallel_calls=tf.data.AUTOTUNE)


def _fits_into_memory(photos: int, share: float) -> bool:
    return photos * math.prod(SHEET_SHAPE) <= share * total_memory()


def _cropped_from(
    memory: Mapping[int, np.ndarray], positions: np.ndarray, randoms: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`lab_planes.cropped` of the sheets at some positions in memory."""
    return lab_planes.cropped([memory[position] for position in positions.tolist()], randoms)


def _sheets_from(
    memory: Mapping[int, np.ndarray], opened: tf.data.Dataset, batch_size: int
) -> tf.data.Dataset:
    """Batches `(sheets, paths)` from those of `(positions, paths)` in memory."""

    def load(positions: np.ndarray) -> np.ndarray:
        return np.array([memory[position] for position in positions.tolist()], np.uint8)

    def load_all(positions: tf.Tensor, paths: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        sheets = tf.numpy_function(load, [positions], tf.uint8)
        return tf.ensure_shape(sheets, [None, *SHEET_SHAPE]), paths

    return opened.rebatch(batch_size).map(load_all, num_parallel_calls=tf.data.AUTOTUNE)


def _to_lightness(encoded: tf.Tensor) -> tf.Tensor:
    """The network's input: L* in 0..100, float32, from bytes."""
    return tf.cast(encoded, tf.float32) * (100 / 255)


def _examples(
    lightness: tf.Tensor,
    chroma: tf.Tensor,
    paths: tf.Tensor,
    class_names: Sequence[str],
    aged: float | None,
    seeds: tf.Tensor,
) -> tuple[dict, dict]:
    """A batch of `(features, labels)` from encoded L* and a*b*; see `aging.aged_batch`."""
    lightness, chroma = _to_lightness(lightness), tf.cast(chroma, tf.float32) - 128
    if aged:
        lightness = aging.aged_batch(lightness, chroma, seeds, aged)
    features, labels = {"lightness": lightness, "path": paths}, {"chroma": chroma}
    if class_names:
        number = {name: index for index, name in enumerate(class_names)}

        def classes(paths: np.ndarray) -> np.ndarray:
            names = (folder_name(os.fsdecode(path)) for path in paths)
            return np.array([number.get(name, -1) for name in names], np.int32)

        class_numbers = tf.numpy_function(classes, [paths], tf.int32)
        labels["class"] = tf.ensure_shape(class_numbers, paths.shape)
    return features, labels


def _whole_lightness(sheets: tf.Tensor) -> tf.Tensor:
    """Encoded L* of whole photos, `[batch, 224, 224, 1]`, from sheets `[batch, 384, 256]`."""
    return tf.image.resize(sheets[:, : lab_planes.SIZE, :, None], [LIGHTNESS_SIZE] * 2)


def _whole_chroma(sheets: tf.Tensor) -> tf.Tensor:
    """Encoded a*b* of whole photos, `[batch, 112, 112, 2]`, from sheets `[batch, 384, 256]`."""
    a_and_b = tf.stack(tf.split(sheets[:, lab_planes.SIZE :], 2, axis=2), axis=-1)
    return tf.image.resize(a_and_b, [CHROMA_SIZE] * 2)


def _halved(values: tf.Tensor) -> tf.Tensor:
    """Means over 2 x 2: `[batch, height, width, channels]`, float32."""
    return tf.nn.avg_pool2d(tf.cast(values, tf.float32), 2, 2, "VALID")


def _planes_to_crop(
    data: Sequence[str] | Shards,
    batch_size: int,
    seed: int,
    report: Report,
    memory: dict[int, np.ndarray | None],
) -> tuple[tf.data.Dataset, Callable]:
    """Endless batches `(planes, paths)` of photos in random order, and the function to crop planes.

    Planes are sheets, or positions in memory if all sheets fit into it. The function knows which.
    """
    crop = lab_planes.cropped
    if isinstance(data, Shards):
        # Repeating the records and not the sheets leaves no gap between two epochs.
        batches = _prepared(_records(data, report, seed).repeat()).batch(batch_size)
    else:
        indices = tf.data.Dataset.range(len(data)).shuffle(len(data), seed)
        if _fits_into_memory(len(data), CACHE_SHARE_OF_MEMORY):
            batches = _opened(data, indices, report, True, memory)
            crop = partial(_cropped_from, memory)
        else:
            batches = _opened(data, indices, report, True)
        # Repeating after the filter lets a data set without usable photos end.
        batches = batches.repeat().rebatch(batch_size, drop_remainder=True)
    return batches, crop


def train_dataset(
    data: Sequence[str] | Shards,
    batch_size: int,
    seed: int,
    report: Report,
    *,
    half_size: bool = False,
    aged: float | None = None,
    class_names: Sequence[str] = (),
    memory: dict[int, np.ndarray | None] | None = None,
) -> tf.data.Dataset:
    """Endless training batches, reshuffled every epoch, cropped and mirrored, some of them aged.

    Args:
      data: photos, or prepared ones.
      batch_size: examples in a batch; every batch is full.
      seed: fixes order, crops, mirroring and aging.
      report: records the photos left out.
      half_size: shrink the crops, by means over 2 x 2.
      aged: share of the examples that look like old prints, see `aging`.
      class_names: names of the folders that photos of each class lie in, if classes are learnt.
      memory: keeps the sheets of photos if all fit into it, for both stages of a training; by
        default one of this data set alone.

    Returns:
      Batches of `(features, labels)`: features `{"lightness": L* in 0..100, float32
      [batch, 224, 224, 1], "path": string [batch]}`, labels `{"chroma": a*b* in CIE units,
      float32 [batch, 112, 112, 2]}`; at half size 112 x 112 and 56 x 56. With
      `class_names` labels have `"class"` too, its number or -1, int32 [batch]. Empty, not endless,
      if no photo is usable.

    Reading the batches raises `tf.errors.OpError` where there is a `report.problem`.
    """
    memory = {} if memory is None else memory
    batches, crop = _planes_to_crop(data, batch_size, seed, report, memory)

    def examples(batch: tuple[tf.Tensor, tf.Tensor], randoms: tf.Tensor) -> tuple[dict, dict]:
        planes, paths = batch
        lightness, chroma = tf.numpy_function(crop, [planes, randoms], [tf.uint8] * 2)
        lightness = tf.ensure_shape(lightness, [batch_size, LIGHTNESS_SIZE, LIGHTNESS_SIZE, 1])
        chroma = tf.ensure_shape(chroma, [batch_size, CHROMA_SIZE, CHROMA_SIZE, 2])
        if half_size:
            lightness, chroma = _halved(lightness), _halved(chroma)
        return _examples(lightness, chroma, paths, class_names, aged, randoms)

    return (
        tf.data.Dataset.zip((batches, tf.data.Dataset.random(seed).batch(batch_size)))
        .map(examples, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )


def eval_dataset(
    data: Sequence[str] | Shards,
    batch_size: int,
    report: Report,
    *,
    aged: float | None = None,
    class_names: Sequence[str] = (),
    memory: dict[int, np.ndarray | None] | None = None,
) -> tf.data.Dataset:
    """Whole photos, once each in the order of `data`; batches as in `train_dataset`.

    The last batch may be smaller. A share `aged` of the photos, always the same ones, looks like
    old prints. Between several evaluations, a `memory` keeps the sheets of photos if all fit into
    it, so that all evaluations are of the same photos; those that could not be opened are tried
    again.
    """
    if isinstance(data, Shards):
        batches = _prepared(_records(data, report, None)).batch(batch_size)
    elif memory is not None and _fits_into_memory(len(data), TEST_SHARE_OF_MEMORY):
        for position in [key for key in list(memory) if data[key] in report.unreadable]:
            del memory[position]
        opened = _opened(data, tf.data.Dataset.range(len(data)), report, True, memory)
        batches = _sheets_from(memory, opened, batch_size)
    else:
        opened = _opened(data, tf.data.Dataset.range(len(data)), report, True)
        batches = opened.rebatch(batch_size)

    def examples(number: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]) -> tuple[dict, dict]:
        sheets, paths = batch
        # The position among the usable photos seeds aging, so that the batch size does not matter.
        seeds = number * batch_size + tf.range(tf.size(paths, tf.int64))
        lightness, chroma = _whole_lightness(sheets), _whole_chroma(sheets)
        return _examples(lightness, chroma, paths, class_names, aged, seeds)

    return (
        batches.enumerate()
        .map(examples, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )


def predict_dataset(paths: Sequence[str], batch_size: int, report: Report) -> tf.data.Dataset:
    """Batches for `Estimator.predict`: as `eval_dataset`, with gray photos, without labels."""

    def features(sheets: tf.Tensor, paths: tf.Tensor) -> dict:
        return {"lightness": _to_lightness(_whole_lightness(sheets)), "path": paths}

    return (
        _opened(paths, tf.data.Dataset.range(len(paths)), report, False)
        .rebatch(batch_size)
        .map(features, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )
