"""Both networks against the design table and against a NumPy implementation of it."""

import numpy as np
import pytest
import tensorflow as tf
from skimage.transform import resize

import color
import color_global
from colorization.errors import UserError
from colorization.model import layers
from colorization.model.layers import Layers

EPSILON = 1e-3
BASIC = [
    ("low_level/conv1", 1, 64),
    ("low_level/conv2", 64, 128),
    ("low_level/conv3", 128, 128),
    ("low_level/conv4", 128, 256),
    ("low_level/conv5", 256, 256),
    ("low_level/conv6", 256, 512),
    ("mid_level/conv1", 512, 512),
    ("mid_level/conv2", 512, 256),
    ("colorization/conv1", 256, 128),
    ("colorization/conv2", 128, 64),
    ("colorization/conv3", 64, 64),
    ("colorization/conv4", 64, 32),
    ("colorization/output", 32, 2),
]
STRIDED = {"low_level/conv1", "low_level/conv3", "low_level/conv5", "global/conv1", "global/conv3"}


def parameters(**changes):
    return {
        "precision": "float32",
        "normalization": "none",
        "global_features": "single",
        "global_channels": 32,
        **changes,
    }


def run(network, lightness, params, training=False, seed=1):
    """Logits and variables (by name) of a freshly made network."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.set_random_seed(seed)
        logits, _ = network(Layers(training, params), tf.constant(lightness), params)
        session.run(tf.compat.v1.global_variables_initializer())
        variables = {v.name.split(":")[0]: v for v in tf.compat.v1.global_variables()}
        # Initial values hide mistakes: biases are zero, scales one.
        random = np.random.default_rng(seed)
        changes = {}
        for name, variable in variables.items():
            last = name.rsplit("/")[-1]
            if last in ("bias", "offset", "moving_mean"):
                changes[variable.initializer] = random.normal(0, 0.1, variable.shape)
            elif last in ("scale", "moving_variance"):
                changes[variable.initializer] = random.uniform(0.5, 2, variable.shape)
        # All at once, for each first run of something takes a while.
        session.run(list(changes), {change.inputs[1]: new for change, new in changes.items()})
        values, logits = session.run([variables, logits])
        updates = tf.compat.v1.get_collection(tf.compat.v1.GraphKeys.UPDATE_OPS)
        session.run(updates)
        return logits, values, session.run(variables)


def shapes(network, lightness_shape, params):
    with tf.Graph().as_default():
        lightness = tf.compat.v1.placeholder(tf.float32, lightness_shape)
        logits, _ = network(Layers(True, params), lightness, params)
        trainable = tf.compat.v1.trainable_variables()
        return logits, {v.name.split(":")[0]: tuple(v.shape) for v in trainable}


def convolve(x, kernel, stride):
    """3 x 3 or 1 x 1 convolution with SAME padding as TensorFlow defines it, in float64."""
    size = kernel.shape[0]
    padded_sides = []
    for side in x.shape[1:3]:
        padding = max((-(-side // stride) - 1) * stride + size - side, 0)
        padded_sides.append((padding // 2, padding - padding // 2))
    x = np.pad(x, [(0, 0), *padded_sides, (0, 0)])
    height, width = ((side - size) // stride + 1 for side in x.shape[1:3])
    total = 0
    for row in range(size):
        for column in range(size):
            window = x[
                :,
                row : row + stride * (height - 1) + 1 : stride,
                column : column + stride * (width - 1) + 1 : stride,
            ]
            total = total + window @ kernel[row, column]
    return total


def reference(lightness, variables, params, training=False):
    """The design table, layer by layer; with `classes`, the logits of these."""
    variables = {name: np.asarray(value, np.float64) for name, value in variables.items()}

    def activated(x, name):
        if params["normalization"] == "none":
            return np.maximum(x + variables[f"{name}/bias"], 0)
        if name.startswith(("global/dense", "classification")):
            mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        elif training:
            axes = tuple(range(x.ndim - 1))
            mean, variance = x.mean(axes), x.var(axes)
        else:
            mean = variables[f"{name}/moving_mean"]
            variance = variables[f"{name}/moving_variance"]
        x = (x - mean) / np.sqrt(variance + EPSILON)
        return np.maximum(x * variables[f"{name}/scale"] + variables[f"{name}/offset"], 0)

    def conv(x, name):
        stride = 2 if name in STRIDED else 1
        return activated(convolve(x, variables[f"{name}/kernel"], stride), name)

    def doubled(x):
        return x.repeat(2, axis=1).repeat(2, axis=2)

    def dense(x, name):
        return activated(x @ variables[f"{name}/kernel"], name)

    x = lightness.astype(np.float64) / 50 - 1
    for layer in range(1, 7):
        x = conv(x, f"low_level/conv{layer}")
    low = x
    x = conv(conv(low, "mid_level/conv1"), "mid_level/conv2")
    if "fusion/kernel" in variables:
        whole = np.stack(
            [resize(x, (28, 28), order=1, mode="edge", anti_aliasing=False) for x in low]
        )
        if params["global_features"] == "paper":
            for layer in range(1, 5):
                whole = conv(whole, f"global/conv{layer}")
        else:
            kernel = variables["global/conv1/kernel"]
            whole = activated(convolve(whole, kernel, 1), "global/conv1")
        whole = whole.reshape(len(whole), -1)
        whole = dense(dense(whole, "global/dense1"), "global/dense2")
        if params.get("class_names"):
            x = dense(whole, "classification/dense1")
            x = x @ variables["classification/output/kernel"]
            return x + variables["classification/output/bias"]
        whole = dense(whole, "global/dense3")
        copies = np.broadcast_to(whole[:, None, None], (*x.shape[:3], 256))
        x = dense(np.concatenate([x, copies], axis=-1), "fusion")
    x = conv(x, "colorization/conv1")
    x = conv(doubled(x), "colorization/conv2")
    x = conv(x, "colorization/conv3")
    x = conv(doubled(x), "colorization/conv4")
    x = convolve(x, variables["colorization/output/kernel"], 1)
    return x + variables["colorization/output/bias"]


VARIANTS = [
    (color.network, parameters()),
    (color.network, parameters(normalization="batch")),
    (color_global.network, parameters(global_channels=5)),
    (color_global.network, parameters(global_channels=5, normalization="batch")),
    (color_global.network, parameters(global_features="paper", normalization="batch")),
]


@pytest.mark.parametrize(
    ("network", "params", "training"),
    # The paper's global features are slow, and differ by four more of the same layers.
    [(*variant, training) for variant in VARIANTS[:-1] for training in (False, True)]
    + [(*VARIANTS[-1], False)],
)
def test_networks_equal_the_numpy_reference(network, params, training):
    """Compared on 16 x 24 pictures, to 0.1 % of the largest logit."""
    lightness = np.random.default_rng(0).uniform(0, 100, [2, 16, 24, 1]).astype(np.float32)
    logits, variables, _ = run(network, lightness, params, training)
    expected = reference(lightness, variables, params, training)
    assert logits.shape == (2, 8, 12, 2)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, expected, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_class_logits_equal_the_numpy_reference(normalization):
    """The paper's: dense layers of 256 and of the classes on the second dense layer's 512."""
    params = parameters(global_channels=5, normalization=normalization, class_names=["a", "b", "c"])
    lightness = np.random.default_rng(0).uniform(0, 100, [2, 16, 24, 1]).astype(np.float32)

    def class_logits(*arguments):
        _, found = color_global.network(*arguments)
        return found, None

    logits, variables, _ = run(class_logits, lightness, params)
    assert variables["classification/dense1/kernel"].shape == (512, 256)
    expected = reference(lightness, variables, params)
    assert logits.shape == (2, 3)
    np.testing.assert_allclose(logits, expected, atol=1e-3 * np.abs(expected).max())


def test_moving_averages_follow_the_batches():
    params = parameters(normalization="batch")
    lightness = np.random.default_rng(0).uniform(0, 100, [2, 16, 16, 1]).astype(np.float32)
    _, before, after = run(color.network, lightness, params, training=True)
    product = convolve(lightness / 50.0 - 1, before["low_level/conv1/kernel"].astype(float), 2)
    # The first step keeps a tenth of the initial value.
    name = "low_level/conv1/moving_mean"
    expected = 0.1 * before[name] + 0.9 * product.mean((0, 1, 2))
    np.testing.assert_allclose(after[name], expected, atol=1e-4)
    name = "low_level/conv1/moving_variance"
    count = product[..., 0].size
    expected = 0.1 * before[name] + 0.9 * product.var((0, 1, 2)) * count / (count - 1)
    np.testing.assert_allclose(after[name], expected, rtol=1e-3)


@pytest.mark.parametrize(("network", "params"), VARIANTS[:-1])
def test_bfloat16_is_near_float32(network, params):
    """Within 3 % of the spread of the logits; variables stay float32."""
    lightness = np.random.default_rng(0).uniform(0, 100, [2, 16, 16, 1]).astype(np.float32)
    exact, _, _ = run(network, lightness, params)
    rounded, variables, _ = run(network, lightness, {**params, "precision": "bfloat16"})
    assert rounded.dtype == np.float32
    assert {value.dtype for value in variables.values()} <= {np.dtype("f"), np.dtype("int64")}
    assert np.abs(rounded - exact).max() < 0.03 * (exact.max() - exact.min())


@pytest.mark.parametrize(
    ("params", "extra"),
    [
        (
            parameters(),
            [("global/conv1", 9 * 512, 32), ("global/dense1", 28 * 28 * 32, 1024)],
        ),
        (
            parameters(global_channels=7),
            [("global/conv1", 9 * 512, 7), ("global/dense1", 28 * 28 * 7, 1024)],
        ),
        (
            parameters(global_features="paper"),
            [(f"global/conv{layer}", 9 * 512, 512) for layer in range(1, 5)]
            + [("global/dense1", 7 * 7 * 512, 1024)],
        ),
    ],
)
def test_shapes_and_parameter_counts_follow_the_design_table(params, extra):
    logits, basic = shapes(color.network, [None, 224, 224, 1], params)
    assert logits.shape.as_list() == [None, 112, 112, 2]
    expected = {name: (9 * inputs, outputs) for name, inputs, outputs in BASIC}
    assert counted(basic) == {name: sum_of(size) for name, size in expected.items()}

    logits, full = shapes(color_global.network, [None, 224, 224, 1], params)
    assert logits.shape.as_list() == [None, 112, 112, 2]
    expected.update({name: (inputs, outputs) for name, inputs, outputs in extra})
    expected["global/dense2"] = (1024, 512)
    expected["global/dense3"] = (512, 256)
    expected["fusion"] = (512, 256)
    assert counted(full) == {name: sum_of(size) for name, size in expected.items()}


def sum_of(size):
    inputs, outputs = size
    return inputs * outputs + outputs


def counted(variables):
    """Layer -> number of weights and biases."""
    counts = {}
    for name, shape in variables.items():
        layer = name.rsplit("/", 1)[0]
        counts[layer] = counts.get(layer, 0) + int(np.prod(shape))
    return counts


def test_initial_weights_follow_the_seed():
    lightness = np.zeros([1, 16, 16, 1], np.float32)
    _, first, _ = run(color.network, lightness, parameters(), seed=1)
    _, again, _ = run(color.network, lightness, parameters(), seed=1)
    _, other, _ = run(color.network, lightness, parameters(), seed=2)
    name = "mid_level/conv2/kernel"
    np.testing.assert_array_equal(first[name], again[name])
    assert np.abs(first[name] - other[name]).max() > 0.01
    # He et al. 2015: variance 2 / inputs keeps the size of activations through ReLU.
    assert first[name].std() == pytest.approx(np.sqrt(2 / (9 * 512)), rel=0.02)


def test_averages_of_a_model_that_is_learnt_on_from_are_kept():
    def outcome(training, **params):
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            tf.compat.v1.set_random_seed(1)
            nn = Layers(training, {"precision": "float32", "normalization": "batch", **params})
            x = tf.constant(np.random.default_rng(0).normal(2, 3, [4, 8, 8, 3]), tf.float32)
            y = nn.conv(x, 5, "conv")
            updates = tf.compat.v1.get_collection(tf.compat.v1.GraphKeys.UPDATE_OPS)
            trained = {variable.op.name for variable in tf.compat.v1.trainable_variables()}
            session.run(tf.compat.v1.global_variables_initializer())
            return session.run(y), len(updates), trained

    predicted, *_ = outcome(False)
    learnt_on, updates, trained = outcome(True, warm_start="elsewhere")
    np.testing.assert_array_equal(learnt_on, predicted)
    assert (updates, trained) == (0, {"conv/kernel", "conv/scale", "conv/offset"})
    for params in ({}, {"warm_start": "elsewhere", "half_size_steps": 3}):
        anew, updates, _ = outcome(True, **params)
        assert updates == 2 and not np.allclose(anew, predicted)


@pytest.mark.parametrize(
    ("limit", "automatic", "explicit"),
    [
        ("", "bfloat16", "bfloat16"),
        ("DEFAULT", "bfloat16", "bfloat16"),
        ("avx512_core_bf16", "bfloat16", "bfloat16"),
        ("AVX512_CORE", "float32", "bfloat16"),
        ("avx2", "float32", None),
        ("SSE41", "float32", None),
    ],
)
def test_precision_is_what_the_environment_lets_the_processor_do(
    monkeypatch, limit, automatic, explicit
):
    """The processor has the instructions."""
    monkeypatch.delenv("DNNL_MAX_CPU_ISA", raising=False)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    monkeypatch.setattr(layers, "_processor_flags", lambda: {"avx512_bf16"})
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    assert layers.working_precision("auto") == automatic
    assert layers.working_precision("float32") == "float32"
    if explicit:
        assert layers.working_precision("bfloat16") == explicit
    else:
        with pytest.raises(UserError, match="ONEDNN_MAX_CPU_ISA"):
            layers.working_precision("bfloat16")
