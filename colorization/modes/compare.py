"""`--mode compare`: both models trained on the same photos, and a page that compares them."""

from __future__ import annotations

import dataclasses
import importlib
import os
from collections.abc import Sequence
from pathlib import Path

from colorization.data import held_out, split
from colorization.data.report import Report
from colorization.errors import UserError
from colorization.estimator import tf_estimator
from colorization.files import require_writable
from colorization.model.layers import Network
from colorization.modes.evaluate import measure
from colorization.modes.train import require_trainable, train_model
from colorization.options import Options
from colorization.pages import comparison
from colorization.pages.page import require_own_page
from colorization.training import tryout
from colorization.training.checkpoint import best_tensors, has_begun
from colorization.training.cluster import read_cluster
from colorization.training.model_folder import HELD_OUT
from colorization.training.settings import resolve_settings
from colorization.training.step_budget import steps_in_minutes


def run(network: Network, options: Options) -> None:
    """Trains both models on the same photos for as long, and writes a page that compares them."""
    task = read_cluster(False, None)
    if task.cluster_spec:
        raise UserError("--mode compare is for one machine; unset TF_CONFIG")
    require_writable(options.model_dir, "model_dir")
    require_writable(options.output, "output")
    require_own_page(Path(options.output))
    own_photos = split.has_own_photos(options, "train")
    with tryout.kept_apart(options, own_photos, *comparison.TITLES):
        _compare(network, options, task)


def _compare(network: Network, options: Options, task: tf_estimator.RunConfig) -> None:
    folders = [os.path.join(options.model_dir, name) for name in comparison.TITLES]
    for folder in folders:
        require_trainable(folder)
    begun = [folder for folder in folders if has_begun(folder)]
    held_out_file = _held_out_file(options.model_dir, begun or folders)
    options, data = split.photos_for_training(options, held_out_file, bool(begun))
    runs = {}
    for name in comparison.TITLES:
        folder = os.path.join(options.model_dir, name)
        changed = dataclasses.replace(options, model=name, model_dir=folder)
        runs[name] = (
            network if name == options.model else importlib.import_module(name).network,
            resolve_settings(changed),
        )
    for photos in (data.train, data.test):
        split.require_usable(photos)
    # The folder is made before the training, because not every folder that seems writable is.
    Path(options.output).mkdir(parents=True, exist_ok=True)
    if options.minutes:
        for name, (model_network, model_options) in runs.items():
            steps = steps_in_minutes(options.minutes, model_network, model_options, data.train)
            print(f"{options.minutes:g} minutes of {name}.py are about {steps:,} steps.")
            runs[name] = (model_network, dataclasses.replace(model_options, max_steps=steps))
    for name, (model_network, model_options) in runs.items():
        print(f"{name}.py, the {comparison.TITLES[name]} model:")
        train_model(model_network, model_options, task, data)
    report = Report(len(data.test))
    models = {}
    for name, (model_network, model_options) in runs.items():
        best = best_tensors(model_options.model_dir)
        metrics = measure(*best, model_network, model_options, data.test, report)
        models[name] = comparison.Model(model_network, model_options, metrics)
    # Photos may have come or gone between two runs, of which each trained one model.
    trained_on = {held_out.read_trained_on(Path(folder) / HELD_OUT) for folder in folders}
    page = comparison.write_comparison(
        Path(options.output), models, len(data.train), data.test, report, len(trained_on) == 1
    )
    print(f"See both models side by side in {page}")


def _held_out_file(model_dir: str, folders: Sequence[str]) -> Path:
    """The list of held-out photos for both models, whose folders are below `model_dir`.

    Raises:
      UserError: the models have different lists.
    """
    lists = [Path(folder) / HELD_OUT for folder in folders]
    existing = [path for path in lists if path.exists()]
    # Paths may differ, because each model stores where the photos lay when its training ended. A
    # training that has been stopped may not have stored the latest photos to test on yet.
    contents = {
        path: frozenset(photo.identity for photo in held_out.read(path)) for path in existing
    }
    most = max(existing, key=lambda path: len(contents[path]), default=lists[0])
    if any(not content <= contents[most] for content in contents.values()):
        raise UserError(
            f"the models in {model_dir} were trained and tested on other photos each, so "
            "that nothing can be compared; choose another --model_dir"
        )
    return most
