"""Selection of the photos that a model is trained and tested on."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import heapq
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from colorization.data import held_out, lab_planes
from colorization.data.bundled import bundled_photos
from colorization.data.held_out import HeldOut
from colorization.data.photos import folder_name, holds_photos, places_in_common_folder
from colorization.data.report import Report
from colorization.data.shards import Shards, find_data, is_prepared
from colorization.errors import UnreadablePhoto, UserError
from colorization.options import Options

_DATA = Path("data")

# Share of the photos that is held out, as one in so many, and the most, because an evaluation
# should stay short.
_ONE_IN, _MOST = 10, 200
# Fewest and most steps; between them there are as many steps as photos. Few photos are soon learnt
# by heart, and longer training gains nothing then. See benchmarks/README.md, "Recipe".
_STEPS = 1000, 5000
# Defaults for few and vivid photos on two processor cores.
_BUNDLED_DEFAULTS = {"batch_size": 8, "max_steps": 260}


class Selection(NamedTuple):
    """Photos to train and to test on.

    Attributes:
      train: photos to train on.
      test: photos to test on.
      held_out: all that are never trained on, those that were held out before among them.
      trained_on: sizes of all that the model has been trained on then, see `held_out.sizes`.
      bundled: whether the photos to train on are those bundled with scikit-image.
    """

    train: list[str] | Shards
    test: list[str] | Shards
    held_out: list[HeldOut]
    trained_on: frozenset[int] = frozenset()
    bundled: bool = False


def has_own_photos(options: Options, part: str) -> bool:
    """Whether photos are named, or lie in `data`, so that the bundled ones are not needed.

    Args:
      options: of the run.
      part: what they are for, `"train"` or `"test"`.
    """
    named = options.train_data if part == "train" else (*options.input, *options.test_data)
    return bool(_own_sources(named, part))


def photos_for_training(options: Options, noted: Path) -> tuple[Options, Selection]:
    """The photos to train and to test on, and the options with the defaults that suit them.

    Prints what the user might not expect of them.

    Args:
      options: of the run.
      noted: list of the photos that were held out for the model before, if it exists.

    Raises:
      UserError: sources cannot be opened or hold nothing; see `shards.find_data`.
    """
    sources = _own_sources(options.train_data, "train")
    tests = _own_sources(options.test_data, "test")
    before = _noted_before(options, noted)
    if sources:
        selection = _divided(find_data(sources), tests, before)
        fewest, most = _STEPS
        suitable = {"max_steps": max(fewest, min(len(selection.train), most))}
    else:
        print(
            "No --train_data and no photos in data/train: "
            "training on the photos bundled with scikit-image."
        )
        selection = _divided(find_data(_bundled("train")), tests or _bundled("test"), before)
        noted_now = selection.held_out if tests else before.held_out
        selection = selection._replace(held_out=noted_now, bundled=True)
        suitable = _BUNDLED_DEFAULTS
    trained_on = before.trained_on | held_out.sizes(selection.train)
    selection = selection._replace(trained_on=trained_on)
    return options.with_defaults(**suitable), selection


def photos_for_testing(options: Options, noted: Path) -> list[str] | Shards:
    """Photos to test on: of `--test_data`, else of `data/test`, else those held out for the model.

    Where there are none of these, the test photos bundled with scikit-image serve.

    Args:
      options: of the run.
      noted: list of the photos that were held out for the model, if it exists.

    Raises:
      UserError: see `shards.find_data`.
    """
    if sources := _own_sources(options.test_data, "test"):
        return find_data(sources)
    before = _Before(held_out.read(noted), held_out.read_trained_on(noted))
    if there := _present(before):
        return there
    missing = "The photos that were held out are not where they were"
    print(
        f"{missing if before.held_out else 'No photos are named'}: "
        "taking the test photos bundled with scikit-image."
    )
    return find_data(_bundled("test"))


def say_what_was_seen(test: list[str] | Shards, noted: Path) -> None:
    """Says how many photos that a model is to be measured on it may have been trained on.

    Args:
      test: the photos.
      noted: list of the photos that were held out for the model, if it exists.
    """
    # They are measured whatever state the model's notes are in.
    with contextlib.suppress(UserError):
        _say_what_was_seen(test, _Before(held_out.read(noted), held_out.read_trained_on(noted)))


class _Before(NamedTuple):
    """What earlier trainings have noted; see `Selection`."""

    held_out: list[HeldOut]
    trained_on: frozenset[int]


def _noted_before(options: Options, noted: Path) -> _Before:
    """What was noted for the model, and for the one that its training starts from."""
    notes = [noted]
    if options.warm_start:
        # A checkpoint lies in its model's folder, or in `best` there.
        source = Path(options.warm_start)
        notes += [folder / noted.name for folder in (source, *source.parents[:2])]
    photos = dict.fromkeys(photo for note in notes for photo in held_out.read(note))
    return _Before(list(photos), frozenset().union(*map(held_out.read_trained_on, notes)))


def _present(before: _Before) -> list[str]:
    """Paths of held-out photos that still lie where they did, as far as can be told."""
    paths = [photo.path for photo in before.held_out]
    there = [path for path in paths if "://" in path or os.path.isfile(path)]
    return held_out.untrained(there, *before)


def _divided(photos: list[str] | Shards, tests: list[str], before: _Before) -> Selection:
    """Divides photos so that none, nor a copy of one, is both trained and tested on.

    Args:
      photos: to train on.
      tests: sources of photos to test on; without any, some of the others are held out.
      before: what was noted of the model when it was trained before. Photos that were held out
        stay so, and none that it was trained on is held out now.

    Raises:
      UserError: all photos were held out.
    """
    if isinstance(photos, Shards):
        return _of_prepared(photos, tests, before)
    known = held_out.same_content(photos, before.held_out)
    rest = [path for path in photos if path not in known]
    if known and not _any_usable(rest):
        raise _nothing_left(photos)
    if tests:
        selection = _tested_on_others(rest, find_data(tests), before)
        if not_trained := len(photos) - len(selection.train):
            print(f"Not training on {not_trained:,} photos that are or were tested on.")
        return selection
    if known:
        return _tested_as_before(rest, [path for path in photos if path in known], before)
    return _tested_on_some(photos, before)


def _tested_as_before(photos: list[str], known: list[str], before: _Before) -> Selection:
    """Tests on photos that were held out before, and trains on the others."""
    test = _each_once(held_out.untrained(known, *before))
    if test:
        print(f"Testing on the {len(test):,} photos that were held out before.")
    noted = held_out.moved(before.held_out, test)
    return Selection(photos, test or find_data(_bundled("test")), noted)


def _tested_on_some(photos: list[str], before: _Before) -> Selection:
    """Holds out some of the photos, none of which was held out before, if they are enough."""
    test = _usable(_chosen(held_out.unlike(photos, before.trained_on)))
    noted = [*before.held_out, *held_out.identify(test)]
    copies = held_out.same_content(photos, noted)
    train = [path for path in photos if path not in copies]
    if test and _any_usable(train):
        print(
            f"Holding out {len(test):,} of {len(photos):,} photos to test on; "
            "--test_data names others."
        )
        return Selection(train, test, noted)
    if before.trained_on:
        test = _usable(_present(before))
        former = f"the {len(test):,} photos that it was tested on before"
        named = former if test else "the test photos bundled with scikit-image"
        print(f"The model was trained on photos of these sizes before: testing it on {named}.")
    return Selection(photos, test or find_data(_bundled("test")), before.held_out)


def _of_prepared(photos: Shards, tests: list[str], before: _Before) -> Selection:
    test = find_data(tests) if tests else _present(before) or find_data(_bundled("test"))
    named = [] if isinstance(test, Shards) else held_out.identify(test)
    if before.held_out:
        print(f"Not training on the {len(before.held_out):,} photos that were held out before.")
    never = list(dict.fromkeys([*before.held_out, *named]))
    digests = frozenset(bytes.fromhex(photo.sha256) for photo in never if photo.sha256)
    photos = dataclasses.replace(photos, left_out=digests)
    if digests and not photos.holds_any():
        raise _nothing_left(photos)
    return Selection(photos, test, never if tests else before.held_out)


def _nothing_left(photos: list[str] | Shards) -> UserError:
    return UserError(
        f"nothing is left to train on: all usable ones of {len(photos):,} photos are held out to "
        "test the model on; name others with --train_data, or begin another model"
    )


def _tested_on_others(photos: list[str], test: list[str] | Shards, before: _Before) -> Selection:
    if isinstance(test, Shards):
        print("Prepared photos to test on are not looked for among those to train on.")
        return Selection(photos, test, before.held_out)
    _say_what_was_seen(test, before)
    named = held_out.identify(test)
    copies = held_out.same_content(photos, named)
    train = [path for path in photos if path not in copies]
    if not _any_usable(train):
        print("All photos are trained and tested on: the figures will flatter the model.")
        return Selection(photos, test, before.held_out)
    return Selection(train, test, list(dict.fromkeys([*before.held_out, *named])))


def _say_what_was_seen(test: list[str] | Shards, before: _Before) -> None:
    if isinstance(test, Shards):
        return
    seen = set(held_out.as_large(test, before.trained_on))
    # What was held out is certainly none of those.
    if seen := seen - held_out.same_content(list(seen), before.held_out):
        print(
            f"{len(seen):,} of {len(test):,} photos to test on are as large as some that the model "
            "was trained on before: if they are the same, the figures will flatter it."
        )


def _each_once(paths: Sequence[str]) -> list[str]:
    """One photo of each content."""
    found: dict[str, str] = {}
    for path, photo in zip(paths, held_out.identify(paths), strict=True):
        found.setdefault(photo.sha256 or photo.path, path)
    return list(found.values())


def _chosen(paths: Sequence[str]) -> list[str]:
    """A tenth of the photos, but at most 200, and none of fewer than ten.

    Chance decides by their paths below the folder that all have in common: the same photos are
    taken of the same ones on every machine, and few others when some are added.
    """
    if len(paths) < _ONE_IN:
        return []
    places = places_in_common_folder(paths)

    def chance(path: str) -> bytes:
        return hashlib.blake2b(os.fsencode(places[path]), digest_size=8).digest()

    taken = set(heapq.nsmallest(min(len(paths) // _ONE_IN, _MOST), paths, key=chance))
    return [path for path in paths if path in taken]


def _own_sources(named: tuple[str, ...], part: str) -> list[str]:
    """Sources that an option names, else the folder in `data`, if photos are in it."""
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

    Prepared photos are usable, as all others have been left out of them.

    Raises:
      UserError: there is none.
    """
    if isinstance(data, Shards):
        return
    report = Report(len(data))
    for path, state in _opened(data):
        if state == "colour":
            return
        if state in ("gray", "toned"):
            report.add_without_color(path, state)
        else:
            # No warning is given here, because training gives one when it comes to the photo.
            report.unreadable[path] = state
    raise UserError(f"no usable photo: {report}; name a folder with colour photos")


def _any_usable(paths: Sequence[str]) -> bool:
    return any(state == "colour" for _, state in _opened(paths))


def _usable(paths: Sequence[str]) -> list[str]:
    """The photos that can be opened and have colour."""
    return [path for path, state in _opened(paths) if state == "colour"]


def _opened(paths: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Photos in order, each with its kind, see `lab_planes.to_sheet`, or why it is unreadable."""

    def state(path: str) -> str:
        try:
            _, kind = lab_planes.from_path(path)
        except UnreadablePhoto as error:
            return str(error)
        return kind

    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as pool:
        for start in range(0, len(paths), cores):
            some = paths[start : start + cores]
            yield from zip(some, pool.map(state, some), strict=True)
