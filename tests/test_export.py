"""Exported models, run by programs that know nothing of this project."""

import io
import subprocess
import sys

import numpy as np
import predicting
import pytest
import tensorflow as tf
from PIL import Image
from platforms import HANG

from colorization.errors import UserError
from colorization.modes import export as export_mode
from colorization.options import parse
from colorization.prediction import export
from colorization.prediction.colorize import Colorizer
from colorization.prediction.trained_network import TrainedNetwork

SERVE = """
import sys
import tensorflow as tf

model = tf.saved_model.load(sys.argv[1])
serve = model.signatures["serving_default"]
coloured = serve(pictures=tf.constant([open(path, "rb").read() for path in sys.argv[3:]]))
for number, data in enumerate(coloured["coloured"].numpy()):
    open(f"{sys.argv[2]}/{number}", "wb").write(data)
assert "colorization" not in sys.modules
"""


@pytest.fixture(scope="module")
def trained(model_folder):
    return TrainedNetwork(model_folder(), precision="float32")


@pytest.fixture(scope="module")
def saved_model(trained, tmp_path_factory):
    """The folder of an export beside an older one and folders of others."""
    folder = tmp_path_factory.mktemp("exported")
    for name in ("3", "²", "notes"):
        (folder / name).mkdir()
    assert export.export_saved_model(trained, folder).name == "4"
    assert {path.name for path in folder.iterdir()} == {"3", "²", "notes", "4"}
    return folder / "4"


def test_saved_model_serves_encoded_pictures(saved_model, full_colorizer, colourful, tmp_path):
    photos = [colourful(40, 60), colourful(75, 30, 1)]
    Image.fromarray(photos[0]).save(tmp_path / "a.png")
    Image.fromarray(photos[1]).save(tmp_path / "b.jpg", quality=95)
    (tmp_path / "elsewhere").mkdir()
    result = subprocess.run(
        [sys.executable, "-c", SERVE, str(saved_model), ".", "../a.png", "../b.jpg"],
        cwd=tmp_path / "elsewhere",
        env={"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
        timeout=HANG,
    )
    assert result.returncode == 0, result.stderr
    first, second = (Image.open(tmp_path / "elsewhere" / name) for name in "01")
    assert (first.format, second.format) == ("PNG", "JPEG")
    # The ops of the model and the tables of the library round differently.
    difference = np.abs(np.asarray(first, float) - full_colorizer.colorize(photos[0]))
    assert difference.max() <= 1
    assert difference.mean() < 0.2
    expected = full_colorizer.colorize_bytes((tmp_path / "b.jpg").read_bytes())
    difference = np.asarray(second, float) - np.asarray(Image.open(io.BytesIO(expected)))
    assert np.abs(difference).mean() < 3


def test_saved_model_has_a_tensor_signature(saved_model):
    small = np.random.default_rng(0).uniform(0, 100, [2, 224, 224, 1]).astype(np.float32)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta = tf.compat.v1.saved_model.load(session, ["serve"], str(saved_model))
        signature = meta.signature_def["chroma"]
        lightness, chroma = signature.inputs["lightness"].name, signature.outputs["chroma"].name
        result = session.run(chroma, {lightness: small})
        assert session.run(chroma, {lightness: small[:0]}).shape == (0, 112, 112, 2)
    assert result.shape == (2, 112, 112, 2)
    assert result.std() > 0.1


@pytest.fixture(scope="module")
def tflite_file(model_folder, tmp_path_factory):
    """The basic model: a third of the other's conversion time."""
    file = tmp_path_factory.mktemp("exported") / "model.tflite"
    export.export_tflite(TrainedNetwork(model_folder("color"), precision="float32"), file)
    return file


def test_tflite_agrees_with_tensorflow(model_folder, tflite_file):
    interpreter = tf.lite.Interpreter(str(tflite_file))
    interpreter.allocate_tensors()
    small = np.random.default_rng(0).uniform(0, 100, [1, 224, 224, 1]).astype(np.float32)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], small)
    interpreter.invoke()
    result = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    colorizer = Colorizer(model_folder("color"), precision="float32")
    expected = colorizer.predict(small[0], small[0])
    np.testing.assert_allclose(result[0], expected, atol=1e-3 * np.abs(expected).max())


def test_onnx_agrees_with_tensorflow(model_folder, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    trained = TrainedNetwork(model_folder("color"), precision="float32")
    export.export_onnx(trained, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    small = np.random.default_rng(0).uniform(0, 100, [3, 224, 224, 1]).astype(np.float32)
    (result,) = session.run(None, {"lightness:0": small})
    colorizer = Colorizer(model_folder("color"), precision="float32")
    expected = np.stack([colorizer.predict(one, one) for one in small])
    np.testing.assert_allclose(result, expected, atol=1e-3 * np.abs(expected).max())


def test_onnx_without_its_packages_is_explained(trained, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(UserError, match=r"requirements-onnx\.txt"):
        export.export_onnx(trained, tmp_path / "model.onnx")


def test_weights_replace_no_files_of_others(small_model, tmp_path):
    words = ["--mode", "export", "--format", "weights", "--model_dir", small_model]
    options = parse("color_global", [*words, "--output", str(tmp_path)])
    (tmp_path / "best").mkdir()
    for name in ("settings.json", "weights.npz", "held_out.json", "best/evaluation.json"):
        (tmp_path / name).write_text('{"theme": "dark"}')
        refusal = f"{name} is none of this program's, and would be replaced"
        with pytest.raises(UserError, match=refusal):
            export_mode.run(predicting.network, options)
        assert (tmp_path / name).read_text() == '{"theme": "dark"}'
        assert len(list(tmp_path.rglob("*.*"))) == 1
        (tmp_path / name).unlink()
    # An export may be replaced, even one that was interrupted.
    export_mode.run(predicting.network, options)
    export_mode.run(predicting.network, options)
    (tmp_path / "weights.npz").write_bytes(b"PK")
    export_mode.run(predicting.network, options)
    assert Colorizer(str(tmp_path), network=predicting.network, precision="float32")


def test_a_result_that_differs_is_not_written(model_folder, tflite_file, tmp_path, monkeypatch):
    trained = TrainedNetwork(model_folder("color"), precision="float32")
    right, converted = tf.lite.Interpreter.get_tensor, tflite_file.read_bytes()
    monkeypatch.setattr(tf.compat.v1.lite.TFLiteConverter, "convert", lambda _: converted)
    monkeypatch.setattr(tf.lite.Interpreter, "get_tensor", lambda *at: 1.01 * right(*at))
    with pytest.raises(UserError, match=r"would differ from TensorFlow by 1\.0e-02"):
        export.export_tflite(trained, tmp_path / "model.tflite")
    assert not list(tmp_path.iterdir())
