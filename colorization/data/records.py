"""The records of results folders, as they are read; `prediction.results` writes them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from numbers import Real
from pathlib import Path
from typing import NamedTuple

from colorization.data.photo_files import Version

# How the names of records begin: those of finished pictures, and of pictures that were begun.
FINISHED, BEGUN = "finished", ".begun"
# Raised on reading a damaged line of a record.
_DAMAGE = (ValueError, KeyError, TypeError, RecursionError, OverflowError)


class Finished(NamedTuple):
    """Record of a finished picture.

    Attributes:
      photo: the photo it was made from, as `places.photo_id` gives it.
      version: of the photo; None if it was not recorded, or if the picture was only begun.
      scores: see `colorize_folder.colorize_photos`.
      hints: digest of its hints, see `hints.digest`; empty if there were none.
      made: tells what other models, or other options, would have made; empty if not recorded.
    """

    photo: str
    version: Version | None
    scores: dict[str, float]
    hints: str
    made: str


def record_files(folder: Path, kind: str) -> list[Path]:
    """All shards' records in a results folder."""
    return sorted(folder.glob(f"{kind}*.jsonl"))


def read_lines(file: Path) -> Iterator[tuple[str, float, Finished]]:
    """Name, time and record of the picture in each line of a file, damaged lines left out.

    Raises:
      OSError: the file cannot be read.
    """
    with open(file, "rb") as record:
        for line in record:
            with contextlib.suppress(*_DAMAGE):
                facts = json.loads(line)
                picture = Finished(
                    str(facts["photo"]),
                    _version(facts.get("version")),
                    _valid_scores(facts["scores"]),
                    str(facts.get("hints", "")),
                    str(facts.get("made", "")),
                )
                yield str(facts["picture"]), float(facts.get("noted", 0)), picture


def _version(facts: object) -> Version | None:
    with contextlib.suppress(*_DAMAGE):
        return Version(int(facts["size"]), int(facts["time"]), str(facts["sha256"]))
    return None


def _valid_scores(scores: object) -> dict[str, float]:
    """The scores that are possible: RMSE and PSNR are never negative, but PSNR may be infinite."""
    if not isinstance(scores, Mapping):
        return {}
    return {
        key: float(value)
        for key, value in scores.items()
        if isinstance(value, Real) and not isinstance(value, bool) and value >= 0
    }
