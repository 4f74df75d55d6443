"""model_fn through the official Estimator, with networks small enough to work out by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from skimage.color import lab2rgb
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from colorization.estimator import tf_estimator
from colorization.model import model_fn
from colorization.model.model_fn import learning_rate, make_model_fn, to_rgb
from colorization.model.summaries import write_hyperparameters

SCALE = 8.0
PARAMS = {
    "chroma_scale": SCALE,
    "learning_rate": 0.1,
    "learning_rate_schedule": "constant",
    "warmup_steps": 0,
    "max_steps": 100,
    "precision": "float32",
    "normalization": "none",
}


def one_colour(nn, lightness, params):
    """The same two logits everywhere."""
    height, width = lightness.shape[1] // 2, lightness.shape[2] // 2
    logits = tf.compat.v1.get_variable(
        "logits", [2], initializer=tf.compat.v1.initializers.constant([0.5, -1.0])
    )
    return tf.zeros([tf.shape(lightness)[0], height, width, 1]) + logits, None


def examples(count, seed=0):
    random = np.random.default_rng(seed)
    chroma = random.normal(10, 20, [count, 8, 10, 2]).astype(np.float32)
    features = {
        "lightness": random.uniform(0, 100, [count, 16, 20, 1]).astype(np.float32),
        "path": np.array([f"{number}.jpg" for number in range(count)]),
    }
    return features, {"chroma": chroma}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def input_fn(found, batch_size, repeat=1):
    return lambda: tf.data.Dataset.from_tensor_slices(found).batch(batch_size).repeat(repeat)


@pytest.fixture
def estimator(tmp_path):
    return tf_estimator.Estimator(
        make_model_fn(one_colour),
        config=tf_estimator.RunConfig(
            model_dir=str(tmp_path / "model"), save_summary_steps=1, tf_random_seed=1
        ),
        params=PARAMS,
    )


def events(folder):
    """Tag -> [(step, value)] of all event files in a folder."""
    found = {}
    for path in folder.glob("events*"):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value))
    return found


def bilinear_doubled(x):
    """Half-pixel centres, borders repeated."""
    for axis in (1, 2):
        padded = np.concatenate([x.take([0], axis), x, x.take([-1], axis)], axis)
        low, middle, high = (
            padded.take(range(start, start + x.shape[axis]), axis) for start in range(3)
        )
        pair = np.stack([0.25 * low + 0.75 * middle, 0.75 * middle + 0.25 * high], axis + 1)
        shape = list(x.shape)
        shape[axis] *= 2
        x = pair.reshape(shape)
    return x


def test_rgb_pictures_agree_with_scikit_image():
    features, labels = examples(2)
    chroma = labels["chroma"] / 4
    lab = np.concatenate([features["lightness"], bilinear_doubled(chroma)], axis=-1)
    rgb = to_rgb(tf.constant(features["lightness"]), tf.constant(chroma))
    np.testing.assert_allclose(rgb, lab2rgb(lab), atol=1e-3)


def test_evaluation_metrics_agree_with_numpy(estimator):
    """Five photos in batches of two: the last batch counts half."""
    found = examples(5)
    estimator.train(input_fn(found, 5), steps=1)
    metrics = estimator.evaluate(input_fn(found, 2))
    logits = estimator.get_variable_value("logits")
    chroma = found[1]["chroma"]
    code = sigmoid(chroma / SCALE)
    error = SCALE * logits - chroma
    assert metrics["average_loss"] == pytest.approx(np.mean((sigmoid(logits) - code) ** 2), 1e-4)
    assert metrics["ab_rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), 1e-4)

    def best_constant(values):
        return np.mean((values - values.mean((0, 1, 2))) ** 2)

    predicted = chroma + error
    factor = np.sum(chroma * predicted) / np.sum(predicted**2)
    assert metrics["saturation"] == pytest.approx(factor, 1e-4)
    left = np.sqrt(np.mean((chroma - factor * predicted) ** 2))
    assert metrics["ab_rmse_saturated"] == pytest.approx(left, 1e-4)
    assert metrics["ab_rmse_no_colour"] == pytest.approx(np.sqrt(np.mean(chroma**2)), 1e-4)
    assert metrics["ab_rmse_mean_colour"] == pytest.approx(np.sqrt(best_constant(chroma)), 1e-4)
    assert metrics["loss_no_colour"] == pytest.approx(np.mean((code - 0.5) ** 2), 1e-4)
    assert metrics["loss_mean_colour"] == pytest.approx(best_constant(code), 1e-4)

    lightness = found[0]["lightness"]
    predicted = np.broadcast_to(SCALE * logits, chroma.shape)
    ratios, similarities, colours = [], [], []
    for number in range(5):
        truth, picture = (
            lab2rgb(np.concatenate([lightness[[number]], bilinear_doubled(ab[[number]])], -1))[0]
            for ab in (chroma, predicted)
        )
        ratios.append(peak_signal_noise_ratio(truth, picture, data_range=1))
        # The settings of Wang et al. 2004; the borders, where windows stick out, are left out.
        _, similarity = structural_similarity(
            truth, picture, data_range=1, channel_axis=-1, full=True, gaussian_weights=True,
            sigma=1.5, use_sample_covariance=False,
        )  # fmt: skip
        similarities.append(similarity[5:-5, 5:-5].mean())
        red, green, blue = np.moveaxis(255 * truth, -1, 0)
        rg, yb = red - green, (red + green) / 2 - blue
        spread, distance = np.hypot(rg.std(), yb.std()), np.hypot(rg.mean(), yb.mean())
        colours.append(spread + 0.3 * distance)
    assert metrics["psnr"] == pytest.approx(np.mean(ratios), 1e-3)
    assert metrics["ssim"] == pytest.approx(np.mean(similarities), abs=1e-3)
    assert metrics["colourfulness_truth"] == pytest.approx(np.mean(colours), 1e-3)
    # One colour of varying lightness is less colourful than colours at random.
    assert 0 < metrics["colourfulness"] < metrics["colourfulness_truth"]


def test_predictions_are_chroma_in_cie_units(estimator):
    found = examples(3)
    estimator.train(input_fn(found, 3), steps=1)
    predictions = list(estimator.predict(input_fn(found, 2)))
    assert [prediction["path"] for prediction in predictions] == [b"0.jpg", b"1.jpg", b"2.jpg"]
    expected = SCALE * estimator.get_variable_value("logits")
    for prediction in predictions:
        assert prediction["chroma"].shape == (8, 10, 2)
        np.testing.assert_allclose(prediction["chroma"], np.broadcast_to(expected, (8, 10, 2)))


def test_training_finds_the_best_colour(estimator):
    """Adam on the code's mean squared error: the code ends at its mean."""
    found = examples(4)
    estimator.train(input_fn(found, 4, repeat=None), steps=100)
    code = sigmoid(estimator.get_variable_value("logits"))
    expected = sigmoid(found[1]["chroma"] / SCALE).mean((0, 1, 2))
    np.testing.assert_allclose(code, expected, atol=0.01)


def test_tensorboard_gets_curves_and_pictures(estimator, tmp_path):
    found = examples(9)
    estimator.train(input_fn(found, 9, repeat=3), steps=3)
    estimator.evaluate(input_fn(found, 8))
    trained = events(tmp_path / "model")
    assert [step for step, _ in trained["loss"]] == [1, 2, 3]
    assert [step for step, _ in trained["learning_rate"]] == [1, 2, 3]
    evaluated = events(tmp_path / "model" / "eval")
    assert {"loss", "average_loss", "ab_rmse", "psnr"} <= set(evaluated)
    assert {
        f"chroma/{channel}_{kind}" for channel in "ab" for kind in ("truth", "predicted")
    } <= set(evaluated)
    for baseline in ("no_colour", "mean_colour"):
        for tag in ("loss", "ab_rmse"):
            ((step, value),) = events(tmp_path / "model" / f"eval_{baseline}")[tag]
            ((_, expected),) = evaluated[f"{tag}_{baseline}"]
            assert (step, value.simple_value) == (3, expected.simple_value)
    pictures = [tag for tag in evaluated if tag.startswith("gray_truth_predicted")]
    assert len(pictures) == 6
    for tag in pictures:
        ((step, value),) = evaluated[tag]
        assert step == 3
        png = tf.io.decode_png(value.image.encoded_image_string).numpy()
        assert png.shape == (16, 3 * 20, 3)
        # The gray one has no colour, up to rounding; truth and prediction do.
        gray, truth, predicted = (part.astype(int) for part in np.split(png, 3, axis=1))
        assert np.ptp(gray, axis=-1).max() <= 1
        assert np.ptp(truth, axis=-1).max() > 10
        assert np.ptp(predicted, axis=-1).max() > 5


def small(nn, lightness, params):
    return nn.output(nn.conv(nn.input(lightness), 3, "conv", stride=2), 2, "output"), None


def trained_with(tmp_path, found, network=None, name="model", **params):
    config = tf_estimator.RunConfig(model_dir=str(tmp_path / name), tf_random_seed=1)
    params = {**PARAMS, "learning_rate": 0.01, **params}
    estimator = tf_estimator.Estimator(
        make_model_fn(network or small), config=config, params=params
    )
    estimator.train(input_fn(found, len(found[0]["path"]), repeat=3))
    return estimator


def test_accumulated_gradients_are_those_of_one_large_batch(tmp_path):
    found = examples(6)
    whole = trained_with(tmp_path, found)
    parts = trained_with(tmp_path, found, name="parts", accumulate_steps=3)
    assert parts.get_variable_value("global_step") == 3
    for name in whole.get_variable_names():
        np.testing.assert_allclose(
            parts.get_variable_value(name), whole.get_variable_value(name), rtol=1e-4, atol=1e-7
        )


def averages_after(steps, others, is_chief, workers, sync):
    """The moving averages before and after some steps, between which others take steps."""
    features, labels = examples(4)
    config = SimpleNamespace(is_chief=is_chief, num_worker_replicas=workers)
    params = {**PARAMS, "normalization": "batch", "loss": "rebalanced", "accumulate_steps": 2}
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        step = tf.compat.v1.train.get_or_create_global_step()
        spec = make_model_fn(small)(
            {"lightness": tf.constant(features["lightness"])},
            {"chroma": tf.constant(labels["chroma"])},
            tf_estimator.ModeKeys.TRAIN,
            {**params, "sync": sync},
            config,
        )
        found = {
            variable.op.name.rpartition("/")[2]: variable
            for variable in tf.compat.v1.global_variables()
            if "/moving_" in variable.op.name
        }
        session.run(tf.compat.v1.global_variables_initializer())
        before = session.run(found)
        for _ in range(steps):
            session.run(spec.train_op)
            session.run(step.assign_add(others))
        assert session.run(step) == steps * (1 + others)
        return before, session.run(found)


def test_in_a_cluster_the_chief_alone_stores_moving_averages(monkeypatch):
    """Ten workers whose changes added up would make variances negative."""
    # The optimizer that waits for the others would wait for ever.
    hook = tf.compat.v1.train.SessionRunHook()
    monkeypatch.setattr(model_fn, "synchronous", lambda optimizer, config: (optimizer, hook))
    _, alone = averages_after(4, 0, is_chief=True, workers=1, sync=False)
    assert alone.keys() == {"moving_mean", "moving_variance", "moving_histogram"}
    for sync, others in ((True, 0), (False, 9)):
        before, after = averages_after(4, others, is_chief=True, workers=10, sync=sync)
        assert not any(np.array_equal(before[name], after[name]) for name in before)
        np.testing.assert_allclose(after["moving_histogram"], alone["moving_histogram"], rtol=1e-5)
        before, after = averages_after(4, others, is_chief=False, workers=10, sync=sync)
        assert all(np.array_equal(before[name], after[name]) for name in before)


def test_gradients_are_clipped(tmp_path):
    """Adam's second moment after the first step is 0.001 times the square of the gradient."""
    found = examples(2)
    names = [f"{layer}/{kind}" for layer in ("conv", "output") for kind in ("kernel", "bias")]

    def norm(estimator):
        moments = [estimator.get_variable_value(f"{name}/Adam_1") for name in names]
        return np.sqrt(sum(moment.sum() for moment in moments))

    free = norm(trained_with(tmp_path, found))
    limit = free / np.sqrt(0.001 + 0.001 * 0.999 + 0.001 * 0.999**2) / 100
    clipped = norm(trained_with(tmp_path, found, name="clipped", clip_norm=limit))
    assert clipped == pytest.approx(free / 100, rel=0.01)


def test_classes_are_learnt_and_measured(tmp_path):
    """Dark photos are of one class, light ones of another, and one photo is of neither."""
    features, labels = examples(8)
    light = np.arange(8) % 2 == 1
    lightness = np.where(light, 90, 10)[:, None, None, None] + np.zeros([8, 16, 20, 1])
    features["lightness"] = lightness.astype(np.float32)
    labels["class"] = np.arange(8, dtype=np.int32) % 2

    def network(nn, lightness, params):
        logits, _ = one_colour(nn, lightness, params)
        if not params["class_names"]:
            return logits, None
        weight = tf.compat.v1.get_variable("weight", [1, len(params["class_names"])])
        return logits, tf.reduce_mean(lightness / 50 - 1, [1, 2]) @ weight

    found = (features, labels)
    estimator = trained_with(
        tmp_path, found, network, class_names=["dark", "light"], learning_rate=0.5, max_steps=3
    )
    labels["class"][7] = -1
    metrics = estimator.evaluate(input_fn(found, 4))
    assert metrics["accuracy"] == 1
    assert metrics["labelled"] == pytest.approx(7 / 8)
    assert metrics["loss"] > metrics["average_loss"]
    predictions = list(estimator.predict(input_fn(found, 4)))
    assert predictions[0].keys() == {"chroma", "path"}


@pytest.mark.parametrize(
    ("schedule", "warmup", "expected"),
    [
        ("constant", 0, [1, 1, 1, 1, 1]),
        ("cosine", 0, [1, (1 + np.sqrt(0.5)) / 2, 0.5, (1 - np.sqrt(0.5)) / 2, 0]),
        ("constant", 9, [0.1, 1, 1, 1, 1]),
        # The warm-up takes no more than a fifth of the steps, and the cosine starts after it.
        ("cosine", 900, [1 / 21, None, None, None, 0]),
    ],
)
def test_learning_rate(schedule, warmup, expected):
    params = {
        "learning_rate": 0.5,
        "learning_rate_schedule": schedule,
        "warmup_steps": warmup,
        "max_steps": 100,
    }
    rates = [float(learning_rate(tf.constant(step), params)) for step in range(0, 101, 25)]
    for rate, share in zip(rates, expected, strict=True):
        assert share is None or rate == pytest.approx(0.5 * share, abs=1e-6)
    assert max(float(learning_rate(tf.constant(step), params)) for step in range(101)) <= 0.5


def test_the_cosine_falls_by_the_pixels_seen():
    # 80 steps at half size are 20 of 40 steps' worth of pixels.
    params = {
        "learning_rate": 1.0,
        "learning_rate_schedule": "cosine",
        "warmup_steps": 0,
        "half_size_steps": 80,
        "max_steps": 100,
    }
    rates = [float(learning_rate(tf.constant(step), params)) for step in (0, 40, 80, 90, 100)]
    expected = [(1 + np.cos(np.pi * share)) / 2 for share in (0, 0.25, 0.5, 0.75, 1)]
    np.testing.assert_allclose(rates, expected, atol=1e-6)


def test_normalization_is_updated_in_training_only(tmp_path):
    def network(nn, lightness, params):
        return nn.output(nn.conv(nn.input(lightness), 3, "conv", stride=2), 2, "output"), None

    estimator = tf_estimator.Estimator(
        make_model_fn(network),
        model_dir=str(tmp_path / "model"),
        params={**PARAMS, "normalization": "batch"},
    )
    found = examples(4)
    estimator.train(input_fn(found, 4), steps=1)
    first = estimator.get_variable_value("conv/moving_variance")
    assert np.abs(first - 1).min() > 1e-4
    estimator.evaluate(input_fn(found, 4))
    np.testing.assert_array_equal(estimator.get_variable_value("conv/moving_variance"), first)


def test_hyperparameters_are_listed(tmp_path):
    write_hyperparameters({"learning_rate": 0.1, "schedule": "cosine"}, str(tmp_path))
    (found,) = events(tmp_path).values()
    ((_, value),) = found
    assert value.metadata.plugin_data.plugin_name == "hparams"
    content = value.metadata.plugin_data.content
    assert b"learning_rate" in content
    assert b"cosine" in content
