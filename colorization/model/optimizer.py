"""The learning rate, and synchronous training of several workers."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from colorization.estimator import tf_estimator


def learning_rate(step: tf.Tensor, params: dict[str, Any]) -> tf.Tensor:
    """Rises linearly over the warm-up, then stays or falls to zero along half a cosine.

    Args:
      step: number of the update, from 0.
      params: `learning_rate` (the peak), `learning_rate_schedule`, `max_steps`, `warmup_steps`
        (limited to a fifth of `max_steps`) and `half_size_steps`, each of which counts as a quarter
        of a step along the cosine.

    Returns:
      float32 scalar.
    """
    step = tf.cast(step, tf.float32)
    warmup = min(params["warmup_steps"], params["max_steps"] // 5)
    rate = tf.constant(params["learning_rate"], tf.float32)
    if params["learning_rate_schedule"] == "cosine":
        half_size_steps = float(params.get("half_size_steps", 0))
        # Progress counts pixels, not steps, so that the rate is still high when full size begins.
        start, current, end = (
            tf.minimum(count, half_size_steps) / 4 + tf.maximum(count - half_size_steps, 0)
            for count in (float(warmup), step, float(params["max_steps"]))
        )
        progress = tf.clip_by_value((current - start) / (end - start), 0, 1)
        rate *= (1 + tf.cos(math.pi * progress)) / 2
    return rate * tf.minimum((step + 1) / (warmup + 1), 1)


def synchronous(
    optimizer: tf.compat.v1.train.Optimizer, config: tf_estimator.RunConfig
) -> tuple[tf.compat.v1.train.Optimizer, tf.compat.v1.train.SessionRunHook]:
    """An optimizer that waits for the gradients of all workers and applies their mean.

    Returns:
      The optimizer, and a hook that each worker's training needs.
    """
    workers = config.num_worker_replicas
    synchronous = tf.compat.v1.train.SyncReplicasOptimizer(optimizer, workers, workers)
    return synchronous, _InStep(synchronous.make_session_run_hook(config.is_chief))


class _InStep(tf.compat.v1.train.SessionRunHook):
    """The optimizer's own hook, but without joining its thread at the end.

    After the last step that thread waits for gradients that never come, so that closing the session
    would take two minutes.
    """

    def __init__(self, hook: tf.compat.v1.train.SessionRunHook):
        self._hook = hook

    def begin(self) -> None:
        self._hook.begin()

    def after_create_session(self, session, coord) -> None:
        self._coordinator = tf.train.Coordinator()
        self._hook.after_create_session(session, self._coordinator)

    def end(self, session) -> None:
        self._coordinator.request_stop()
