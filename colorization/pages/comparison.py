"""Compares how the basic and the full model learn, what they cost and how they colour.

`write_comparison` writes a page about two trained models that needs no other file;
`comparison.html` is its template.
"""

from __future__ import annotations

import base64
import contextlib
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf
from PIL import Image

from colorization.console import progress_bar
from colorization.data.places import places_in_common_folder
from colorization.data.records import Finished
from colorization.data.report import Report
from colorization.data.shards import Shards
from colorization.files import private_folder, write_file
from colorization.machine import cores
from colorization.model.layers import Network
from colorization.options import Options
from colorization.pages.curves import Series, draw_curves, smoothed
from colorization.pages.measurements import (
    Coloured,
    colorize_timed,
    count_parameters,
    measure_baselines,
    photos_to_show,
)
from colorization.pages.page import render, thumbnail
from colorization.prediction.colorize import Colorizer
from colorization.prediction.picture_names import picture_names
from colorization.prediction.results import claimed, read_known
from colorization.training.event_log import Curves, read_curves

tf1 = tf.compat.v1

# Script -> name of its model on the page.
TITLES = {"color": "basic", "color_global": "full"}

_THUMBNAIL_SIDE = 480


class Model(NamedTuple):
    """One of the trained models.

    Attributes:
      network: see `color.network`.
      options: of the run, `model_dir` the model's own.
      metrics: result of `Estimator.evaluate` for the checkpoint that predicts.
    """

    network: Network
    options: Options
    metrics: dict[str, Any]


class Cell(NamedTuple):
    """A cell of a table, and whether it is better than its neighbour."""

    text: str
    best: bool = False


class Table(NamedTuple):
    """A table; the first cell of a row is its heading."""

    caption: str
    head: list[str]
    rows: list[list[Cell]]
    hidden_caption: bool = False


class View(NamedTuple):
    """A picture of a photo: `gray`, the title of a model, or `truth`; and its error."""

    kind: str
    source: str
    width: int
    height: int
    rmse: Cell | None


class Photo(NamedTuple):
    """A photo and its pictures."""

    name: str
    views: list[View]


def write_comparison(
    output: Path,
    models: Mapping[str, Model],
    train_photos: int,
    test_data: list[str] | Shards,
    report: Report,
    same_photos: bool,
) -> Path:
    """Colours test photos with both models and writes the page.

    Args:
      output: folder of the page, `index.html`; full-size pictures go to a subfolder for each
        model.
      models: by script, the keys of `TITLES`.
      train_photos: number of photos to train on, including gray ones.
      test_data: the photos that the metrics were measured on.
      report: report on these.
      same_photos: whether both models were trained on the same photos.

    Returns:
      The path of the page.

    Raises:
      UserError: a model's folder holds no trained model, or another run is writing pictures.
      OSError: the folder cannot be written.
    """
    options = models["color"].options
    with private_folder() as scratch:
        names, coloured = _colorize(models, photos_to_show(test_data, report, scratch), output)
    curves = {name: read_curves(model.options.model_dir) for name, model in models.items()}
    baselines = measure_baselines(test_data, options.batch_size)
    compared = [name for name in names.values() if all(name in c.scores for c in coloured.values())]
    contents = {
        **_summary(models, curves),
        "tested": report.usable,
        "train_photos": train_photos,
        "same_photos": same_photos,
        "titles": list(TITLES.values()),
        "charts": _charts(models, curves),
        "evaluations": _evaluations(curves),
        "quality": _quality(models, baselines),
        "cost": _cost(models, curves, coloured),
        "hyperparameters": _hyperparameters(curves),
        "measuring_note": _measuring_note(models),
        "photos_note": _photos_note(len(compared), report, output),
        "photos": [_photo(output, name, coloured) for name in compared],
    }
    page = output / "index.html"
    write_file(page, render("comparison.html", **contents))
    return page


def _colorize(
    models: Mapping[str, Model], photos: Sequence[str], output: Path
) -> tuple[dict[str, str], dict[str, Coloured]]:
    """Colours photos with all models.

    Returns:
      Path -> name of the photo's pictures, and what each model has made of them.
    """
    with contextlib.ExitStack() as claims:
        for name in models:
            claims.enter_context(claimed(output / name))
        known = _known_pictures(output / name for name in models)
        names = picture_names(places_in_common_folder(photos), known=known)
        coloured = {}
        bar = claims.enter_context(progress_bar(len(names) * len(models), "colouring", " photos"))
        for name, model in models.items():
            options = model.options
            colorizer = Colorizer(
                options.model_dir, precision=options.precision, network=model.network
            )
            coloured[name] = colorize_timed(
                colorizer, names, output / name, options.batch_size, bar.update
            )
    return names, coloured


def _known_pictures(folders: Iterable[Path]) -> dict[str, Finished | None]:
    """What results folders hold, see `read_known`; None where they hold pictures of two photos."""
    known: dict[str, Finished | None] = {}
    for folder in folders:
        for name, picture in read_known(folder).items():
            other = known.setdefault(name, picture)
            if other and (picture is None or picture.photo != other.photo):
                known[name] = None
    return known


def _summary(models: Mapping[str, Model], curves: Mapping[str, Curves]) -> dict[str, str]:
    """Values for the sentences at the top of the page."""
    basic, full = (model.metrics for model in models.values())
    steps = dict.fromkeys(_trained_steps(curves[name], models[name]) for name in models)
    half_size_share = max(
        curve.hyperparameters.get("half_size_share", 0) for curve in curves.values()
    )
    return {
        "loss_difference": _difference(basic["average_loss"], full["average_loss"]),
        "error_difference": _difference(basic["ab_rmse"], full["ab_rmse"]).removesuffix(" as"),
        "steps": " and ".join(f"{count:,}" for count in steps),
        "half_size": f"{half_size_share:.0%}" if half_size_share else "",
    }


def _difference(basic: float, full: float) -> str:
    percent = 100 * (full / basic - 1) if basic else 0.0
    if abs(percent) < 0.05:
        return "the same as"
    return f"{abs(percent):.1f}\N{NO-BREAK SPACE}% {'below' if percent < 0 else 'above'}"


def _trained_steps(curves: Curves, model: Model) -> int:
    """Number of steps of the whole training; the predicting checkpoint may be an earlier one."""
    return max([int(model.metrics["global_step"]), *(step for step, _, _ in curves.evaluations)])


def _charts(models: Mapping[str, Model], curves: Mapping[str, Curves]) -> list[str]:
    """Charts of the loss over steps and over time; without data, a chart is left out."""
    ends = ", ".join(
        f"{TITLES[name]} {model.metrics['average_loss']:.4f}" for name, model in models.items()
    )
    levels = []
    metrics = models["color"].metrics
    # Baselines are measured by the mean squared error only.
    if models["color"].options.loss == "mse":
        levels = [
            ("mean colour", float(metrics["loss_mean_colour"])),
            ("no colour", float(metrics["loss_no_colour"])),
        ]
    times = (seconds for curve in curves.values() for _, seconds, _ in curve.losses)
    unit, seconds_in_unit = _time_unit(max(times, default=math.nan))
    axes = {"steps": "steps", "time": f"{unit} of training, evaluations left out"}
    charts = []
    for over, axis in axes.items():
        series = [
            _series(TITLES[name], curve, seconds_in_unit if over == "time" else None)
            for name, curve in curves.items()
        ]
        if any(points for model_series in series for points in model_series[1:]):
            description = (
                f"Line chart of the loss over {axis}, of both models, in training and on the test "
                f"photos. On the test photos they end at: {ends}. All figures are in the table "
                "below."
            )
            charts.append(draw_curves(f"over-{over}", description, (axis, "loss"), series, levels))
    return charts


def _series(name: str, curves: Curves, seconds_in_unit: float | None) -> Series:
    """Losses of a model over time, in the given unit, or else over steps."""

    def points(values: Sequence[tuple[int, float, float]]) -> list[tuple[float, float]]:
        if seconds_in_unit is None:
            return [(step, loss) for step, _, loss in values]
        timed = (entry for entry in values if not math.isnan(entry[1]))
        return [(seconds / seconds_in_unit, loss) for _, seconds, loss in timed]

    measured = points(curves.losses)
    return Series(name, measured, smoothed(measured), points(curves.evaluations))


def _time_unit(seconds: float) -> tuple[str, float]:
    if seconds > 3 * 3600:
        return "hours", 3600.0
    return ("minutes", 60.0) if seconds > 180 else ("seconds", 1.0)


def _evaluations(curves: Mapping[str, Curves]) -> Table:
    by_step: dict[int, dict[str, tuple[float, float]]] = {}
    for name, curve in curves.items():
        for step, seconds, loss in curve.evaluations:
            by_step.setdefault(step, {})[name] = (seconds, loss)
    rows = []
    for step, by_model in sorted(by_step.items()):
        cells = [f"{step:,}"]
        for name in curves:
            seconds, loss = by_model.get(name, (math.nan, math.nan))
            cells += [_duration(seconds), _figure(loss, 4)]
        rows.append(list(map(Cell, cells)))
    head = [
        "step",
        *(f"{TITLES[name]}, {column}" for name in curves for column in ("time", "loss")),
    ]
    return Table("Loss on the test photos in the course of training", head, rows, True)


def _quality(models: Mapping[str, Model], baselines: Mapping[str, Mapping[str, float]]) -> Table:
    measured = [model.metrics for model in models.values()]
    first, mean_colour, no_colour = measured[0], baselines["mean_colour"], baselines["no_colour"]
    truth = float(first["colourfulness_truth"])
    # Label, metric, digits, best value, mean colour, no colour, truth.
    rows = [
        ("average loss", "average_loss", 4, 0.0, first["loss_mean_colour"],
         first["loss_no_colour"], 0.0),
        ("a*b* RMSE", "ab_rmse", 2, 0.0, first["ab_rmse_mean_colour"],
         first["ab_rmse_no_colour"], 0.0),
        ("PSNR, dB", "psnr", 2, math.inf, mean_colour["psnr"], no_colour["psnr"], math.inf),
        ("SSIM", "ssim", 3, 1.0, mean_colour["ssim"], no_colour["ssim"], 1.0),
        ("colourfulness", "colourfulness", 1, truth, mean_colour["colourfulness"],
         no_colour["colourfulness"], truth),
    ]  # fmt: skip
    table = []
    for label, metric, digits, best, *references in rows:
        values = [float(metrics[metric]) for metrics in measured]
        cells = _with_best(values, digits, best)
        *baseline_values, ideal = (float(value) for value in references)
        cells += [Cell(_figure(value, digits)) for value in baseline_values]
        ideal_cell = Cell(_figure(ideal, 0 if ideal in (0, 1) else digits))
        table.append([Cell(label), *cells, ideal_cell])
    head = ["", *TITLES.values(), "mean colour", "no colour", "truth"]
    return Table("How close to the truth", head, table)


def _with_best(values: Sequence[float], digits: int, best: float) -> list[Cell]:
    """Figures, with the better one marked unless they look the same."""
    figures = [_figure(value, digits) for value in values]
    goal = max(values) if math.isinf(best) else min(values, key=lambda value: abs(value - best))
    are_different = len(set(figures)) > 1
    return [
        Cell(figure, are_different and value == goal)
        for figure, value in zip(figures, values, strict=True)
    ]


def _cost(
    models: Mapping[str, Model], curves: Mapping[str, Curves], coloured: Mapping[str, Coloured]
) -> Table:
    rows = []

    def add(label: str, values: Sequence[float | None], digits: int | None = None) -> None:
        numbers = [math.nan if value is None else float(value) for value in values]
        ratio = numbers[1] / numbers[0] if numbers[0] else math.nan
        figures = [*(_figure(number, digits) for number in numbers), _figure(ratio, 2)]
        rows.append(list(map(Cell, [label, *figures])))

    steps = {name: _trained_steps(curves[name], model) for name, model in models.items()}
    training_seconds = [curves[name].seconds_until(count) for name, count in steps.items()]
    add("parameters", [count_parameters(m.network, m.options) for m in models.values()], 0)
    add("steps", list(steps.values()), 0)
    add("seconds per step", [curve.seconds_per_step for curve in curves.values()])
    add("photos per second", [curve.photos_per_second for curve in curves.values()])
    unit, seconds_in_unit = _time_unit(max(training_seconds))
    add(f"{unit} of training", [seconds / seconds_in_unit for seconds in training_seconds], 1)
    add("seconds per photo predicted", [result.network_seconds for result in coloured.values()])
    add("from file to file", [result.file_seconds for result in coloured.values()])
    return Table("What it costs", ["", *TITLES.values(), "full : basic"], rows)


def _measuring_note(models: Mapping[str, Model]) -> str:
    steps = [f"{int(model.metrics['global_step']):,}" for model in models.values()]
    processors = f"{cores()} processor cores"
    for gpu in tf.config.list_physical_devices("GPU"):
        processors += (
            f", {tf.config.experimental.get_device_details(gpu).get('device_name', gpu.name)}"
        )
    return (
        f"Measured after the steps with the lowest loss on the test photos, {' and '.join(steps)}. "
        "Bold: the better of the two. Times of steps and prediction are medians; photos are "
        "predicted one at a time by the network alone, and several at the same time from file to "
        "file, at their own size. "
        f"{processors}, TensorFlow {tf.__version__}."
    )


def _hyperparameters(curves: Mapping[str, Curves]) -> Table:
    settings_of_models = [curve.hyperparameters for curve in curves.values()]
    rows = []
    for option in sorted({option for settings in settings_of_models for option in settings}):
        values = [_setting(settings.get(option)) for settings in settings_of_models]
        # Both runs log the settings that only the full model has.
        if option.startswith("global_"):
            values[0] = "–"
        rows.append(list(map(Cell, [f"--{option}", *values])))
    return Table("Hyperparameters", ["", *TITLES.values()], rows, True)


def _setting(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _photos_note(shown: int, report: Report, output: Path) -> str:
    subject = (
        "All test photos"
        if shown == report.usable
        else (f"{shown} of the {report.usable:,} test photos, evenly chosen")
    )
    folders = " and ".join(f"{output / name / 'predicted'}" for name in TITLES)
    return (
        f"{subject}. RMSE is the error of the predicted a*b* in CIE units: less is better. The "
        f"pictures at their own size are in {folders}."
    )


def _photo(output: Path, name: str, coloured: Mapping[str, Coloured]) -> Photo:
    """A photo as gray, basic, full and truth."""
    errors = [result.scores.get(name, {}).get("rmse", math.nan) for result in coloured.values()]
    cells = iter(_with_best(errors, 1, 0.0))
    views = [
        ("gray", output / "color" / "gray" / name, None),
        *((TITLES[model], output / model / "predicted" / name, next(cells)) for model in coloured),
        ("truth", output / "color" / "truth" / name, None),
    ]
    return Photo(name, [_view(*view) for view in views if view[1].exists()])


def _view(kind: str, path: Path, rmse: Cell | None) -> View:
    with Image.open(path) as image:
        data, suffix, (width, height) = thumbnail(image, _THUMBNAIL_SIDE)
    encoded = base64.b64encode(data).decode()
    source = f"data:image/{'png' if suffix == '.png' else 'jpeg'};base64,{encoded}"
    return View(kind, source, width, height, rmse)


def _figure(value: float, digits: int | None) -> str:
    """A number with so many decimals; by default with three significant digits."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞"
    if digits is None:
        digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:,.{digits}f}"


def _duration(seconds: float) -> str:
    if math.isnan(seconds):
        return "–"
    minutes, seconds_left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds_left:02d}" if hours else f"{minutes}:{seconds_left:02d}"
