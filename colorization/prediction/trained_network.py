"""A trained network ready to predict: restored once, everything that never changes precomputed."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from colorization.data.lab_planes import LIGHTNESS_SIZE
from colorization.errors import UserError
from colorization.model.layers import Layers, Network, new_graph, working_precision
from colorization.options import Options
from colorization.training import checkpoint
from colorization.training.liveliness import Liveliness, stored_liveliness
from colorization.training.settings import resolve_settings, stored_settings

tf1 = tf.compat.v1

# Root mean square of the deviations of a* and b* from a predicted picture's mean colour.
_USUAL_SPREAD = 8.0


class TrainedNetwork:
    """The network of a model folder, to be built into any number of graphs.

    Batch normalization and the precision are folded into the kernels once, which are kept as NumPy
    arrays. A training graph computes them in every step, which takes a third of the network's time
    for a single photo.

    Attributes:
      has_global_features: whether the network computes any, so that a style photo can replace them.
      fingerprint: tells what it predicts from what other checkpoints, or another liveliness, do.
    """

    def __init__(
        self,
        model_dir: str,
        network: Network | None = None,
        precision: str = "auto",
        separate_whole: bool = False,
        saturation: float = 1.0,
        vibrance: float | None = None,
    ):
        """Restores the checkpoint.

        Args:
          model_dir: folder of a trained model.
          network: its network; by default that of the script which the model's settings name,
            `color.py` or `color_global.py`, which must then be importable.
          precision: "float32", "bfloat16", or "auto" for the faster one on this machine.
          separate_whole: take global features from a second lightness input, so that photos may
            have another photo's style.
          saturation: factor on the predicted chroma, on top of the one stored with the model.
          vibrance: see `livelier`; by default the one stored with the model.

        Raises:
          UserError: the folder holds no trained model, or one that its settings do not fit.
        """
        restored, values = checkpoint.best_tensors(model_dir)
        settings = stored_settings(model_dir)
        if settings is None:
            raise UserError(f"{model_dir} holds no settings.json; name a trained model's folder")
        # This refuses settings that are damaged or of another version.
        resolve_settings(Options(model=settings["model"], model_dir=model_dir))
        network = network or _network_of(settings)
        precision = working_precision(precision)

        graph = new_graph()
        with graph.as_default(), tf1.Session() as session:
            shape = [None, LIGHTNESS_SIZE, LIGHTNESS_SIZE, 1]
            lightness, whole = tf1.placeholder(tf.float32, shape, "lightness"), None
            if separate_whole:
                whole = tf1.placeholder(tf.float32, shape, "whole")
            params = {**settings, "precision": precision}
            nn = Layers(False, params, whole)
            # The calling program may have switched to TensorFlow 1's reference variables.
            with tf1.variable_scope(tf1.get_variable_scope(), use_resource=True):
                logits, _ = network(nn, lightness, params)
            self.has_global_features = nn.has_global_features
            self._separate_whole = separate_whole and nn.has_global_features
            inputs = [lightness, whole] if self._separate_whole else [lightness]
            stored = stored_liveliness(model_dir)
            self.fingerprint = _fingerprint(values, stored)
            chroma = logits * (settings["chroma_scale"] * stored.saturation)
            chroma = livelier(chroma, stored.vibrance if vibrance is None else vibrance)
            tf.multiply(chroma, saturation, name="chroma")
            checkpoint.restore(restored, values, session)
            weights = _derived_from_variables(graph, inputs)
            values = session.run(weights)
        self._graph_def = graph.as_graph_def()
        self._weights: dict[str, np.ndarray] = {
            tensor.name: value for tensor, value in zip(weights, values, strict=True)
        }
        self._transpose_dense_weights()

    def _transpose_dense_weights(self) -> None:
        # A single photo is a matrix of one row, whose product takes half the time if the weights of
        # each output are contiguous.
        transposed = set()
        for node in self._graph_def.node:
            if node.op == "MatMul" and (name := f"{node.input[1]}:0") in self._weights:
                node.attr["transpose_b"].b = True
                transposed.add(name)
        for name in transposed:
            self._weights[name] = np.ascontiguousarray(self._weights[name].T)

    def build(self) -> tuple[Callable[..., tf.Tensor], Callable[[tf1.Session], None]]:
        """Makes the weights part of the current graph.

        Kernels of convolutions become constants, which oneDNN reorders once instead of in every
        step; the large matrices of dense layers become variables.

        Returns:
          `(predict, load)`. `predict(lightness, whole)` adds the network to the graph: L* in
          0..100, float32 `[batch, 224, 224, 1]`, and another for the global features (ignored
          unless `separate_whole`), to a*b* in CIE units, float32 `[batch, 112, 112, 2]`.
          The last bits of a photo may depend on the size of its batch. `load(session)` gives the
          variables their values.
        """
        kernels = {name: value for name, value in self._weights.items() if value.ndim == 4}
        variables, assignments, values = {}, [], {}
        with tf1.variable_scope("network"):
            for number, name in enumerate(sorted(self._weights.keys() - kernels.keys())):
                value = self._weights[name]
                dtype = tf.as_dtype(value.dtype)
                variable = tf1.get_variable(
                    f"weight{number}",
                    value.shape,
                    dtype,
                    initializer=tf1.initializers.zeros(),
                    use_resource=True,
                )
                feed = tf1.placeholder(dtype, value.shape)
                variables[name] = variable
                assignments.append(variable.assign(feed).op)
                values[feed] = value

        def predict(lightness: tf.Tensor, whole: tf.Tensor) -> tf.Tensor:
            inputs = {"lightness:0": lightness}
            if self._separate_whole:
                inputs["whole:0"] = whole
            # Constants have to be created in the graph that uses them, which may be a loop's body.
            inputs.update((name, tf.constant(value)) for name, value in kernels.items())
            inputs.update((name, variable.read_value()) for name, variable in variables.items())
            (chroma,) = tf.import_graph_def(self._graph_def, inputs, ["chroma:0"], name="network")
            return chroma

        def load(session: tf1.Session) -> None:
            session.run(assignments, values)

        return predict, load


def _fingerprint(values: dict[str, np.ndarray], liveliness: Liveliness) -> str:
    """A hash of a checkpoint and its liveliness, without the kernels, which take long to read.

    No step of training leaves the biases as they are.
    """
    digest = hashlib.blake2b(repr(liveliness).encode(), digest_size=8)
    for name in sorted(values):
        if values[name].ndim <= 1:
            digest.update(values[name].tobytes())
    return digest.hexdigest()


def livelier(chroma: tf.Tensor, vibrance: float) -> tf.Tensor:
    """Increases the spread of a picture's colours, more so for pale pictures.

    Deviations from the mean colour grow by 1 + vibrance / (s + 8), where s is their root mean
    square. Colourfulness (Hasler and Süsstrunk 2003) depends mostly on the spread of colours, so
    that increasing the spread gains more of it for the same squared error than raising saturation.
    Colourfulness is linear in the spread and the error quadratic, so that adding the same amount to
    every spread is cheapest; for a large s the factor does that. The 8, a usual spread, keeps
    nearly gray pictures from becoming blotchy.

    Args:
      chroma: a*b* in CIE units, float32 `[batch, height, width, 2]`.
      vibrance: in CIE units; 0 changes nothing.

    Returns:
      The same shape.
    """
    if not vibrance:
        return chroma
    mean = tf.reduce_mean(chroma, [1, 2], keepdims=True)
    deviation = chroma - mean
    spread = tf.sqrt(tf.reduce_mean(tf.square(deviation), [1, 2, 3], keepdims=True))
    return mean + deviation * (1 + vibrance / (spread + _USUAL_SPREAD))


def has_global_features(settings: dict[str, Any]) -> bool:
    """Whether a network computes global features; builds it once without weights to find out.

    Args:
      settings: of the network, as stored with a model.
    """
    params = {**settings, "precision": "float32"}
    nn = Layers(False, params)
    with new_graph().as_default():
        _network_of(settings)(nn, tf.zeros([1, LIGHTNESS_SIZE, LIGHTNESS_SIZE, 1]), params)
    return nn.has_global_features


def _network_of(settings: dict[str, Any]) -> Network:
    """The network of the script that a model's settings name.

    Raises:
      UserError: the script is not installed.
    """
    try:
        return importlib.import_module(settings["model"]).network
    except ModuleNotFoundError as error:
        if error.name != settings["model"]:
            raise
        raise UserError(
            f"{settings['model']}.py is not installed; run pip install -e in its folder, or give "
            "the network itself"
        ) from error


def _derived_from_variables(graph: tf.Graph, inputs: list[tf.Tensor]) -> list[tf.Tensor]:
    """Tensors that depend on variables alone and feed operations that depend on inputs."""
    of_inputs = {tensor.op for tensor in inputs}
    of_variables = set()
    # Operations are listed in order of creation, so that producers come before consumers.
    for operation in graph.get_operations():
        producers = {tensor.op for tensor in operation.inputs}
        if producers & of_inputs:
            of_inputs.add(operation)
        elif operation.type == "VarHandleOp" or producers & of_variables:
            of_variables.add(operation)
    return list(
        {
            tensor.name: tensor
            for operation in of_inputs
            for tensor in operation.inputs
            if tensor.op in of_variables
        }.values()
    )
