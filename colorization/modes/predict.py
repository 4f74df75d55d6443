"""`--mode predict`: photos and films to coloured ones."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tqdm import tqdm

from colorization.console import print_error, progress_bar
from colorization.data.decode import open_photo
from colorization.data.photos import find_photos, is_film, read_file
from colorization.data.report import Report, named_reasons
from colorization.data.split import photos_for_testing
from colorization.errors import UnreadablePhoto, UserError
from colorization.files import require_writable
from colorization.model.model_fn import Network
from colorization.options import Options
from colorization.pages.gallery import write_gallery
from colorization.prediction.colorize import Colorizer
from colorization.prediction.colorize_folder import colorize_photos
from colorization.prediction.hints import Hints, digest, parse_point, strokes_of_photos
from colorization.prediction.pictures import FORMATS, CannotEncode
from colorization.prediction.results import (
    add_finished,
    picture_names,
    places,
    read_finished,
    without_results,
)
from colorization.prediction.video import UnreadableFilm, colorize_film, first_frames, require_pyav
from colorization.training.settings import resolve_settings


def run(network: Network, options: Options) -> None:
    """Colours photos and films and writes the pictures and the gallery page."""
    for point in options.hint:
        parse_point(point)
    if "-" in (*options.input, options.output):
        _predict_pipe(network, options)
        return
    colorizer = _colorizer(network, options)
    require_writable(options.output, "output")
    paths = find_photos(options.input, films=True) if options.input else photos_for_testing(options)
    if not isinstance(paths, list):
        raise UserError("prepared photos cannot be coloured; name the photos themselves in --input")
    output = Path(options.output)
    found, paths = len(paths), without_results(paths, output)
    if len(paths) < found:
        print(f"Leaving out what lies in the folders of {output} that results go to.")
    report = Report(len(paths))
    films = [path for path in paths if is_film(path)]
    hints = _hints(paths, options)
    if films:
        paths, films = _without_pyav(paths, films, report)
    _require_readable(paths)
    # Photos first, for a film may take all night.
    photos = [path for path in paths if path not in films]
    if photos:
        _colorize_photos(colorizer, photos, output, options, report, hints)
    if films:
        _colorize_films(colorizer, films, output, options, report)
    if report.unreadable:
        print(
            f"{len(report.unreadable):,} of {report.total:,} could not be coloured; "
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
    try:
        colorizer = _colorizer(network, options)
        hints = options.hint or options.hints
        coloured = colorizer.colorize_bytes(data, kind, options.quality, hints)
    except (UnreadablePhoto, CannotEncode) as error:
        raise UserError(f"cannot colour standard input ({error}); give it one photo") from error
    sys.stdout.buffer.write(coloured)
    sys.stdout.buffer.flush()


def _colorizer(network: Network, options: Options) -> Colorizer:

    resolve_settings(options)
    try:
        return Colorizer(
            options.model_dir,
            precision=options.precision,
            working_size=options.working_size,
            style=options.style,
            saturation=options.saturation,
            network=network,
        )
    except UnreadablePhoto as error:
        raise UserError(f"cannot read --style {options.style} ({error}); name a photo") from error


def _without_pyav(
    paths: list[str], films: list[str], report: Report
) -> tuple[list[str], list[str]]:
    """Paths and films, the films left out and said so where PyAV is not installed.

    Raises:
      UserError: nothing would be left.
    """
    try:
        require_pyav()
        return paths, films
    except UserError as error:
        if len(films) == len(paths):
            raise
        print_error(f"{len(films):,} films are left out: {error}")
        report.unreadable.update((film, "PyAV is missing") for film in films)
        return [path for path in paths if path not in films], []


def _require_readable(paths: list[str]) -> None:
    """Reads on until the first photo or film that can be opened; else names those that cannot.

    Raises:
      UserError: there is none.
    """
    unreadable = {}
    for path in paths:
        try:
            if is_film(path):
                first_frames(path)
            else:
                open_photo(read_file(path), 1)
            return
        except (UnreadablePhoto, UnreadableFilm) as error:
            unreadable[path] = str(error)
    raise UserError(f"no usable photo: {named_reasons(unreadable)}; name a folder with photos")


def _colorize_photos(
    colorizer: Colorizer,
    paths: list[str],
    output: Path,
    options: Options,
    report: Report,
    hints: dict[str, Hints],
) -> None:

    names = _still_to_colorize(paths, output, options, "photos", hints)
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
        )
    of_all = {name: picture.scores for name, picture in read_finished(output).items()}
    page = write_gallery(output, f"{options.model}.py", of_all)
    print(f"Coloured {len(scores):,} photos into {output / 'predicted'}.")
    print(f"See them in {page}")


def _colorize_films(
    colorizer: Colorizer, films: list[str], output: Path, options: Options, report: Report
) -> None:

    for film, name in _still_to_colorize(films, output, options, "films").items():
        target = output / "predicted" / name
        with progress_bar(None, f"colouring {os.path.basename(film)}", " frames") as bar:

            def progress(total: int, bar: tqdm = bar) -> None:
                bar.total = total
                bar.update()

            try:
                done = colorize_film(colorizer, film, target, progress)
            except UnreadableFilm as error:
                report.add_unreadable(film, str(error))
                continue
        add_finished(output, name, film, {})
        print(f"Coloured {done.frames:,} frames into {target}.")
        if done.changes:
            print(f"Other than in {film}: {'; '.join(done.changes)}.")


def _hints(paths: list[str], options: Options) -> dict[str, Hints]:
    """Path of a photo -> what colour some of it was, for those of which it is known.

    Raises:
      UserError: hints are for none of the photos, for too many, or for a film.
    """
    hints = options.hint or options.hints
    if not hints:
        return {}
    if options.hints and os.path.isdir(options.hints):
        photos = {path: place for path, place in places(paths).items() if not is_film(path)}
        return strokes_of_photos(options.hints, photos)
    if len(paths) > 1:
        raise UserError(
            f"hints for one photo, but {len(paths):,} photos; name one in --input, or in --hints a "
            "folder of strokes that are named like the photos"
        )
    if is_film(paths[0]):
        raise UserError(f"hints are for photos, and {paths[0]} is a film; leave them out")
    return {paths[0]: hints}


def _still_to_colorize(
    paths: list[str],
    output: Path,
    options: Options,
    what: str,
    hints: dict[str, Hints] | None = None,
) -> dict[str, str]:
    """Names of their pictures or films, see `results.picture_names`.

    What is finished is left out, unless other hints have been given for it since.
    """
    finished = read_finished(output)
    photos = {name: picture.photo for name, picture in finished.items()}
    names = picture_names(paths, options.format, photos)
    if options.overwrite:
        return names

    def is_finished(path: str) -> bool:
        done = finished.get(names[path])
        return done and (path not in (hints or {}) or done.hints == digest(hints[path]))

    left = {path: name for path, name in names.items() if not is_finished(path)}
    if len(left) < len(names):
        skipped = len(names) - len(left)
        print(f"Skipping {skipped:,} finished {what}; --overwrite colours them anew.")
    return left
