"""`--mode predict`: photos and films to coloured ones."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from tqdm import tqdm

from colorization.console import command_line, print_error, progress_bar
from colorization.data import lab_planes
from colorization.data.in_threads import in_threads
from colorization.data.photo_files import Version, file_version, films_among
from colorization.data.photos import find_places
from colorization.data.places import in_shard, photo_id, places_in_common_folder
from colorization.data.report import Report, named_reasons
from colorization.data.split import has_own_photos, photos_for_testing
from colorization.errors import UnreadableFilm, UnreadablePhoto, UserError, why_not_coloured
from colorization.files import require_writable
from colorization.films.colorize_film import colorize_film
from colorization.films.source import require_pyav
from colorization.films.survey import survey
from colorization.model.layers import Network
from colorization.options import Options
from colorization.pages.gallery import write_gallery_of_results
from colorization.pages.page import require_own_page
from colorization.prediction.colorize import Colorizer
from colorization.prediction.colorize_folder import colorize_photos, how_made
from colorization.prediction.hints import Hints, digest, parse_point, strokes_of_photos
from colorization.prediction.picture_names import picture_names
from colorization.prediction.pictures import FORMATS, CannotEncode
from colorization.prediction.portable_names import portable
from colorization.prediction.results import (
    Finished,
    add_begun,
    add_finished,
    claimed,
    existing,
    read_known,
    shown_version,
    without_results,
)
from colorization.training.general_model import with_model
from colorization.training.model_folder import HELD_OUT
from colorization.training.settings import resolve_settings
from colorization.wording import counted, printable


def run(network: Network, options: Options) -> None:
    """Colours photos and films and writes the pictures and the gallery page."""
    for point in options.hint:
        parse_point(point)
    options = with_model(options, has_own_photos(options, "test"))
    if "-" in (*options.input, options.output):
        _predict_pipe(network, options)
        return
    colorizer = _colorizer(network, options)
    require_writable(options.output, "output")
    places = _places(options)
    output = Path(options.output)
    paths = without_results(list(places), output)
    if len(paths) < len(places):
        print(f"Leaving out the pictures in {output}, which come from here.")
        places = {path: places[path] for path in paths}
    all_films = films_among(places)
    hints = _hints(places, all_films, options)
    paths = [path for path in paths if in_shard(places[path], options.shard)]
    report = Report(len(paths))
    photos, films = _photos_and_films(paths, all_films, report)
    if options.shard == (0, 1):
        _require_readable(photos, films)
    if options.keep != "predicted":
        require_own_page(output)
    made = {"photo": how_made(colorizer, options.quality), "film": colorizer.fingerprint}
    with claimed(output, options.shard):
        known_pictures = read_known(output)
        finished = existing(known_pictures, output)
        version_of = functools.cache(file_version)
        with _comparing(len(places)) as bar:

            def counted_version(path: str) -> Version:
                version = version_of(path)
                bar.update(version_of.cache_info().currsize - bar.n)
                return version

            # Names come from the photos of all shards, so that none depends on what other machines
            # do.
            names = picture_names(
                places, options.format, known_pictures, all_films, counted_version
            )
        unfinished = _unfinished(paths, names, finished, options, hints, version_of)
        _say_which_names_change(places, names)
        # Photos come first, because a film may take all night.
        if photos:
            skipped = [path for path in photos if path not in unfinished]
            _say_what_is_skipped("photo", [finished[names[path]] for path in skipped], made)
            if options.keep != "predicted":
                _say_what_is_bare([names[path] for path in skipped], output)
            to_colour = {path: names[path] for path in photos if path in unfinished}
            _colorize_photos(colorizer, to_colour, output, options, report, hints)
            _show(output, options)
        if films:
            if options.format and not photos:
                print("--format is for photos; films keep their kind, or become MP4.")
            skipped = [path for path in films if path not in unfinished]
            _say_what_is_skipped("film", [finished[names[path]] for path in skipped], made)
            to_colour = {path: names[path] for path in films if path in unfinished}
            _colorize_films(colorizer, to_colour, output, options, report)
            _show(output, options)
    if not photos and not films:
        print(f"No photos in shard {options.shard[0]} of {options.shard[1]}.")
    elif options.shard != (0, 1) and options.keep != "predicted":
        command = ["python", f"{options.model}.py", "--mode", "gallery", "--output", options.output]
        print(f"When all shards are done:\n  {command_line(command)}")
    if report.unreadable:
        print(
            f"{len(report.unreadable):,} of {report.total:,} could not be coloured, or not wholly; "
            "the lines above say why.",
            file=sys.stderr,
        )
        sys.exit(1)


def _predict_pipe(network: Network, options: Options) -> None:
    """Colours the one photo on standard input; the picture goes to standard output.

    Raises:
      UserError: only one of the two ends is `-`, one is closed, or what came in is no photo.
    """
    if options.input != ("-",) or options.output != "-":
        raise UserError("- stands for a pipe; give both --input - and --output -")
    if sys.stdin is None or sys.stdout is None:
        raise UserError("standard input or output is closed; connect both to a file or a pipe")
    data = sys.stdin.buffer.read()
    kind = FORMATS[options.format][1] if options.format else None
    problems: list[str] = []
    try:
        colorizer = _colorizer(network, options)
        hints = options.hint or options.hints
        coloured = colorizer.colorize_bytes(data, kind, options.quality, hints, problems)
    except (UnreadablePhoto, CannotEncode) as error:
        raise UserError(f"cannot colour standard input ({error}); give it one photo") from error
    sys.stdout.buffer.write(coloured)
    sys.stdout.buffer.flush()
    if problems:
        sys.exit(1)


def _colorizer(network: Network, options: Options) -> Colorizer:
    resolve_settings(options)
    try:
        return Colorizer(
            options.model_dir,
            precision=options.precision,
            style=options.style,
            saturation=options.saturation,
            network=network,
        )
    except UnreadablePhoto as error:
        raise UserError(f"cannot read --style {options.style} ({error}); name a photo") from error


def _photos_and_films(
    paths: list[str], all_films: Collection[str], report: Report
) -> tuple[list[str], list[str]]:
    """Splits paths into photos and films, which are left out if PyAV is not installed.

    Args:
      paths: of both.
      all_films: those of films, and perhaps others.
      report: takes the films that are left out.

    Raises:
      UserError: there would be nothing left.
    """
    films = [path for path in paths if path in all_films]
    photos = [path for path in paths if path not in all_films]
    try:
        if films:
            require_pyav()
    except UserError as error:
        if not photos:
            raise
        print_error(f"{len(films):,} films are left out: {error}")
        report.unreadable.update(dict.fromkeys(films, "PyAV is missing"))
        return photos, []
    return photos, films


def _require_readable(photos: list[str], films: list[str]) -> None:
    """Requires a photo or film that can be opened; reads them only until the first one.

    Raises:
      UserError: there is none; the message names some that cannot be opened.
    """
    unreadable = {}
    for number, path in enumerate([*photos, *films]):
        try:
            if number < len(photos):
                lab_planes.from_path(path)
            else:
                survey(path, beginning_only=True)
            return
        except (UnreadablePhoto, UnreadableFilm) as error:
            unreadable[path] = str(error)
    raise UserError(f"no usable photo: {named_reasons(unreadable)}; name a folder with photos")


def _colorize_photos(
    colorizer: Colorizer,
    names: dict[str, str],
    output: Path,
    options: Options,
    report: Report,
    hints: dict[str, Hints],
) -> None:
    with progress_bar(len(names), "colouring", " photos", disable=not names) as bar:
        scores = colorize_photos(
            colorizer,
            names,
            output,
            report,
            bar.update,
            workers=options.batch_size,
            quality=options.quality,
            hints=hints,
            keep=options.keep,
            shard=options.shard,
        )
    print(f"Coloured {counted(len(scores), 'photo')} into {output / 'predicted'}.")


def _show(output: Path, options: Options) -> None:
    """Writes the gallery, unless only coloured pictures are kept or there are several shards."""
    if options.keep != "predicted" and options.shard == (0, 1):
        print(f"See them in {write_gallery_of_results(output, options.model)}")


def _colorize_films(
    colorizer: Colorizer, names: dict[str, str], output: Path, options: Options, report: Report
) -> None:
    for film, name in names.items():
        target = output / "predicted" / name
        with progress_bar(None, f"colouring {printable(os.path.basename(film))}", " frames") as bar:

            def progress(total: int, bar: tqdm = bar) -> None:
                bar.total = total
                bar.update()

            try:
                if "://" in film.removeprefix("file://"):
                    raise UnreadableFilm("films are coloured in folders of this machine only")
                version = file_version(film)
                add_begun(output, name, film, options.shard)
                coloured = colorize_film(colorizer, film, target, progress)
            except (UnreadablePhoto, UnreadableFilm, MemoryError, OSError) as error:
                report.add_unreadable(film, why_not_coloured(error, name))
                continue
        add_finished(
            output, name, film, version, {}, shard=options.shard, made=colorizer.fingerprint
        )
        print(f"Coloured {counted(coloured.frames, 'frame')} into {printable(str(target))}.")
        if coloured.changes:
            print(f"Other than in {printable(film)}: {'; '.join(coloured.changes)}.")


def _places(options: Options) -> dict[str, str]:
    """Photos and films to colour: path -> place, see `find_places`."""
    if options.input:
        return find_places(options.input, films=True)
    photos = photos_for_testing(options, Path(options.model_dir) / HELD_OUT)
    if not isinstance(photos, list):
        raise UserError("prepared photos cannot be coloured; name the photos themselves in --input")
    return places_in_common_folder(photos)


def _hints(places: dict[str, str], films: Collection[str], options: Options) -> dict[str, Hints]:
    """Path -> hints, for photos that have some.

    Args:
      places: path -> place of photos and films.
      films: the paths of films.
      options: name the hints.

    Raises:
      UserError: hints are for none of the photos, for too many, or for a film.
    """
    hints = options.hint or options.hints
    if not hints:
        return {}
    if options.hints and os.path.isdir(options.hints):
        photos = {path: place for path, place in places.items() if path not in films}
        return strokes_of_photos(options.hints, photos)
    paths = list(places)
    if len(paths) > 1:
        raise UserError(
            f"hints for one photo, but {len(paths):,} photos; name one in --input, or in --hints a "
            "folder of strokes that are named like the photos"
        )
    if paths[0] in films:
        raise UserError(f"hints are for photos, and {paths[0]} is a film; leave them out")
    return {paths[0]: hints}


def _comparing(total: int) -> tqdm:
    """A bar for photos and films that are compared with those of earlier runs."""
    return progress_bar(total, "comparing with before", " photos", delay=1, leave=False)


def _unfinished(
    paths: list[str],
    names: dict[str, str],
    finished: dict[str, Finished],
    options: Options,
    hints: dict[str, Hints],
    version_of: Callable[[str], Version],
) -> set[str]:
    """The photos or films that are still to be coloured.

    They have no picture yet, or have since been changed or given other hints. Others keep theirs,
    whichever model or options made it.
    """

    def is_outdated(picture: Finished, path: str, version: Version) -> bool:
        if picture.photo == photo_id(path):
            return picture.version != version
        # The record stays that of the photo it names, while there is one, or may be one elsewhere.
        return "://" not in picture.photo and not os.path.exists(picture.photo)

    def is_finished(path: str) -> bool:
        picture = finished.get(names[path])
        version = picture and shown_version(picture, path, version_of)
        if version is None:
            return False
        if is_outdated(picture, path, version):
            # Later runs need not compare the content again.
            add_finished(
                Path(options.output), names[path], path, version, picture.scores, picture.hints,
                options.shard, picture.made,
            )  # fmt: skip
        # Colouring a folder again without hints keeps the pictures that were made with some.
        if not (options.hint or options.hints):
            return True
        try:
            return picture.hints == digest(hints.get(path))
        except UserError:
            # The error is reported when the photo is coloured.
            return False

    if options.overwrite:
        return set(paths)
    with _comparing(len(paths)) as bar:
        unfinished = set()
        for path, has_picture in zip(paths, in_threads(is_finished, paths), strict=True):
            bar.update()
            if not has_picture:
                unfinished.add(path)
        return unfinished


def _say_what_is_skipped(noun: str, skipped: list[Finished], made: Mapping[str, str]) -> None:
    """Says how many finished pictures stay, and how many of them this run would make otherwise.

    Args:
      noun: what they are made from, a key of `made`.
      skipped: their records.
      made: how this run makes pictures, see `Finished`.
    """
    if skipped:
        others = sum(picture.made not in ("", made[noun]) for picture in skipped)
        made_otherwise = f", {others:,} of them by another model or with other options"
        print(
            f"Skipping {counted(len(skipped), f'finished {noun}')}"
            f"{made_otherwise if others else ''}; --overwrite colours them anew."
        )


def _say_what_is_bare(finished: list[str], output: Path) -> None:
    """Says how many finished pictures have no gray one beside them, as with `--keep predicted`."""
    bare = len(finished) - sum(in_threads(os.path.exists, [output / "gray" / n for n in finished]))
    if bare:
        print(
            f"Of these, {bare:,} have no gray picture beside them, so that the page shows them "
            "alone; --overwrite makes both."
        )


def _say_which_names_change(places: Mapping[str, str], names: Mapping[str, str]) -> None:
    changed = [path for path, place in places.items() if portable(place) != place]
    if changed:
        example = changed[0]
        print(
            f"Names that not every disk takes are changed, {len(changed):,} of them: "
            f"{printable(places[example])} is {printable(names[example])}."
        )
