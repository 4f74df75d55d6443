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
from colorization.data.photos import holds_photos
from colorization.data.places import folder_name, places_in_common_folder
from colorization.data.report import Report
from colorization.data.shards import Shards, find_data, is_prepared
from colorization.errors import UnreadablePhoto, UserError
from colorization.machine import cores
from colorization.options import Options
from colorization.wording import counted

_DATA = Path("data")
_BUNDLED = _DATA / "bundled"

# One photo in so many is held out, but not more than the maximum, so that evaluations stay short.
_ONE_IN, _MAX_HELD_OUT = 10, 200
# In an archive of gray photos, so many are looked at for one to test on: each has to be decoded.
_MAX_LOOKED_AT = 1_000
# Fewer photos to test on than this say little of a model.
_FEW = 5
_BUNDLED_TEST = "the test photos bundled with scikit-image; --test_data names others"
_ALL_TESTED_ON = "All photos are trained and tested on: the figures will flatter the model."
# Minimum and maximum of steps; between them there are as many steps as photos. Few photos are soon
# memorized, and longer training gains nothing then. See benchmarks/README.md, "Recipe".
_STEPS = 1000, 5000
# Defaults for few and vivid photos on two processor cores.
_BUNDLED_DEFAULTS = {"batch_size": 8, "max_steps": 260}


class Selection(NamedTuple):
    """Photos to train and to test on.

    Attributes:
      train: photos to train on.
      test: photos to test on.
      held_out: all photos that are never trained on, including those held out before.
      trained_on: sizes of all photos that the model was ever trained on, see
        `held_out.trained_on_sizes`.
      bundled: whether the photos to train on are those bundled with scikit-image.
    """

    train: list[str] | Shards
    test: list[str] | Shards
    held_out: list[HeldOut]
    trained_on: frozenset[int] = frozenset()
    bundled: bool = False


def has_own_photos(options: Options, part: str) -> bool:
    """Whether the user names photos or keeps some in `data`, so that no bundled ones are needed.

    Args:
      options: of the run.
      part: what the photos are for, `"train"` or `"test"`.
    """
    named_sources = options.train_data if part == "train" else (*options.input, *options.test_data)
    return bool(_own_sources(named_sources, part))


def photos_for_training(
    options: Options, held_out_file: Path, has_begun: bool
) -> tuple[Options, Selection]:
    """The photos to train and to test on, and the options with the defaults that suit them.

    Prints what the user might not expect.

    Args:
      options: of the run.
      held_out_file: lists the photos that were held out for the model before; may be missing.
      has_begun: whether the model has any checkpoint. Without one, the list is what a training that
        failed to save it has left, and does not count.

    Raises:
      UserError: sources cannot be opened or hold nothing; see `shards.find_data`.
    """
    sources = _own_sources(options.train_data, "train")
    test_sources = _own_sources(options.test_data, "test")
    history = _read_history(options, held_out_file, has_begun)
    # Path -> size of a photo's file. There may be a million, on a network share.
    sizes: dict[str, int] = {}
    if sources:
        selection = _split_photos(find_data(sources), test_sources, history, sizes)
        min_steps, max_steps = _STEPS
        defaults = {"max_steps": max(min_steps, min(len(selection.train), max_steps))}
    else:
        print(
            "No --train_data and no photos in data/train: "
            "training on the photos bundled with scikit-image."
        )
        selection = _split_photos(
            find_data(_bundled("train")), test_sources or _bundled("test"), history, sizes
        )
        never_trained = selection.held_out if test_sources else history.held_out
        selection = selection._replace(held_out=never_trained, bundled=True)
        defaults = _BUNDLED_DEFAULTS
    _print_possibly_seen(selection.test, history)
    trained_on = history.trained_on | held_out.trained_on_sizes(selection.train, sizes)
    selection = selection._replace(trained_on=trained_on)
    return options.with_defaults(**defaults), selection


def photos_for_testing(options: Options, held_out_file: Path) -> list[str] | Shards:
    """Photos to test on: of `--test_data`, else of `data/test`, else those held out for the model.

    If all of these are missing, the test photos bundled with scikit-image are used. Prints what the
    user might not expect.

    Args:
      options: of the run.
      held_out_file: lists the photos that were held out for the model; may be missing.

    Raises:
      UserError: see `shards.find_data`.
    """
    if sources := _own_sources(options.test_data, "test"):
        return find_data(sources)
    history = _History(held_out.read(held_out_file), held_out.read_trained_on(held_out_file))
    if existing := _existing_held_out(history):
        placed = {photo.path: photo for photo in history.held_out if photo.has_path}
        if len(existing) < (count := len(held_out.without_copies(placed))):
            print(
                f"Taking {len(existing):,} of the {count:,} photos that were held out: the others "
                "are gone or have changed."
            )
        return existing
    missing = "The photos that were held out are not where they were"
    print(
        f"{missing if history.held_out else 'No photos are named'}: "
        "taking the test photos bundled with scikit-image."
    )
    return find_data(_bundled("test"))


def print_possibly_seen(test: list[str] | Shards, held_out_file: Path) -> None:
    """Prints how many test photos the model may have been trained on.

    Args:
      test: the test photos.
      held_out_file: lists the photos that were held out for the model; may be missing.
    """
    # An evaluation goes ahead even if the model's notes are damaged.
    with contextlib.suppress(UserError):
        _print_possibly_seen(
            test, _History(held_out.read(held_out_file), held_out.read_trained_on(held_out_file))
        )


def require_same_held_out(selection: Selection, held_out_file: Path, measures: bool) -> None:
    """Requires that a task of a cluster holds out the photos that its chief does.

    Each task selects its photos when it starts; until the chief does, some may have come or gone.

    Args:
      selection: of the task.
      held_out_file: the chief's list.
      measures: whether the task measures the model, instead of training it.

    Raises:
      UserError: it would train on photos that are held out, or measure on others than these.
    """
    noted = held_out.read(held_out_file)
    if measures:
        differs = {photo.identity for photo in noted} != {
            photo.identity for photo in selection.held_out
        }
    else:
        differs = not isinstance(selection.train, Shards) and bool(
            held_out.same_content(selection.train, noted)
        )
    if differs:
        raise UserError(
            "photos have come or gone between the start of this task and that of the chief, which "
            "holds out others; start this task again"
        )


class _History(NamedTuple):
    """The photos of earlier trainings; see `Selection`."""

    held_out: list[HeldOut]
    trained_on: frozenset[int]


def _read_history(options: Options, held_out_file: Path, has_begun: bool) -> _History:
    """Reads what is stored beside the model and beside the one that its training starts from."""
    files = [held_out_file] if has_begun else []
    if options.warm_start:
        # A checkpoint lies in its model's folder, or in `best` there.
        source = Path(options.warm_start)
        files += [folder / held_out_file.name for folder in (source, *source.parents[:2])]
    photos = dict.fromkeys(photo for file in files for photo in held_out.read(file))
    return _History(list(photos), frozenset().union(*map(held_out.read_trained_on, files)))


def _existing_held_out(history: _History) -> list[str]:
    """Paths of the held-out photos that still exist; remote ones are assumed to."""
    # A photo that was edited in place has several contents, but one path.
    paths = dict.fromkeys(photo.path for photo in history.held_out)
    existing = [path for path in paths if "://" in path or os.path.isfile(path)]
    return held_out.safe_to_test_on(existing, *history)


def _split_photos(
    photos: list[str] | Shards, test_sources: list[str], history: _History, sizes: dict[str, int]
) -> Selection:
    """Splits photos so that no photo, nor a copy of it, is both trained and tested on.

    Args:
      photos: photos to train on.
      test_sources: sources of photos to test on; without any, some of `photos` are held out.
      history: photos of earlier trainings. What was held out stays held out, and what the model
        was trained on is not held out now.
      sizes: takes the sizes of the photos, see `held_out.file_sizes`.

    Raises:
      UserError: all photos were held out.
    """
    # Before anything is compared: the photos to train on may be copies of what edited ones are now.
    present = held_out.with_present_content(history.held_out, _existing_held_out(history))
    history = history._replace(held_out=present)
    if isinstance(photos, Shards):
        return _with_prepared_photos(photos, test_sources, history)
    already_held_out = held_out.same_content(photos, history.held_out, sizes)
    trainable = [path for path in photos if path not in already_held_out]
    if already_held_out and not _any_usable(trainable):
        raise _nothing_left(photos)
    known_places = [path for path in photos if path in already_held_out]
    testable = held_out.safe_to_test_on(known_places, *history)
    if test_sources:
        selection = _with_named_test_photos(trainable, find_data(test_sources), history, sizes)
        if excluded := len(photos) - len(selection.train):
            print(f"Not training on {counted(excluded, 'photo')} tested on now or before.")
        return selection
    selection = _with_held_out_photos(trainable, testable, history, sizes)
    # As the next run finds them, for the loss of a whole depends a little on its batches.
    places = {path: number for number, path in enumerate(photos)}
    test = sorted(selection.test, key=lambda path: places.get(path, len(photos)))
    return selection._replace(test=test)


def _with_held_out_photos(
    photos: list[str], testable: list[str], history: _History, sizes: dict[str, int]
) -> Selection:
    """Tests on photos that were held out before, and holds out more where those are few.

    Further ones are taken of new photos only, and what is tested on depends on nothing else that
    changes in a training. So one that goes on without new photos compares its checkpoints with the
    best one on the same photos.

    Args:
      photos: photos to train on that were not held out before.
      testable: the others, as far as they can be tested on.
      history: photos of earlier trainings, the present content of those held out included.
      sizes: takes the sizes of the photos, see `held_out.file_sizes`.
    """
    usual = min((len(photos) + len(testable)) // _ONE_IN, _MAX_HELD_OUT)
    # Single copies may be among photos that were never looked at before.
    are_far_fewer = 2 * len(testable) < usual
    # Earlier versions did not note what was trained on.
    new = photos if are_far_fewer and (history.trained_on or not testable) else []
    train, further = _with_further_held_out(new, len(testable), history, sizes) or (photos, {})
    former = held_out.with_current_paths(history.held_out, testable) if testable else []
    held_out_photos = [*(former or history.held_out), *further.values()]
    test = [*testable, *further]
    # None are held out of fewer than ten photos.
    if history.held_out and len(test) < _FEW and (2 * len(test) < usual or not usual):
        history = history._replace(held_out=held_out_photos)
        everywhere = [*test, *_existing_held_out(history)]
        test = _usable(held_out.safe_to_test_on(everywhere, *history))
    count = counted(len(test) - len(further), "photo")
    if further:
        beside = f", beside {count} held out before" if len(test) > len(further) else ""
        advice = ", and more; so few say little of a model" if len(test) < _FEW else ""
        total = len(photos) + len(testable)
        print(
            f"Holding out {len(further):,} of {total:,} photos to test on{beside}; "
            f"--test_data names others{advice}."
        )
    elif testable:
        print(f"Testing on the {count} held out before.")
    elif usual or history.trained_on:
        replacement = f"the {count} that it was tested on before" if test else _BUNDLED_TEST
        untrained = held_out.never_trained_on(photos, history.trained_on, sizes)
        if len(untrained) < min(len(photos), _ONE_IN):
            reason = "The model was trained on photos of these sizes before"
        elif usual:
            reason = "No colour photo was found that can be held out for the model"
        else:
            reason = "None of fewer than ten photos is held out for the model"
        print(f"{reason}: testing it on {replacement}.")
    return Selection(train, test or find_data(_bundled("test")), held_out_photos)


def _with_further_held_out(
    photos: list[str], tested: int, history: _History, sizes: dict[str, int]
) -> tuple[list[str], dict[str, HeldOut]] | None:
    """Holds out some of those photos that were never trained on, if they are enough.

    Args:
      photos: photos to train on, none of which was held out before.
      tested: number of photos that are tested on anyway.
      history: photos of earlier trainings.
      sizes: takes the sizes of the photos, see `held_out.file_sizes`.

    Returns:
      The photos to train on then, and path -> content of each that is held out; None if there are
      none.
    """
    new = held_out.never_trained_on(photos, history.trained_on, sizes)
    sample = _sampled(new, _MAX_HELD_OUT - tested)
    identities = dict(zip(sample, held_out.identify(sample), strict=True))
    further = {path: identities[path] for path in held_out.without_copies(identities)}
    copies = held_out.same_content(photos, further.values(), sizes)
    train = [path for path in photos if path not in copies]
    return (train, further) if further and _any_usable(train) else None


def _with_prepared_photos(photos: Shards, test_sources: list[str], history: _History) -> Selection:
    former_test = [] if test_sources else _existing_held_out(history)
    test = former_test or find_data(test_sources or _bundled("test"))
    if history.held_out:
        count = len({photo.path or photo.sha256 for photo in history.held_out})
        print(f"Not training on the {counted(count, 'photo')} held out before.")
    tested = held_out.identify(test)
    never_trained = held_out.with_added(history.held_out, tested, history.trained_on)
    train = _without(photos, never_trained)
    if not train.holds_any():
        train = _without(photos, history.held_out)
        if not (isinstance(test, Shards) and train.holds_any()):
            raise _nothing_left(photos)
        print(_ALL_TESTED_ON)
        never_trained = history.held_out
    # To count them, all shards would have to be read.
    elif test_sources and not photos.sizes.isdisjoint(photo.bytes for photo in tested):
        print("Prepared photos that are tested on, if there are any, are not trained on.")
    if not (test_sources or former_test):
        print(f"No prepared photos are held out for the model: testing it on {_BUNDLED_TEST}.")
        never_trained = history.held_out
    return Selection(train, test, never_trained)


def _without(photos: Shards, left_out: list[HeldOut]) -> Shards:
    digests = frozenset(bytes.fromhex(photo.sha256) for photo in left_out if photo.sha256)
    return dataclasses.replace(photos, left_out=digests)


def _nothing_left(photos: list[str] | Shards) -> UserError:
    return UserError(
        f"nothing is left to train on: all usable ones of {len(photos):,} photos are held out to "
        "test the model on; name others with --train_data, or begin another model"
    )


def _with_named_test_photos(
    photos: list[str], test: list[str] | Shards, history: _History, sizes: dict[str, int]
) -> Selection:
    test_identities = held_out.identify(test)
    if any(photo.sha256 and photo.bytes < 0 for photo in test_identities):
        print(
            "Photos to test on that an earlier version prepared are not looked for among those to "
            "train on; to mend that, prepare them anew."
        )
    copies = held_out.same_content(photos, test_identities, sizes)
    train = [path for path in photos if path not in copies]
    if not _any_usable(train):
        print(_ALL_TESTED_ON)
        return Selection(photos, test, history.held_out)
    never_trained = held_out.with_added(history.held_out, test_identities, history.trained_on)
    return Selection(train, test, never_trained)


def _print_possibly_seen(test: list[str] | Shards, history: _History) -> None:
    # Among many sizes, some of the bundled photos to test on are by chance.
    if not isinstance(test, Shards) and {Path(path).parent for path in test} == {_BUNDLED / "test"}:
        return
    if count := held_out.possibly_trained_on(test, *history):
        print(
            f"{count:,} of {len(test):,} photos to test on are as large as some that the "
            "model was trained on before: if they are the same, the figures will flatter it."
        )


def _sampled(paths: Sequence[str], most: int) -> list[str]:
    """The usable ones of a random tenth, of at most `most` photos; none of fewer than ten.

    So about a tenth of the usable photos is taken. If there are none in that tenth, as where most
    are gray, it is the first usable one that is drawn after it.

    The draw depends only on the paths below their common folder: every machine draws the same
    photos, and the sample changes little when some are added.
    """
    if len(paths) < _ONE_IN:
        return []
    places = places_in_common_folder(paths)

    def chance(path: str) -> bytes:
        return hashlib.blake2b(os.fsencode(places[path]), digest_size=8).digest()

    count = min(len(paths) // _ONE_IN, most)
    drawn = heapq.nsmallest(_MAX_LOOKED_AT, paths, key=chance)
    sample = set(_usable(drawn[:count]) or _first_usable(drawn[count:]))
    return [path for path in paths if path in sample]


def _own_sources(named_sources: tuple[str, ...], part: str) -> list[str]:
    """The sources that an option names, else the folder in `data` if it holds photos."""
    folder = str(_DATA / part)
    if named_sources or not os.path.isdir(folder):
        return list(named_sources)
    return [folder] if is_prepared(folder) or holds_photos(folder) else []


def _bundled(part: str) -> list[str]:
    return [str(bundled_photos(_BUNDLED) / part)]


def class_names(data: list[str] | Shards) -> tuple[str, ...]:
    """Names of the folders that photos lie in.

    Raises:
      UserError: there is only one.
    """
    folders = data.folders if isinstance(data, Shards) else set(map(folder_name, data))
    names = tuple(sorted(folders - {""}))
    if len(names) < 2:
        raise UserError("--classes needs photos in several folders, one for each class")
    return names


def require_usable(data: list[str] | Shards) -> None:
    """Requires a usable photo; reads photos only until the first one.

    Prepared photos are usable, because the others were left out when they were prepared.

    Raises:
      UserError: there is none.
    """
    if isinstance(data, Shards):
        return
    report = Report(len(data))
    for path, kind in _with_kinds(data):
        if kind == "colour":
            return
        if kind in ("gray", "toned"):
            report.add_without_color(path, kind)
        else:
            # Training warns of the photo when it comes to it, so that no warning is given here.
            report.unreadable[path] = kind
    raise UserError(f"no usable photo: {report}; name a folder with colour photos")


def _any_usable(paths: Sequence[str]) -> bool:
    return bool(_first_usable(paths))


def _first_usable(paths: Sequence[str]) -> list[str]:
    """The first photo that can be opened and has colour, if there is any."""
    return next(([path] for path, kind in _with_kinds(paths) if kind == "colour"), [])


def _usable(paths: Sequence[str]) -> list[str]:
    """The photos that can be opened and have colour."""
    return [path for path, kind in _with_kinds(paths) if kind == "colour"]


def _with_kinds(paths: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Photos in order, each with its kind, see `lab_planes.to_sheet`, or why it is unreadable."""

    def kind_of(path: str) -> str:
        try:
            _, kind = lab_planes.from_path(path)
        except UnreadablePhoto as error:
            return str(error)
        return kind

    threads = cores()
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(paths), threads):
            batch = paths[start : start + threads]
            yield from zip(batch, pool.map(kind_of, batch), strict=True)
