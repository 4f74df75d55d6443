"""`--mode train`: photos to checkpoints."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from collections.abc import Iterator

from colorization.console import command_line
from colorization.data import shards, split
from colorization.data.report import Report
from colorization.data.split import Selection
from colorization.errors import UserError
from colorization.estimator import tf_estimator
from colorization.files import require_writable
from colorization.model.model_fn import Network
from colorization.modes.evaluate import print_metrics
from colorization.options import Options
from colorization.training import checkpoint, cluster
from colorization.training.general_model import with_starting_point
from colorization.training.hooks import Interrupted
from colorization.training.settings import (
    resolve_settings,
    store_settings,
    warm_started,
)
from colorization.training.training import Photos, train_task


def run(network: Network, options: Options) -> None:
    """Trains until `--max_steps`, evaluating each checkpoint; in a cluster, does one task of it."""
    task = cluster.read_cluster(options.sync, options.gpus)
    if task.task_type == "ps":
        cluster.serve_parameters(task)
        return
    if task.cluster_spec:
        for name in ("patience", "half_size_share"):
            if name in options.given:
                raise UserError(f"--{name} is for one machine: leave it out in a TF_CONFIG cluster")
        options = dataclasses.replace(options, half_size_share=0.0)
    require_writable(options.model_dir, "model_dir")
    if checkpoint.holds_weights_only(options.model_dir):
        raise UserError(
            f"{options.model_dir} holds weights without what training needs; to go on from them, "
            f"give --warm_start {options.model_dir} and another --model_dir"
        )
    options, data = split.photos_for_training(options)
    options = with_starting_point(options, data.bundled)
    trained = train_model(network, options, task, data)
    if not trained or not task.is_chief:
        return
    folder = ["--model_dir", options.model_dir] if "model_dir" in options.given else []
    logs = os.path.dirname(options.model_dir) or "."
    print("Next:")
    print(f"  {command_line(['python', f'{options.model}.py', '--mode', 'predict', *folder])}")
    print(f"  {command_line(['tensorboard', '--logdir', logs])}")


@contextlib.contextmanager
def _started(options: Options, task: tf_estimator.RunConfig, done: int) -> Iterator[Options]:
    """The options with a checkpoint that TensorFlow can restore for `warm_start`, if it counts."""
    if done or not options.warm_start:
        yield options
        return
    source = checkpoint.starting_point(options.warm_start)
    print(f"Starting from {source}.")
    # In a cluster, parameter servers on other machines restore the chief's.
    folder = options.model_dir if task.is_chief else None
    with checkpoint.restorable(source, folder) as restorable:
        yield dataclasses.replace(options, warm_start=restorable)


def train_model(
    network: Network,
    options: Options,
    task: tf_estimator.RunConfig,
    data: Selection,
) -> bool:
    """Trains one model, or does one task of it on its share of the photos, and says how it went.

    Returns:
      False if nothing was left to train.
    """
    if options.warm_start:
        options = warm_started(options)
    if options.classes:
        options = dataclasses.replace(options, class_names=split.class_names(data.train))
    options = resolve_settings(options)
    train_data, test_data = data.train, data.test
    if task.num_worker_replicas > 1:
        train_data = shards.divided(train_data, task.global_id_in_cluster, task.num_worker_replicas)
    for photos in (train_data, test_data):
        split.require_usable(photos)
    if options.profile and options.profile > options.max_steps:
        raise UserError(f"--profile {options.profile} is beyond the last step, {options.max_steps}")
    train_photos = Photos(train_data, Report(len(train_data)))
    test_photos = Photos(test_data, Report(len(test_data)))

    with checkpoint.locked(options.model_dir) if task.is_chief else contextlib.nullcontext():
        if task.is_chief:
            store_settings(options)
            split.store_held_out(options.model_dir, data.held_out)
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
            with (
                train_photos.report.as_user_error(),
                test_photos.report.as_user_error(),
                _started(options, task, done) as started,
            ):
                metrics = train_task(network, started, task, done, train_photos, test_photos)
        except Interrupted as interruption:
            print(
                f"\nStopped after step {interruption.step}; a checkpoint is saved. "
                f"To go on:\n  {command_line(['python', *sys.argv])}"
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
            print_metrics(metrics, test_photos.report)
            best = checkpoint.best_checkpoint(options.model_dir)
            print(f"Best checkpoint, which predict takes: {best}")
    return True
