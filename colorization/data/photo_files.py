"""The files of photos: reading them, their versions, and which files are photos or films."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from colorization.data.file_system import file_system
from colorization.data.in_threads import in_threads
from colorization.decoding import file_kinds, film_kinds
from colorization.decoding.large_files import refuse_large_file
from colorization.errors import UnreadablePhoto, reason


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


def may_be_photo(path: str, films: bool) -> bool:
    """Whether a file has the name of a picture or begins as one; likewise films, if wanted."""
    name = os.path.basename(path)
    if film_kinds.has_film_ending(name):
        if films and not film_kinds.shares_ending(name):
            return True
        start = first_bytes(path)
        return file_kinds.begins_as_picture(start) or (
            films and not file_kinds.is_text_or_music(start)
        )
    if file_kinds.has_photo_ending(name) and not file_kinds.shares_ending(name):
        return True
    start = first_bytes(path)
    if file_kinds.has_photo_ending(name) and file_kinds.begins_as_named(name, start):
        return True
    return file_kinds.begins_as_picture(start) or (films and film_kinds.begins_as_film(name, start))


def films_among(paths: Iterable[str]) -> set[str]:
    """Those of some files that are films."""
    paths = list(paths)
    return set(itertools.compress(paths, in_threads(is_film, paths)))


def is_film(path: str) -> bool:
    """Whether a file is a film: by its name, or by its first bytes if the name says nothing.

    A file with the name of a film that begins as a picture is not a film. One with the name of a
    photo that begins as a film is one, on this machine; elsewhere films cannot be coloured.
    """
    name = os.path.basename(path)
    if film_kinds.begins_as_its_pictures(name):
        return True
    is_named_film = film_kinds.has_film_ending(name)
    is_named_photo = not is_named_film and file_kinds.has_photo_ending(name)
    if is_named_photo and "://" in path:
        return False
    start = first_bytes(path)
    if file_kinds.begins_as_picture(start) or (
        is_named_photo and file_kinds.begins_as_named(name, start)
    ):
        return False
    return is_named_film or film_kinds.begins_as_film(name, start)


def first_bytes(path: str) -> bytes:
    """The first bytes of a file; none if it cannot be read."""
    try:
        with file_system(path).open(path, "rb") as file:
            return file.read(file_kinds.START)
    except Exception:
        return b""


def is_readable(path: str) -> bool:
    """Whether a file can be opened and read from."""
    with contextlib.suppress(Exception), file_system(path).open(path, "rb") as file:
        file.read(1)
        return True
    return False
