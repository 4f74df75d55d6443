"""Trained models in other forms: SavedModel, ONNX and TensorFlow Lite files, weights in 8 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from colorization.console import captured_stderr
from colorization.data import held_out
from colorization.data.lab_planes import LIGHTNESS_SIZE
from colorization.errors import UserError
from colorization.files import (
    atomic_write,
    remove_left_behind,
    replacing,
    write_file,
    write_json,
)
from colorization.model import merge_ops
from colorization.prediction.pictures import JPEG_QUALITY
from colorization.prediction.trained_network import TrainedNetwork
from colorization.training import checkpoint, weights
from colorization.training.evaluation import best_evaluation
from colorization.training.model_folder import BEST, EVALUATION, HELD_OUT, SETTINGS
from colorization.training.settings import copy_settings

tf1 = tf.compat.v1

# What `export_weights` writes. The settings show that a folder is this program's, and the weights
# turn it into a model.
WEIGHTS_FILES = (
    SETTINGS,
    HELD_OUT,
    held_out.TRAINED_ON,
    f"{BEST}/{EVALUATION}",
    weights.FILE,
)
# Largest difference allowed in a converted model, relative to the largest a*b* of the check.
_TOLERANCE = 1e-3


def export_saved_model(trained: TrainedNetwork, folder: Path) -> Path:
    """Writes a SavedModel that needs nothing but TensorFlow or TensorFlow Serving.

    Signatures:
      `serving_default`: `pictures`, encoded JPEG, PNG, GIF (first frame) or BMP, string `[n]`, to
        `coloured`, string `[n]`: JPEG for JPEG, PNG for others, at full size. EXIF data is neither
        heeded nor kept; transparency is dropped.
      `chroma`: `lightness`, L* in 0..100, float32 `[n, 224, 224, 1]`, to `chroma`, a*b* in CIE
        units, float32 `[n, 112, 112, 2]`.

    Args:
      trained: the model.
      folder: gets a sub-folder with the next free version number, as TensorFlow Serving expects.

    Returns:
      That sub-folder.

    Raises:
      OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    versions = [int(path.name) for path in folder.iterdir() if path.name.isdecimal()]
    target = folder / str(max(versions, default=0) + 1)
    remove_left_behind(folder)
    with atomic_write(target) as temporary, tf.Graph().as_default(), tf1.Session() as session:
        predict, load = trained.build()
        shape = [None, LIGHTNESS_SIZE, LIGHTNESS_SIZE, 1]
        lightness = tf1.placeholder(tf.float32, shape, "lightness")
        # TensorFlow refuses convolutions of an empty batch, for which a black picture stands in.
        count = tf.shape(lightness)[0]
        filled = tf.concat([lightness, tf.zeros([tf.cast(count < 1, tf.int32), *shape[1:]])], 0)
        chroma = tf.identity(predict(filled, filled)[:count], "chroma")
        pictures = tf1.placeholder(tf.string, [None], "pictures")
        coloured = tf.identity(_colorized(pictures, predict), "coloured")
        load(session)
        signature = tf1.saved_model.predict_signature_def
        builder = tf1.saved_model.Builder(str(temporary))
        builder.add_meta_graph_and_variables(
            session,
            [tf.saved_model.SERVING],
            {
                "serving_default": signature({"pictures": pictures}, {"coloured": coloured}),
                "chroma": signature({"lightness": lightness}, {"chroma": chroma}),
            },
            saver=tf1.train.Saver(),
            strip_default_attrs=True,
        )
        builder.save()
    return target


def _colorized(pictures: tf.Tensor, predict) -> tf.Tensor:
    """Encoded pictures to coloured encoded pictures, string `[n]`."""

    def colour(data: tf.Tensor) -> tf.Tensor:
        picture = tf.io.decode_image(data, channels=3, expand_animations=False)
        picture = tf.ensure_shape(picture, [None, None, 3])
        small = merge_ops.small_lightness(picture, [LIGHTNESS_SIZE, LIGHTNESS_SIZE])
        small = tf.ensure_shape(small, [LIGHTNESS_SIZE, LIGHTNESS_SIZE, 1])
        (chroma,) = tf.unstack(predict(small[None], small[None]), 1)
        rgb = merge_ops.merge(picture, small, chroma)
        return tf.cond(
            tf.io.is_jpeg(data),
            lambda: tf.io.encode_jpeg(rgb, format="rgb", quality=JPEG_QUALITY),
            lambda: tf.io.encode_png(rgb),
        )

    return tf.map_fn(colour, pictures, fn_output_signature=tf.string)


def export_onnx(trained: TrainedNetwork, path: Path) -> None:
    """Writes the network as an ONNX file: `lightness` to `chroma`, as in `export_saved_model`.

    The file is run in ONNX Runtime and compared with TensorFlow before it gets its name.

    Raises:
      UserError: tf2onnx or onnxruntime is not installed, or the result differs from TensorFlow's.
    """
    try:
        import onnxruntime
        import tf2onnx
    except ImportError as error:
        raise UserError(
            f"--format onnx needs another package ({error}); pip install -r requirements-onnx.txt"
        ) from error

    graph_def, lightness, expected = _frozen(trained)
    model, _ = tf2onnx.convert.from_graph_def(
        graph_def, input_names=["lightness:0"], output_names=["chroma:0"], opset=17
    )
    data = model.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (result,) = session.run(["chroma:0"], {"lightness:0": lightness})
    _write_checked(path, data, result, expected)


def export_tflite(trained: TrainedNetwork, path: Path) -> None:
    """Writes the network as a TensorFlow Lite file: lightness to chroma, one photo at a time.

    The file is run in the interpreter and compared with TensorFlow before it gets its name.

    Raises:
      UserError: the result differs from TensorFlow's.
    """
    graph_def, lightness, expected = _frozen(trained, batch=1)
    # Converter and interpreter print messages whatever TensorFlow's log level.
    with captured_stderr(), tf.Graph().as_default() as graph, tf1.Session(graph=graph) as session:
        tf.import_graph_def(graph_def, name="")
        inputs, outputs = (
            graph.get_tensor_by_name(f"{name}:0") for name in ("lightness", "chroma")
        )
        converter = tf1.lite.TFLiteConverter.from_session(session, [inputs], [outputs])
        data = converter.convert()
    with captured_stderr():
        interpreter = tf.lite.Interpreter(model_content=data)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], lightness)
        interpreter.invoke()
    result = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    _write_checked(path, data, result, expected)


def export_weights(
    model_dir: str, folder: Path, saturation: float = 1.0, vibrance: float | None = None
) -> None:
    """Writes a model folder without what only training needs, its kernels in 8 bits.

    The checkpoint is that to predict with; see `training.weights`. Of the photos that were held out
    or trained on, the folder holds what tells them, without their names.

    Args:
      model_dir: folder of the model.
      folder: to write to; made if need be. Its files change together, when all are written.
      saturation: factor on the predicted chroma, on top of the one that the evaluation measured.
      vibrance: see `liveliness.Liveliness`; None is the model's.

    Raises:
      UserError: there is no checkpoint, or no evaluation to store saturation and vibrance in.
      OSError: the folder cannot be written to.
    """
    _, values = checkpoint.best_tensors(model_dir)
    evaluation = best_evaluation(Path(model_dir))
    livelier = {} if vibrance is None else {"vibrance": vibrance}
    if saturation != 1:
        # Reading limits the measured saturation, but not the one that the user asked for.
        livelier["added_saturation"] = saturation * (evaluation or {}).get("added_saturation", 1.0)
    if livelier and evaluation is None:
        raise UserError(
            f"{model_dir} holds no evaluation that a saturation or vibrance could be stored in"
        )
    with replacing(folder, WEIGHTS_FILES) as begun:
        copy_settings(model_dir, begun)
        held_out.copy(Path(model_dir) / HELD_OUT, begun / HELD_OUT, private=True)
        if evaluation is not None:
            write_json(begun / BEST / EVALUATION, {**evaluation, **livelier})
        weights.write(begun / weights.FILE, values)


def _frozen(
    trained: TrainedNetwork, batch: int | None = None
) -> tuple[tf1.GraphDef, np.ndarray, np.ndarray]:
    """The graph from `lightness` to `chroma` with its weights, and an example of both."""
    noise = np.random.default_rng(0).uniform(0, 100, [batch or 2, 28, 28, 1])
    example = noise.repeat(8, axis=1).repeat(8, axis=2).astype(np.float32)
    with tf.Graph().as_default() as graph, tf1.Session() as session:
        predict, load = trained.build()
        shape = [batch, LIGHTNESS_SIZE, LIGHTNESS_SIZE, 1]
        lightness = tf1.placeholder(tf.float32, shape, "lightness")
        chroma = tf.identity(predict(lightness, lightness), "chroma")
        load(session)
        expected = session.run(chroma, {lightness: example})
        graph_def = tf1.graph_util.convert_variables_to_constants(
            session, graph.as_graph_def(), ["chroma"]
        )
    return graph_def, example, expected


def _write_checked(path: Path, data: bytes, result: np.ndarray, expected: np.ndarray) -> None:
    difference = np.abs(result - expected).max() / np.abs(expected).max()
    if not difference <= _TOLERANCE:
        raise UserError(
            f"{path.name} would differ from TensorFlow by {difference:.1e} of the largest a*b*; "
            "nothing was written, install another version of the converter"
        )
    write_file(path, data)
