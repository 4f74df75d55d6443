"""`--mode train`: photos to checkpoints."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from colorization.console import command_line, print_error
from colorization.data import held_out, shards, split
from colorization.data.report import Report
from colorization.data.shards import Shards
from colorization.data.split import Selection
from colorization.errors import UserError
from colorization.estimator import tf_estimator
from colorization.files import require_writable
from colorization.model.layers import Network
from colorization.modes.evaluate import print_metrics
from colorization.options import Options
from colorization.training import checkpoint, cluster, patience, start, tryout
from colorization.training.evaluation import is_evaluated, same_photos, stored_evaluation
from colorization.training.hooks import Interrupted
from colorization.training.model_folder import BEST, HELD_OUT, SETTINGS, UNREADABLE
from colorization.training.settings import (
    resolve_settings,
    store_settings,
    warm_started,
)
from colorization.training.training import (
    Photos,
    photos_per_step,
    stored_full_size_step,
    train_task,
)


def run(network: Network, options: Options) -> None:
    """Trains until `--max_steps`, evaluating each checkpoint; in a cluster, does one task of it."""
    task = cluster.read_cluster(options.sync, options.gpus)
    # An evaluator stands beside the cluster that it names.
    if task.cluster_spec or task.task_type == "evaluator":
        for name in ("patience", "half_size_share"):
            if name in options.given:
                raise UserError(f"--{name} is for one machine: leave it out in a TF_CONFIG cluster")
        options = dataclasses.replace(options, half_size_share=0.0)
    if task.task_type == "ps":
        cluster.serve_parameters(task)
        return
    require_writable(options.model_dir, "model_dir")
    require_trainable(options.model_dir)
    own_photos = split.has_own_photos(options, "train")
    with tryout.kept_apart(options, own_photos, may_rename=not task.cluster_spec):
        options, data = split.photos_for_training(
            options,
            Path(options.model_dir) / HELD_OUT,
            checkpoint.has_begun(options.model_dir),
        )
        options = start.with_starting_point(options, data.bundled)
        trained = train_model(network, options, task, data)
    if not trained or not task.is_chief:
        return
    folder = ["--model_dir", options.model_dir] if "model_dir" in options.given else []
    logs = os.path.dirname(options.model_dir) or "."
    print("Next:")
    print(f"  {command_line(['python', f'{options.model}.py', '--mode', 'predict', *folder])}")
    print(f"  {command_line(['tensorboard', '--logdir', logs])}")


def require_trainable(model_dir: str) -> None:
    """Requires that a folder is neither one of weights alone nor that of a best checkpoint.

    Training in the latter would delete the checkpoint that the other modes take.

    Raises:
      UserError: it is.
    """
    folder = Path(os.path.realpath(model_dir))
    if folder.name == BEST and (folder.parent / SETTINGS).exists():
        raise UserError(
            f"{model_dir} holds the best checkpoint of {folder.parent}: to go on with that, give "
            f"--model_dir {folder.parent}; to start from the best one, --warm_start {model_dir} "
            "and another --model_dir"
        )
    if checkpoint.holds_weights_only(model_dir):
        raise UserError(
            f"{model_dir} holds weights without what training needs; to go on from them, "
            f"give --warm_start {model_dir} and another --model_dir"
        )


@contextlib.contextmanager
def _started(
    options: Options, task: tf_estimator.RunConfig, trained_steps: int
) -> Iterator[Options]:
    """The options with `warm_start` copied to a checkpoint that TensorFlow can restore, if used."""
    if trained_steps or not options.warm_start:
        yield options
        return
    print(f"Starting from {options.warm_start}.")
    # Parameter servers on other machines of a cluster restore the chief's checkpoint.
    folder = options.model_dir if task.is_chief else None
    values = checkpoint.tensors(options.warm_start, checkpoint.is_weight)
    with checkpoint.restorable(values, folder) as restorable:
        yield dataclasses.replace(options, warm_start=restorable)


def train_model(
    network: Network,
    options: Options,
    task: tf_estimator.RunConfig,
    data: Selection,
) -> bool:
    """Trains one model, or does one task of it on its share of the photos, and prints the outcome.

    Returns:
      False if nothing was left to train or to evaluate.
    """
    options = _with_network_settings(options, data)
    photos = len(data.train), len(data.test)
    train, test = _photos(data, task)
    with checkpoint.locked(options.model_dir) if task.is_chief else contextlib.nullcontext():
        find_steps = checkpoint.resume if task.is_chief else checkpoint.trained_steps
        trained_steps = find_steps(options.model_dir)
        if trained_steps >= options.max_steps and task.task_type != "evaluator":
            cluster.report_finished(task)
            if _is_finished(options, task, trained_steps):
                return False
            with _stoppable(train, test):
                metrics = train_task(
                    network, options, task, trained_steps, train, test, lambda: None
                )
            _print_best(options, test, metrics)
            return True
        if patience.has_ended(options, photos, trained_steps):
            print(
                f"{_patience_end(options, trained_steps)} Nothing is left to do; to go on, give a "
                "larger --patience or leave it out."
            )
            return False
        if trained_steps:
            options = _resumed(options, trained_steps)

        def store_records() -> None:
            store_settings(options)
            held_out.write(Path(options.model_dir) / HELD_OUT, data.held_out, data.trained_on)
            tryout.mark(options.model_dir, data.bundled)
            if not trained_steps:
                start.store(options)

        def compare_held_out() -> None:
            # A training that goes on has its list from the beginning.
            if not trained_steps:
                measures = task.task_type == "evaluator"
                split.require_same_held_out(data, Path(options.model_dir) / HELD_OUT, measures)

        with (
            _listing_unreadable(options, task, train, trained_steps),
            _stoppable(train, test),
            _started(options, task, trained_steps) as start_options,
        ):
            metrics = train_task(
                network,
                start_options,
                task,
                trained_steps,
                train,
                test,
                store_records if task.is_chief else compare_held_out,
            )
        if options.patience:
            _end_by_patience(options, photos)
        cluster.report_finished(task)
    if task.is_chief:
        _print_outcome(options, task, trained_steps, train, test, metrics)
    return True


def _resumed(options: Options, trained_steps: int) -> Options:
    """The options of a training that goes on, with the step from which it is at full size."""
    if options.profile and options.profile <= trained_steps:
        raise UserError(f"--profile {options.profile}: training goes on from step {trained_steps}")
    print(f"Going on from step {trained_steps} of {options.model_dir}.")
    if "half_size_share" in options.given:
        return options
    full_size_from = stored_full_size_step(options.model_dir)
    return dataclasses.replace(options, full_size_from=full_size_from)


def _end_by_patience(options: Options, photos: tuple[int, int]) -> None:
    """Says and stores that `--patience` has ended a training, if it is not the last step that has.

    Args:
      options: of the training, which has come to its end.
      photos: number of those to train and to test on.
    """
    step = checkpoint.step_of(checkpoint.newest_listed(options.model_dir))
    if step < options.max_steps:
        patience.store_end(options, photos, step)
        print(_patience_end(options, step))


def _patience_end(options: Options, step: int) -> str:
    return (
        f"--patience {options.patience} has ended the training at step {step}: no evaluation since "
        "that of the best checkpoint found a lower loss."
    )


def _is_finished(options: Options, task: tf_estimator.RunConfig, trained_steps: int) -> bool:
    """Whether nothing is left of a training that has reached its last step; says what is."""
    print(
        f"{options.model_dir} has been trained for {trained_steps} steps already; "
        f"to go on, give a larger --{'minutes' if options.minutes else 'max_steps'}"
    )
    if task.cluster_spec or is_evaluated(options.model_dir, trained_steps):
        return True
    print("The last checkpoint was not evaluated, or not on all photos; that is done now.")
    return False


def _with_network_settings(options: Options, data: Selection) -> Options:
    """The options with all settings of the network to train."""
    if options.profile and options.profile > options.max_steps:
        raise UserError(f"--profile {options.profile} is beyond the last step, {options.max_steps}")
    # The starting point may be gone by now, and a training that has made a step does not need it.
    if options.warm_start and not checkpoint.trained_steps(options.model_dir):
        options = warm_started(options)
    if options.classes:
        options = dataclasses.replace(options, class_names=split.class_names(data.train))
    return resolve_settings(options)


def _photos(data: Selection, task: tf_estimator.RunConfig) -> tuple[Photos, Photos]:
    """This task's share of the photos to train on, and those to test on."""
    train, test = data.train, data.test
    if task.num_worker_replicas > 1:
        train = shards.divided(train, task.global_id_in_cluster, task.num_worker_replicas)
    for photos in (train, test):
        split.require_usable(photos)
    test_report = Report(len(test), "photos to test on")
    return Photos(train, Report(len(train)), {}), Photos(test, test_report, {})


@contextlib.contextmanager
def _listing_unreadable(
    options: Options, task: tf_estimator.RunConfig, train: Photos, trained_steps: int
) -> Iterator[None]:
    """Lists the photos that could not be opened, however the body ends.

    A training that goes on may end before it has come to all of those that it has listed before.
    """
    file = os.path.join(options.model_dir, UNREADABLE)
    if trained_steps and not isinstance(train.data, Shards):
        train.report.recall_unreadable(file, train.data)
    try:
        yield
    finally:
        if task.is_chief:
            train.report.write_unreadable(file)


@contextlib.contextmanager
def _stoppable(train: Photos, test: Photos) -> Iterator[None]:
    """Ends the program if a signal stops the body, or if too many photos are unreadable."""
    try:
        with train.report.as_user_error(), test.report.as_user_error():
            yield
    except Interrupted as interruption:
        # Ctrl-C has also ended any program that standard output is piped to.
        print_error(
            f"\nStopped after step {interruption.step}; a checkpoint is saved. "
            f"To go on:\n  {command_line(['python', *sys.argv])}"
        )
        sys.exit(128 + interruption.signal_number)


def _print_outcome(
    options: Options,
    task: tf_estimator.RunConfig,
    trained_steps: int,
    train: Photos,
    test: Photos,
    metrics: dict[str, Any] | None,
) -> None:
    photos_seen = (options.max_steps - trained_steps) * photos_per_step(options, task)
    seen_in_part = (
        photos_seen < train.report.usable and not options.patience and not task.cluster_spec
    )
    print(f"Trained on {f'{photos_seen:,} of ' if seen_in_part else ''}{train.report}.")
    print(f"Checkpoint: {checkpoint.newest_listed(options.model_dir)}")
    if metrics:
        _print_best(options, test, metrics)


def _print_best(options: Options, test: Photos, metrics: dict[str, Any]) -> None:
    """Prints the metrics of the best checkpoint, and how the last one compares.

    Args:
      options: of the training.
      test: photos that it was tested on.
      metrics: of the last checkpoint.
    """
    folder = Path(options.model_dir) / BEST
    best = checkpoint.newest_listed(str(folder)) or checkpoint.newest_listed(options.model_dir)
    shown = stored_evaluation(folder)
    # Other versions may have stored other figures. What the training started from has one fewer.
    needed = metrics.keys() - {"ab_rmse_saturated"}
    if not (shown and needed <= shown.keys() and same_photos(shown, metrics)):
        shown = metrics
    print_metrics(shown, test.report)
    print(f"Best checkpoint, which predict takes: {best}")
    if shown["global_step"] != metrics["global_step"]:
        loss = f"{metrics['average_loss']:.4f}"
        print(f"The last one, of step {metrics['global_step']}, has an average loss of {loss}.")
    if checkpoint.step_of(best) == 0:
        print(
            "No checkpoint does better on the photos to test on than the model that the "
            "training started from; more photos or a lower --learning_rate may."
        )
