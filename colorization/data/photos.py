"""Finding the photos and films that folders, globs, lists and names hold."""

from __future__ import annotations

import contextlib
import functools
import glob
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress
from typing import NamedTuple

from colorization.data.companions import is_companion_folder, without_companions
from colorization.data.file_system import file_system
from colorization.data.in_threads import in_threads
from colorization.data.lists import address_of_file, listed_paths
from colorization.data.own_results import OwnResults
from colorization.data.photo_files import first_bytes, is_readable, may_be_photo
from colorization.data.places import common_folder, normalized, parts_below, photo_id, place_below
from colorization.decoding import file_kinds
from colorization.errors import UserError, reason
from colorization.wording import a_few, printable

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
      Path -> place, in a fixed order, each photo once, whatever links lead to its folder. A place
      is the path, with forward slashes, below the first source that names the photo: below the
      folder, below the part of a glob that has no wildcards, or below the text file's folder; for a
      single file it is the name. It does not depend on other photos. What a text file names
      elsewhere keeps all of its folders.
      Folders and globs, and the folders that these match, are searched for files that have the
      name of a picture or begin as one.
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
    real_folder = functools.cache(os.path.realpath)
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
            if (identity := _linked_id(path, real_folder)) not in seen_ids:
                seen_ids.add(identity)
                places[path] = place_below(path, root)
    if passed_over or empty_sources:
        _warn_of_passed_over(list(dict.fromkeys([*passed_over, *empty_sources])))
    if results_left_out:
        _log.warning("left out: %s pictures that --mode predict has made", f"{results_left_out:,}")
    return places


def _linked_id(path: str, real_folder: Callable[[str], str]) -> str:
    """A photo's id, the same whatever links its folder is named by; see `photo_id`.

    A link to a photo itself is a photo of its own, as in albums of links.
    """
    folder, name = os.path.split(photo_id(path))
    # A list of photos may hold zero bytes, on which `realpath` fails.
    return os.path.join(folder if "\0" in folder else real_folder(folder), name)


def _root(source: str) -> str:
    """The folder that the places of a source's photos are relative to."""
    files = file_system(source)
    if files.isdir(source):
        return source
    if not files.exists(source) and (wildcard := re.search(r"[*?[]", source)):
        source = source[: wildcard.start() + 1]
    return os.path.dirname(source)


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
    for source in map(address_of_file, sources):
        with as_user_error(source):
            named[source] = _expand(source, films)
    if len(named) == 1:
        for source, paths in named.items():
            if paths == [_NamedPath(source)] and _is_list(source):
                remedy = "rename it, as the names of lists end in .txt"
                if source.lower().endswith(".m3u8"):
                    remedy = f"make a film of them: ffmpeg -i {source} -c copy film.mp4"
                raise UserError(f"{source} is no photo but a list of files; {remedy}")
        return named
    # A shell may name any text file beside photos; it is no list unless a line names a photo.
    return {
        source: paths if any(map(_may_name_photo, paths)) else [] for source, paths in named.items()
    }


def _is_local_folder(line: str) -> bool:
    # TensorFlow lists no folder by a relative address.
    is_local = "://" not in line or line.startswith("file:///")
    return is_local and os.path.isdir(photo_id(line))


def _expand(source: str, films: bool) -> list[_NamedPath]:
    files = file_system(source)
    if files.isdir(source):
        return [_NamedPath(source, is_folder=True)]
    if source.lower().endswith(".txt") and files.exists(source):
        with files.open(source, "rb") as file:
            lines = listed_paths(file.read(), os.path.dirname(source))
        return list(map(_NamedPath, lines, in_threads(_is_local_folder, lines)))
    if files.exists(source):
        return [_NamedPath(source)]
    if not glob.has_magic(source):
        raise UserError(f"{source} does not exist; check the path")
    root = normalized(_root(source))
    matches = sorted(files.glob(source))
    visible = [path for path in matches if not any(map(_is_hidden, parts_below(path, root)))]
    folders = {path: None for path in visible if files.isdir(path)}
    visible = [path for path in visible if path not in folders]
    # A glob that matches companions alone is meant to.
    photos = _photos_among(visible, root, films) or [p for p in visible if may_be_photo(p, films)]
    # What lies in the folders that ** matches, it matches itself.
    searched = [] if "**" in source else [p for p in folders if not _in_companion_folder(p, root)]
    return [
        *(_NamedPath(path, by_wildcard=True) for path in photos),
        *(_NamedPath(path, is_folder=True, by_wildcard=True) for path in searched),
    ]


def _is_list(path: str) -> bool:
    """Whether a file of any name is a text that names files."""
    start = first_bytes(path)
    if may_be_photo(path, films=True) or not file_kinds.is_text_or_music(start):
        return False
    lines = listed_paths(start, os.path.dirname(path))
    return any(os.path.isfile(photo_id(line)) for line in lines)


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
        paths = (os.path.join(folder, name) for name in without_companions(folder, visible))
        yield from (path for path in paths if may_be_photo(path, films))
    yield from unlisted


def _search(paths: Iterable[_NamedPath], films: bool, root: str) -> tuple[list[str], list[str]]:
    """The photos below some paths, and the pictures of `--mode predict` that are left out."""
    own_results, root = OwnResults(), f"{normalized(root).rstrip('/')}/"
    photos, results = [], []
    for named in paths:
        may_find_results = named.is_folder or named.by_wildcard
        for path in _candidates(named, films):
            is_result = may_find_results and own_results.folder_of(normalized(path), root)
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
    root = common_folder([normalized(named.path) for named in named_paths])
    files = [named.path for named in named_paths if not named.is_folder]
    results = OwnResults()
    photos = {
        path
        for path in _photos_among(files, root, films)
        if not results.folder_of(normalized(path), root)
    }

    def is_taken(named: _NamedPath) -> bool:
        if named.is_folder:
            return not _in_companion_folder(named.path, root)
        # Each file that cannot be read gets a message of its own later.
        return named.path in photos or not is_readable(named.path)

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
        folder: set(without_companions(folder, names))
        for folder, names in by_folder.items()
        if not _in_companion_folder(folder, root)
    }
    alone = [
        path
        for path in paths
        if os.path.basename(path) in photo_names.get(os.path.dirname(path), ())
    ]
    return list(compress(alone, in_threads(lambda path: may_be_photo(path, films), alone)))


def _in_companion_folder(folder: str, root: str) -> bool:
    """Whether a folder below a root, or one on the way to it, is a companion."""
    names = parts_below(folder, root)
    return any(
        is_companion_folder("/".join([root.rstrip("/"), *names[:depth]]), name)
        for depth, name in enumerate(names)
    )
