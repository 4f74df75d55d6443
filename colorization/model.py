"""From a network to a `model_fn`: loss and optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

import lab_convert
import upsample
from colorization import cluster, metrics, summaries
from colorization.estimator import tf_estimator

Network = Callable[[tf.Tensor, bool, dict[str, Any]], tf.Tensor]


def make_model_fn(network: Network) -> Callable[..., tf_estimator.EstimatorSpec]:
    """Wraps a network for `tf.estimator`.

    Args:
      network: `(lightness, training, params) -> logits`, see `color.network`.

    Returns:
      A `model_fn`. Its `features` and `labels` are those of `colorization.dataset`; its `params`
      hold `chroma_scale`, what the network wants, and for training `learning_rate`,
      `learning_rate_schedule`, `warmup_steps`, `max_steps` and, in a cluster whose workers train
      in step, `sync`. Predictions are `chroma`, a*b* in
      CIE units, float32 `[batch, 112, 112, 2]`, and the features' `path`.
    """

    def model_fn(features: dict, labels: dict, mode: str, params: dict, config: Any):
        training = mode == tf_estimator.ModeKeys.TRAIN
        logits = network(features["lightness"], training, params)
        # Not by way of the code: the inverse of a saturated sigmoid is lost.
        chroma = params["chroma_scale"] * logits

        if mode == tf_estimator.ModeKeys.PREDICT:
            predictions = {"chroma": chroma, "path": features["path"]}
            return tf_estimator.EstimatorSpec(mode, predictions=predictions)

        with tf.compat.v1.name_scope("mean_squared_error"):
            losses = mean_squared_error(tf.sigmoid(logits), labels["code"])
            loss = tf.reduce_mean(losses)
        if training:
            train_op, hooks = _train_op(loss, params, config)
            return tf_estimator.EstimatorSpec(
                mode, loss=loss, train_op=train_op, training_hooks=hooks
            )

        lightness = features["lightness"]
        with tf.compat.v1.name_scope("metrics"):
            truth = to_rgb(lightness, labels["chroma"])
            predicted = to_rgb(lightness, chroma)
            measured = {
                "average_loss": tf.compat.v1.metrics.mean(losses),
                **metrics.yardsticks("loss", labels["code"], 0.5, tf.identity),
                **metrics.chroma_metrics(labels["chroma"], chroma),
                **metrics.picture_metrics(truth, predicted),
            }
        yardsticks = {
            name: {tag: measured[f"{tag}_{name}"][0] for tag in ("loss", "ab_rmse")}
            for name in ("no_colour", "mean_colour")
        }
        return tf_estimator.EstimatorSpec(
            mode,
            loss=loss,
            eval_metric_ops=measured,
            evaluation_hooks=[
                summaries.pictures_hook(
                    lightness,
                    truth,
                    predicted,
                    labels["chroma"],
                    chroma,
                    f"{config.model_dir}/eval",
                ),
                summaries.YardsticksHook(yardsticks, config.model_dir),
            ],
        )

    return model_fn


def mean_squared_error(predicted: tf.Tensor, truth: tf.Tensor) -> tf.Tensor:
    """Mean over each example of the squared difference (paper, equation 6, up to a factor).

    Args:
      predicted, truth: float `[batch, height, width, channels]`.

    Returns:
      `[batch]`.
    """
    return tf.reduce_mean(tf.math.squared_difference(predicted, truth), axis=[1, 2, 3])


def to_rgb(lightness: tf.Tensor, chroma: tf.Tensor) -> tf.Tensor:
    """Joins lightness and chroma of half the size to pictures.

    Args:
      lightness: L* in 0..100, `[batch, height, width, 1]`.
      chroma: a*b* in CIE units, `[batch, height / 2, width / 2, 2]`.

    Returns:
      float32 RGB in 0..1, `[batch, height, width, 3]`.
    """
    return lab_convert.lab_to_rgb(tf.concat([lightness, upsample.bilinear(chroma, 2)], axis=-1))


def learning_rate(step: tf.Tensor, params: dict[str, Any]) -> tf.Tensor:
    """Rises linearly over the warm-up, then stays or falls to zero along half a cosine.

    Args:
      step: of the update, from 0.
      params: `learning_rate` (the peak), `learning_rate_schedule`, `warmup_steps`, `max_steps`. The
        warm-up takes a fifth of the steps at most.

    Returns:
      float32 scalar.
    """
    step = tf.cast(step, tf.float32)
    warmup = min(params["warmup_steps"], params["max_steps"] // 5)
    rate = tf.constant(params["learning_rate"], tf.float32)
    if params["learning_rate_schedule"] == "cosine":
        progress = tf.clip_by_value((step - warmup) / max(params["max_steps"] - warmup, 1), 0, 1)
        rate *= (1 + tf.cos(math.pi * progress)) / 2
    return rate * tf.minimum((step + 1) / (warmup + 1), 1)


def _train_op(
    loss: tf.Tensor, params: dict[str, Any], config: Any
) -> tuple[tf.Operation, list[tf.compat.v1.train.SessionRunHook]]:
    step = tf.compat.v1.train.get_or_create_global_step()
    rate = learning_rate(step, params)
    tf.compat.v1.summary.scalar("learning_rate", rate)
    optimizer, hooks = tf.compat.v1.train.AdamOptimizer(rate), []
    if params.get("sync"):
        optimizer, hook = cluster.in_step(optimizer, config)
        hooks = [hook]
    # Moving averages of batch normalization.
    updates = tf.compat.v1.get_collection(tf.compat.v1.GraphKeys.UPDATE_OPS)
    return tf.group(optimizer.minimize(loss, step), *updates), hooks
