"""The official Estimator around a network, and one task of its training."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from colorization.data import dataset, held_out
from colorization.data.lab_planes import LIGHTNESS_SIZE
from colorization.data.report import Report
from colorization.data.shards import Shards
from colorization.errors import UserError
from colorization.estimator import tf_estimator
from colorization.files import private_folder, read_json, write_json
from colorization.model import summaries
from colorization.model.layers import Layers, Network, new_graph, working_precision
from colorization.model.model_fn import make_model_fn
from colorization.options import NETWORK_SETTINGS, Options
from colorization.training import checkpoint, cluster, hooks
from colorization.training.evaluation import count_anew, keep_if_best
from colorization.training.general_model import located
from colorization.training.gpus import gpu_strategy
from colorization.training.liveliness import liveliness_figures
from colorization.training.model_folder import BEST, FULL_SIZE, HELD_OUT
from colorization.training.settings import copy_settings

# Seconds between an evaluator's checks for a new checkpoint.
_EVALUATOR_THROTTLE_SECS = 5

# Options that TensorBoard lists as hyperparameters, as far as they are set.
_HYPERPARAMETERS = (
    *NETWORK_SETTINGS,
    "precision",
    "batch_size",
    "max_steps",
    "learning_rate",
    "learning_rate_schedule",
    "warmup_steps",
    "half_size_share",
    "aged",
    "accumulate_steps",
    "clip_norm",
    "warm_start",
    "seed",
)


class Photos(NamedTuple):
    """Photos to make data sets from.

    Attributes:
      data: where they lie.
      report: what reading them fills in.
      memory: what is kept of them from one data set to the next.
    """

    data: list[str] | Shards
    report: Report
    memory: dict[int, np.ndarray | None]


@contextlib.contextmanager
def scratch_model_dir() -> Iterator[str]:
    """A temporary folder for an Estimator whose checkpoints and logs nobody needs."""
    with private_folder() as scratch:
        try:
            yield str(scratch)
        finally:
            # The writers of logs keep their files open, and Windows removes no open file.
            tf.compat.v1.summary.FileWriterCache.clear()


def make_estimator(
    network: Network,
    options: Options,
    warm_start_from: tf_estimator.WarmStartSettings | None = None,
    **run_config: Any,
) -> tf_estimator.Estimator:
    """Wraps a network.

    Args:
      network: see `color.network`.
      options: of the run, the network's settings among them.
      warm_start_from: weights to begin with.
      **run_config: passed on to `RunConfig`.
    """
    config = cluster.run_config(
        model_dir=options.model_dir, tf_random_seed=options.seed, **run_config
    )
    if options.xla:
        session_config = config.session_config or tf.compat.v1.ConfigProto()
        session_config.allow_soft_placement = True
        optimizer_options = session_config.graph_options.optimizer_options
        optimizer_options.global_jit_level = tf.compat.v1.OptimizerOptions.ON_2
        config = config.replace(session_config=session_config)
    return tf_estimator.Estimator(
        make_model_fn(network),
        config=config,
        params={
            **dataclasses.asdict(options),
            "half_size_steps": options.half_size_steps,
            "precision": working_precision(options.precision),
        },
        warm_start_from=warm_start_from,
    )


def train_task(
    network: Network,
    options: Options,
    task: tf_estimator.RunConfig,
    trained_steps: int,
    train: Photos,
    test: Photos,
    on_first_checkpoint: Callable[[], object],
) -> dict[str, Any] | None:
    """Trains until `max_steps` and evaluates each checkpoint; in a cluster, does one task of it.

    Where earlier runs have trained for all steps, only the last checkpoint is evaluated.

    Args:
      network: see `color.network`.
      options: of the run, the network's settings among them.
      task: what TF_CONFIG says, as `cluster.read_cluster` gives it.
      trained_steps: number of steps that earlier runs trained for.
      train: this task's share of the photos.
      test: photos to evaluate on.
      on_first_checkpoint: called before the first checkpoint is saved, or, by a task that saves
        none, once there is one.

    Returns:
      The metrics of the last checkpoint, or None in a cluster, where the evaluator has them.

    Raises:
      hooks.Interrupted: a signal came; a checkpoint has been saved.
      UserError: the loss is no longer finite, or nothing can listen at the address of this task of
        a cluster.
    """
    estimator = _training_estimator(network, options, trained_steps)
    print(f"Precision: {estimator.params['precision']}.")
    if task.is_chief:
        # The checkpoint to start from is a temporary copy.
        params = {**estimator.params, "warm_start": options.start or None}
        values = {name: params.get(name) for name in _HYPERPARAMETERS}
        summaries.write_hyperparameters(
            {name: value for name, value in values.items() if value is not None}, options.model_dir
        )
    training = _Training(estimator, options, task, train, test, on_first_checkpoint)
    try:
        if task.task_type == "evaluator":
            return training.evaluate_until_trained(trained_steps)
        cluster.wait_for_servers(task)
        # Workers have nothing to save: a signal ends them at once.
        with (
            training.signals.recorded() if task.is_chief else contextlib.nullcontext(),
            cluster.explained_address(task),
        ):
            if trained_steps >= options.max_steps:
                return training.evaluate(checkpoint.newest_listed(options.model_dir))
            if trained_steps < options.half_size_steps:
                trained_steps = training.at_half_size(trained_steps)
            return training.at_full_size(trained_steps)
    except tf.compat.v1.train.NanLossDuringTrainingError as error:
        raise UserError(
            f"the loss is no longer finite; the last good checkpoint is "
            f"{checkpoint.latest_checkpoint(options.model_dir)}: "
            "go on from it with a lower --learning_rate"
        ) from error


class _Training:
    """The stages of one training, or of one task of it."""

    def __init__(
        self,
        estimator: tf_estimator.Estimator,
        options: Options,
        task: tf_estimator.RunConfig,
        train: Photos,
        test: Photos,
        on_first_checkpoint: Callable[[], object],
    ):
        self.signals = hooks.Signals()
        self._estimator, self._options, self._task = estimator, options, task
        self._train, self._test = train, test
        self._on_first_checkpoint = on_first_checkpoint
        self._best = _BestCheckpoint(test.report)

    def at_half_size(self, trained_steps: int) -> int:
        """Trains the steps at half size; returns the number of steps trained by then."""
        options = self._options
        self._train_until(options.half_size_steps, trained_steps, half_size=True)
        reached = checkpoint.newest_listed(options.model_dir)
        if checkpoint.step_of(reached) < options.half_size_steps:
            # Patience has ended this stage early. Models are used at full size, so that follows.
            source = checkpoint.go_on_from_best(options.model_dir, options.half_size_steps)
            print(f"Half size no longer gains anything: full size goes on from {source}.")
        return options.half_size_steps

    def at_full_size(self, trained_steps: int) -> dict[str, Any] | None:
        """Trains the remaining steps; returns the metrics of the last checkpoint."""
        half_size_steps, model_dir = self._options.half_size_steps, self._options.model_dir
        if half_size_steps:
            # One that goes on within this stage goes on counting.
            if trained_steps == half_size_steps:
                self._best.count_anew(model_dir)
            if self._task.is_chief:
                store_full_size_step(model_dir, half_size_steps)
        return self._train_until(self._options.max_steps, trained_steps, half_size=False)

    def evaluate_until_trained(self, trained_steps: int) -> None:
        """Does the evaluator's part."""
        options = self._options
        start = cluster.first_checkpoint(options.model_dir)
        self._on_first_checkpoint()
        # Where the chief is ahead by many checkpoints, the first one is gone.
        if options.warm_start and not trained_steps and checkpoint.step_of(start) == 0:
            self._evaluate_start(start)
        spec = self._train_spec(options.max_steps, trained_steps, half_size=False)
        cluster.evaluate_until_trained(self._estimator, spec, self._eval_spec())

    def _train_until(
        self, last_step: int, trained_steps: int, half_size: bool
    ) -> dict[str, Any] | None:
        spec = self._train_spec(last_step, trained_steps, half_size)
        result = tf_estimator.train_and_evaluate(self._estimator, spec, self._eval_spec())
        return result[0] if result else None

    def _train_spec(
        self, last_step: int, trained_steps: int, half_size: bool
    ) -> tf_estimator.TrainSpec:
        options = self._options
        strategy = self._estimator.config.train_distribute
        replicas = strategy.num_replicas_in_sync if strategy else 1
        label = "training at half size" if half_size else "training"
        photos = photos_per_step(options, self._task)
        progress = hooks.TrainProgress(last_step, photos, options.model_dir, label)
        # `cache` makes these listeners run for the first checkpoint only, which Estimator saves
        # before the first step.
        listeners = [
            hooks.OnSave(cache(self._on_first_checkpoint)),
            hooks.OnSave(progress.stop_clock),
        ]
        if options.warm_start and not trained_steps and not self._task.cluster_spec:
            listeners.append(hooks.OnSave(after=cache(self._evaluate_start)))
        return tf_estimator.TrainSpec(
            lambda: dataset.train_dataset(
                self._train.data,
                options.batch_size * options.accumulate_steps // replicas,
                # A resumed training needs another seed, or it would repeat its first epoch.
                options.seed + trained_steps,
                self._train.report,
                half_size=half_size,
                aged=options.aged,
                class_names=options.class_names,
                memory=self._train.memory,
            ),
            max_steps=last_step,
            hooks=self._train_hooks(progress),
            saving_listeners=listeners,
        )

    def _evaluate_start(self, start: str | None = None) -> None:
        """Evaluates the model that the training starts from, as a candidate for the best one.

        Estimator itself does not evaluate the checkpoint of step 0.

        Args:
          start: that checkpoint; by default the newest one.
        """
        start = start or checkpoint.newest_listed(self._options.model_dir)
        # The same weights keep the liveliness that they were used with.
        source = located(self._options.start, self._options.model)
        steps = checkpoint.step_of(self._options.warm_start)
        self.evaluate(start, liveliness_figures(Path(source), steps))

    def evaluate(self, evaluated: str, known: Mapping[str, float] | None = None) -> dict[str, Any]:
        """Evaluates a checkpoint as a candidate for the best one.

        Args:
          evaluated: its prefix.
          known: metrics that are kept instead of those that are measured. With a saturation of
            another evaluation the metrics have no `ab_rmse_saturated`.

        Returns:
          The metrics.
        """
        spec = self._eval_spec()
        metrics = self._estimator.evaluate(
            spec.input_fn, hooks=spec.hooks, checkpoint_path=evaluated
        )
        metrics |= known or {}
        if known and "saturation" in known:
            del metrics["ab_rmse_saturated"]
        self._best.export(self._estimator, None, evaluated, metrics, is_the_final_export=False)
        return metrics

    def _train_hooks(self, progress: hooks.TrainProgress) -> list[hooks.SessionRunHook]:
        """Hooks of the training, the progress bar first."""
        options = self._options
        if not self._task.is_chief:
            return [hooks.OnFoundCheckpoint(options.model_dir, self._on_first_checkpoint)]
        train_hooks = [
            progress,
            hooks.StopOnSignal(self.signals, options.model_dir),
            hooks.SaveEverySeconds(options.model_dir, options.save_checkpoints_secs),
            hooks.FitsCheckpoint(checkpoint.newest_listed(options.model_dir)),
        ]
        if options.patience:
            train_hooks.append(
                hooks.StopWithoutProgress(self._best.evaluations_since, options.patience)
            )
        if options.profile:
            train_hooks.append(hooks.TraceStep(options.profile, options.model_dir))
        return train_hooks

    def _eval_spec(self) -> tf_estimator.EvalSpec:
        """Evaluation on the test photos, always at full size, because models are used at that."""
        options, test = self._options, self._test
        is_evaluator = self._task.task_type == "evaluator"
        return tf_estimator.EvalSpec(
            lambda: dataset.eval_dataset(
                test.data,
                options.batch_size,
                test.report,
                class_names=options.class_names,
                memory=test.memory,
            ),
            steps=None,
            hooks=[
                hooks.EvalProgress(-(-len(test.data) // options.batch_size)),
                hooks.StopOnSignal(self.signals, None),
            ],
            exporters=self._best,
            start_delay_secs=0,
            throttle_secs=_EVALUATOR_THROTTLE_SECS if is_evaluator else 0,
        )


def photos_per_step(options: Options, task: tf_estimator.RunConfig) -> int:
    """Photos that one step takes: those of all workers together where they train in step."""
    workers = task.num_worker_replicas if options.sync else 1
    return options.batch_size * options.accumulate_steps * workers


def store_full_size_step(model_dir: str, step: int) -> None:
    """Stores beside a model the step from which it is trained at full size."""
    write_json(Path(model_dir) / FULL_SIZE, {"step": step})


def stored_full_size_step(model_dir: str) -> int | None:
    """The step that `store_full_size_step` wrote down; None if there is no note.

    Raises:
      UserError: the note is damaged.
    """
    remedy = "restore it, or remove it to go by --half_size_share"
    return read_json(Path(model_dir) / FULL_SIZE, _positive_step, None, remedy)


def _positive_step(note: Any) -> int:
    step = note["step"]
    if type(step) is not int or step < 1:
        raise ValueError("no step")
    return step


class _BestCheckpoint(tf_estimator.Exporter):
    """Keeps the checkpoint with the lowest evaluation loss; what Estimator calls to export it."""

    name = "best"

    def __init__(self, report: Report) -> None:
        """Initializes the exporter; `report` is on the photos of each evaluation."""
        self._report = report
        self._evaluations_since = 0

    def export(self, estimator, export_path, checkpoint_path, eval_result, is_the_final_export):
        if not math.isfinite(eval_result["loss"]):
            # Training must not go on from its weights, although they may still be finite.
            checkpoint.discard(estimator.model_dir, checkpoint_path)
            raise tf.compat.v1.train.NanLossDuringTrainingError
        folder = Path(estimator.model_dir)
        copy_settings(estimator.model_dir, folder / BEST)
        held_out.copy(folder / HELD_OUT, folder / BEST / HELD_OUT)
        self._evaluations_since = keep_if_best(
            estimator.model_dir, checkpoint_path, eval_result, not self._report.unreadable
        )

    def count_anew(self, model_dir: str) -> None:
        """Starts counting the evaluations since the best one from zero."""
        count_anew(model_dir)
        self._evaluations_since = 0

    def evaluations_since(self) -> int:
        return self._evaluations_since


def _training_estimator(
    network: Network, options: Options, trained_steps: int
) -> tf_estimator.Estimator:
    # A resumed training has weights of its own.
    is_warm_start = options.warm_start and not trained_steps
    return make_estimator(
        network,
        options,
        warm_start_from=_warm_start(network, options) if is_warm_start else None,
        save_checkpoints_steps=options.save_checkpoints_steps
        or max(1, min(1000, options.max_steps // 5)),
        keep_checkpoint_max=options.keep_checkpoint_max,
        save_summary_steps=hooks.SUMMARY_STEPS,
        log_step_count_steps=hooks.SUMMARY_STEPS,
        train_distribute=gpu_strategy(options.gpus, options.batch_size) if options.gpus else None,
        # Asynchronous workers start one after the other, which makes the first steps stabler.
        # Synchronous workers wait for each other anyway.
        experimental_max_worker_delay_secs=0 if options.sync else None,
    )


def _warm_start(network: Network, options: Options) -> tf_estimator.WarmStartSettings:
    """Takes over the variables of the same name and shape from another checkpoint.

    Raises:
      UserError: nothing fits.
    """
    source = options.warm_start
    stored = tf.train.load_checkpoint(source).get_variable_to_shape_map()
    with new_graph().as_default():
        step = tf.compat.v1.train.get_or_create_global_step()
        params = {**dataclasses.asdict(options), "precision": "float32"}
        network(Layers(True, params), tf.zeros([1, LIGHTNESS_SIZE, LIGHTNESS_SIZE, 1]), params)
        shapes = {
            variable.op.name: variable.shape.as_list()
            for variable in tf.compat.v1.global_variables()
            if variable is not step
        }
    matching = [name for name, shape in shapes.items() if stored.get(name) == shape]
    if not matching:
        raise UserError(
            f"--warm_start {options.start} has no variable in common with this network; "
            "name a checkpoint of color.py or color_global.py"
        )
    print(f"What fits: {len(matching)} of {len(shapes)} variables.")
    initialized = sorted(shapes.keys() - set(matching))
    if initialized:
        print(f"Starting anew, for want of a match: {', '.join(initialized)}.")
    return tf_estimator.WarmStartSettings(source, [f"{re.escape(name)}:0$" for name in matching])
