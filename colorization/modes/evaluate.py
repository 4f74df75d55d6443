"""`--mode evaluate`: the figures of a trained model."""

from __future__ import annotations

import dataclasses
import errno
from pathlib import Path
from typing import Any

import numpy as np

from colorization.data import dataset, split
from colorization.data.report import Report
from colorization.data.shards import Shards
from colorization.errors import reason
from colorization.files import write_json
from colorization.model.layers import Network
from colorization.options import Options
from colorization.training import hooks
from colorization.training.checkpoint import best_tensors, holds_weights_only, restorable
from colorization.training.evaluation import SATURATION_LIMITS, stored_evaluation
from colorization.training.general_model import with_model
from colorization.training.model_folder import EVALUATION, HELD_OUT
from colorization.training.settings import resolve_settings
from colorization.training.training import make_estimator, scratch_model_dir

# Errors of a read-only folder. A model in it can still be measured.
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


def run(network: Network, options: Options) -> None:
    """Measures the checkpoint that predict takes, prints the figures and stores them beside it.

    Nothing is stored for a model of weights only, which others may share, or in place of the
    evaluation that training has stored beside the best checkpoint.
    """
    options = with_model(options, split.has_own_photos(options, "test"))
    weights_only = holds_weights_only(options.model_dir)
    best, values = best_tensors(options.model_dir)
    options = resolve_settings(options)
    held_out_file = Path(options.model_dir) / HELD_OUT
    data = split.photos_for_testing(options, held_out_file)
    split.print_possibly_seen(data, held_out_file)
    report = Report(len(data))
    split.require_usable(data)
    metrics = measure(best, values, network, options, data, report)
    print(f"Checkpoint: {best}")
    print_metrics(metrics, f"{report}, aged (--aged)" if options.aged else report)
    if weights_only:
        print(f"Nothing is stored: {options.model_dir} holds weights only.")
        return
    if stored_evaluation(Path(options.model_dir)):
        print(f"Nothing is stored: {options.model_dir} holds the figures of its training.")
        return
    evaluation_file = Path(options.model_dir) / EVALUATION
    figures = {name: value.item() for name, value in metrics.items()}
    try:
        origin = {"checkpoint": best, "photos": report.usable}
        # Figures of aged photos are worse, and are not to be taken for those of others.
        origin |= {"aged": True} if options.aged else {}
        write_json(evaluation_file, {**origin, **figures})
    except OSError as error:
        if error.errno not in _READ_ONLY:
            raise
        print(f"Nothing is stored: {options.model_dir} cannot be written to ({reason(error)}).")
    else:
        print(f"Stored in {evaluation_file}")


def measure(
    best: str,
    values: dict[str, np.ndarray],
    network: Network,
    options: Options,
    data: list[str] | Shards,
    report: Report,
) -> dict[str, Any]:
    """Evaluates a checkpoint, given by name and values; for the metrics see `make_model_fn`.

    Nothing is written to the model's folder, whose curves in TensorBoard are those of training.
    """
    with scratch_model_dir() as scratch, restorable(values) as checkpoint, report.as_user_error():
        estimator = make_estimator(network, dataclasses.replace(options, model_dir=scratch))
        return estimator.evaluate(
            lambda: dataset.eval_dataset(
                data,
                options.batch_size,
                report,
                aged=options.aged,
                class_names=options.class_names,
            ),
            hooks=[
                hooks.EvalProgress(-(-len(data) // options.batch_size)),
                hooks.FitsCheckpoint(checkpoint, best),
            ],
            checkpoint_path=checkpoint,
        )


def print_metrics(metrics: dict[str, Any], report: object) -> None:
    """Prints a small table of the model beside two predictions that need no model."""
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
    print(f"Measured on {report}, step {int(metrics['global_step'])}:")
    for row in rows:
        print("  {:14}{:>10}{:>12}{:>14}".format(*row).rstrip())
    saturation, (least, most) = metrics["saturation"], SATURATION_LIMITS
    exception = "" if least <= saturation <= most else f" (pictures get {least:g} to {most:g})"
    origin = (
        f"which is best{exception}: a*b* RMSE {metrics['ab_rmse_saturated']:.2f}"
        if "ab_rmse_saturated" in metrics
        else f"as for the model that the training started from{exception}"
    )
    print(f"Predicted chroma times {saturation:.2f}, {origin}")
    print(f"Colourfulness of the photos themselves: {metrics['colourfulness_truth']:.1f}")


def _row(metrics: dict[str, Any], names: list[str], digits: int) -> list[str]:
    return [f"{metrics[name]:.{digits}f}" for name in names]
