"""The photos that were held out for a model, told by their content.

The list of them lies beside the model. Whatever they are called later, on whichever machine and
beside whichever copies and other photos, they are known again by their size and checksum.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from colorization.data.photos import file_checksum, photo_id
from colorization.files import write_json

_THREADS = 8


class HeldOut(NamedTuple):
    """A photo: where it lay, and what it held. A remote one is known by its address alone.

    Attributes:
      path: as `photos.photo_id` gives it.
      bytes: size of its file; -1 if it is remote or was gone when it was noted.
      sha256: of its file, hexadecimal; "" likewise.
    """

    path: str
    bytes: int
    sha256: str


def identify(paths: Sequence[str]) -> list[HeldOut]:
    """Size and checksum of each of some photos."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(_identify, paths))


def _identify(path: str) -> HeldOut:
    path = photo_id(path)
    try:
        return HeldOut(path, os.path.getsize(path), file_checksum(path))
    # A name with a zero byte raises a ValueError.
    except (OSError, ValueError):
        return HeldOut(path, -1, "")


def same_content(paths: Sequence[str], others: Iterable[HeldOut]) -> set[str]:
    """The photos that are, or are copies of, any of some others.

    Only photos of equal size are read, so that many photos take little time.
    """
    others = list(others)
    addresses = {other.path for other in others}
    sizes = {other.bytes for other in others if other.sha256}
    contents = {other.sha256 for other in others if other.sha256}
    found = {path for path in paths if photo_id(path) in addresses}
    suspects = [path for path in paths if path not in found and _size(path) in sizes]
    for path, identity in zip(suspects, identify(suspects), strict=True):
        if identity.sha256 in contents:
            found.add(path)
    return found


def _size(path: str) -> int | None:
    try:
        return os.path.getsize(photo_id(path))
    except (OSError, ValueError):
        return None


def read(file: Path) -> list[HeldOut]:
    """The list beside a model; empty where there is none or it makes no sense."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        noted = json.loads(file.read_bytes())
        # Earlier versions listed paths alone.
        paths = [entry for entry in noted if isinstance(entry, str)]
        others = [entry for entry in noted if not isinstance(entry, str)]
        return [
            *(HeldOut(str(o["path"]), int(o["bytes"]), str(o["sha256"])) for o in others),
            *identify(paths),
        ]
    return []


def write(file: Path, photos: Sequence[HeldOut]) -> None:
    """Notes the photos, or takes back the note where there are none.

    Raises:
      OSError: the folder cannot be written to.
    """
    if photos:
        write_json(file, [photo._asdict() for photo in photos])
    else:
        file.unlink(missing_ok=True)
