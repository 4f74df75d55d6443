"""Names of the pictures, films and thumbnails in a results folder."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from colorization.data.photo_files import Version, file_version
from colorization.data.records import Finished
from colorization.prediction.pictures import FORMATS, KINDS, format_of_name
from colorization.prediction.portable_names import comparison_key, portable
from colorization.prediction.results import is_of_photo

# FFmpeg's names for the containers that hold everything a coloured film needs, by ending.
CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
}


def thumbnail_name(name: str) -> str:
    """The name of a picture's thumbnails, without the ending."""
    # A hash has a fixed length and plain characters, and tells `a.png` from `a.jpg`.
    return hashlib.blake2b(os.fsencode(name), digest_size=10).hexdigest()


def film_name(name: str) -> str:
    """The name of a coloured film: the film's own, with `.mp4` added to outdated containers."""
    return name if Path(name).suffix.lower() in CONTAINERS else f"{name}.mp4"


def picture_names(
    places: Mapping[str, str],
    format: str | None = None,
    known: Mapping[str, Finished | None] | None = None,
    films: Collection[str] = (),
    version_of: Callable[[str], Version] = file_version,
) -> dict[str, str]:
    """Names of the pictures and coloured films below the folders of a results folder.

    Args:
      places: path -> place of a photo or film, from `photos.find_places`.
      format: a key of `pictures.FORMATS`, for all photos; by default their own.
      known: what the results folder holds, from `read_known`.
      films: the paths that are those of films, from `photo_files.films_among`.
      version_of: reads a photo's version, as `file_version` does.

    Returns:
      path -> name: the photo's place, whatever other photos there are. An ending is added to names
      that have another one than the format's: `.png` where the photo's own format cannot hold a
      coloured one, `.mp4` to films in outdated containers. A name gets a number only if it already
      belongs to another photo, in `places` or in the results folder, to a folder, or to a file
      that is not this program's. Names differ even where capitals do not count, and every file
      system takes them, see `portable_names`.
    """
    kinds = (FORMATS[format][1],) if format else KINDS
    ending = FORMATS[format or "png"][0]

    def preferred_name(path: str, place: str) -> str:
        if path in films:
            return film_name(place)
        return place if format_of_name(place) in kinds else f"{place}{ending}"

    preferred = {
        path: os.path.splitext(preferred_name(path, place)) for path, place in places.items()
    }
    names: dict[str, str] = {}
    # No picture may have the name of a folder.
    taken_keys = {
        comparison_key(folder)
        for folder in _folders(portable(*parts) for parts in preferred.values())
    }
    known_pictures = {comparison_key(name): picture for name, picture in (known or {}).items()}

    def is_free(name: str, path: str) -> bool:
        key = comparison_key(name)
        if key in taken_keys:
            return False
        return key not in known_pictures or (
            known_pictures[key] is not None and is_of_photo(known_pictures[key], path, version_of)
        )

    # Preferred name -> the numbers to try, all from the last one on. A thousand photos of one name
    # would take long if each began to count anew.
    open_numbers: dict[tuple[str, str], list[int]] = {}
    # Photos whose names need no change come first, so that no other photo takes their names.
    for path in sorted(places, key=lambda path: portable(*preferred[path]) != places[path]):
        stem, own_ending = preferred[path]
        numbers = open_numbers.setdefault(preferred[path], [1])
        for number in numbers:
            # The list grows while it is looked through, so that there is always a next one.
            if number == numbers[-1]:
                numbers.append(number + 1)
            name = portable(stem, own_ending if number == 1 else f" ({number}){own_ending}")
            if is_free(name, path):
                break
        numbers.remove(number)
        names[path] = name
        taken_keys.add(comparison_key(name))
    return {path: names[path] for path in places}


def _folders(names: Iterable[str]) -> set[str]:
    """The folders that files of these names lie in, and the folders above them."""
    folders = {name.rpartition("/")[0] for name in names}
    return folders | {
        folder[: slash.start()] for folder in folders for slash in re.finditer("/", folder)
    }
