"""A cluster on this machine: every task in a thread of its own, each with a real server."""

import json
import signal
import socket
import sys
import threading
import time

import numpy as np
import pytest
import tensorflow as tf
from platforms import HANG

from benchmarks.cluster import free_addresses
from colorization.errors import UserError
from colorization.estimator import tf_estimator
from colorization.model.model_fn import make_model_fn
from colorization.program import on_stop_signals
from colorization.training import cluster

STEPS = 30
PARAMS = {
    "chroma_scale": 8.0,
    "learning_rate": 0.01,
    "learning_rate_schedule": "constant",
    "warmup_steps": 0,
    "max_steps": STEPS,
    "precision": "float32",
    "normalization": "batch",
}


def network(nn, lightness, params):
    x = nn.conv(nn.input(lightness), 4, "low", stride=2)
    return nn.output(x, 2, "output"), None


def examples(batch_size=2):
    random = np.random.default_rng(0)
    features = {
        "lightness": random.uniform(0, 100, [4, 16, 16, 1]).astype(np.float32),
        "path": np.array(["a", "b", "c", "d"]),
    }
    labels = {
        "chroma": random.normal(0, 9, [4, 8, 8, 2]).astype(np.float32),
    }
    return tf.data.Dataset.from_tensor_slices((features, labels)).batch(batch_size)


def set_tf_config(monkeypatch, jobs, task_type, index=0):
    task = {"type": task_type, "index": index}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": jobs, "task": task}))


def config_of(monkeypatch, jobs, name, sync, folder):
    """The RunConfig of a task that is called `job index`."""
    job, index = name.split()
    set_tf_config(monkeypatch, jobs, job, int(index))
    return cluster.read_cluster(sync, None).replace(
        model_dir=str(folder),
        tf_random_seed=1,
        save_checkpoints_steps=10,
        experimental_max_worker_delay_secs=0,
    )


@pytest.mark.parametrize(
    ("jobs", "task", "sync", "gpus", "words"),
    [
        ({"chief": ["a:1"], "worker": ["b:1"]}, "chief", False, None, "parameter server"),
        ({"worker": ["b:1"], "ps": ["c:1"]}, "worker", False, None, 'must have one "chief"'),
        ({"chief": ["a:1"], "ps": ["c:1"]}, None, False, None, "task type must be set"),
        ({"chief": "a:1", "ps": 5}, "chief", False, None, "TF_CONFIG is not usable"),
        ({"chief": ["a:1"], "wroker": ["c:1"]}, "wroker", False, None, "a 'wroker', which does"),
        ({"master": ["a:1"], "foo": ["c:1"]}, "foo", False, None, "of chief, master, worker, ps"),
        ({"chief": ["a:1"], "ps": ["c:1"]}, "chief", True, None, "--sync"),
        ({"chief": ["a:1"], "worker": ["b:1"], "ps": ["c:1"]}, "chief", False, 2, "--gpus"),
    ],
)
def test_unfit_clusters_are_refused(monkeypatch, jobs, task, sync, gpus, words):
    set_tf_config(monkeypatch, jobs, task)
    with pytest.raises(UserError, match=words):
        cluster.read_cluster(sync, gpus)


@pytest.mark.parametrize("address", ["a", "a:", ":b", "a:99999", "a:1:b"])
def test_addresses_without_a_port_are_refused(monkeypatch, address):
    set_tf_config(monkeypatch, {"chief": ["a:1"], "ps": ["[::1]:2", address]}, "ps")
    with pytest.raises(UserError, match=f"names '{address}' as a ps; give HOST:PORT"):
        cluster.read_cluster(False, None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "TF_CONFIG"),
        *((text, "no JSON object with cluster and task$") for text in ("[]", '"x"', "null", "5")),
        (
            '{"cluster": {"chief": ["a:1"], "ps": ["b:1"]}, "task": {"type": "ps", "index": 4}}',
            "4 is not a valid task_id for task_type ps in the cluster_spec$",
        ),
    ],
)
def test_tf_config_that_makes_no_sense(monkeypatch, text, words):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match=words):
        cluster.read_cluster(False, None)


def test_jobs_without_tasks_are_none(monkeypatch):
    jobs = {"chief": ["localhost:2222"], "ps": [], "evaluator": []}
    task = {"type": "chief", "index": 0}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": jobs, "task": task}))
    config = cluster.read_cluster(False, None)
    assert (config.is_chief, config.num_worker_replicas, config.num_ps_replicas) == (True, 1, 0)


@pytest.mark.parametrize("task", ["chief", "worker"])
def test_what_waits_for_others_says_so_and_can_be_stopped(monkeypatch, capsys, task):
    monkeypatch.setattr(cluster, "_QUIET_SECONDS", 0)
    chief, there, missing = free_addresses(3)
    jobs = {"chief": [chief], "worker": ["localhost:1"], "ps": [there, missing]}
    set_tf_config(monkeypatch, jobs, task)
    config = cluster.read_cluster(False, None)
    with socket.create_server(split_address(there)):
        with on_stop_signals(stop), pytest.raises(SystemExit, match="143"):
            threading.Timer(0.3, signal.raise_signal, [signal.SIGTERM]).start()
            cluster.wait_for_servers(config)
        assert capsys.readouterr().out == f"Waiting for ps {missing}.\n"
        with socket.create_server(split_address(missing)):
            cluster.wait_for_servers(config)
    for_chief = f"Waiting for chief {chief}.\n" if task == "worker" else ""
    assert capsys.readouterr().out == for_chief


@pytest.mark.parametrize("task", ["ps", "chief"])
def test_an_address_that_is_in_use_is_named(monkeypatch, tmp_path, task):
    jobs = dict(zip(("ps", "chief"), ([address] for address in free_addresses(2)), strict=True))
    (own,) = jobs[task]
    config = config_of(monkeypatch, jobs, f"{task} 0", False, tmp_path)
    words = rf"cannot listen at {own}.*\({task} 0\).*in use"
    with socket.create_server(split_address(own)), pytest.raises(UserError, match=words):
        if task == "ps":
            cluster.serve_parameters(config)
        estimator = tf_estimator.Estimator(make_model_fn(network), config=config, params=PARAMS)
        train = tf_estimator.TrainSpec(examples, max_steps=STEPS)
        with cluster.explained_address(config):
            tf_estimator.train_and_evaluate(estimator, train, tf_estimator.EvalSpec(examples))


def split_address(address):
    host, port = address.split(":")
    return host, int(port)


def stop(number, frame):
    sys.exit(128 + number)


@pytest.mark.parametrize("empty", [None, "", " "])
def test_no_cluster(monkeypatch, empty):
    monkeypatch.setenv("TF_CONFIG", empty or "")
    if empty is None:
        monkeypatch.delenv("TF_CONFIG")
    task = cluster.read_cluster(False, "all")
    assert (task.task_type, task.is_chief, task.num_worker_replicas) == ("worker", True, 1)
    cluster.report_finished(task)
    with pytest.raises(UserError, match="--sync"):
        cluster.read_cluster(True, None)


@pytest.mark.parametrize(
    ("sync", "setting"),
    # Layers without batch normalization may be fused, as those of a warm start may.
    [(False, {"precision": "bfloat16", "normalization": "none"}), (True, {})],
)
def test_every_task_trains_to_the_end_and_ends(monkeypatch, tmp_path, sync, setting):
    names = ["chief 0", "worker 0", "worker 1", "ps 0", "ps 1"]
    jobs = {}
    for name, address in zip(names, free_addresses(len(names)), strict=True):
        jobs.setdefault(name.split()[0], []).append(address)
    ends, failed = {}, {}

    def trained(config):
        return tf_estimator.Estimator(
            make_model_fn(network), config=config, params={**PARAMS, **setting, "sync": sync}
        )

    def run(name):
        try:
            config = configs[name]
            if name.startswith("ps"):
                cluster.serve_parameters(config)
            else:
                train = tf_estimator.TrainSpec(lambda: examples().repeat(), max_steps=STEPS)
                evaluate = tf_estimator.EvalSpec(examples, start_delay_secs=0, throttle_secs=1)
                if name == "evaluator 0":
                    cluster.evaluate_until_trained(trained(config), train, evaluate)
                else:
                    tf_estimator.train_and_evaluate(trained(config), train, evaluate)
                    cluster.report_finished(config)
            ends[name] = time.monotonic()
        except Exception as error:
            failed[name] = error

    configs = {
        name: config_of(monkeypatch, jobs, name, sync, tmp_path) for name in [*names, "evaluator 0"]
    }
    threads = {name: threading.Thread(target=run, args=[name], daemon=True) for name in configs}
    threads["ps 0"].start()
    threads["ps 1"].start()
    threads["chief 0"].start()
    deadline = time.monotonic() + HANG
    # Workers that find the variables made already need not wait half a minute for them.
    while not list(tmp_path.glob("model.ckpt-*.index")) and not failed:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for name in ("worker 0", "worker 1", "evaluator 0"):
        threads[name].start()
    # Where one fails, others may wait for ever.
    while any(thread.is_alive() for thread in threads.values()) and not failed:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert failed == {}
    assert set(ends) == set(threads)
    newest = tf.train.latest_checkpoint(str(tmp_path))
    reached = int(tf.train.load_variable(newest, "global_step"))
    # Without --sync two others may be in the middle of a step when the last is counted, and what
    # each of the three has read may be the count from before its own update.
    assert STEPS <= reached <= STEPS + (0 if sync else 5)
    assert ends["ps 0"] > max(ends[name] for name in ("chief 0", "worker 0", "worker 1"))
    if "normalization" not in setting:
        assert np.any(tf.train.load_variable(newest, "low/moving_mean") != 0)
        for index in tmp_path.glob("model.ckpt-*.index"):
            saved = str(index.with_suffix(""))
            assert np.all(tf.train.load_variable(saved, "low/moving_variance") > 0)
    assert list((tmp_path / "eval").glob("events.out.tfevents.*"))
