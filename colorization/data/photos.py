"""Finding photos on disk and reading their files."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import NamedTuple

from colorization.console import a_few, printable
from colorization.data.companions import is_companion_folder, without_companions
from colorization.data.file_system import file_system
from colorization.data.lists import listed_paths
from colorization.data.own_results import OwnResults
from colorization.decoding import file_kinds, film_kinds
from colorization.decoding.large_files import refuse_large_file
from colorization.errors import UnreadablePhoto, UserError, reason

_log = logging.getLogger(__name__)


def find_photos(sources: Iterable[str]) -> list[str]:
    """Paths of the photos that the sources name; see `find_places`."""
    return list(find_places(sources))


def find_places(sources: Iterable[str], films: bool = False) -> dict[str, str]:
    """Lists the photos that the sources name, and the films where these are wanted too.

    Args:
      sources: folders (searched recursively, linked ones too, but none twice), globs, single
        files, or `.txt` files with one path a line, relative to the text file's own folder.
      films: folders give up their films as well: files whose names end as those of films do, and
        under other names those that begin as films.

    Returns:
      Path -> place, in a fixed order, each photo once. A place is the path below the source that
      names the photo first, with forward slashes: below the folder, below the part of a glob that
      has no wildcards, or below the text file's folder; of single files the name. It depends on
      nothing else, neither on other photos nor on the folder in which the program runs. What a text
      file names elsewhere keeps all of its folders.
      Folders and globs give up the files whose names end as those of pictures do and those that
      begin as pictures; what they really are shows when they are opened. Left out are hidden files,
      companions of photos (`companions`), the pictures of `--mode predict` (`own_results`), and
      other files whose names end as those of films or pictures do. A folder that cannot be listed
      stands for what is in it, so that it is named as a photo that cannot be read is.
      The same, but for hidden files, is left out of several names, which a shell may have made of a
      wildcard, and of a list; then it is said. What is named alone, or together with such files
      only, is taken.

    Raises:
      UserError: a source does not exist or cannot be opened; or holds no candidate, unless files
        are named beside it, so that a shell may have named it, and any other holds one.
    """
    named = _all_named(sources, films)
    passed_over = _passed_over([name for names in named.values() for name in names], films)
    # A shell may have made names of a wildcard if files are among them, but not of folders alone.
    by_shell = any(_Named(source) in names for source, names in named.items())
    places: dict[str, str] = {}
    known: set[str] = set()
    barren: list[str] = []
    left_out = 0
    for source, names in named.items():
        with as_user_error(source):
            taken = [name for name in names if name.path not in passed_over]
            root = _root(source)
            found, own = _found(taken, films, root)
        barren += [] if found else [source]
        if barren and (not by_shell or barren == list(named)):
            but = " but what --mode predict has made" if own else ""
            mend = "name a folder, glob, photo or list of photos"
            raise UserError(f"no photos in {source}{but}; {mend}")
        left_out += len(own)
        for path in found:
            # The same photo may be named in several ways.
            if (identity := photo_id(path)) not in known:
                known.add(identity)
                places[path] = _place(path, root)
    if passed_over or barren:
        _say_passed_over(list(dict.fromkeys([*passed_over, *barren])))
    if left_out:
        _log.warning("left out: %s pictures that --mode predict has made", f"{left_out:,}")
    return places


def places_in_common_folder(paths: Iterable[str]) -> dict[str, str]:
    """Path -> the path below the folder that all of them have in common, with forward slashes."""
    root = common_folder([_identified(path) for path in paths])
    return {path: _place(path, root) for path in paths}


def common_folder(paths: Iterable[str]) -> str:
    """The longest folder that all paths begin with; `os.path.commonpath` would spoil URLs."""
    folders = [path[: path.rfind("/") + 1] for path in paths]
    shared, last = min(folders), max(folders)
    while not last.startswith(shared):
        shared = shared[: shared.rfind("/", 0, -1) + 1]
    return shared


def in_shard(place: str, shard: tuple[int, int]) -> bool:
    """Whether a photo is in part `shard[0]` of `shard[1]` parts.

    A hash of its place decides, so that no photo goes to another part when others are added.
    """
    index, count = shard
    digest = hashlib.blake2b(os.fsencode(place), digest_size=8).digest()
    return int.from_bytes(digest, "big") % count == index


def _root(source: str) -> str:
    """The folder that places of what a source names are told from."""
    files = file_system(source)
    if files.isdir(source):
        return source
    if not files.exists(source) and (wildcard := re.search(r"[*?[]", source)):
        source = source[: wildcard.start() + 1]
    return os.path.dirname(source)


def _place(path: str, root: str) -> str:
    path, root = _identified(path), f"{_identified(root).rstrip('/')}/"
    place = path.removeprefix(root)
    if place == path:
        _, _, place = path.rpartition("://")
        _, place = os.path.splitdrive(place)
    return "/".join(part for part in place.split("/") if part not in ("", ".", ".."))


def _identified(path: str) -> str:
    return photo_id(path).replace(os.sep, "/")


def holds_photos(folder: str) -> bool:
    """Whether `find_photos` would find any in a folder."""
    with as_user_error(folder):
        return any(True for _ in _candidates(_Named(folder, is_folder=True), False))


@contextlib.contextmanager
def as_user_error(source: str) -> Iterator[None]:
    """Turns what goes wrong when a source of photos is opened into a `UserError`."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not isinstance(error, OSError) and "://" not in source:
            raise
        raise UserError(f"cannot open {source} ({reason(error)}); name another") from error


class _Named(NamedTuple):
    """A path that a source names; `by_wildcard` if a glob does."""

    path: str
    is_folder: bool = False
    by_wildcard: bool = False


def _all_named(sources: Iterable[str], films: bool) -> dict[str, list[_Named]]:
    """Source -> what it names."""
    named: dict[str, list[_Named]] = {}
    for source in sources:
        with as_user_error(source):
            named[source] = _named(source, films)
    if len(named) == 1:
        return named
    # A text of which no line names a photo, as a shell hands it over with photos, is no list.
    return {
        source: names if any(map(_may_be_meant, names)) else [] for source, names in named.items()
    }


def _named(source: str, films: bool) -> list[_Named]:
    files = file_system(source)
    if files.isdir(source):
        return [_Named(source, is_folder=True)]
    if source.lower().endswith(".txt") and files.exists(source):
        with files.open(source, "rb") as file:
            paths = listed_paths(file.read(), os.path.dirname(source))
        return [_Named(path, "://" not in path and os.path.isdir(path)) for path in paths]
    if files.exists(source):
        return [_Named(source)]
    if not glob.has_magic(source):
        raise UserError(f"{source} does not exist; check the path")
    root = _identified(_root(source))
    found = [path for path in sorted(files.glob(source)) if not files.isdir(path)]
    shown = [path for path in found if not any(map(_is_hidden, _below(path, root)))]
    # Whoever names nothing but companions means them.
    photos = _photos_among(shown, root, films) or [p for p in shown if _may_be_photo(p, films)]
    return [_Named(path, by_wildcard=True) for path in photos]


def _candidates(named: _Named, films: bool) -> Iterator[str]:
    if not named.is_folder:
        yield named.path
        return
    unlisted: list[str] = []
    for folder, subfolders, names in file_system(named.path).walk(named.path, unlisted):
        parent = os.path.abspath(folder)
        subfolders[:] = sorted(
            name
            for name in subfolders
            if not _is_hidden(name) and not is_companion_folder(parent, name)
        )
        shown = sorted(name for name in names if not _is_hidden(name))
        paths = (os.path.join(folder, name) for name in without_companions(shown))
        yield from (path for path in paths if _may_be_photo(path, films))
    yield from unlisted


def _found(named: Iterable[_Named], films: bool, root: str) -> tuple[list[str], list[str]]:
    """What some names hold, and what of it is left out as pictures of `--mode predict`."""
    results, above = OwnResults(), f"{_identified(root).rstrip('/')}/"
    found, own = [], []
    for name in named:
        searched = name.is_folder or name.by_wildcard
        for path in _candidates(name, films):
            is_own = searched and results.folder_of(_identified(path), above)
            (own if is_own else found).append(path)
    return found, own


def _is_hidden(name: str) -> bool:
    return name.startswith(".")


def _may_be_meant(named: _Named) -> bool:
    """Whether a line of a text names a photo, be it there or not."""
    return (
        "://" in named.path
        or os.path.lexists(named.path)
        or file_kinds.has_photo_ending(named.path)
    )


def _passed_over(named: Sequence[_Named], films: bool) -> dict[str, None]:
    """Those of several names, as a shell may make of a wildcard, that are companions or no photos.

    Whoever names one alone, or such ones only, means them. Hidden ones are meant, too.
    """
    by_name = [name for name in named if not name.by_wildcard]
    if len(by_name) < 2:
        return {}
    root = common_folder([_identified(name.path) for name in by_name])
    files = [name.path for name in by_name if not name.is_folder]
    results = OwnResults()
    kept = {
        path
        for path in _photos_among(files, root, films)
        if not results.folder_of(_identified(path), root)
    }

    def is_kept(name: _Named) -> bool:
        if name.is_folder:
            return not _in_companion_folder(name.path, root)
        # What cannot be read is said of each.
        return name.path in kept or not _is_readable(name.path)

    passed_over = [name.path for name in by_name if not is_kept(name)]
    return {} if len(passed_over) == len(by_name) else dict.fromkeys(passed_over)


def _say_passed_over(paths: Sequence[str]) -> None:
    _log.warning(
        "passed over, as no photos or companions of some: %s; what is named alone is taken",
        a_few(paths, lambda path: printable(os.path.basename(path.rstrip("/" + os.sep)))),
    )


def _photos_among(paths: Iterable[str], root: str, films: bool) -> list[str]:
    """Those of several files that a search through their common folder would give."""
    paths = list(paths)
    by_folder: dict[str, list[str]] = {}
    for path in paths:
        by_folder.setdefault(os.path.dirname(path), []).append(os.path.basename(path))
    kept = {
        folder: set() if _in_companion_folder(folder, root) else set(without_companions(names))
        for folder, names in by_folder.items()
    }
    return [
        path
        for path in paths
        if os.path.basename(path) in kept[os.path.dirname(path)] and _may_be_photo(path, films)
    ]


def _in_companion_folder(folder: str, root: str) -> bool:
    """Whether a folder below a root, or one on the way to it, is a companion."""
    names = _below(folder, root)
    return any(
        is_companion_folder("/".join([root.rstrip("/"), *names[:depth]]), name)
        for depth, name in enumerate(names)
    )


def _below(path: str, root: str) -> list[str]:
    """Names of the folders, and of the file, on the way from a root, which is identified."""
    below = f"{_identified(path)}/".removeprefix(f"{root.rstrip('/')}/")
    return [name for name in below.split("/") if name]


def _may_be_photo(path: str, films: bool) -> bool:
    name = os.path.basename(path)
    if film_kinds.has_film_ending(name):
        if films and not film_kinds.shares_ending(name):
            return True
        start = _start(path)
        return file_kinds.begins_as_picture(start) or (
            films and not file_kinds.is_text_or_music(start)
        )
    if file_kinds.has_photo_ending(name) and not file_kinds.may_be_other(name):
        return True
    start = _start(path)
    if file_kinds.has_photo_ending(name) and file_kinds.begins_as_named(name, start):
        return True
    return file_kinds.begins_as_picture(start) or (films and film_kinds.begins_as_film(name, start))


def _start(path: str) -> bytes:
    """The first bytes of a file; none if it cannot be read."""
    try:
        with file_system(path).open(path, "rb") as file:
            return file.read(file_kinds.START)
    except Exception:
        return b""


def _is_readable(path: str) -> bool:
    with contextlib.suppress(Exception), file_system(path).open(path, "rb") as file:
        file.read(1)
        return True
    return False


def is_film(path: str) -> bool:
    """Whether a file is a film by its name, or by its first bytes where that tells nothing.

    Films whose bytes say that they are pictures are none.
    """
    name = os.path.basename(path)
    named = film_kinds.has_film_ending(name)
    if not named and file_kinds.has_photo_ending(name):
        return False
    if film_kinds.begins_as_its_pictures(name):
        return True
    start = _start(path)
    return not file_kinds.begins_as_picture(start) and (
        named or film_kinds.begins_as_film(name, start)
    )


def photo_id(path: str) -> str:
    """A photo's absolute path or address, the same however the photo is named."""
    local = path.removeprefix("file://")
    if "://" in local:
        return path
    if os.path.splitdrive(local[1:])[0]:
        local = local[1:]  # of file:///C:/photo.jpg
    drive, rest = os.path.splitdrive(os.path.abspath(local))
    return drive.upper() + rest


def folder_name(path: str) -> str:
    """Name of the folder that a photo lies in, which is its class; "" where the path names none.

    Prepared photos may have been prepared under another system than this one.
    """
    windows = os.name == "nt" or "/" not in path
    return (PureWindowsPath if windows else PurePosixPath)(path).parent.name


@contextlib.contextmanager
def _as_unreadable() -> Iterator[None]:
    """Turns whatever goes wrong with a photo's file into an `UnreadablePhoto`."""
    try:
        yield
    except UnreadablePhoto:
        raise
    except Exception as error:
        raise UnreadablePhoto(reason(error)) from error


@_as_unreadable()
def read_file(path: str) -> bytes:
    """The bytes of a photo.

    Args:
      path: local, or anything that `tf.io.gfile` opens.

    Raises:
      UnreadablePhoto: it is empty, too large, cannot be read or is no file but a pipe, say.
    """
    with file_system(path).open(path, "rb") as file:
        refuse_large_file(file)
        data = file.read()
    if not data:
        raise UnreadablePhoto("empty file")
    return data


class Version(NamedTuple):
    """Version of a photo, by which it is told from other contents of the same path.

    Attributes:
      size: in bytes.
      time: of the last change, in nanoseconds since 1970.
      sha256: of the content, hexadecimal.
    """

    size: int
    time: int
    sha256: str


@_as_unreadable()
def size_and_time(path: str) -> tuple[int, int]:
    """The first two parts of a file's `Version`.

    Raises:
      UnreadablePhoto: it cannot be looked at.
    """
    return file_system(path).size_and_time(path)


@_as_unreadable()
def file_version(path: str) -> Version:
    """The version of a file.

    Raises:
      UnreadablePhoto: it cannot be read.
    """
    # The time is taken first: whatever changes from then on has a later one.
    size, time = size_and_time(path)
    return Version(size, time, file_checksum(path))


def file_checksum(path: str) -> str:
    """Hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with file_system(path).open(path, "rb") as file:
        while piece := file.read(2**22):
            digest.update(piece)
    return digest.hexdigest()
