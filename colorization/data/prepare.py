"""Photos to shards of sheets: the slow part of reading photos, done once.

Photos are taken in a fixed random order, block by block. A block fills one shard, or a train and a
test shard, and is recorded once they have their final names. However a run is killed, the recorded
blocks are whole, and the others come out the same when they are prepared again.

Several processes, on any machines, may each prepare a part of the photos into the same folder; the
one that finishes last joins the records of all of them into one manifest.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from colorization.data import lab_planes, photo_list
from colorization.data.photo_files import file_checksum, read_file
from colorization.data.photo_list import PhotoList
from colorization.data.places import folder_name, in_shard
from colorization.data.report import Report
from colorization.data.shards import FORMAT, MANIFEST, progress_folder, read_manifest, serialized
from colorization.errors import UnreadablePhoto, UserError
from colorization.files import locked, writable, write_json
from colorization.machine import cores

JPEG_QUALITY = 95
PHOTOS_PER_SHARD = 1024
UNREADABLE = "unreadable.txt"

# Names of files in the progress folder, beside the records of finished blocks and shards.
_SETTINGS_NOTE, _PHOTOS_NOTE = "settings", "photos"
# Settings that identify the photos, unlike those that say how to prepare them.
_LIST_SETTINGS = ("photos_listed", "list_sha256")

_log = logging.getLogger(__name__)


def prepare(
    paths: Sequence[str],
    output: str,
    split: float = 0.0,
    photos_per_shard: int = PHOTOS_PER_SHARD,
    progress: Callable[[int], object] = lambda photos: None,
    shard: tuple[int, int] = (0, 1),
) -> Report | None:
    """Prepares photos; resumes an earlier call that was interrupted.

    Args:
      paths: photos. An interrupted call goes on with the photos that it had, if `photo_list.read`
        finds that these are nearly the same.
      output: folder for the shards and their manifest, local or anything that `tf.io.gfile` writes;
        with a split, they go to its subfolders `train` and `test`.
      split: share of the photos to hold out for testing, decided by their content.
      photos_per_shard: how many listed photos make a shard; it holds those of them with colour.
      progress: called with the number of photos done since the last call.
      shard: which part of how many to prepare, see `places.in_shard`; all calls list all photos.

    Returns:
      What became of the photos of this part, or None if earlier calls have finished it. The
      unreadable photos of all parts are listed in `output/unreadable.txt`.

    Raises:
      UserError: the folder holds something else or shards that have changed, cannot be written, or
        is being written to by another call (which is noticed in local folders only); or more than
        half of the photos are unreadable.
    """
    photos, report = photo_list.of(paths), None
    settings = {
        "picture_size": lab_planes.SIZE,
        "jpeg_quality": JPEG_QUALITY,
        "photos_per_shard": photos_per_shard,
        "split": split,
        "photos_listed": len(paths),
        "list_sha256": photos.sha256,
        **({} if shard[1] == 1 else {"shards": shard[1]}),
    }
    try:
        if _finished(output, settings):
            for part in _parts(split):
                read_manifest(os.path.join(output, part))
        else:
            _require_unclaimed(output, settings, photos)
            with _claimed(output, settings, photos, shard), writable(output, "output"):
                # Another call may have finished while this one waited.
                if not _finished(output, settings):
                    settings, photos = _resumed(output, settings, photos)
                    report = _prepare_rest(photos, output, settings, progress, shard)
        if _finished(output, settings):
            _remove(progress_folder(output))
    except tf.errors.ResourceExhaustedError:
        # The disk or the memory is full, which is no fault of the folder.
        raise
    except tf.errors.OpError as error:
        raise UserError(f"cannot write to {output} ({error.message}); change --output") from error
    except UnicodeEncodeError as error:
        raise UserError(f"cannot write to {output} (no UTF-8); change --output") from error
    return report


def _prepare_rest(
    photos: PhotoList,
    output: str,
    settings: dict,
    progress: Callable[[int], object],
    shard: tuple[int, int],
) -> Report:
    """Prepares what no earlier call has finished."""
    paths, names = photos.paths, photos.names
    positions = np.array([i for i, name in enumerate(names) if in_shard(name, shard)], np.int64)
    report = Report(len(positions))
    photos_per_shard = settings["photos_per_shard"]
    blocks = _finished_blocks(output, shard)
    for block in blocks.values():
        _add_to_report(block, paths, report)
        progress(block["listed"])
    order = positions[np.random.default_rng(0).permutation(len(positions))]
    remaining = order[len(blocks) * photos_per_shard :]
    photos_opened = _opened_photos(paths, names, remaining)
    for number in range(len(blocks), -(-len(positions) // photos_per_shard)):
        block_photos = itertools.islice(photos_opened, photos_per_shard)
        name = _block_name(number, shard)
        block = _write_block(block_photos, output, name, settings["split"], progress)
        _add_to_report(block, paths, report)
        if shard[1] == 1 and report.too_many_unreadable:
            report.write_unreadable(os.path.join(output, UNREADABLE))
            report.require_readable()
        write_json(_progress_file(output, name), block)
    write_json(_progress_file(output, _done_name(shard)), {})
    # Files are missing if another call has written the manifests and tidied up meanwhile.
    with contextlib.suppress(tf.errors.NotFoundError):
        _write_manifests(paths, output, settings, shard, report)
    return report


def _write_manifests(
    paths: Sequence[str], output: str, settings: dict, shard: tuple[int, int], shard_report: Report
) -> None:
    """Writes the manifests and the full report, unless other shards are still being prepared."""
    all_shards = [(index, shard[1]) for index in range(shard[1])]
    markers = (_progress_file(output, _done_name(each_shard)) for each_shard in all_shards)
    if not all(map(tf.io.gfile.exists, markers)):
        return
    blocks = {
        name: block
        for each_shard in all_shards
        for name, block in _finished_blocks(output, each_shard).items()
    }
    report = Report(len(paths))
    # Copying the known ones keeps the report from warning of them again.
    report.unreadable.update(shard_report.unreadable)
    for block in blocks.values():
        _add_to_report(block, paths, report)
    report.write_unreadable(os.path.join(output, UNREADABLE))
    report.require_readable()
    for part in _parts(settings["split"]):
        manifest = _manifest(blocks, part, settings)
        write_json(os.path.join(output, part, MANIFEST), manifest)


def is_finished(output: str, split: float) -> bool:
    """Whether all shards of a preparation are done and joined."""
    return all(tf.io.gfile.exists(os.path.join(output, part, MANIFEST)) for part in _parts(split))


def _parts(split: float) -> tuple[str, ...]:
    return ("train", "test") if split else ("",)


def _finished(output: str, settings: dict) -> bool:
    """Whether every part has its manifest, of the same photos and options."""
    parts = _parts(settings["split"])
    try:
        manifests = [_read_json(os.path.join(output, part, MANIFEST)) for part in parts]
        expected = (FORMAT, settings)
        return all((manifest["format"], manifest["settings"]) == expected for manifest in manifests)
    except (tf.errors.NotFoundError, ValueError, KeyError, TypeError):
        return False


def _remove(folder: str) -> None:
    # Another call may find everything finished too, and remove the folder first.
    with contextlib.suppress(tf.errors.NotFoundError):
        tf.io.gfile.rmtree(folder)


@contextlib.contextmanager
def _claimed(
    output: str, settings: dict, photos: PhotoList, shard: tuple[int, int]
) -> Iterator[None]:
    """Keeps preparations of anything else out of a folder; only local folders can be locked."""

    def create() -> None:
        # Another preparation may have begun or ended since the folder was checked.
        if not _finished(output, settings):
            _require_unclaimed(output, settings, photos)
            _create(output, settings, photos)

    if "://" in output:
        create()
        yield
        return
    name = "lock" if shard[1] == 1 else f"lock-{shard[0]:05d}"
    lock = Path(progress_folder(output)) / name
    with locked(lock, output, "preparation", "output", begin=create):
        yield


def _require_unclaimed(output: str, settings: dict, photos: PhotoList) -> None:
    """Refuses a folder that holds anything but the beginning of the same preparation."""
    stored = _stored_settings(output)
    if stored == settings:
        return
    if is_finished(output, settings["split"]):
        raise UserError(
            f"{output} was prepared from other photos, with other options or by another version; "
            "train on that, or remove it, or choose another --output"
        )
    if stored is not None:
        is_replaceable = _has_nothing_finished(output, stored, settings)
        if not is_replaceable and _resumable_photos(output, stored, settings, photos) is None:
            raise UserError(
                f"{output} holds the beginning of a preparation with other photos or options, or "
                f"of another version; repeat those to finish it, or remove {output}, or choose "
                "another --output"
            )
    elif tf.io.gfile.isdir(output):
        names = {name.rstrip("/") for name in tf.io.gfile.listdir(output)}
        if names - {os.path.basename(progress_folder(output))}:
            raise UserError(f"{output} is not empty; remove it or choose another --output")


def _has_nothing_finished(output: str, stored: dict, settings: dict) -> bool:
    """Whether a local preparation of one shard has finished nothing, so that it may be replaced.

    Others may be in use: shards have a lock each, and remote folders have none.
    """
    if "shards" in {**stored, **settings} or "://" in output:
        return False
    manifests = (Path(output, part, MANIFEST) for part in (*_parts(0), *_parts(1)))
    return not (_finished_blocks(output, (0, 1)) or any(map(Path.exists, manifests)))


def _resumable_photos(
    output: str, stored: dict, settings: dict, photos: PhotoList
) -> tuple[PhotoList, str] | None:
    """The photos and changes that `photo_list.read` gives for the preparation in a folder.

    None if that has other options or other photos.
    """
    if stored == settings:
        return photos, ""
    same_options = {**settings, **{name: stored.get(name) for name in _LIST_SETTINGS}}
    if stored != same_options:
        return None
    return photo_list.read(_progress_file(output, _PHOTOS_NOTE), stored["list_sha256"], photos)


def _resumed(output: str, settings: dict, photos: PhotoList) -> tuple[dict, PhotoList]:
    """Settings and photos of the preparation in a folder, perhaps begun with other photos."""
    stored = _stored_settings(output)
    photos, changes = _resumable_photos(output, stored, settings, photos)
    if changes:
        _log.warning("the preparation goes on with the photos that it was begun with; %s", changes)
    return stored, photos


def _create(output: str, settings: dict, photos: PhotoList) -> None:
    """Creates the folders and stores the settings and photos."""
    tf.io.gfile.makedirs(progress_folder(output))
    stored = _stored_settings(output)
    if stored is None or (stored != settings and _has_nothing_finished(output, stored, settings)):
        if stored is not None:
            _remove_unfinished(output, stored)
        photo_list.write(_progress_file(output, _PHOTOS_NOTE), photos)
        write_json(_progress_file(output, _SETTINGS_NOTE), settings)
    for part in _parts(settings["split"]):
        tf.io.gfile.makedirs(os.path.join(output, part))


def _remove_unfinished(output: str, settings: dict) -> None:
    """Removes the shards of a local preparation that has finished none, and their folders."""
    for part in _parts(settings.get("split", 0)):
        folder = Path(output, part)
        for file in folder.glob(f"{_block_name(0, (0, 1))}.tfrecord*"):
            file.unlink()
        if part:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _finished_blocks(output: str, shard: tuple[int, int]) -> dict[str, dict]:
    """Name -> record of each block that a shard has finished, see `_write_block`."""
    blocks: dict[str, dict] = {}
    while tf.io.gfile.exists(_progress_file(output, _block_name(len(blocks), shard))):
        name = _block_name(len(blocks), shard)
        blocks[name] = _read_json(_progress_file(output, name))
    return blocks


def _block_name(number: int, shard: tuple[int, int]) -> str:
    return f"{number:05d}" if shard[1] == 1 else f"{shard[0]:05d}-{number:05d}"


def _done_name(shard: tuple[int, int]) -> str:
    return f"done-{shard[0]:05d}"


def _opened_photos(paths: Sequence[str], names: Sequence[str], order: np.ndarray) -> Iterator[dict]:
    """Opens photos with all cores, in order.

    Args:
      paths: all photos.
      names: of the photos, as they are stored.
      order: int64 positions in `paths`.

    Yields:
      `index`, `state` ("colour", "gray", "toned" or why the photo is unreadable), `folder` (name of
      its folder), `record`, `sha256` and `bytes`.
    """
    blank = np.zeros(lab_planes.SHEET_SHAPE, np.uint8)

    def read(index: np.int64) -> tuple[np.ndarray, bytes, np.int64, bytes]:
        try:
            data = read_file(paths[index])
            sheet, kind = lab_planes.from_file(data)
        except UnreadablePhoto as error:
            return blank, b"", np.int64(0), os.fsencode(str(error))
        return sheet, hashlib.sha256(data).digest(), np.int64(len(data)), kind.encode()

    def load(index: tf.Tensor) -> dict[str, tf.Tensor]:
        types = tf.uint8, tf.string, tf.int64, tf.string
        sheet, digest, size, state = tf.numpy_function(read, [index], types)
        sheet = tf.ensure_shape(sheet, lab_planes.SHEET_SHAPE)[..., None]
        return {
            "index": index,
            "state": state,
            "sha256": digest,
            "bytes": size,
            "sheet": tf.io.encode_jpeg(sheet, format="grayscale", quality=JPEG_QUALITY),
        }

    threads = cores()
    photos = tf.data.Dataset.from_tensor_slices(order).map(load, num_parallel_calls=threads)
    for photo in photos.prefetch(2 * threads).as_numpy_iterator():
        path = os.fsencode(names[photo["index"]])
        yield {
            "index": int(photo["index"]),
            "state": os.fsdecode(photo["state"]),
            "sha256": photo["sha256"],
            "bytes": int(photo["bytes"]),
            "folder": folder_name(os.fsdecode(path)),
            "record": serialized(photo["sheet"], path, photo["sha256"], int(photo["bytes"])),
        }


def _write_block(
    photos: Iterable[dict],
    output: str,
    name: str,
    split: float,
    progress: Callable[[int], object],
) -> dict:
    """Writes one shard for each part; returns a record of what went into them."""
    parts = _parts(split)
    shards = [os.path.join(output, part, f"{name}.tfrecord") for part in parts]
    writers = [tf.io.TFRecordWriter(f"{shard}.unfinished") for shard in shards]
    counts = [0] * len(parts)
    folders: list[set[str]] = [set() for _ in parts]
    sizes: list[set[int]] = [set() for _ in parts]
    block = {"listed": 0, "gray": [], "toned": [], "unreadable": {}, "shards": {}}
    for photo in photos:
        block["listed"] += 1
        if photo["state"] in ("gray", "toned"):
            block[photo["state"]].append(photo["index"])
        elif photo["state"] != "colour":
            block["unreadable"][photo["index"]] = photo["state"]
        else:
            # The content decides, so that copies of a photo go to the same part.
            held_out = int.from_bytes(photo["sha256"][:8], "big") < split * 2**64
            writers[held_out].write(photo["record"])
            counts[held_out] += 1
            folders[held_out].add(photo["folder"])
            sizes[held_out].add(photo["bytes"])
        progress(1)
    for part, shard, writer, count, names, lengths in zip(
        parts, shards, writers, counts, folders, sizes, strict=True
    ):
        writer.close()
        if not count:
            tf.io.gfile.remove(f"{shard}.unfinished")
            continue
        block["shards"][part] = {
            "photos": count,
            "bytes": tf.io.gfile.stat(f"{shard}.unfinished").length,
            "sha256": file_checksum(f"{shard}.unfinished"),
            "folders": sorted(names),
            "sizes": sorted(lengths),
        }
        tf.io.gfile.rename(f"{shard}.unfinished", shard, overwrite=True)
    return block


def _add_to_report(block: dict, paths: Sequence[str], report: Report) -> None:
    for kind in ("gray", "toned"):
        # Earlier versions did not record toned prints.
        for index in block.get(kind, []):
            report.add_without_color(paths[index], kind)
    for index, reason in block["unreadable"].items():
        report.add_unreadable(paths[int(index)], reason)


def _manifest(blocks: dict[str, dict], part: str, settings: dict) -> dict:
    shards = {
        f"{name}.tfrecord": block["shards"][part]
        for name, block in blocks.items()
        if part in block["shards"]
    }
    return {
        "format": FORMAT,
        "photos": sum(facts["photos"] for facts in shards.values()),
        "gray_left_out": sum(len(block["gray"]) for block in blocks.values()),
        "toned_left_out": sum(len(block.get("toned", [])) for block in blocks.values()),
        "unreadable": sum(len(block["unreadable"]) for block in blocks.values()),
        "settings": settings,
        "shards": shards,
    }


def _stored_settings(output: str) -> dict | None:
    """Settings of the preparation that was begun in a folder; None if there is none."""
    file = _progress_file(output, _SETTINGS_NOTE)
    return _read_json(file) if tf.io.gfile.exists(file) else None


def _progress_file(output: str, name: str) -> str:
    return os.path.join(progress_folder(output), f"{name}.json")


def _read_json(path: str) -> dict:
    with tf.io.gfile.GFile(path) as file:
        return json.loads(file.read())
