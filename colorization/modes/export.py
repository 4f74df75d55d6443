"""`--mode export`: a trained model in a form that needs none of this program."""

from __future__ import annotations

from pathlib import Path

from colorization.errors import UserError
from colorization.files import require_writable
from colorization.model.layers import Network
from colorization.options import Options
from colorization.prediction.export import (
    WEIGHTS_FILES,
    export_onnx,
    export_saved_model,
    export_tflite,
    export_weights,
)
from colorization.prediction.trained_network import TrainedNetwork
from colorization.training import checkpoint
from colorization.training.general_model import with_model
from colorization.training.settings import has_settings, resolve_settings


def run(network: Network, options: Options) -> None:
    """Writes the model in a form that needs none of this program."""
    options = with_model(options)
    resolve_settings(options)
    require_writable(options.output, "output")
    # float32 runs everywhere, and converters support nothing else.
    precision = "float32" if options.precision == "auto" else options.precision
    form = options.format or "savedmodel"
    if form == "weights":
        _export_weights(options)
        return
    if form != "savedmodel" and precision != "float32":
        raise UserError(f"--format {form} holds float32 only; leave --precision out")
    lively = {"saturation": options.saturation, "vibrance": options.vibrance}
    trained = TrainedNetwork(options.model_dir, network, precision, **lively)
    if form == "savedmodel":
        written = export_saved_model(trained, Path(options.output))
    else:
        written = Path(options.output) / f"{options.model}.{form}"
        {"onnx": export_onnx, "tflite": export_tflite}[form](trained, written)
    print(f"Exported to {written}")


def _export_weights(options: Options) -> None:
    """Writes a model folder without what only training needs, its kernels in 8 bits."""
    if "precision" in options.given:
        raise UserError("--format weights holds 8 bits only; leave --precision out")
    folder = Path(options.output)
    if checkpoint.has_begun(options.output):
        raise UserError(f"{folder} holds checkpoints; choose another --output")
    _require_own_files(folder)
    export_weights(options.model_dir, folder, options.saturation, options.vibrance)
    print(f"Exported to {folder}; --model_dir {folder} uses it")


def _require_own_files(folder: Path) -> None:
    """Refuses a folder that holds files of the names of a model's, but no model's settings.

    Raises:
      UserError: it does.
    """
    files = map(folder.joinpath, WEIGHTS_FILES)
    foreign = next((file for file in files if file.exists()), None)
    if foreign and not has_settings(str(folder)):
        raise UserError(
            f"{foreign} is none of this program's, and would be replaced; choose another --output"
        )
