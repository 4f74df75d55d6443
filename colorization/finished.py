"""The record of a results folder: which photo each picture was made from, and its figures.

`finished.jsonl` grows by a line with every picture, so that a run that is cut short loses none. A
line that makes no sense, such as one that was cut short itself, says nothing about the others. A
picture without a line is not finished, whoever left it there.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import NamedTuple

from colorization.photos import photo_id

_RECORD = "finished.jsonl"
_lock = threading.Lock()


class Finished(NamedTuple):
    """What is known of a picture: its photo, as `photos.photo_id` gives it, and its figures."""

    photo: str
    scores: dict[str, float]


def add_finished(output: Path, name: str, path: str, scores: Mapping[str, float]) -> None:
    """Adds a picture to the record; several threads may do so.

    Args:
      output: the results folder.
      name: of the picture, below `predicted`.
      path: of its photo.
      scores: see `folder.colour_photos`.

    Raises:
      OSError: the record cannot be written.
    """
    facts = {"picture": name, "photo": photo_id(path), "scores": dict(scores)}
    line = f"{json.dumps(facts)}\n".encode()
    with _lock, open(output / _RECORD, "a+b") as record:
        if record.tell():
            record.seek(-1, os.SEEK_END)
            # After half a line, a new one begins.
            line = line if record.read() == b"\n" else b"\n" + line
        record.write(line)


def read_finished(output: Path) -> dict[str, Finished]:
    """Name -> what the record says last about it, for pictures that still exist."""
    finished: dict[str, Finished] = {}
    with contextlib.suppress(FileNotFoundError), open(output / _RECORD, "rb") as record:
        for line in record:
            with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
                facts = json.loads(line, parse_int=float)
                name, photo = str(facts["picture"]), str(facts["photo"])
                finished[name] = Finished(photo, _believable(facts["scores"]))
    return {
        name: picture
        for name, picture in finished.items()
        if os.path.exists(output / "predicted" / name)
    }


def _believable(scores: object) -> dict[str, float]:
    """RMSE and PSNR are never negative; the PSNR of equals is infinite."""
    if not isinstance(scores, Mapping):
        return {}
    return {
        key: float(value)
        for key, value in scores.items()
        if isinstance(value, Real) and not isinstance(value, bool) and value >= 0
    }
