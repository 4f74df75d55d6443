"""Which photos a model is trained and tested on."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import heapq
import json
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from colorization.data import dataset
from colorization.data.bundled import bundled_photos
from colorization.data.photos import folder_name, holds_photos, photo_id
from colorization.data.report import Report
from colorization.data.shards import Shards, find_data, is_prepared
from colorization.errors import UserError
from colorization.files import write_json
from colorization.options import Options

_DATA = Path("data")
_HELD_OUT = "held_out.json"

# One photo in so many is held out, but no more than that: an evaluation should stay short.
_ONE_IN, _MOST = 10, 200
# As many steps as photos, but not fewer or more than these: few photos are soon learnt by heart,
# and training for longer gains nothing then. See benchmarks/README.md, "Recipe".
_STEPS = 1000, 5000
# What suits few and vivid photos on two processor cores.
_BUNDLED_DEFAULTS = {"batch_size": 8, "max_steps": 260}

_log = logging.getLogger("colorization")


class Selection(NamedTuple):
    """What to train and to test on.

    Attributes:
      train: photos to train on.
      test: photos to test on.
      held_out: those of the latter that were taken from the former.
      bundled: whether the photos to train on are those bundled with scikit-image.
    """

    train: list[str] | Shards
    test: list[str] | Shards
    held_out: list[str]
    bundled: bool = False


def photos_for_training(options: Options) -> tuple[Options, Selection]:
    """The photos to train and to test on, and the options with the defaults that suit them.

    Prints what the user might not expect of them.

    Raises:
      UserError: sources cannot be opened or hold nothing; see `shards.find_data`.
    """
    sources = _own_sources(options.train_data, "train")
    if sources:
        selection = _divided(find_data(sources), _own_sources(options.test_data, "test"))
        fewest, most = _STEPS
        suitable = {"max_steps": max(fewest, min(len(selection.train), most))}
    else:
        print(
            "No --train_data and no photos in data/train: "
            "training on the photos bundled with scikit-image."
        )
        tests = _own_sources(options.test_data, "test") or _bundled("test")
        selection = Selection(find_data(_bundled("train")), find_data(tests), [], bundled=True)
        suitable = _BUNDLED_DEFAULTS
    unset = {name: value for name, value in suitable.items() if name not in options.given}
    return dataclasses.replace(options, **unset), selection


def photos_for_testing(options: Options) -> list[str] | Shards:
    """What `--test_data` names, else `data/test`, else what was held out for the model.

    Where there is none of that, the photos bundled with scikit-image.

    Raises:
      UserError: see `shards.find_data`.
    """
    if sources := _own_sources(options.test_data, "test"):
        return find_data(sources)
    if held_out := _read_held_out(options.model_dir):
        return held_out
    print("No photos are named: taking the test photos bundled with scikit-image.")
    return find_data(_bundled("test"))


def _divided(photos: list[str] | Shards, tests: list[str]) -> Selection:
    """Sees to it that no photo is both trained and tested on.

    Args:
      photos: to train on.
      tests: sources of photos to test on; without any, some of the others are held out.
    """
    if tests:
        test = find_data(tests)
        if isinstance(photos, list) and isinstance(test, list):
            train = _without(photos, test)
            if not train:
                print("All photos are trained and tested on: the figures will flatter the model.")
            elif len(train) < len(photos):
                print(f"Not training on {len(photos) - len(train):,} photos that are tested on.")
            photos = train or photos
        return Selection(photos, test, [])
    if isinstance(photos, list):
        test = _usable(_some(photos))
        train = _without(photos, test)
        if test and _has_usable(train):
            print(
                f"Holding out {len(test):,} of {len(photos):,} photos to test on; "
                "--test_data names others."
            )
            return Selection(train, test, test)
    return Selection(photos, find_data(_bundled("test")), [])


def _some(paths: Sequence[str]) -> list[str]:
    """A tenth of the photos, but at most 200, and none of fewer than ten.

    Chance decides by their absolute paths: the same photos are taken of the same ones, and few
    others when some are added.
    """

    def chance(path: str) -> bytes:
        return hashlib.blake2b(os.fsencode(photo_id(path)), digest_size=8).digest()

    taken = set(heapq.nsmallest(min(len(paths) // _ONE_IN, _MOST), paths, key=chance))
    return [path for path in paths if path in taken]


def _without(paths: Sequence[str], others: Iterable[str]) -> list[str]:
    left_out = set(map(photo_id, others))
    return [path for path in paths if photo_id(path) not in left_out]


def store_held_out(model_dir: str, paths: Sequence[str]) -> None:
    """Notes beside a model which photos were held out for it; without any, takes back the note.

    Raises:
      OSError: the folder cannot be written to.
    """
    file = Path(model_dir) / _HELD_OUT
    if paths:
        write_json(file, [photo_id(path) for path in paths])
    else:
        file.unlink(missing_ok=True)


def _read_held_out(model_dir: str) -> list[str]:
    """As far as they are still there."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        paths = json.loads((Path(model_dir) / _HELD_OUT).read_bytes())
        if isinstance(paths, list) and all(isinstance(path, str) for path in paths):
            return [path for path in paths if "://" in path or os.path.isfile(path)]
    return []


def _own_sources(named: tuple[str, ...], part: str) -> list[str]:
    """What an option names, else the folder in `data`, if photos are in it."""
    folder = str(_DATA / part)
    if named or not os.path.isdir(folder):
        return list(named)
    return [folder] if is_prepared(folder) or holds_photos(folder) else []


def _bundled(part: str) -> list[str]:
    return [str(bundled_photos(_DATA / "bundled") / part)]


def class_names(data: list[str] | Shards) -> tuple[str, ...]:
    """Names of the folders that photos lie in.

    Raises:
      UserError: there is only one.
    """
    found = data.folders if isinstance(data, Shards) else set(map(folder_name, data))
    names = tuple(sorted(found - {""}))
    if len(names) < 2:
        raise UserError("--classes needs photos in several folders, one for each class")
    return names


def require_usable(data: list[str] | Shards) -> None:
    """Reads on until the first usable photo; names the others only if there is none.

    Raises:
      UserError: there is none.
    """
    report = Report(len(data))
    with _unsaid(), report.as_user_error():
        found = any(True for _ in dataset.eval_dataset(data, 1, report).take(1))
    if not found:
        raise UserError(f"no usable photo: {report}; name a folder with colour photos")


def _has_usable(data: list[str] | Shards) -> bool:
    try:
        require_usable(data)
    except UserError:
        return False
    return True


def _usable(paths: list[str]) -> list[str]:
    """Those of a few photos that can be opened and have colour."""
    if not paths:
        return []
    # As if there were more, so that the unreadable ones are never too many of them.
    report = Report(2 * len(paths))
    with _unsaid():
        for _ in dataset.eval_dataset(paths, 1, report):
            pass
    return [
        path for path in paths if path not in report.unreadable and path not in report.without_color
    ]


@contextlib.contextmanager
def _unsaid() -> Iterator[None]:
    """Keeps quiet about single photos; training says what is wrong with them."""
    level = _log.level
    _log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        _log.setLevel(level)
