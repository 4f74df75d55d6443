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
    """Lists the photos that the sources name, and the films too if these are wanted.

    Args:
      sources: folders (searched recursively, through links too, but each folder once), globs,
        single files, or `.txt` files with one path a line, relative to the text file's own folder.
      films: list the films in folders too: files that have the name of a film or begin as one.

    Returns:
      Path -> place, in a fixed order, each photo once. A place is the path, with forward slashes,
      below the first source that names the photo: below the folder, below the part of a glob that
      has no wildcards, or below the text file's folder; for a single file it is the name. It does
      not depend on other photos. What a text file names elsewhere keeps all of its folders.
      Folders and globs are searched for files that have the name of a picture or begin as one.
      Left out are hidden files, companions of photos (`companions`), pictures of `--mode predict`
      (`own_results`), and files that merely share an ending with films or pictures. A folder that
      cannot be listed is among the photos, so that it is reported like an unreadable one.
      Several names may come from a shell's wildcard. Of these and of lists the same files are left
      out with a warning, but not hidden ones, nor a file named alone or with such files only.

    Raises:
      UserError: a source does not exist, cannot be opened, or holds no photo. The last is no error
        where a shell may have named it among files and another source holds a photo.
    """
    named = _expand_all(sources, films)
    passed_over = _passed_over([path for paths in named.values() for path in paths], films)
    # A shell may have made names of a wildcard if files are among them, but not of folders alone.
    may_be_from_shell = any(_NamedPath(source) in paths for source, paths in named.items())
    places: dict[str, str] = {}
    seen_ids: set[str] = set()
    empty_sources: list[str] = []
    results_left_out = 0
    for source, paths in named.items():
        with as_user_error(source):
            searched = [path for path in paths if path.path not in passed_over]
            root = _root(source)
            photos, results = _search(searched, films, root)
        empty_sources += [] if photos else [source]
        if empty_sources and (not may_be_from_shell or empty_sources == list(named)):
            exception = " but what --mode predict has made" if results else ""
            remedy = "name a folder, glob, photo or list of photos"
            raise UserError(f"no photos in {source}{exception}; {remedy}")
        results_left_out += len(results)
        for path in photos:
            # The same photo may be named in several ways.
            if (identity := photo_id(path)) not in seen_ids:
                seen_ids.add(identity)
                places[path] = _place(path, root)
    if passed_over or empty_sources:
        _warn_of_passed_over(list(dict.fromkeys([*passed_over, *empty_sources])))
    if results_left_out:
        _log.warning("left out: %s pictures that --mode predict has made", f"{results_left_out:,}")
    return places


def places_in_common_folder(paths: Iterable[str]) -> dict[str, str]:
    """Path -> the path below the folder that all of them have in common, with forward slashes."""
    root = common_folder([_normalized(path) for path in paths])
    return {path: _place(path, root) for path in paths}


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


def _root(source: str) -> str:
    """The folder that the places of a source's photos are relative to."""
    files = file_system(source)
    if files.isdir(source):
        return source
    if not files.exists(source) and (wildcard := re.search(r"[*?[]", source)):
        source = source[: wildcard.start() + 1]
    return os.path.dirname(source)


def _place(path: str, root: str) -> str:
    path, root = _normalized(path), f"{_normalized(root).rstrip('/')}/"
    place = path.removeprefix(root)
    if place == path:
        _, _, place = path.rpartition("://")
        _, place = os.path.splitdrive(place)
    return "/".join(part for part in place.split("/") if part not in ("", ".", ".."))


def _normalized(path: str) -> str:
    return photo_id(path).replace(os.sep, "/")


def holds_photos(folder: str) -> bool:
    """Whether `find_photos` would find any in a folder."""
    with as_user_error(folder):
        return any(True for _ in _candidates(_NamedPath(folder, is_folder=True), films=False))


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


class _NamedPath(NamedTuple):
    """A path that a source names; `by_wildcard` if the source is a glob."""

    path: str
    is_folder: bool = False
    by_wildcard: bool = False


def _expand_all(sources: Iterable[str], films: bool) -> dict[str, list[_NamedPath]]:
    """Source -> the paths that it names."""
    named: dict[str, list[_NamedPath]] = {}
    for source in sources:
        with as_user_error(source):
            named[source] = _expand(source, films)
    if len(named) == 1:
        return named
    # A shell may name any text file beside photos; it is no list unless a line names a photo.
    return {
        source: paths if any(map(_may_name_photo, paths)) else [] for source, paths in named.items()
    }


def _expand(source: str, films: bool) -> list[_NamedPath]:
    files = file_system(source)
    if files.isdir(source):
        return [_NamedPath(source, is_folder=True)]
    if source.lower().endswith(".txt") and files.exists(source):
        with files.open(source, "rb") as file:
            lines = listed_paths(file.read(), os.path.dirname(source))
        return [_NamedPath(line, "://" not in line and os.path.isdir(line)) for line in lines]
    if files.exists(source):
        return [_NamedPath(source)]
    if not glob.has_magic(source):
        raise UserError(f"{source} does not exist; check the path")
    root = _normalized(_root(source))
    matches = [path for path in sorted(files.glob(source)) if not files.isdir(path)]
    visible = [path for path in matches if not any(map(_is_hidden, _parts_below(path, root)))]
    # A glob that matches companions alone is meant to.
    photos = _photos_among(visible, root, films) or [p for p in visible if _may_be_photo(p, films)]
    return [_NamedPath(path, by_wildcard=True) for path in photos]


def _candidates(named: _NamedPath, films: bool) -> Iterator[str]:
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
        visible = sorted(name for name in names if not _is_hidden(name))
        paths = (os.path.join(folder, name) for name in without_companions(visible))
        yield from (path for path in paths if _may_be_photo(path, films))
    yield from unlisted


def _search(paths: Iterable[_NamedPath], films: bool, root: str) -> tuple[list[str], list[str]]:
    """The photos below some paths, and the pictures of `--mode predict` that are left out."""
    own_results, root = OwnResults(), f"{_normalized(root).rstrip('/')}/"
    photos, results = [], []
    for named in paths:
        may_find_results = named.is_folder or named.by_wildcard
        for path in _candidates(named, films):
            is_result = may_find_results and own_results.folder_of(_normalized(path), root)
            (results if is_result else photos).append(path)
    return photos, results


def _is_hidden(name: str) -> bool:
    return name.startswith(".")


def _may_name_photo(named: _NamedPath) -> bool:
    """Whether a line of a text file may name a photo, even a missing one."""
    return (
        "://" in named.path
        or os.path.lexists(named.path)
        or file_kinds.has_photo_ending(named.path)
    )


def _passed_over(named_paths: Sequence[_NamedPath], films: bool) -> dict[str, None]:
    """The paths among several named ones that are companions, results or no photos.

    Nothing is passed over where all paths are such, or where only one is named. Hidden files and
    files that cannot be read are never passed over.
    """
    named_paths = [named for named in named_paths if not named.by_wildcard]
    if len(named_paths) < 2:
        return {}
    root = common_folder([_normalized(named.path) for named in named_paths])
    files = [named.path for named in named_paths if not named.is_folder]
    results = OwnResults()
    photos = {
        path
        for path in _photos_among(files, root, films)
        if not results.folder_of(_normalized(path), root)
    }

    def is_taken(named: _NamedPath) -> bool:
        if named.is_folder:
            return not _in_companion_folder(named.path, root)
        # Each file that cannot be read gets a message of its own later.
        return named.path in photos or not _is_readable(named.path)

    passed_over = [named.path for named in named_paths if not is_taken(named)]
    return {} if len(passed_over) == len(named_paths) else dict.fromkeys(passed_over)


def _warn_of_passed_over(paths: Sequence[str]) -> None:
    _log.warning(
        "passed over, as no photos or companions of some: %s; what is named alone is taken",
        a_few(paths, lambda path: printable(os.path.basename(path.rstrip("/" + os.sep)))),
    )


def _photos_among(paths: Sequence[str], root: str, films: bool) -> list[str]:
    """The files that a search through their common folder would find."""
    by_folder: dict[str, list[str]] = {}
    for path in paths:
        by_folder.setdefault(os.path.dirname(path), []).append(os.path.basename(path))
    photo_names = {
        folder: set() if _in_companion_folder(folder, root) else set(without_companions(names))
        for folder, names in by_folder.items()
    }
    return [
        path
        for path in paths
        if os.path.basename(path) in photo_names[os.path.dirname(path)]
        and _may_be_photo(path, films)
    ]


def _in_companion_folder(folder: str, root: str) -> bool:
    """Whether a folder below a root, or one on the way to it, is a companion."""
    names = _parts_below(folder, root)
    return any(
        is_companion_folder("/".join([root.rstrip("/"), *names[:depth]]), name)
        for depth, name in enumerate(names)
    )


def _parts_below(path: str, root: str) -> list[str]:
    """Names of the folders and of the file below a root, which is a normalized path."""
    relative = f"{_normalized(path)}/".removeprefix(f"{root.rstrip('/')}/")
    return [name for name in relative.split("/") if name]


def _may_be_photo(path: str, films: bool) -> bool:
    name = os.path.basename(path)
    if film_kinds.has_film_ending(name):
        if films and not film_kinds.shares_ending(name):
            return True
        first_bytes = _first_bytes(path)
        return file_kinds.begins_as_picture(first_bytes) or (
            films and not file_kinds.is_text_or_music(first_bytes)
        )
    if file_kinds.has_photo_ending(name) and not file_kinds.may_be_other(name):
        return True
    first_bytes = _first_bytes(path)
    if file_kinds.has_photo_ending(name) and file_kinds.begins_as_named(name, first_bytes):
        return True
    return file_kinds.begins_as_picture(first_bytes) or (
        films and film_kinds.begins_as_film(name, first_bytes)
    )


def _first_bytes(path: str) -> bytes:
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
    """Whether a file is a film: by its name, or by its first bytes if the name says nothing.

    A file with the name of a film that begins as a picture is not a film.
    """
    name = os.path.basename(path)
    is_named_film = film_kinds.has_film_ending(name)
    if not is_named_film and file_kinds.has_photo_ending(name):
        return False
    if film_kinds.begins_as_its_pictures(name):
        return True
    first_bytes = _first_bytes(path)
    return not file_kinds.begins_as_picture(first_bytes) and (
        is_named_film or film_kinds.begins_as_film(name, first_bytes)
    )


def photo_id(path: str) -> str:
    """A photo's absolute path or address, the same however the photo is named."""
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
    """Version of a photo, which differs where the same path has got other content.

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
      UnreadablePhoto: the file cannot be accessed.
    """
    return file_system(path).size_and_time(path)


@_as_unreadable()
def file_version(path: str) -> Version:
    """The version of a file.

    Raises:
      UnreadablePhoto: it cannot be read.
    """
    # The time is read first, so that any change from now on has a later one.
    size, time = size_and_time(path)
    return Version(size, time, file_checksum(path))


def file_checksum(path: str) -> str:
    """Hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with file_system(path).open(path, "rb") as file:
        while piece := file.read(2**22):
            digest.update(piece)
    return digest.hexdigest()
