"""Trainings without evaluations, which take half of their time, where no figure matters."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from unittest import mock

import numpy as np

from colorization.estimator import tf_estimator
from colorization.training import checkpoint

# What is printed and stored of an evaluation.
_FIGURES = (
    *("average_loss", "loss_no_colour", "loss_mean_colour"),
    *("ab_rmse", "ab_rmse_no_colour", "ab_rmse_mean_colour", "ab_rmse_saturated"),
    *("psnr", "ssim", "colourfulness", "colourfulness_truth", "saturation"),
)


def _falling(step: int) -> float:
    return 1 / (1 + step)


def unmeasured(loss: Callable[[int], float] = _falling) -> AbstractContextManager:
    """A context in which the loss of a checkpoint is what `loss` makes of its step."""

    def evaluate(estimator, input_fn, steps=None, hooks=None, checkpoint_path=None, name=None):
        step = checkpoint.step_of(checkpoint_path)
        figures = {name: np.float32(1) for name in _FIGURES}
        return figures | {"loss": np.float32(loss(step)), "global_step": np.int64(step)}

    return mock.patch.object(tf_estimator.Estimator, "evaluate", evaluate)
