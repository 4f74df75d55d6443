"""Where photos lie: their places below a folder, and the parts that machines share them out in."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import PurePosixPath, PureWindowsPath


def places_in_common_folder(paths: Iterable[str]) -> dict[str, str]:
    """Path -> the path below the folder that all of them have in common, with forward slashes."""
    root = common_folder([normalized(path) for path in paths])
    return {path: place_below(path, root) for path in paths}


def common_folder(paths: Iterable[str]) -> str:
    """The longest folder that all paths begin with; `os.path.commonpath` would spoil URLs."""
    folders = [path[: path.rfind("/") + 1] for path in paths]
    # What the first and the last in alphabetical order have in common, all have.
    folder, greatest = min(folders), max(folders)
    while not greatest.startswith(folder):
        folder = folder[: folder.rfind("/", 0, -1) + 1]
    return folder


def in_shard(place: str, shard: tuple[int, int]) -> bool:
    """Whether a photo is in part `shard[0]` of `shard[1]` parts.

    A hash of its place decides, so that a photo stays in its part when others are added.
    """
    index, count = shard
    digest = hashlib.blake2b(os.fsencode(place), digest_size=8).digest()
    return int.from_bytes(digest, "big") % count == index


def place_below(path: str, root: str) -> str:
    """The path below a folder, with forward slashes.

    What lies elsewhere keeps all of its folders, without a drive or the scheme of an address.
    """
    path, root = normalized(path), f"{normalized(root).rstrip('/')}/"
    place = path.removeprefix(root)
    if place == path:
        _, _, place = path.rpartition("://")
        _, place = os.path.splitdrive(place)
    return "/".join(part for part in place.split("/") if part not in ("", ".", ".."))


def normalized(path: str) -> str:
    """A photo's absolute path or address, with forward slashes."""
    return photo_id(path).replace(os.sep, "/")


def parts_below(path: str, root: str) -> list[str]:
    """Names of the folders and of the file below a root, which is a normalized path."""
    relative = f"{normalized(path)}/".removeprefix(f"{root.rstrip('/')}/")
    return [name for name in relative.split("/") if name]


def photo_id(path: str) -> str:
    """A photo's absolute path or address, the same however that is spelled."""
    local = path.removeprefix("file://")
    if "://" in local:
        return path
    if os.path.splitdrive(local[1:])[0]:
        local = local[1:]  # of file:///C:/photo.jpg
    drive, path_on_drive = os.path.splitdrive(os.path.abspath(local))
    return drive.upper() + path_on_drive


def folder_name(path: str) -> str:
    """Name of the folder that a photo lies in, which is its class; "" where the path names none.

    Photos may have been prepared on another system, so either kind of slash is understood.
    """
    windows = os.name == "nt" or "/" not in path
    return (PureWindowsPath if windows else PurePosixPath)(path).parent.name
