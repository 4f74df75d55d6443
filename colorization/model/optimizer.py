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
      params: `learning_rate` (the peak), `learning_rate_schedule`, `max_steps`, `warmup_steps` (a
        fifth of `max_steps` at most) and `half_size_steps`. Along the cosine, each half-size step
        counts a quarter.

    Returns:
      float32 scalar.
    """
    step = tf.cast(step, tf.float32)
    warmup = min(params["warmup_steps"], params["max_steps"] // 5)
    rate = tf.constant(params["learning_rate"], tf.float32)
    if params["learning_rate_schedule"] == "cosine":
        small = float(params.get("half_size_steps", 0))
        # Progress counts pixels, not steps, because what was learnt at half size has yet to settle
        # at full size.
        begin, now, end = (
            tf.minimum(count, small) / 4 + tf.maximum(count - small, 0)
            for count in (float(warmup), step, float(params["max_steps"]))
        )
        progress = tf.clip_by_value((now - begin) / (end - begin), 0, 1)
        rate *= (1 + tf.cos(math.pi * progress)) / 2
    return rate * tf.minimum((step + 1) / (warmup + 1), 1)


def synchronous(
    optimizer: tf.compat.v1.train.Optimizer, config: tf_estimator.RunConfig
) -> tuple[tf.compat.v1.train.Optimizer, tf.compat.v1.train.SessionRunHook]:
    """An optimizer that applies the mean gradient of all workers once each has given its own.

    Returns:
      The optimizer, and a hook that each worker's training needs.
    """
    workers = config.num_worker_replicas
    synchronous = tf.compat.v1.train.SyncReplicasOptimizer(optimizer, workers, workers)
    return synchronous, _InStep(synchronous.make_session_run_hook(config.is_chief))


class _InStep(tf.compat.v1.train.SessionRunHook):
    """The optimizer's own hook, without waiting for its thread in the end.

    After the last step the thread waits for gradients that never come. Closing the session would
    then take two minutes.
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
