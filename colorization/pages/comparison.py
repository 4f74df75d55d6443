"""The basic and the full model side by side: how they learn, what they cost, how they colour.

`write_comparison` turns two trained models into one page that needs no other file;
`comparison.html` is its template.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import html
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image

from colorization.console import progress_bar
from colorization.data import dataset
from colorization.data.lab_planes import LIGHTNESS_SIZE
from colorization.data.photos import places_in_common_folder
from colorization.data.report import Report
from colorization.data.shards import Shards
from colorization.errors import UnreadablePhoto
from colorization.files import write_file
from colorization.model import metrics
from colorization.model.layers import Layers
from colorization.model.model_fn import Network, to_rgb
from colorization.options import Options
from colorization.pages import charts
from colorization.pages.page import render, thumbnail
from colorization.prediction.colorize import JPEG_QUALITY, Colorizer
from colorization.prediction.colorize_folder import colorize_photos
from colorization.prediction.results import picture_names
from colorization.training.event_log import Curves, read_curves

tf1 = tf.compat.v1

# Script -> what its model is called on the page.
TITLES = {"color": "basic", "color_global": "full"}

MOST_PHOTOS = 24
_THUMBNAIL_SIDE = 480
_TIMED_PREDICTIONS = 5


# What it is compared with


def count_parameters(network: Network, options: Options) -> int:
    """How many numbers training adjusts for the colours."""
    with tf.Graph().as_default():
        lightness = tf.zeros([1, LIGHTNESS_SIZE, LIGHTNESS_SIZE, 1])
        params = {**dataclasses.asdict(options), "class_names": (), "precision": "float32"}
        network(Layers(False, params), lightness, params)
        return sum(variable.shape.num_elements() for variable in tf1.trainable_variables())


def measure_baselines(data: list[str] | Shards, batch_size: int) -> dict[str, dict[str, float]]:
    """What pictures without any colour, and all of one colour, measure.

    Args:
      data: test photos.
      batch_size: photos to look at together.

    Returns:
      `no_colour` and `mean_colour` (the mean a*b* of all photos), each with the means over photos
      of `psnr`, `ssim` and `colourfulness`; see `colorization.model.metrics`.
    """

    def batches() -> tf.data.Dataset:
        return dataset.eval_dataset(data, batch_size, Report(len(data)))

    total, count = np.zeros(2), 0
    for _, labels in batches():
        total += tf.reduce_sum(tf.reduce_mean(labels["chroma"], axis=[1, 2]), axis=0).numpy()
        count += len(labels["chroma"])
    colours = {"no_colour": np.zeros(2), "mean_colour": total / count}
    found: dict[str, list[list[np.ndarray]]] = {name: [] for name in colours}
    for features, labels in batches():
        truth = to_rgb(features["lightness"], labels["chroma"])
        for name, colour in colours.items():
            chroma = tf.zeros_like(labels["chroma"]) + colour.astype(np.float32)
            picture = to_rgb(features["lightness"], chroma)
            measured = [
                tf.image.psnr(truth, picture, 1.0),
                tf.image.ssim(truth, picture, 1.0),
                metrics.colourfulness(picture),
            ]
            found[name].append([value.numpy() for value in measured])
    names = ("psnr", "ssim", "colourfulness")
    return {
        name: {
            metric: float(np.mean(np.concatenate(values)))
            for metric, values in zip(names, zip(*of_batches, strict=True), strict=True)
        }
        for name, of_batches in found.items()
    }


# The pictures


class Coloured(NamedTuple):
    """What a model made of the shown photos.

    Attributes:
      scores: name of a picture -> what `colorize_colorize_photos` measures.
      network_seconds: the network alone, per photo.
      file_seconds: from file to file, per photo.
    """

    scores: dict[str, dict[str, float]]
    network_seconds: float
    file_seconds: float


def _evenly(photos: Sequence[Any]) -> list[Any]:
    """`MOST_PHOTOS` at most, evenly chosen."""
    count = min(len(photos), MOST_PHOTOS)
    return [photos[number * len(photos) // count] for number in range(count)]


def _test_photos(data: list[str] | Shards, report: Report, scratch: Path) -> list[str]:
    """Paths of the photos to show; prepared ones are written to a folder, at the size they have."""
    if not isinstance(data, Shards):
        return _evenly(
            [path for path in data if path not in report.without_color | report.unreadable.keys()]
        )
    chosen = set(_evenly(range(len(data))))
    examples = dataset.eval_dataset(data, 1, Report(len(data)))
    paths = []
    for number, (features, labels) in enumerate(examples):
        if number in chosen:
            (picture,) = to_rgb(features["lightness"], labels["chroma"]).numpy()
            name = Path(os.fsdecode(features["path"].numpy()[0])).name
            path = scratch / f"{number:06d}" / f"{name}.png"
            path.parent.mkdir()
            Image.fromarray((255 * picture + 0.5).astype(np.uint8)).save(path)
            paths.append(str(path))
    return paths


def _colorize(
    colorizer: Colorizer,
    names: Mapping[str, str],
    output: Path,
    workers: int,
    progress: Callable[[], object],
) -> Coloured:
    gray = np.full([LIGHTNESS_SIZE, LIGHTNESS_SIZE, 1], 50, np.float32)
    # The first time, graphs are made ready.
    colorizer.predict(gray, gray)
    with contextlib.suppress(UnreadablePhoto):
        colorizer.colorize(next(iter(names)))
    seconds = []
    for _ in range(_TIMED_PREDICTIONS):
        begun = time.monotonic()
        colorizer.predict(gray, gray)
        seconds.append(time.monotonic() - begun)
    begun = time.monotonic()
    scores = colorize_photos(
        colorizer,
        names,
        output,
        Report(len(names)),
        progress,
        workers=workers,
        quality=JPEG_QUALITY,
    )
    file_seconds = (time.monotonic() - begun) / len(names)
    return Coloured(scores, statistics.median(seconds), file_seconds)


# The page


class Model(NamedTuple):
    """One of the trained models.

    Attributes:
      network: see `color.network`.
      options: of the run, `model_dir` the model's own.
      metrics: what `Estimator.evaluate` returned for the checkpoint that predicts.
    """

    network: Network
    options: Options
    metrics: dict[str, Any]


def write_comparison(
    output: Path,
    models: Mapping[str, Model],
    train_photos: int,
    test_data: list[str] | Shards,
    report: Report,
) -> Path:
    """Colours test photos with both models, then writes the page.

    Args:
      output: folder of the page, `index.html`; the pictures at their own size go to its
        sub-folders of the models' names.
      models: by name, the keys of `TITLES`.
      train_photos: how many there were to train on, gray ones counted in.
      test_data: the photos that the metrics were measured on.
      report: on them.

    Returns:
      The path of the page.

    Raises:
      UserError: a model's folder holds no trained model.
      OSError: the folder cannot be written.
    """
    options = models["color"].options
    with tempfile.TemporaryDirectory() as scratch:
        photos = _test_photos(test_data, report, Path(scratch))
        names = picture_names(places_in_common_folder(photos))
        coloured = {}
        with progress_bar(len(names) * len(models), "colouring", " photos") as bar:
            for name, model in models.items():
                own = model.options
                colorizer = Colorizer(own.model_dir, precision=own.precision, network=model.network)
                coloured[name] = _colorize(
                    colorizer, names, output / name, own.batch_size, bar.update
                )
    curves = {name: read_curves(model.options.model_dir) for name, model in models.items()}
    baselines = measure_baselines(test_data, options.batch_size)
    shown = [name for name in names.values() if all(name in c.scores for c in coloured.values())]
    contents = {
        "summary": _summary(models, curves, train_photos, report),
        "charts": _charts(models, curves),
        "evaluations": _evaluations(curves),
        "quality": _quality(models, baselines),
        "cost": _cost(models, curves, coloured),
        "hyperparameters": _hyperparameters(curves),
        "measuring_note": _measuring_note(models),
        "photos_note": _photos_note(len(shown), report, output),
        "photos": "\n".join(_photo(output, name, coloured) for name in shown),
    }
    page = output / "index.html"
    write_file(page, render(Path(__file__).with_suffix(".html"), {}, contents))
    return page


def _summary(
    models: Mapping[str, Model],
    curves: Mapping[str, Curves],
    train_photos: int,
    report: Report,
) -> str:
    basic, full = (model.metrics for model in models.values())
    tested = f"{report.usable:,} test {'photo' if report.usable == 1 else 'photos'}"
    loss = _difference(basic["average_loss"], full["average_loss"])
    error = _difference(basic["ab_rmse"], full["ab_rmse"])
    steps = " and ".join(
        f"{count:,}"
        for count in dict.fromkeys(_trained_steps(curves[name], models[name]) for name in models)
    )
    small = max(of_one.hyperparameters.get("half_size_share", 0) for of_one in curves.values())
    sizes = f", the first {small:.0%} of them on photos of half the size" if small else ""
    sentences = [
        f"On {tested} the full model’s loss is <b>{loss}</b> the basic model’s, its a*b* error "
        f"<b>{error}</b>.",
        f"Both were trained alike: the same {train_photos:,} photos (gray ones left out), {steps} "
        f"steps{sizes}, the same seed.",
    ]
    return " ".join(sentences)


def _difference(basic: float, full: float) -> str:
    percent = 100 * (full / basic - 1) if basic else 0.0
    if abs(percent) < 0.05:
        return "the same as"
    return f"{abs(percent):.1f}&nbsp;% {'below' if percent < 0 else 'above'}"


def _trained_steps(curves: Curves, model: Model) -> int:
    """Steps of the whole training; the checkpoint that predicts may be of an earlier one."""
    return max([int(model.metrics["global_step"]), *(step for step, _, _ in curves.evaluations)])


def _charts(models: Mapping[str, Model], curves: Mapping[str, Curves]) -> str:
    ends = ", ".join(
        f"{TITLES[name]} {model.metrics['average_loss']:.4f}" for name, model in models.items()
    )
    levels = []
    metrics_of_one = models["color"].metrics
    # Other losses than the mean squared error know no baselines.
    if models["color"].options.loss == "mse":
        levels = [
            ("mean colour", float(metrics_of_one["loss_mean_colour"])),
            ("no colour", float(metrics_of_one["loss_no_colour"])),
        ]
    unit, seconds_in_unit = _time_unit(
        max((at for of_one in curves.values() for _, at, _ in of_one.losses), default=math.nan)
    )
    drawn = []
    for what, axis in (("steps", "steps"), ("time", f"{unit} of training, evaluations left out")):
        series = []
        for name, of_one in curves.items():

            def points(values: Sequence[tuple[int, float, float]], what: str = what) -> list:
                if what == "steps":
                    return [(step, loss) for step, _, loss in values]
                return [(at / seconds_in_unit, loss) for _, at, loss in values if at == at]

            measured = points(of_one.losses)
            series.append(
                charts.Series(
                    TITLES[name], measured, charts.smoothed(measured), points(of_one.evaluations)
                )
            )
        if not any(points for one in series for points in one[1:]):
            drawn.append('<p class="note">Too few steps to tell how long they took.</p>')
            continue
        description = (
            f"Line chart of the loss over {axis}, of both models, in training and on the test "
            f"photos. On the test photos they end at: {ends}. All figures are in the table below."
        )
        drawn.append(charts.line_chart(f"over-{what}", description, (axis, "loss"), series, levels))
    return "\n".join(f"<figure>{chart}</figure>" for chart in drawn)


def _time_unit(seconds: float) -> tuple[str, float]:
    if seconds > 3 * 3600:
        return "hours", 3600.0
    return ("minutes", 60.0) if seconds > 180 else ("seconds", 1.0)


def _evaluations(curves: Mapping[str, Curves]) -> str:
    by_step: dict[int, dict[str, tuple[float, float]]] = {}
    for name, of_one in curves.items():
        for step, seconds, loss in of_one.evaluations:
            by_step.setdefault(step, {})[name] = (seconds, loss)
    rows = []
    for step, found in sorted(by_step.items()):
        cells = [f"{step:,}"]
        for name in curves:
            seconds, loss = found.get(name, (math.nan, math.nan))
            cells += [_duration(seconds), _figure(loss, 4)]
        rows.append(cells)
    head = ["step", *(f"{TITLES[name]}, {what}" for name in curves for what in ("time", "loss"))]
    return _table("Loss on the test photos in the course of training", head, rows, "unseen")


def _quality(models: Mapping[str, Model], baselines: Mapping[str, Mapping[str, float]]) -> str:
    measured = [model.metrics for model in models.values()]
    of_one, mean, no = measured[0], baselines["mean_colour"], baselines["no_colour"]
    truth = float(of_one["colourfulness_truth"])
    # Label, metric, digits, what is best, mean colour, no colour, truth.
    rows = [
        ("average loss", "average_loss", 4, 0.0, of_one["loss_mean_colour"],
         of_one["loss_no_colour"], 0.0),
        ("a*b* RMSE", "ab_rmse", 2, 0.0, of_one["ab_rmse_mean_colour"],
         of_one["ab_rmse_no_colour"], 0.0),
        ("PSNR, dB", "psnr", 2, math.inf, mean["psnr"], no["psnr"], math.inf),
        ("SSIM", "ssim", 3, 1.0, mean["ssim"], no["ssim"], 1.0),
        ("colourfulness", "colourfulness", 1, truth, mean["colourfulness"],
         no["colourfulness"], truth),
    ]  # fmt: skip
    table = []
    for label, metric, digits, best, *others in rows:
        values = [float(of_model[metric]) for of_model in measured]
        cells = _with_best(values, digits, best)
        *beside, ideal = (float(value) for value in others)
        cells += [_figure(value, digits) for value in beside]
        table.append([label, *cells, _figure(ideal, 0 if ideal in (0, 1) else digits)])
    head = ["", *TITLES.values(), "mean colour", "no colour", "truth"]
    return _table("How close to the truth", head, table)


def _with_best(values: Sequence[float], digits: int, best: float) -> list[str]:
    """Figures, the better one in bold; none if they look the same."""
    shown = [_figure(value, digits) for value in values]
    if len(set(shown)) == 1:
        return shown
    goal = max(values) if math.isinf(best) else min(values, key=lambda value: abs(value - best))
    return [
        f"<b>{figure}</b>" if value == goal else figure
        for figure, value in zip(shown, values, strict=True)
    ]


def _cost(
    models: Mapping[str, Model], curves: Mapping[str, Curves], coloured: Mapping[str, Coloured]
) -> str:
    rows = []

    def add(label: str, values: Sequence[float | None], digits: int | None = None) -> None:
        numbers = [math.nan if value is None else float(value) for value in values]
        ratio = numbers[1] / numbers[0] if numbers[0] else math.nan
        rows.append([label, *(_figure(number, digits) for number in numbers), _figure(ratio, 2)])

    steps = {name: _trained_steps(curves[name], model) for name, model in models.items()}
    trained = [curves[name].seconds_until(count) for name, count in steps.items()]
    add("parameters", [count_parameters(m.network, m.options) for m in models.values()], 0)
    add("steps", list(steps.values()), 0)
    add("seconds per step", [of_one.seconds_per_step for of_one in curves.values()])
    add("photos per second", [of_one.photos_per_second for of_one in curves.values()])
    unit, seconds_in_unit = _time_unit(max(trained))
    add(f"{unit} of training", [seconds / seconds_in_unit for seconds in trained], 1)
    add("seconds per photo predicted", [of_one.network_seconds for of_one in coloured.values()])
    add("from file to file", [of_one.file_seconds for of_one in coloured.values()])
    return _table("What it costs", ["", *TITLES.values(), "full : basic"], rows)


def _measuring_note(models: Mapping[str, Model]) -> str:
    steps = [f"{int(model.metrics['global_step']):,}" for model in models.values()]
    processors = f"{os.cpu_count()} processor cores"
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


def _hyperparameters(curves: Mapping[str, Curves]) -> str:
    both = [of_one.hyperparameters for of_one in curves.values()]
    rows = []
    for option in sorted({option for of_one in both for option in of_one}):
        values = [_setting(of_one.get(option)) for of_one in both]
        # What only the full model has is among the settings of both.
        if option.startswith("global_"):
            values[0] = "–"
        rows.append([f"--{option}", *values])
    return _table("Hyperparameters", ["", *TITLES.values()], rows, "unseen")


def _setting(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:g}" if isinstance(value, float) else html.escape(str(value))


def _photos_note(shown: int, report: Report, output: Path) -> str:
    which = (
        "All test photos"
        if shown == report.usable
        else (f"{shown} of the {report.usable:,} test photos, evenly chosen")
    )
    places = " and ".join(f"{output / name / 'predicted'}" for name in TITLES)
    return (
        f"{which}. RMSE is the error of the predicted a*b* in CIE units: less is better. The "
        f"pictures at their own size are in {html.escape(places)}."
    )


def _photo(output: Path, name: str, coloured: Mapping[str, Coloured]) -> str:
    """A row: gray, basic, full, truth."""
    errors = {
        model: of_one.scores.get(name, {}).get("rmse", math.nan)
        for model, of_one in coloured.items()
    }
    captions = dict(zip(errors, _with_best(list(errors.values()), 1, 0.0), strict=True))
    views = [
        ("gray", output / "color" / "gray" / name, ""),
        *(
            (TITLES[model], output / model / "predicted" / name, f" RMSE {captions[model]}")
            for model in coloured
        ),
        ("truth", output / "color" / "truth" / name, ""),
    ]
    figures = "".join(
        _view(view, path, name, caption) for view, path, caption in views if path.exists()
    )
    return f"<li><h3><bdi>{html.escape(name)}</bdi></h3>{figures}</li>"


def _view(view: str, path: Path, name: str, caption: str) -> str:
    with Image.open(path) as image:
        data, suffix, (width, height) = thumbnail(image, _THUMBNAIL_SIDE)
    kind = {".jpg": "jpeg", ".png": "png"}[suffix]
    return (
        f'<figure class="{view}"><img src="data:image/{kind};base64,'
        f'{base64.b64encode(data).decode()}" alt="{html.escape(f"{view}: {name}")}" '
        f'width="{width}" height="{height}" decoding="async">'
        f"<figcaption><b>{view}</b>{caption}</figcaption></figure>"
    )


def _figure(value: float, digits: int | None = None) -> str:
    """A number with so many digits after the point; by default three that mean something."""
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
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _table(
    caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "seen"
) -> str:
    """A table of ready HTML; the first cell of a row is its heading."""
    classes = [name if name in TITLES.values() else "" for name in head]
    heads = "".join(
        f'<th scope="col" class="{kind}">{cell}</th>' if cell else "<td></td>"
        for cell, kind in zip(head, classes, strict=True)
    )
    body = "\n".join(
        f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in rest) + "</tr>"
        for first, *rest in rows
    )
    return (
        f'<div class="table" role="region" aria-label="{caption}" tabindex="0"><table>'
        f'<caption class="{kind}">{caption}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>\n{body}\n"
        "</tbody></table></div>"
    )
