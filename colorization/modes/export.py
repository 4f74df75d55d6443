"""`--mode export`: a trained model in a form that needs none of this program."""

from __future__ import annotations

from pathlib import Path

from colorization.errors import UserError
from colorization.files import require_writable
from colorization.model.model_fn import Network
from colorization.options import Options
from colorization.prediction.export import export_onnx, export_saved_model, export_tflite
from colorization.prediction.trained_network import TrainedNetwork
from colorization.training.settings import resolve_settings


def run(network: Network, options: Options) -> None:
    """Writes the model in a form that needs none of this program."""
    resolve_settings(options)
    require_writable(options.output, "output")
    # What runs everywhere, unless asked for otherwise; converters know nothing else.
    precision = "float32" if options.precision == "auto" else options.precision
    form = options.format or "savedmodel"
    if form != "savedmodel" and precision != "float32":
        raise UserError(f"--format {form} holds float32 only; leave --precision out")
    trained = TrainedNetwork(options.model_dir, network, precision)
    if form == "savedmodel":
        written = export_saved_model(trained, Path(options.output))
    else:
        written = Path(options.output) / f"{options.model}.{form}"
        {"onnx": export_onnx, "tflite": export_tflite}[form](trained, written)
    print(f"Exported to {written}")
