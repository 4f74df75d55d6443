"""Pictures, histograms, baselines and hyperparameters for TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorboard.plugins.hparams import summary as hparams

import lab_convert

# Number of photos drawn as gray, truth and prediction.
_PHOTOS = 6


def pictures_hook(
    lightness: tf.Tensor,
    truth: tf.Tensor,
    predicted: tf.Tensor,
    truth_chroma: tf.Tensor,
    predicted_chroma: tf.Tensor,
    folder: str,
) -> tf.compat.v1.train.SessionRunHook:
    """Draws the first batch of an evaluation.

    Args:
      lightness: L* in 0..100, `[batch, height, width, 1]`.
      truth, predicted: RGB in 0..1, `[batch, height, width, 3]`; drawn side by side with the gray
        picture.
      truth_chroma, predicted_chroma: a*b* in CIE units, `[batch, ..., 2]`; drawn as histograms.
      folder: of the event files.
    """
    gray = lab_convert.lab_to_rgb(tf.pad(lightness[:_PHOTOS], [[0, 0]] * 3 + [[0, 2]]))
    triples = tf.concat([gray, truth[:_PHOTOS], predicted[:_PHOTOS]], axis=2)
    summaries = [
        tf.compat.v1.summary.image("gray_truth_predicted", triples, _PHOTOS, collections=[])
    ]
    for channel, name in enumerate("ab"):
        for kind, chroma in (("truth", truth_chroma), ("predicted", predicted_chroma)):
            # TensorFlow's histograms fail for other numbers, which the loss reports anyway.
            finite = tf.where(tf.math.is_finite(chroma), chroma, tf.zeros_like(chroma))
            summaries.append(
                tf.compat.v1.summary.histogram(
                    f"chroma/{name}_{kind}", finite[..., channel], collections=[]
                )
            )
    # With so many steps between two summaries, only the first batch is drawn.
    return tf.compat.v1.train.SummarySaverHook(
        save_steps=10**9, output_dir=folder, summary_op=tf.compat.v1.summary.merge(summaries)
    )


class BaselinesHook(tf.compat.v1.train.SessionRunHook):
    """Draws the curves of baselines into the chart of the metric they are for.

    TensorBoard joins curves of the same tag from different folders in one chart.
    """

    def __init__(self, curves: dict[str, dict[str, tf.Tensor]], model_dir: str):
        """Initializes the hook.

        Args:
          curves: name of the baseline -> tag of the chart -> its value.
          model_dir: folder of the model; curves go to its subfolders `eval_NAME`.
        """
        self._curves = curves
        self._model_dir = Path(model_dir)

    def begin(self) -> None:
        self._step = tf.compat.v1.train.get_global_step()

    def end(self, session: tf.compat.v1.Session) -> None:
        step, curves = session.run([self._step, self._curves])
        for name, values in curves.items():
            writer = tf.compat.v1.summary.FileWriterCache.get(str(self._model_dir / f"eval_{name}"))
            summary = tf.compat.v1.Summary()
            for tag, value in values.items():
                summary.value.add(tag=tag, simple_value=value)
            writer.add_summary(summary, step)
            writer.flush()


def write_hyperparameters(values: dict[str, Any], model_dir: str) -> None:
    """Lists the hyperparameters of a run on TensorBoard's HParams page."""
    # Two event files of the same second would share a name without the suffix.
    suffix = ".hyperparameters"
    with (
        tf.Graph().as_default(),
        tf.compat.v1.summary.FileWriter(model_dir, filename_suffix=suffix) as writer,
    ):
        writer.add_summary(hparams.session_start_pb(values))
