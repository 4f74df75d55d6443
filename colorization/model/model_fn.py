"""The `model_fn` of a network: predictions, metrics, and the training step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

import lab_convert
import upsample
from colorization.estimator import tf_estimator
from colorization.model import loss, metrics, summaries
from colorization.model.layers import Layers, Network
from colorization.model.optimizer import learning_rate, synchronous


def make_model_fn(network: Network) -> Callable[..., tf_estimator.EstimatorSpec]:
    """Wraps a network for `tf.estimator`.

    Args:
      network: `network(nn, lightness, params) -> (logits, class_logits or None)`, see
        `color_global.network`.

    Returns:
      A `model_fn`. Its `features` and `labels` are those of `data.dataset`. Its `params` hold
      `chroma_scale` and the parameters of the network and of `model.loss`; for training also those
      of `learning_rate`, `clip_norm` (the largest global norm of gradients), `accumulate_steps`
      (the number of parts that each batch is processed in) and, in a cluster whose workers train in
      step, `sync`. Predictions are `chroma`, a*b* in CIE units, float32 `[batch, 112, 112, 2]`, and
      the features' `path`.
    """

    def model_fn(features: dict, labels: dict, mode: str, params: dict, config: Any):
        if mode == tf_estimator.ModeKeys.PREDICT:
            without_classes = {**params, "class_names": ()}
            logits, _ = network(Layers(False, params), features["lightness"], without_classes)
            predictions = {"chroma": _chroma(logits, params), "path": features["path"]}
            return tf_estimator.EstimatorSpec(mode, predictions=predictions)
        code = lab_convert.encode_chroma(labels["chroma"], params["chroma_scale"])
        labels = {**labels, "code": code}
        if mode == tf_estimator.ModeKeys.TRAIN:
            total, train_op, hooks = _training(network, features, labels, params, config)
            return tf_estimator.EstimatorSpec(
                mode, loss=total, train_op=train_op, training_hooks=hooks
            )
        return _evaluation(network, features, labels, params, config)

    return model_fn


def _chroma(logits: tf.Tensor, params: dict[str, Any]) -> tf.Tensor:
    # Logits are a*b* but for the scale; decoding the sigmoid would lose saturated values.
    return params["chroma_scale"] * logits


def _losses(
    network: Network, features: dict, labels: dict, params: dict[str, Any], training: bool
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
    """Losses `[batch]`, logits of the code, and logits of the classes if there are any."""
    nn = Layers(training, params)
    logits, class_logits = network(nn, features["lightness"], params)
    with tf.compat.v1.name_scope("objective"):
        losses = loss.color_losses(logits, labels, params, training)
        if class_logits is not None:
            losses += loss.classification_losses(class_logits, labels["class"])
    return losses, logits, class_logits


def _evaluation(
    network: Network, features: dict, labels: dict, params: dict[str, Any], config: Any
) -> tf_estimator.EstimatorSpec:
    losses, logits, class_logits = _losses(network, features, labels, params, training=False)
    lightness, chroma = features["lightness"], _chroma(logits, params)
    with tf.compat.v1.name_scope("metrics"):
        truth = to_rgb(lightness, labels["chroma"])
        predicted = to_rgb(lightness, chroma)
        eval_metrics = {
            "average_loss": tf.compat.v1.metrics.mean_squared_error(
                labels["code"], tf.sigmoid(logits)
            ),
            **metrics.baselines("loss", labels["code"], 0.5, tf.identity),
            **metrics.chroma_metrics(labels["chroma"], chroma),
            **metrics.picture_metrics(truth, predicted),
        }
        if class_logits is not None:
            eval_metrics.update(metrics.classification_metrics(labels["class"], class_logits))
    # The baselines' loss is a mean squared error, which other losses cannot be compared with.
    tags = ("ab_rmse",) if params.get("loss") == "rebalanced" else ("loss", "ab_rmse")
    baselines = {
        name: {tag: eval_metrics[f"{tag}_{name}"][0] for tag in tags}
        for name in ("no_colour", "mean_colour")
    }
    return tf_estimator.EstimatorSpec(
        tf_estimator.ModeKeys.EVAL,
        loss=tf.reduce_mean(losses),
        eval_metric_ops=eval_metrics,
        evaluation_hooks=[
            summaries.pictures_hook(
                lightness, truth, predicted, labels["chroma"], chroma, f"{config.model_dir}/eval"
            ),
            summaries.BaselinesHook(baselines, config.model_dir),
        ],
    )


def to_rgb(lightness: tf.Tensor, chroma: tf.Tensor) -> tf.Tensor:
    """Joins lightness and chroma of half the size to pictures.

    Args:
      lightness: L* in 0..100, `[batch, height, width, 1]`.
      chroma: a*b* in CIE units, `[batch, height / 2, width / 2, 2]`.

    Returns:
      float32 RGB in 0..1, `[batch, height, width, 3]`.
    """
    return lab_convert.lab_to_rgb(tf.concat([lightness, upsample.bilinear(chroma, 2)], axis=-1))


def _training(
    network: Network, features: dict, labels: dict, params: dict[str, Any], config: Any
) -> tuple[tf.Tensor, tf.Operation, list[tf.compat.v1.train.SessionRunHook]]:
    """Loss of the batch, the operation that takes one step, and the hooks it needs."""
    step = tf.compat.v1.train.get_or_create_global_step()
    with tf.compat.v1.name_scope("schedule"):
        rate = learning_rate(step, params)
    tf.compat.v1.summary.scalar("learning_rate", rate)
    optimizer, hooks = tf.compat.v1.train.AdamOptimizer(rate), []
    if params.get("sync"):
        optimizer, hook = synchronous(optimizer, config)
        hooks = [hook]

    # Workers that added to the same moving averages at a time would overshoot: many of them read
    # the same value, and each adds the whole difference. So the chief alone stores updates, and
    # where others count steps meanwhile, it makes fewer of them than there are steps.
    workers = 1 if params.get("sync") else config.num_worker_replicas
    params = {**params, "steps_per_update": workers}
    parts = params.get("accumulate_steps", 1)
    total, gradients, updates = 0.0, [], []
    # Other replicas add their update operations to the same graph; these are not ours.
    previous_updates = len(tf.compat.v1.get_collection(tf.compat.v1.GraphKeys.UPDATE_OPS))
    for part in range(parts):
        # Running one part after the other takes the memory of a single part.
        with (
            tf.control_dependencies([*gradients, *updates]),
            tf.compat.v1.variable_scope(tf.compat.v1.get_variable_scope(), reuse=part > 0),
        ):
            part_features, part_labels = (
                _part(values, part, parts) for values in (features, labels)
            )
            losses, *_ = _losses(network, part_features, part_labels, params, training=True)
            mean = tf.reduce_mean(losses) / parts
            part_gradients, variables = zip(*optimizer.compute_gradients(mean), strict=True)
        total += mean
        if gradients:
            part_gradients = [sum(pair) for pair in zip(gradients, part_gradients, strict=True)]
        gradients = part_gradients
        # Updates of the moving averages: of batch normalization, and of the colours' frequencies.
        if config.is_chief:
            all_updates = tf.compat.v1.get_collection(tf.compat.v1.GraphKeys.UPDATE_OPS)
            updates = all_updates[previous_updates:]
    if params.get("clip_norm"):
        # Gradients of all replicas are summed, so that each replica gets a share of the limit.
        limit = params["clip_norm"] / tf.distribute.get_strategy().num_replicas_in_sync
        gradients, _ = tf.clip_by_global_norm(gradients, limit)
    train_op = optimizer.apply_gradients(zip(gradients, variables, strict=True), step)
    return total, tf.group(train_op, *updates), hooks


def _part(values: dict[str, tf.Tensor], part: int, parts: int) -> dict[str, tf.Tensor]:
    """One of several equal parts of a batch."""
    if parts == 1:
        return values
    return {
        name: tf.reshape(value, [parts, -1, *value.shape[1:]])[part]
        for name, value in values.items()
    }
