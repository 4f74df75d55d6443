"""The layers that both networks are built from, including their precision and normalization."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from colorization.errors import UserError
from upsample import upsample_conv

# Decay of moving averages, which `update_average` reaches after about 1000 steps.
_MOVING_AVERAGE_DECAY = 0.99
_VARIANCE_EPSILON = 1e-3

# Instruction sets, by oneDNN's names, that have no bfloat16.
_ISA_WITHOUT_BFLOAT16 = (
    *("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2"),
    *("AVX512_CORE", "AVX512_CORE_VNNI"),
)

_HE_NORMAL = tf.compat.v1.initializers.variance_scaling(2.0, mode="fan_in")
_SMALL = tf.compat.v1.initializers.random_normal(stddev=0.01)


def fast_precision() -> str:
    """The faster of "float32" and "bfloat16" on this machine.

    GPUs with compute capability 8.0 (Ampere) or higher, and CPUs with AVX-512 BF16 or AMX, multiply
    bfloat16 numbers at least twice as fast. What a CPU can do is found out on Linux only.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        is_fast = all(detail.get("compute_capability", (0, 0)) >= (8, 0) for detail in details)
    else:
        has_bfloat16 = bool({"avx512_bf16", "amx_bf16"} & _processor_flags())
        is_fast = has_bfloat16 and not _limit_without_bfloat16()
    return "bfloat16" if is_fast else "float32"


def new_graph() -> tf.Graph:
    """A graph to build a network in, for uses that never run its initializers.

    With TF_DETERMINISTIC_OPS, TensorFlow refuses initializers without a seed even so.
    """
    graph = tf.Graph()
    with graph.as_default():
        tf.compat.v1.set_random_seed(0)
    return graph


def working_precision(precision: str) -> str:
    """The precision that layers compute in: "float32" or "bfloat16".

    Args:
      precision: one of them, or "auto" for the faster one on this machine.

    Raises:
      UserError: there is no such precision, or the environment forbids TensorFlow to use it.
    """
    if precision == "auto":
        return fast_precision()
    if precision not in ("float32", "bfloat16"):
        raise UserError(f"--precision must be float32, bfloat16 or auto, not {precision}")
    limit = _limit_without_bfloat16()
    # With AVX-512 alone, oneDNN emulates bfloat16.
    is_emulated = limit.startswith("AVX512")
    if (
        precision == "bfloat16"
        and limit
        and not is_emulated
        and not tf.config.list_physical_devices("GPU")
    ):
        raise UserError(
            f"--precision bfloat16 needs more than ONEDNN_MAX_CPU_ISA={limit} in the environment "
            "allows; leave one of them out"
        )
    return precision


def _limit_without_bfloat16() -> str:
    """The instruction set that oneDNN is limited to, if that has no bfloat16; else empty."""
    names = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
    limit = next((os.environ[name].upper() for name in names if os.environ.get(name)), "")
    return limit if limit in _ISA_WITHOUT_BFLOAT16 else ""


def moving_average(name: str, shape: list[int], initial: float) -> tf.Variable:
    """A float32 variable for `update_average`; each replica of the model keeps one of its own."""
    return tf.compat.v1.get_variable(
        name,
        shape,
        initializer=tf.compat.v1.initializers.constant(initial),
        trainable=False,
        aggregation=tf.VariableAggregation.MEAN,
        synchronization=tf.VariableSynchronization.ON_READ,
    )


def update_average(
    average: tf.Variable, value: tf.Tensor, params: dict[str, Any], restart_step: int = 0
) -> tf.Tensor:
    """The moving average with this step's value; one of the step's update operations stores it.

    The decay is small at first, so that the initial value is soon forgotten, and small again from
    the step `restart_step` on.

    Args:
      average: see `moving_average`.
      value: of this step's batch, of the same shape.
      params: `steps_per_update`, how far the global step advances from one update to the next;
        by default 1.
      restart_step: 0 for none.
    """
    step = tf.compat.v1.train.get_or_create_global_step()
    step = tf.where(step < restart_step, step, step - restart_step)
    if params.get("steps_per_update", 1) > 1:
        step //= params["steps_per_update"]
    step = tf.cast(step, tf.float32)
    decay = tf.minimum(_MOVING_AVERAGE_DECAY, (1 + step) / (10 + step))
    # The variable is read once, because a second reading could come after the update.
    previous = tf.identity(average)
    change = (value - previous) * (1 - decay)
    tf.compat.v1.add_to_collection(tf.compat.v1.GraphKeys.UPDATE_OPS, average.assign_add(change))
    return previous + change


def _processor_flags() -> set[str]:
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("flags"):
                return set(line.split(":", 1)[1].split())
    return set()


class Layers:
    """Makes layers and their variables in the current graph.

    Variables are always float32; activations have the working precision. Every hidden layer ends in
    ReLU, after normalization or, without it, a bias.

    Attributes:
      training: whether layers behave as in training.
      has_global_features: whether the network uses features of the whole photo.
    """

    def __init__(
        self, training: bool, params: dict[str, Any], whole_lightness: tf.Tensor | None = None
    ):
        """Initializes what all layers share.

        Args:
          training: normalize by the batch's own statistics and update the moving averages;
            otherwise normalize by the moving averages.
          params: `precision` ("float32" or "bfloat16") and `normalization` ("batch" or "none");
            `half_size_steps`, after which photos get larger and their statistics change;
            `warm_start` if weights come from another training, whose averages are then kept
            if all steps are at full size; those of `update_average`.
          whole_lightness: L* in 0..100, float32 `[batch, 224, 224, 1]`, to take global features
            from, for photos of another size or in the style of another photo; by default the
            network's own input.
        """
        self.has_global_features = False
        self._whole_lightness = whole_lightness
        self.training = training
        self._dtype = tf.as_dtype(params["precision"])
        self._is_normalized = params["normalization"] == "batch"
        self._params = params
        self._half_size_steps = params.get("half_size_steps", 0)
        keeps_averages = bool(params.get("warm_start")) and not self._half_size_steps
        self._uses_averages = not training or keeps_averages

    def input(self, lightness: tf.Tensor) -> tf.Tensor:
        """L* in 0..100 to -1..1 in the working precision, same shape."""
        with tf.compat.v1.name_scope("input"):
            return tf.cast(lightness / 50 - 1, self._dtype)

    def conv(self, x: tf.Tensor, channels: int, name: str, *, stride: int = 1) -> tf.Tensor:
        """3x3 convolution with SAME padding, then ReLU.

        Args:
          x: `[batch, height, width, in]`.
          channels: output channels.
          name: scope of ops and variables.
          stride: of both directions.

        Returns:
          `[batch, ceil(height / stride), ceil(width / stride), channels]`.
        """
        with tf.compat.v1.variable_scope(name):
            kernel = self._kernel([3, 3, x.shape[-1], channels])
            return self._activated(
                channels,
                kernel,
                lambda kernel: tf.nn.conv2d(x, self._cast(kernel), stride, "SAME"),
            )

    def upsample_conv(self, x: tf.Tensor, channels: int, name: str) -> tf.Tensor:
        """Doubles height and width by nearest neighbour, 3x3 convolution, then ReLU.

        Args:
          x: `[batch, height, width, in]`.
          channels: output channels.
          name: scope of ops and variables.

        Returns:
          `[batch, 2 * height, 2 * width, channels]`.
        """
        with tf.compat.v1.variable_scope(name):
            kernel = self._kernel([3, 3, x.shape[-1], channels])
            return self._activated(
                channels, kernel, lambda kernel: upsample_conv(x, self._cast(kernel))
            )

    def of_whole_photo(
        self, part: Callable[[Layers, tf.Tensor], tf.Tensor], features: tf.Tensor, size: int
    ) -> tf.Tensor:
        """Input for global features: what a part of the network makes of the whole photo.

        Args:
          part: `part(nn, x)`, whose variables exist already.
          features: its result for the network's own input, `[batch, height, width, channels]`;
            used as it is unless the whole photo has a lightness of its own.
          size: height and width of the result.

        Returns:
          `[batch, size, size, channels]`, resized bilinearly if need be.
        """
        self.has_global_features = True
        if self._whole_lightness is not None:
            scope = tf.compat.v1.get_variable_scope()
            with tf.compat.v1.variable_scope(scope, reuse=True):
                features = part(self, self.input(self._whole_lightness))
        if features.shape[1:3] == [size, size]:
            return features
        with tf.compat.v1.name_scope("resized"):
            return tf.cast(tf.image.resize(features, [size, size]), features.dtype)

    def flatten(self, x: tf.Tensor) -> tf.Tensor:
        """`[batch, height, width, channels]` to `[batch, height * width * channels]`."""
        return tf.reshape(x, [-1, x.shape[1] * x.shape[2] * x.shape[3]])

    def dense(self, x: tf.Tensor, channels: int, name: str) -> tf.Tensor:
        """Matrix product, then ReLU: `[batch, in]` to `[batch, channels]`.

        Normalization is over the channels of each photo (Ba, Kiros and Hinton, "Layer
        normalization", 2016), because a batch has too few vectors for statistics of each channel.
        """
        with tf.compat.v1.variable_scope(name):
            product = tf.linalg.matmul(x, self._cast(self._kernel([x.shape[-1], channels])))
            if not self._is_normalized:
                return self._biased(product, channels)
            product = tf.cast(product, tf.float32)
            mean, variance = tf.nn.moments(product, axes=[1], keepdims=True)
            scale = self._vector("scale", channels, 1.0)
            offset = self._vector("offset", channels, 0.0)
            x = tf.nn.batch_normalization(product, mean, variance, offset, scale, _VARIANCE_EPSILON)
            return tf.nn.relu(tf.cast(x, self._dtype))

    def class_logits(self, x: tf.Tensor, classes: int, name: str) -> tf.Tensor:
        """Dense layer without activation: `[batch, in]` to float32 `[batch, classes]`."""
        with tf.compat.v1.variable_scope(name):
            kernel = tf.compat.v1.get_variable("kernel", [x.shape[-1], classes], initializer=_SMALL)
            logits = tf.linalg.matmul(x, self._cast(kernel))
            return tf.cast(logits, tf.float32) + self._vector("bias", classes, 0.0)

    def fuse(
        self, local: tf.Tensor, global_features: tf.Tensor, channels: int, name: str
    ) -> tf.Tensor:
        """Dense layer over [local at each pixel ; global], then ReLU (paper, equation 4).

        The product with the concatenation is the sum of two products, so the global features need
        no copy for each pixel.

        Args:
          local: `[batch, height, width, in]`.
          global_features: `[batch, features]`.
          channels: output channels.
          name: scope of ops and variables.

        Returns:
          `[batch, height, width, channels]`.
        """
        # The calling program may have switched to TensorFlow 1's shapes, which hold no integers.
        inputs = [tf.compat.dimension_value(x.shape[-1]) for x in (local, global_features)]
        with tf.compat.v1.variable_scope(name):
            kernel = self._kernel([sum(inputs), channels])

            def product(kernel: tf.Tensor) -> tf.Tensor:
                local_kernel, global_kernel = tf.split(self._cast(kernel), inputs)
                global_part = tf.linalg.matmul(global_features, global_kernel)
                local_part = tf.nn.conv2d(local, local_kernel[None, None], 1, "SAME")
                return local_part + global_part[:, None, None]

            return self._activated(channels, kernel, product)

    def output(self, x: tf.Tensor, channels: int, name: str) -> tf.Tensor:
        """3x3 convolution with a bias and no activation; float32 logits, starting near zero."""
        with tf.compat.v1.variable_scope(name):
            kernel = tf.compat.v1.get_variable(
                "kernel", [3, 3, x.shape[-1], channels], initializer=_SMALL
            )
            bias = self._vector("bias", channels, 0.0)
            logits = tf.nn.conv2d(x, self._cast(kernel), 1, "SAME")
            return tf.cast(logits, tf.float32) + bias

    def _cast(self, variable: tf.Tensor) -> tf.Tensor:
        return tf.cast(variable, self._dtype)

    def _kernel(self, shape: list[int]) -> tf.Tensor:
        return tf.compat.v1.get_variable("kernel", shape, initializer=_HE_NORMAL)

    def _vector(self, name: str, channels: int, value: float) -> tf.Tensor:
        return tf.compat.v1.get_variable(
            name, [channels], initializer=tf.compat.v1.initializers.constant(value)
        )

    def _activated(self, channels: int, kernel: tf.Tensor, product) -> tf.Tensor:
        """`product(kernel)`, normalized or shifted, through ReLU."""
        if not self._is_normalized:
            return self._biased(product(kernel), channels)

        scale = self._vector("scale", channels, 1.0)
        offset = self._vector("offset", channels, 0.0)
        mean = moving_average("moving_mean", [channels], 0.0)
        variance = moving_average("moving_variance", [channels], 1.0)
        if self._uses_averages:
            # Normalization by averages is linear, so that it can be folded into the kernel.
            factor = scale * tf.math.rsqrt(variance + _VARIANCE_EPSILON)
            bias = self._cast(offset - mean * factor)
            return tf.nn.relu(tf.nn.bias_add(product(kernel * factor), bias))

        x, batch_mean, batch_variance = tf.compat.v1.nn.fused_batch_norm(
            product(kernel), scale, offset, epsilon=_VARIANCE_EPSILON
        )[:3]
        for average, value in ((mean, batch_mean), (variance, batch_variance)):
            update_average(average, value, self._params, self._half_size_steps)
        return tf.nn.relu(x)

    def _biased(self, x: tf.Tensor, channels: int) -> tf.Tensor:
        bias = self._vector("bias", channels, 0.0)
        return tf.nn.relu(tf.nn.bias_add(x, self._cast(bias)))


# A network maps layers, lightness and the model's parameters to logits of the chroma code, and to
# those of the classes or None; see `color_global.network`.
Network = Callable[[Layers, tf.Tensor, dict[str, Any]], tuple[tf.Tensor, tf.Tensor | None]]
