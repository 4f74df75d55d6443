"""One short function for each `--mode`; what `color.py` and `color_global.py` call.

Nothing here imports TensorFlow before the command line has been checked.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import logging
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from colorization.errors import UserError
from colorization.options import NETWORK_SETTINGS, Options, parse
from colorization.quiet import import_tensorflow

if TYPE_CHECKING:
    from colorization.colorize import Colorizer
    from colorization.dataset import Report
    from colorization.estimator import tf_estimator
    from colorization.model import Network
    from colorization.selection import Selection
    from colorization.shards import Shards

_log = logging.getLogger("colorization")


def run(model: str, network: Network) -> NoReturn:
    """Does what the command line says, then ends the program.

    Exit codes: 0 done, 1 done but for photos that could not be coloured, 2 the user has something
    to mend (one line says what), 128 + N stopped by signal N; 141, for SIGPIPE, if nobody reads
    standard output any more.

    Args:
      model: name of the script, `"color"` or `"color_global"`.
      network: its network.
    """
    # Names of photos need not be what standard output can hold.
    if sys.stdout is not None:
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        options = parse(model, sys.argv[1:])
        if options.xla:
            # Read once, when TensorFlow first looks for devices; processors ask for it.
            flags = os.environ.get("TF_XLA_FLAGS", "")
            os.environ["TF_XLA_FLAGS"] = f"{flags} --tf_xla_cpu_global_jit"
        import_tensorflow(options.verbose)
        _log_to_console()
        modes = {
            "train": train,
            "evaluate": evaluate,
            "predict": predict,
            "export": export,
            "prepare": prepare,
            "serve": serve,
            "compare": compare,
        }
        modes[options.mode](model, network, options)
        if sys.stdout is not None:
            sys.stdout.flush()
    # An ImportError says which package is missing, or which version of one.
    except (UserError, ImportError) as error:
        _print_error(f"{model}.py: {error}")
        sys.exit(2)
    except BrokenPipeError:
        # Nobody reads on; what is still to be written at the end goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except Exception as error:
        from colorization.failures import explain

        explanation = explain(error, options.batch_size)
        if explanation is None or options.verbose:
            raise
        _print_error(f"{model}.py: {explanation}")
        sys.exit(2)
    sys.exit(0)


def _print_error(message: str) -> None:
    """In a line of its own, even where a progress bar stands."""
    try:
        from tqdm import tqdm
    except ImportError:  # which may be the error
        print(message, file=sys.stderr)
    else:
        tqdm.write(message, file=sys.stderr)


def train(model: str, network: Network, options: Options) -> None:
    """Trains until `--max_steps`, evaluating each checkpoint; in a cluster, does one task of it."""
    from colorization import cluster, selection

    task = cluster.read_cluster(options.sync, options.gpus)
    if task.task_type == "ps":
        cluster.serve_parameters(task)
        return
    if task.cluster_spec:
        for name in ("patience", "half_size_share"):
            if name in options.given:
                raise UserError(f"--{name} is for one machine: leave it out in a TF_CONFIG cluster")
        options = dataclasses.replace(options, half_size_share=0.0)
    _require_writable(options.model_dir, "model_dir")
    options, data = selection.photos_for_training(options)
    trained = _train_model(model, network, options, task, data)
    if not trained or not task.is_chief:
        return
    folder = ["--model_dir", options.model_dir] if "model_dir" in options.given else []
    logs = os.path.dirname(options.model_dir) or "."
    print("Next:")
    print(f"  {shlex.join(['python', f'{model}.py', '--mode', 'predict', *folder])}")
    print(f"  {shlex.join(['tensorboard', '--logdir', logs])}")


def _train_model(
    model: str,
    network: Network,
    options: Options,
    task: tf_estimator.RunConfig,
    data: Selection,
) -> bool:
    """Trains one model, or does one task of it on its share of the photos, and says how it went.

    Returns:
      False if nothing was left to train.
    """
    from colorization import checkpoint, cluster, selection, shards
    from colorization.dataset import Report
    from colorization.hooks import Interrupted
    from colorization.training import Photos, train_task

    wanted = _network_settings(model, options)
    if options.warm_start:
        wanted.update(checkpoint.starting_settings(options.warm_start, wanted, options.given))
    if options.classes:
        wanted["classes"] = selection.class_names(data.train)
    settings = checkpoint.settled(options.model_dir, wanted, options.given)
    train_data, test_data = data.train, data.test
    if task.num_worker_replicas > 1:
        train_data = shards.divided(train_data, task.global_id_in_cluster, task.num_worker_replicas)
    for photos in (train_data, test_data):
        selection.require_usable(photos)
    if options.profile and options.profile > options.max_steps:
        raise UserError(f"--profile {options.profile} is beyond the last step, {options.max_steps}")
    train_photos = Photos(train_data, Report(len(train_data)))
    test_photos = Photos(test_data, Report(len(test_data)))

    with checkpoint.locked(options.model_dir) if task.is_chief else contextlib.nullcontext():
        if task.is_chief:
            checkpoint.store_settings(options.model_dir, settings)
            selection.store_held_out(options.model_dir, data.held_out)
            done = checkpoint.resume(options.model_dir)
        else:
            done = checkpoint.trained_steps(options.model_dir)
        if done >= options.max_steps and task.task_type != "evaluator":
            cluster.report_finished(task)
            print(
                f"{options.model_dir} has been trained for {done} steps already; "
                f"to go on, give a larger --max_steps"
            )
            return False
        if options.profile and options.profile <= done:
            raise UserError(f"--profile {options.profile}: training goes on from step {done}")
        if done:
            print(f"Going on from step {done} of {options.model_dir}.")
        try:
            with train_photos.report.explained(), test_photos.report.explained():
                metrics = train_task(
                    network, options, settings, task, done, train_photos, test_photos
                )
        except Interrupted as interruption:
            print(
                f"\nStopped after step {interruption.step}; a checkpoint is saved. "
                f"To go on:\n  {shlex.join(['python', *sys.argv])}"
            )
            sys.exit(128 + interruption.signal_number)
        finally:
            if task.is_chief:
                train_photos.report.write_unreadable(
                    os.path.join(options.model_dir, "unreadable.txt")
                )
        cluster.report_finished(task)
    if task.is_chief:
        print(f"Trained on {train_photos.report}.")
        print(f"Checkpoint: {checkpoint.latest_checkpoint(options.model_dir)}")
        if metrics:
            _print_metrics(metrics, test_photos.report)
            best = checkpoint.best_checkpoint(options.model_dir)
            print(f"Best checkpoint, which predict takes: {best}")
    return True


def evaluate(model: str, network: Network, options: Options) -> None:
    """Measures the checkpoint that predict takes; prints the figures and stores them beside it."""
    from colorization import checkpoint, dataset, selection

    best = checkpoint.best_checkpoint(options.model_dir)
    settings = checkpoint.settled(
        options.model_dir, _network_settings(model, options), options.given
    )
    data = selection.photos_for_testing(options)
    report = dataset.Report(len(data))
    selection.require_usable(data)
    metrics = _measure(best, network, options, settings, data, report)
    print(f"Checkpoint: {best}")
    _print_metrics(metrics, report)
    stored = Path(options.model_dir) / "evaluation.json"
    figures = {name: value.item() for name, value in metrics.items()}
    checkpoint.write_json(stored, {"checkpoint": best, "photos": report.usable, **figures})
    print(f"Stored in {stored}")


def _measure(
    checkpoint: str,
    network: Network,
    options: Options,
    settings: dict[str, Any],
    data: list[str] | Shards,
    report: Report,
) -> dict[str, Any]:
    """Evaluates a checkpoint; see `model.make_model_fn` for the metrics."""
    from colorization import dataset, hooks
    from colorization.training import make_estimator

    scale = settings["chroma_scale"]
    with report.explained():
        return make_estimator(network, options, settings).evaluate(
            lambda: dataset.eval_dataset(data, options.batch_size, scale, report),
            hooks=[
                hooks.EvalProgress(-(-len(data) // options.batch_size)),
                hooks.FitsCheckpoint(checkpoint),
            ],
            checkpoint_path=checkpoint,
        )


def predict(model: str, network: Network, options: Options) -> None:
    """Colours photos and films and writes the pictures and the gallery page."""
    from colorization import dataset, folder, photos, selection, video

    if "-" in (*options.input, options.output):
        _predict_pipe(model, network, options)
        return
    colorizer = _colorizer(model, network, options)
    _require_writable(options.output, "output")
    paths = (
        photos.find_photos(options.input)
        if options.input
        else selection.photos_for_testing(options)
    )
    if not isinstance(paths, list):
        raise UserError("prepared photos cannot be coloured; name the photos themselves in --input")
    output = Path(options.output)
    found, paths = len(paths), folder.without_results(paths, output)
    if len(paths) < found:
        print(f"Leaving out what lies in the folders of {output} that results go to.")
    _require_readable(paths)
    report = dataset.Report(len(paths))
    films = [path for path in paths if video.is_film(path)]
    if films:
        _colour_films(colorizer, films, output, options, report)
        paths = [path for path in paths if path not in films]
    if paths:
        _colour_photos(model, colorizer, paths, output, options, report)
    if report.unreadable:
        print(
            f"{len(report.unreadable):,} of {report.total:,} could not be coloured; "
            "the lines above say why.",
            file=sys.stderr,
        )
        sys.exit(1)


def _colour_photos(
    model: str,
    colorizer: Colorizer,
    paths: list[str],
    output: Path,
    options: Options,
    report: Report,
) -> None:
    from colorization import folder, hooks
    from colorization.finished import read_finished
    from colorization.gallery import write_gallery

    names = _still_to_colour(paths, output, options, "photos")
    with hooks.progress_bar(len(names), "colouring", " photos", disable=not names) as bar:
        scores = folder.colour_photos(
            colorizer,
            names,
            output,
            report,
            bar.update,
            at_once=options.batch_size,
            quality=options.quality,
        )
    of_all = {name: picture.scores for name, picture in read_finished(output).items()}
    page = write_gallery(output, f"{model}.py", of_all)
    print(f"Coloured {len(scores):,} photos into {output / 'predicted'}.")
    print(f"See them in {page}")


def _colour_films(
    colorizer: Colorizer, films: list[str], output: Path, options: Options, report: Report
) -> None:
    from colorization import hooks, video
    from colorization.finished import add_finished

    for film, name in _still_to_colour(films, output, options, "films").items():
        target = output / "predicted" / name
        with hooks.progress_bar(None, f"colouring {os.path.basename(film)}", " frames") as bar:
            try:
                frames = video.colour_film(colorizer, film, target, bar.update)
            except video.UnreadableFilm as error:
                report.add_unreadable(film, str(error))
                continue
        add_finished(output, name, film, {})
        print(f"Coloured {frames:,} frames into {target}.")


def _still_to_colour(paths: list[str], output: Path, options: Options, what: str) -> dict[str, str]:
    """Names of their pictures or films, see `folder.picture_names`; finished ones are left out."""
    from colorization import folder
    from colorization.finished import read_finished

    finished = {name: picture.photo for name, picture in read_finished(output).items()}
    names = folder.picture_names(paths, options.format, finished)
    if options.overwrite:
        return names
    left = {path: name for path, name in names.items() if name not in finished}
    if len(left) < len(names):
        skipped = len(names) - len(left)
        print(f"Skipping {skipped:,} finished {what}; --overwrite colours them anew.")
    return left


def export(model: str, network: Network, options: Options) -> None:
    """Writes the model in a form that needs none of this program."""
    from colorization import checkpoint
    from colorization import export as exports
    from colorization.inference import TrainedNetwork

    checkpoint.settled(options.model_dir, _network_settings(model, options), options.given)
    _require_writable(options.output, "output")
    # What runs everywhere, unless asked for otherwise; converters know nothing else.
    precision = "float32" if options.precision == "auto" else options.precision
    form = options.format or "savedmodel"
    if form != "savedmodel" and precision != "float32":
        raise UserError(f"--format {form} holds float32 only; leave --precision out")
    trained = TrainedNetwork(options.model_dir, network, precision)
    if form == "savedmodel":
        written = exports.export_saved_model(trained, Path(options.output))
    else:
        written = Path(options.output) / f"{model}.{form}"
        {"onnx": exports.export_onnx, "tflite": exports.export_tflite}[form](trained, written)
    print(f"Exported to {written}")


def _predict_pipe(model: str, network: Network, options: Options) -> None:
    """Colours the one photo on standard input; the picture goes to standard output.

    Raises:
      UserError: only one of the two ends is `-`, one is closed, or what came in is no photo.
    """
    from colorization.photos import UnreadablePhoto
    from colorization.pictures import FORMATS, CannotEncode

    if options.input != ("-",) or options.output != "-":
        raise UserError("- stands for a pipe; give both --input - and --output -")
    if sys.stdin is None or sys.stdout is None:
        raise UserError("standard input or output is closed; connect both to a file or a pipe")
    data = sys.stdin.buffer.read()
    kind = FORMATS[options.format][1] if options.format else None
    try:
        coloured = _colorizer(model, network, options).colorize_bytes(data, kind, options.quality)
    except (UnreadablePhoto, CannotEncode) as error:
        raise UserError(f"cannot colour standard input ({error}); give it one photo") from error
    sys.stdout.buffer.write(coloured)
    sys.stdout.buffer.flush()


def _colorizer(model: str, network: Network, options: Options) -> Colorizer:
    from colorization import checkpoint
    from colorization.colorize import Colorizer
    from colorization.photos import UnreadablePhoto

    checkpoint.settled(options.model_dir, _network_settings(model, options), options.given)
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


def prepare(model: str, network: Network, options: Options) -> None:
    """Turns photos into shards, so that training on them need not open each photo again."""
    from colorization import hooks, photos
    from colorization import prepare as preparation

    _require_writable(options.output, "output")
    paths = photos.find_photos(options.input)
    with hooks.progress_bar(len(paths), "preparing", " photos", delay=0.5) as bar:
        report = preparation.prepare(paths, options.output, options.split, progress=bar.update)
    print(
        f"Prepared {report}." if report else f"{options.output} was prepared before; nothing to do."
    )
    if report and report.unreadable:
        print(f"All unreadable photos: {os.path.join(options.output, preparation.UNREADABLE)}")
    data = ["--train_data", options.output]
    if options.split:
        train, test = (os.path.join(options.output, part) for part in ("train", "test"))
        data = ["--train_data", train, "--test_data", test]
    print(f"Next:\n  {shlex.join(['python', f'{model}.py', *data])}")


def serve(model: str, network: Network, options: Options) -> None:
    """Serves the page until the program is stopped."""
    from colorization import bundled, checkpoint
    from colorization import serve as page

    accounts = page.read_accounts(options.auth_file)
    checkpoint.settled(options.model_dir, _network_settings(model, options), options.given)
    models = page.Models(options.model_dir, options.precision)
    # Of SIGINT too: shells have programs in the background ignore it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    examples = bundled.gray_photos()
    address = {"host": options.host, "port": options.port}
    with page.serving(models, examples, accounts=accounts, **address) as url:
        print(f"Colouring photos at {url} (Ctrl-C ends it)", flush=True)
        if not accounts and not page.is_local(options.host):
            print("Everyone who reaches this machine may use it; --auth_file asks for a password.")
        while True:
            signal.pause()


def compare(model: str, network: Network, options: Options) -> None:
    """Trains both models on the same photos for as long, and writes a page that compares them."""
    from colorization import budget, checkpoint, cluster, dataset, selection
    from colorization import compare as comparison

    task = cluster.read_cluster(False, None)
    if task.cluster_spec:
        raise UserError("--mode compare is for one machine; unset TF_CONFIG")
    _require_writable(options.model_dir, "model_dir")
    _require_writable(options.output, "output")
    options, data = selection.photos_for_training(options)
    runs = {}
    for name in comparison.TITLES:
        own = dataclasses.replace(options, model_dir=os.path.join(options.model_dir, name))
        its = network if name == model else importlib.import_module(name).network
        settings = checkpoint.settled(own.model_dir, _network_settings(name, own), own.given)
        runs[name] = (its, own, settings)
    for photos in (data.train, data.test):
        selection.require_usable(photos)
    # Before the training: not every folder that seems writable is.
    Path(options.output).mkdir(parents=True, exist_ok=True)
    if options.minutes:
        for name, (its, own, settings) in runs.items():
            steps = budget.steps_in_minutes(options.minutes, its, own, settings, data.train)
            print(f"{options.minutes:g} minutes of {name}.py are about {steps:,} steps.")
            runs[name] = (its, dataclasses.replace(own, max_steps=steps), settings)
    for name, (its, own, _) in runs.items():
        print(f"{name}.py, the {comparison.TITLES[name]} model:")
        _train_model(name, its, own, task, data)
    report = dataset.Report(len(data.test))
    models = {}
    for name, (its, own, settings) in runs.items():
        best = checkpoint.best_checkpoint(own.model_dir)
        metrics = _measure(best, its, own, settings, data.test, report)
        models[name] = comparison.Model(its, own, settings, metrics)
    page = comparison.write_comparison(
        Path(options.output), models, len(data.train), data.test, report
    )
    print(f"See both models side by side in {page}")


def _log_to_console() -> None:
    """Warnings go to standard error, above a progress bar if there is one."""
    from tqdm import tqdm

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            tqdm.write(self.format(record), file=sys.stderr)

    _log.addHandler(Handler())


def _network_settings(model: str, options: Options) -> dict[str, Any]:
    settings = {name: getattr(options, name) for name in NETWORK_SETTINGS}
    return {"model": model, **settings, "classes": []}


def _require_readable(paths: list[str]) -> None:
    """Reads on until the first photo or film that can be opened; else names those that cannot.

    Raises:
      UserError: there is none.
    """
    from colorization.dataset import named_reasons
    from colorization.photos import UnreadablePhoto, open_photo, read_file
    from colorization.video import UnreadableFilm, first_frame, is_film

    unreadable = {}
    for path in paths:
        try:
            if is_film(path):
                first_frame(path)
            else:
                open_photo(read_file(path), 1)
            return
        except (UnreadablePhoto, UnreadableFilm) as error:
            unreadable[path] = str(error)
    raise UserError(f"no usable photo: {named_reasons(unreadable)}; name a folder with photos")


def _require_writable(folder: str, option: str) -> None:
    """Finds out whether a folder can be made and written to, without making it.

    Raises:
      UserError: it cannot.
    """
    existing = Path(folder).absolute()
    while not existing.exists():
        existing = existing.parent
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        raise UserError(f"cannot write to {folder}; make {existing} writable or change --{option}")


def _print_metrics(metrics: dict[str, Any], report: object) -> None:
    """A small table: the model beside two predictions that need no model."""
    rows = (
        ("", "model", "no colour", "mean colour"),
        ("average loss", *_row(metrics, ["average_loss", "loss_no_colour", "loss_mean_colour"], 4)),
        ("a*b* RMSE", *_row(metrics, ["ab_rmse", "ab_rmse_no_colour", "ab_rmse_mean_colour"], 2)),
        ("RGB PSNR, dB", *_row(metrics, ["psnr"], 2), "", ""),
        ("RGB SSIM", *_row(metrics, ["ssim"], 3), "", ""),
        ("colourfulness", *_row(metrics, ["colourfulness"], 1), "", ""),
    )
    if metrics.get("labelled"):
        rows += (("class accuracy", *_row(metrics, ["accuracy"], 3), "", ""),)
    print(f"Measured on {report}, step {metrics['global_step']}:")
    for row in rows:
        print("  {:14}{:>10}{:>12}{:>14}".format(*row).rstrip())
    print(f"Colourfulness of the photos themselves: {metrics['colourfulness_truth']:.1f}")


def _row(metrics: dict[str, Any], names: list[str], digits: int) -> list[str]:
    return [f"{metrics[name]:.{digits}f}" for name in names]
