"""Prepared photos: TFRecord shards of sheets beside a manifest that vouches for them.

A prepared folder holds `manifest.json` and the shards that it names. A record is a
`tf.train.Example` of `sheet` (see `lab_planes`; a gray JPEG, 384 x 256), `path` (the photo's, below
the folder that was prepared), `sha256` (of the photo's own file) and `bytes` (that file's size, in
digits; earlier versions did not note it).
"""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import json
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import tensorflow as tf

from colorization.data.file_system import file_system
from colorization.data.in_threads import in_threads
from colorization.data.photo_files import file_checksum
from colorization.data.photos import as_user_error, find_photos
from colorization.errors import UserError

MANIFEST = "manifest.json"
FORMAT = 2
# Stands for the size of a photo's file where it is not known.
UNKNOWN_SIZE = -1

# Workers read files of their own if there are so many that uneven division matters little.
_SHARDS_PER_WORKER = 4

# Records to parse at a time.
_BATCH = 1000

_IDENTITY = {
    "sha256": tf.io.FixedLenFeature([], tf.string),
    "bytes": tf.io.FixedLenFeature([], tf.string, ""),
}
FEATURES = {name: tf.io.FixedLenFeature([], tf.string) for name in ("sheet", "path", "sha256")}


@dataclasses.dataclass(frozen=True)
class Shards:
    """Prepared photos to read; their number is the length.

    Attributes:
      photos: path of a shard -> how many it holds.
      checksums: path of a shard -> hexadecimal SHA-256 of what it should hold.
      folders: names of the folders that the photos lay in.
      sizes: of the photos' own files; `UNKNOWN_SIZE` among them if an earlier version noted none.
      left_out: SHA-256 of photos that are skipped, although they count in the length.
      first: number of the first record to read, counted over all shards.
      step: read every so many records.
    """

    photos: dict[str, int]
    checksums: dict[str, str]
    folders: frozenset[str]
    sizes: frozenset[int]
    left_out: frozenset[bytes] = frozenset()
    first: int = 0
    step: int = 1

    def __len__(self) -> int:
        return len(range(self.first, sum(self.photos.values()), self.step))

    def holds_any(self) -> bool:
        """Whether any photo is not left out, or unread; reads records until the first such one."""
        unread = sum(self.photos.values())
        for digest, _ in self.identities():
            if digest not in self.left_out:
                return True
            unread -= 1
        return unread > 0

    def identities(self) -> Iterator[tuple[bytes, int | None]]:
        """SHA-256 and size of the photos' own files; a size may be unknown.

        A damaged shard ends them. Training will report it.
        """
        records = tf.data.TFRecordDataset(sorted(self.photos), buffer_size=2**20)
        batches = records.batch(_BATCH).map(lambda batch: tf.io.parse_example(batch, _IDENTITY))
        with contextlib.suppress(tf.errors.OpError):
            for batch in batches.as_numpy_iterator():
                for digest, size in zip(batch["sha256"], batch["bytes"], strict=True):
                    yield digest, int(size) if size.isdigit() else None

    def check(self, shard: str) -> None:
        """Compares a shard with its checksum.

        Raises:
          UserError: it is missing or not what was prepared.
        """
        if not file_system(shard).exists(shard):
            raise UserError(_altered(shard, "it is missing"))
        if file_checksum(shard) != self.checksums[shard]:
            raise UserError(_altered(shard, "its checksum differs"))


def divided(data: list[str] | Shards, worker: int, workers: int) -> list[str] | Shards:
    """The part of the data that one of several workers reads; no two of them read the same photo.

    Shards are divided file by file if each worker gets several, else record by record, so that no
    worker is left without photos.

    Raises:
      UserError: there are fewer photos than workers.
    """
    if len(data) < workers:
        raise UserError(f"{len(data)} photos are too few for {workers} workers; add photos")
    if not isinstance(data, Shards):
        return data[worker::workers]
    if len(data.photos) < _SHARDS_PER_WORKER * workers:
        return dataclasses.replace(data, first=worker, step=workers)
    return dataclasses.replace(
        data, photos={shard: data.photos[shard] for shard in sorted(data.photos)[worker::workers]}
    )


def _altered(shard: str, how: str) -> str:
    return (
        f"{shard} is not as it was prepared ({how}); copy it again, or remove "
        f"{os.path.dirname(shard)} and prepare the photos anew"
    )


def serialized(sheet: bytes, path: bytes, sha256: bytes, size: int) -> bytes:
    """A record."""
    values = {"sheet": sheet, "path": path, "sha256": sha256, "bytes": b"%d" % size}
    features = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for name, value in values.items()
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)


def find_data(sources: Iterable[str]) -> list[str] | Shards:
    """Finds the photos that a data option names, or the folders of prepared ones.

    Shards are compared with their manifests by size here, and by checksum when they are read.

    Raises:
      UserError: a source does not exist, cannot be opened, holds no photos, is damaged or is only
        half prepared; or prepared folders and photos are mixed.
    """
    sources = [found for source in sources for found in _matched_folders(source) or [source]]
    prepared = []
    for source in sources:
        with as_user_error(source):
            if is_prepared(source):
                prepared.append(source)
    if not prepared:
        try:
            return find_photos(sources)
        except UserError:
            _require_no_shards(sources)
            raise
    if len(prepared) < len(sources):
        (unprepared, *_) = (source for source in sources if source not in prepared)
        raise UserError(
            f"{prepared[0]} holds prepared photos and {unprepared} does not; "
            "prepare both or neither"
        )
    facts = {shard: facts for folder in prepared for shard, facts in read_manifest(folder).items()}
    shards = Shards(
        photos={shard: shard_facts.photos for shard, shard_facts in facts.items()},
        checksums={shard: shard_facts.sha256 for shard, shard_facts in facts.items()},
        folders=frozenset(name for shard_facts in facts.values() for name in shard_facts.folders),
        sizes=frozenset(size for shard_facts in facts.values() for size in shard_facts.sizes),
    )
    if not len(shards):
        raise UserError(f"no photos in {prepared[0]}; prepare a folder with colour photos")
    return shards


def _matched_folders(source: str) -> list[str]:
    """The folders that a glob matches, if any is of prepared photos; some shells expand none."""
    files = file_system(source)
    with as_user_error(source):
        if not glob.has_magic(source) or files.exists(source):
            return []
        if not files.glob(os.path.join(source, MANIFEST)):
            return []
        return [path for path in sorted(files.glob(source)) if files.isdir(path)]


def _require_no_shards(sources: list[str]) -> None:
    """Raises a `UserError` if a folder holds shards, but no manifest."""
    for source in sources:
        files = file_system(source)
        if files.isdir(source) and files.glob(os.path.join(glob.escape(source), "*.tfrecord")):
            raise UserError(
                f"{source} holds prepared photos, but its {MANIFEST} is missing; copy that as "
                f"well, or remove {source} and prepare the photos anew"
            )


def is_prepared(source: str) -> bool:
    """Whether a folder holds prepared photos.

    Raises:
      UserError: it holds half of them, or two sets of them.
    """
    files = file_system(source)
    if not files.isdir(source):
        return False
    if files.exists(os.path.join(source, MANIFEST)):
        return True
    if files.exists(os.path.join(source, "train", MANIFEST)):
        raise UserError(f"{source} was split when prepared; name {source}/train or {source}/test")
    for folder in (source, os.path.dirname(source.rstrip("/" + os.sep))):
        if files.exists(os.path.join(progress_folder(folder), "settings.json")):
            raise UserError(f"{source} is only half prepared; run the same --mode prepare again")
    return False


def progress_folder(output: str) -> str:
    """Folder in which `--mode prepare` stores its progress; removed when it is done."""
    return os.path.join(output, ".progress")


class ShardFacts(NamedTuple):
    """What a manifest says of a shard: see `Shards`."""

    photos: int
    bytes: int
    sha256: str
    folders: list[str]
    sizes: list[int]


def read_manifest(folder: str) -> dict[str, ShardFacts]:
    """What a folder's manifest vouches for, by the paths of the shards.

    Raises:
      UserError: it is damaged or of another version, or a shard is missing or of another size.
    """
    path, files = os.path.join(folder, MANIFEST), file_system(folder)
    with as_user_error(path), files.open(path, "rb") as file:
        data = file.read()
    try:
        manifest = json.loads(data)
        if manifest["format"] != FORMAT:
            raise UserError(
                f"{path} was written by another version of this program; remove {folder} and "
                "prepare the photos anew"
            )
        shards = {
            os.path.join(folder, name): ShardFacts(
                int(facts["photos"]),
                int(facts["bytes"]),
                str(facts["sha256"]),
                [str(name) for name in facts["folders"]],
                [int(size) for size in facts.get("sizes", [UNKNOWN_SIZE])],
            )
            for name, facts in manifest["shards"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is damaged; remove {folder} and prepare the photos anew"
        ) from error

    def size_of(shard: str) -> int | None:
        with as_user_error(shard):
            try:
                return files.size_and_time(shard)[0]
            except (FileNotFoundError, tf.errors.NotFoundError):
                return None

    for shard, size in zip(shards, in_threads(size_of, list(shards)), strict=True):
        if size is None:
            raise UserError(_altered(shard, "it is missing"))
        if size != shards[shard].bytes:
            raise UserError(_altered(shard, f"{size:,} bytes instead of {shards[shard].bytes:,}"))
    return shards
