"""tf_estimator behaves as tf.estimator always did, whichever TensorFlow is installed."""

import importlib
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from platforms import HANG

from colorization import estimator, main
from colorization.estimator import tf_estimator
from colorization.model.model_fn import make_model_fn
from colorization.training import checkpoint, training
from colorization.training.gpus import mirrored_strategy

CARRIED = hasattr(tf, "estimator")
PACKAGE = "tensorflow_estimator"
PIP = "tensorflow-estimator"
ROOT = Path(__file__).parent.parent
TRAINING = {
    "chroma_scale": 8.0, "learning_rate": 0.01, "learning_rate_schedule": "constant",
    "warmup_steps": 0, "max_steps": 40, "precision": "float32",
}  # fmt: skip
CLUSTER = {"chief": ["127.0.0.1:1"], "worker": ["127.0.0.1:2"], "ps": ["127.0.0.1:3"]}


def samples(batches=None):
    x = np.random.RandomState(0).rand(64, 3).astype(np.float32)
    y = x @ np.array([[1], [2], [3]], np.float32)
    dataset = tf.data.Dataset.from_tensor_slices(({"x": x}, y)).batch(16)
    return dataset.repeat() if batches is None else dataset.take(batches)


def linear(features, labels, mode, params):
    v1 = tf.compat.v1
    weights = v1.get_variable("weights", [3, 1], initializer=v1.zeros_initializer())
    y = tf.matmul(features["x"], weights)
    if mode == tf_estimator.ModeKeys.PREDICT:
        return tf_estimator.EstimatorSpec(mode, predictions={"y": y})
    loss = tf.reduce_mean(tf.square(y - labels))
    if mode == tf_estimator.ModeKeys.EVAL:
        metrics = {"mae": v1.metrics.mean_absolute_error(labels, y)}
        return tf_estimator.EstimatorSpec(mode, loss=loss, eval_metric_ops=metrics)
    optimizer = v1.train.AdamOptimizer(params["learning_rate"])
    train_op = optimizer.minimize(loss, v1.train.get_global_step())
    return tf_estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)


def build(model_dir, learning_rate=0.1, warm_start_from=None, **config):
    return tf_estimator.Estimator(
        linear,
        config=tf_estimator.RunConfig(str(model_dir), tf_random_seed=1, **config),
        params={"learning_rate": learning_rate},
        warm_start_from=warm_start_from,
    )


def train_and_evaluate(trained, max_steps, hooks=()):
    return tf_estimator.train_and_evaluate(
        trained,
        tf_estimator.TrainSpec(samples, max_steps=max_steps, hooks=hooks),
        tf_estimator.EvalSpec(lambda: samples(4), steps=None, start_delay_secs=0, throttle_secs=0),
    )


class Count(tf.compat.v1.train.SessionRunHook):
    runs = 0

    def after_run(self, run_context, run_values):
        self.runs += 1


@pytest.mark.skipif(not CARRIED, reason="this TensorFlow has no tf.estimator")
def test_is_the_one_tensorflow_carries():
    assert tf_estimator is tf.estimator


def test_importing_again_gives_the_same():
    assert importlib.reload(estimator).tf_estimator is tf_estimator


def test_train_evaluate_predict(tmp_path):
    trained = build(tmp_path)
    before = trained.train(samples, steps=1).evaluate(lambda: samples(4))
    after = trained.train(samples, steps=60).evaluate(lambda: samples(4))
    assert after["loss"] < before["loss"] / 10
    assert 0 < after["mae"] < before["mae"]
    predictions = [p["y"] for p in trained.predict(lambda: samples(2))]
    assert np.shape(predictions) == (32, 1)
    expected = next(samples(1).as_numpy_iterator())[0]["x"] @ trained.get_variable_value("weights")
    np.testing.assert_allclose(predictions[:16], expected, rtol=1e-5)


def test_goes_on_from_the_last_checkpoint(tmp_path):
    weights = build(tmp_path).train(samples, max_steps=10).get_variable_value("weights")
    again = build(tmp_path, learning_rate=0.0)
    again.train(samples, max_steps=10)
    assert again.get_variable_value("global_step") == 10
    again.train(samples, max_steps=15)
    assert again.get_variable_value("global_step") == 15
    np.testing.assert_array_equal(again.get_variable_value("weights"), weights)


def test_train_and_evaluate(tmp_path):
    trained = build(tmp_path, save_checkpoints_steps=5, keep_checkpoint_max=2)
    count = Count()
    metrics, _ = train_and_evaluate(trained, 15, [count])
    assert metrics["global_step"] == 15
    assert metrics["mae"] > 0
    assert count.runs == 15
    checkpoints = tf.train.get_checkpoint_state(str(tmp_path)).all_model_checkpoint_paths
    assert [Path(path).name for path in checkpoints] == ["model.ckpt-10", "model.ckpt-15"]
    assert list((tmp_path / "eval").glob("events.out.tfevents.*"))


def test_warm_start_takes_the_weights_but_not_the_step(tmp_path):
    build(tmp_path / "first").train(samples, steps=10)
    weights = build(tmp_path / "first").get_variable_value("weights")
    warm = build(tmp_path / "second", 0.0, warm_start_from=str(tmp_path / "first"))
    warm.train(samples, steps=1)
    np.testing.assert_array_equal(warm.get_variable_value("weights"), weights)
    assert warm.get_variable_value("global_step") == 1


@pytest.mark.parametrize(
    ("task", "is_chief", "master", "workers"),
    [
        ("chief", True, "grpc://127.0.0.1:1", 2),
        ("worker", False, "grpc://127.0.0.1:2", 2),
        ("ps", False, "grpc://127.0.0.1:3", 2),
        ("evaluator", False, "", 0),
    ],
)
def test_run_config_reads_tf_config(monkeypatch, task, is_chief, master, workers):
    tf_config = {"cluster": CLUSTER, "task": {"type": task, "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(tf_config))
    config = tf_estimator.RunConfig()
    assert (config.task_type, config.task_id, config.is_chief) == (task, 0, is_chief)
    assert config.master == master
    assert config.num_worker_replicas == workers
    assert config.cluster_spec.as_dict() == ({} if task == "evaluator" else CLUSTER)


def test_run_config_without_a_cluster_keeps_its_strategies():
    train, evaluate = (tf.distribute.OneDeviceStrategy("CPU:0") for _ in range(2))
    config = tf_estimator.RunConfig(train_distribute=train, eval_distribute=evaluate)
    assert (config.train_distribute, config.eval_distribute) == (train, evaluate)
    assert (config.task_type, config.task_id, config.is_chief) == ("worker", 0, True)
    assert (config.master, config.evaluation_master, config.cluster_spec.as_dict()) == ("", "", {})
    assert (config.num_worker_replicas, config.num_ps_replicas) == (1, 0)
    assert config.global_id_in_cluster == 0


@pytest.mark.skipif(CARRIED, reason="this TensorFlow has the coordinator")
def test_strategy_across_a_cluster_is_refused(monkeypatch):
    tf_config = {"cluster": CLUSTER, "task": {"type": "chief", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(tf_config))
    with pytest.raises(ValueError, match=r"TF_CONFIG cluster .* train_distribute"):
        tf_estimator.RunConfig(train_distribute=tf.distribute.OneDeviceStrategy("CPU:0"))


class Promise:
    """The module in place of tf.estimator on a TensorFlow that carries it, its package missing."""

    def __getattr__(self, name):
        raise ModuleNotFoundError(f"No module named '{PACKAGE}'", name=PACKAGE)


@pytest.mark.parametrize(
    ("tensorflow", "package", "mend"),
    [
        (SimpleNamespace(__version__="2.14.1", estimator=Promise()), None, f"'{PIP}==2.14.*'"),
        (SimpleNamespace(__version__="2.21.0"), None, f"{PIP}==2.15.0"),
        (
            SimpleNamespace(__version__="2.99.0"),
            ModuleType(PACKAGE),
            f"{PIP}==2.15.0 'tensorflow>=2.15,<2.22'",
        ),
    ],
)
def test_error_says_what_to_install(monkeypatch, tensorflow, package, mend):
    for name in list(sys.modules):
        if name.partition(".")[0] == PACKAGE:
            monkeypatch.delitem(sys.modules, name)
    if package:
        monkeypatch.setitem(sys.modules, PACKAGE, package)
    monkeypatch.setitem(sys.modules, "tensorflow", tensorflow)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError) as error:
        runpy.run_path(estimator.__file__)
    message = str(error.value)
    assert PACKAGE in message
    assert message.endswith(f"pip install {mend}")


def test_error_says_what_to_leave_out():
    code = "import sys; sys.modules['tensorflow'] = type(sys)('tensorflow')\n"
    code += "import colorization.estimator"
    found = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True)
    assert found.returncode == 1
    assert "leave out -OO and PYTHONOPTIMIZE=2" in found.stderr


FRESH_PROCESS = """
import json
import sys
import tensorflow as tf

def snapshot():
    modules = {name: sys.modules[name] for name in sys.modules if name.startswith("tensorflow.")}
    modules["tensorflow"] = tf
    return {(name, key): value for name in modules for key, value in vars(modules[name]).items()}

before = snapshot()
import colorization.estimator
after = snapshot()
altered = [
    key for key, value in before.items()
    if after[key] is not value and not type(value).__name__.endswith("LazyLoader")
]
added = [
    (name, key) for name, key in after.keys() - before.keys()
    if (name, "__name__") in before and after[name, key] is not sys.modules.get(f"{name}.{key}")
]

import test_estimator
root = sys.argv[1]
test_estimator.have_two_cpus()
test_estimator.train_photos_on_two_cpus(root)
print("What follows may warn.", file=sys.stderr)
mirrored = test_estimator.train_on_two_cpus(root)
curves = {
    normalization: test_estimator.loss_curves(f"{root}/{normalization}", normalization)
    for normalization in ("none", "batch")
}
clipped = test_estimator.clipped_norm(f"{root}/clipped", 1e-3)
print(json.dumps({"altered": altered, "added": added, "mirrored": mirrored, "curves": curves,
                  "clipped": clipped}))
"""


def have_two_cpus():
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


def train_on_two_cpus(model_dir):
    strategy = mirrored_strategy(["CPU:0", "CPU:1"])
    trained = build(model_dir, train_distribute=strategy, eval_distribute=strategy)
    metrics, _ = train_and_evaluate(trained, 10)
    return strategy.num_replicas_in_sync, int(metrics["global_step"])


def network(nn, lightness, params):
    x = nn.conv(nn.input(lightness), 8, "hidden", stride=2)
    return nn.output(x, 2, "output"), None


def examples(batch_size):
    random = np.random.default_rng(0)
    lightness = random.uniform(0, 100, [32, 16, 16, 1]).astype(np.float32)
    code = 0.3 + lightness[:, ::2, ::2] * np.float32([0.003, 0.001])
    labels = {"chroma": TRAINING["chroma_scale"] * np.log(code / (1 - code))}
    features = {"lightness": lightness, "path": np.array(["photo"] * 32)}
    return tf.data.Dataset.from_tensor_slices((features, labels)).batch(batch_size).repeat()


def clipped_norm(folder, limit):
    """Of the gradients that two devices take a step with, from Adam's second moments."""
    strategy = mirrored_strategy(["CPU:0", "CPU:1"])
    trained = tf_estimator.Estimator(
        make_model_fn(network),
        config=tf_estimator.RunConfig(folder, tf_random_seed=1, train_distribute=strategy),
        params={**TRAINING, "normalization": "none", "clip_norm": limit},
    )
    trained.train(lambda: examples(4), max_steps=1)
    moments = [name for name in trained.get_variable_names() if name.endswith("/Adam_1")]
    return float(np.sqrt(sum(trained.get_variable_value(name).sum() for name in moments) / 0.001))


def loss_curves(folder, normalization):
    """Losses of one device with batches of 8 and of two that share them; moving means of both."""

    class Losses(tf.compat.v1.train.SessionRunHook):
        def begin(self):
            self.values = []
            self._loss = tf.compat.v1.get_collection(tf.compat.v1.GraphKeys.LOSSES)[0]

        def before_run(self, run_context):
            return tf.compat.v1.train.SessionRunArgs(self._loss)

        def after_run(self, run_context, run_values):
            self.values.append(float(run_values.results))

    found = {}
    for replicas in (1, 2):
        strategy = mirrored_strategy(["CPU:0", "CPU:1"]) if replicas == 2 else None
        trained = tf_estimator.Estimator(
            make_model_fn(network),
            config=tf_estimator.RunConfig(
                f"{folder}/{replicas}", tf_random_seed=1, train_distribute=strategy
            ),
            params={**TRAINING, "normalization": normalization},
        )
        losses = Losses()
        trained.train(lambda r=replicas: examples(8 // r), max_steps=40, hooks=[losses])
        means = trained.get_variable_value("hidden/moving_mean") if normalization == "batch" else []
        found[replicas] = {"losses": losses.values, "moving_means": list(map(float, means))}
    return found


def train_photos_on_two_cpus(root):
    """As `--gpus 2` does, with processors for GPUs: one step at half size, one at full size."""
    training.gpu_strategy = lambda gpus, batch_size: mirrored_strategy(["CPU:0", "CPU:1"])
    photos = Path(root, "photos")
    photos.mkdir()
    for number, colors in enumerate(np.random.default_rng(0).integers(0, 256, [12, 3, 4, 3])):
        picture = Image.fromarray(colors.astype(np.uint8)).resize([60, 40])
        picture.save(photos / f"{number}.png")
    sys.argv = [
        "color.py", "--gpus", "2", "--train_data", str(photos), "--model_dir", f"{root}/mirrored",
        "--from_scratch", "--max_steps", "2", "--batch_size", "4", "--accumulate_steps", "2",
    ]  # fmt: skip
    with pytest.raises(SystemExit) as ended:
        main.run("color", network)
    assert ended.value.code == 0


@pytest.fixture(scope="module")
def fresh_process(tmp_path_factory):
    """What a process saw in which nothing had imported estimator.py, or used a device, before."""
    root = tmp_path_factory.mktemp("model")
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    done = subprocess.run(
        [sys.executable, "-c", FRESH_PROCESS, root],
        env={**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=HANG,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    return SimpleNamespace(**found, root=root, logged=done.stderr)


def test_nothing_of_tensorflow_is_altered(fresh_process):
    assert fresh_process.altered == []
    assert fresh_process.added == []


def test_mirrored_strategy(fresh_process):
    assert fresh_process.mirrored == [2, 10]


def test_several_devices_learn_like_one_with_the_same_batch(fresh_process):
    one, two = (fresh_process.curves["none"][replicas]["losses"] for replicas in "12")
    assert one[-1] < one[0] / 2
    np.testing.assert_allclose(two, one, rtol=1e-3)


def test_several_devices_with_batch_normalization(fresh_process):
    """Each normalizes by its own part of the batch, so the curves differ, but little."""
    one, two = (fresh_process.curves["batch"][replicas] for replicas in "12")
    assert one["losses"][-1] < one["losses"][0] / 2
    np.testing.assert_allclose(two["losses"], one["losses"], rtol=0.25)
    # The mean over both halves is the mean over the batch.
    np.testing.assert_allclose(two["moving_means"], one["moving_means"], rtol=0.05, atol=0.01)


def test_photos_are_trained_on_with_several_devices(fresh_process):
    model_dir = str(fresh_process.root / "mirrored")
    assert np.isfinite(tf.train.load_variable(model_dir, "hidden/kernel")).all()
    assert checkpoint.trained_steps(model_dir) == 2
    assert Path(checkpoint.best_checkpoint(model_dir)).parent.name == "best"
    assert "Warning" not in fresh_process.logged.partition("What follows may warn.")[0]


def test_gradients_of_several_devices_are_clipped_together(fresh_process):
    # Each device's own are clipped, so that their sum, of nearly parallel ones, is hardly shorter.
    assert 0.8e-3 < fresh_process.clipped <= 1.0001e-3
