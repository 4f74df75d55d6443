"""The tasks of a TF_CONFIG cluster, and how its parameter servers come to an end.

The Estimator's parameter servers run for ever. Here the chief and each worker tell them when they
have finished, and the servers end after the last of these messages.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import socket
import time
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import rewriter_config_pb2

from colorization.errors import UserError
from colorization.estimator import tf_estimator

# Seconds that a parameter server waits for the workers after the chief has finished. A worker in
# its last step must not lose its variables, but one that has crashed never reports.
_GRACE_SECONDS = 120
_POLL_SECONDS = 0.5
_TIMEOUT_SECONDS = 20
# Seconds that an address has to answer, those of waiting without a word, and those between words.
_CONNECT_SECONDS, _QUIET_SECONDS, _REPEAT_SECONDS = 2, 5, 60

# What a task may be: Estimator knows these only. A master is a chief that evaluates as well.
_TASK_TYPES = "chief", "master", "worker", "ps", "evaluator"

_log = logging.getLogger(__name__)


def read_cluster(sync: bool, gpus: int | str | None) -> tf_estimator.RunConfig:
    """Reads the environment variable TF_CONFIG.

    Args:
      sync: whether the workers are to train in step.
      gpus: number of GPUs that a task is to use, if given.

    Returns:
      A RunConfig with `task_type`, `task_id`, `is_chief`, `num_worker_replicas` (the chief counted
      in), `num_ps_replicas` and `global_id_in_cluster`, all as in any Estimator program.

    Raises:
      UserError: TF_CONFIG is damaged, or its tasks cannot train together.
    """
    config = run_config()
    if config.task_type not in _TASK_TYPES:
        raise UserError(
            f"TF_CONFIG makes this task a {config.task_type!r}, which does not exist; make it one "
            f"of {', '.join(_TASK_TYPES)}"
        )
    for job in config.cluster_spec.jobs if config.cluster_spec else ():
        for address in config.cluster_spec.job_tasks(job):
            port = address.rpartition(":")[2]
            if not (":" in address and port.isdecimal() and int(port) < 65536):
                raise UserError(f"TF_CONFIG names {address!r} as a {job}; give HOST:PORT")
    if config.num_worker_replicas > 1 and not config.num_ps_replicas:
        raise UserError(
            "TF_CONFIG names workers but no parameter server, so each would train a model of its "
            'own; add "ps" to its cluster'
        )
    if gpus and config.cluster_spec:
        raise UserError(
            "--gpus is for one machine; in a TF_CONFIG cluster give each worker one processor "
            "(CUDA_VISIBLE_DEVICES) and leave it out"
        )
    if sync and config.num_worker_replicas < 2 and config.task_type != "evaluator":
        raise UserError("--sync needs a TF_CONFIG cluster with workers; leave it out")
    return config


def run_config(**settings: Any) -> tf_estimator.RunConfig:
    """A RunConfig, which also reads the environment variable TF_CONFIG unless that is empty.

    Raises:
      UserError: TF_CONFIG is damaged.
    """
    _tidy_environment()
    try:
        config = tf_estimator.RunConfig(**settings)
    except (ValueError, TypeError, AttributeError) as error:
        if "TF_CONFIG" not in os.environ:
            raise
        problem = str(error).partition("\n")[0].rstrip(":")
        if isinstance(error, AttributeError):
            problem = "it is no JSON object with cluster and task"
        raise UserError(f"the environment variable TF_CONFIG is not usable: {problem}") from error
    if config.cluster_spec and config.session_config:
        # Remapping fuses layers into operations that, in bfloat16, TensorFlow cannot send to
        # another process.
        rewriting = config.session_config.graph_options.rewrite_options
        rewriting.remapping = rewriter_config_pb2.RewriterConfig.OFF
    return config


def _tidy_environment() -> None:
    """Removes from TF_CONFIG the jobs that templates leave empty, on which TensorFlow fails."""
    text = os.environ.pop("TF_CONFIG", "")
    with contextlib.suppress(ValueError, AttributeError):
        config = json.loads(text)
        cluster = config.get("cluster", {})
        for job in [job for job, tasks in cluster.items() if not tasks]:
            del cluster[job]
        text = json.dumps(config)
    if text.strip():
        os.environ["TF_CONFIG"] = text


def serve_parameters(config: tf_estimator.RunConfig) -> None:
    """Keeps variables for the others until the chief and the workers have finished.

    Raises:
      UserError: nothing can listen at the address of this task.
    """
    with explained_address(config):
        server = tf.distribute.Server(
            config.cluster_spec, job_name="ps", task_index=config.task_id, protocol=config.protocol
        )
    finished: set[str] = set()
    give_up_at = math.inf
    with _mailbox(config, config.task_id, server.target) as (session, queue):
        size, name = queue.size(), queue.dequeue()
        while len(finished) < config.num_worker_replicas and time.monotonic() < give_up_at:
            # Polling lets Python handle signals, which a blocking dequeue would hold up.
            while session.run(size):
                finished.add(session.run(name).decode())
                if "chief 0" in finished or "master 0" in finished:
                    give_up_at = min(give_up_at, time.monotonic() + _GRACE_SECONDS)
            time.sleep(_POLL_SECONDS)


@contextlib.contextmanager
def explained_address(config: tf_estimator.RunConfig) -> Iterator[None]:
    """Says why this task cannot listen at its own address, where that is what ends the body.

    TensorFlow's error tells neither the address nor the reason.

    Raises:
      UserError: it cannot.
    """
    try:
        yield
    except tf.errors.UnknownError as error:
        if "Could not start gRPC server" not in str(error):
            raise
        address = config.cluster_spec.task_address(config.task_type, config.task_id)
        raise UserError(
            f"cannot listen at {address}, which TF_CONFIG gives this task ({config.task_type} "
            f"{config.task_id}): {_why_deaf(address)}; end what uses the port, perhaps an earlier "
            "task, or give this one another port in the TF_CONFIG of all tasks"
        ) from error


def _why_deaf(address: str) -> str:
    """Why nothing can listen at an address, HOST:PORT, in a few words."""
    try:
        # Servers listen at the port for all names of the machine, so that theirs does not matter.
        socket.create_server(("", int(address.rpartition(":")[2]))).close()
    except OSError as error:
        return os.strerror(error.errno).lower()
    return "the port was not free"


def wait_for_servers(config: tf_estimator.RunConfig) -> None:
    """Waits until the parameter servers can be reached, and says which ones cannot be yet.

    TensorFlow waits for them as well, but without a word and deaf to signals. For the chief, which
    is only told of here, it waits in Python.
    """
    addresses = [config.cluster_spec.task_address("ps", n) for n in range(config.num_ps_replicas)]
    tell_at = time.monotonic() + _QUIET_SECONDS
    while addresses := [address for address in addresses if not _answers(address)]:
        if time.monotonic() >= tell_at:
            print(f"Waiting for ps {', '.join(addresses)}.", flush=True)
            tell_at = time.monotonic() + _REPEAT_SECONDS
        time.sleep(_POLL_SECONDS)
    if config.task_type == "worker" and config.num_ps_replicas:
        for chief in {"chief", "master"} & set(config.cluster_spec.jobs):
            if not _answers(address := config.cluster_spec.task_address(chief, 0)):
                print(f"Waiting for {chief} {address}.", flush=True)


def _answers(address: str) -> bool:
    """Whether something listens at an address, HOST:PORT."""
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError, UnicodeError):
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
        return True
    return False


def first_checkpoint(model_dir: str) -> str:
    """Waits for the chief's first checkpoint, which it saves before the first step."""
    tell_at = time.monotonic() + _QUIET_SECONDS
    while (path := tf.train.latest_checkpoint(model_dir)) is None:
        if time.monotonic() >= tell_at:
            print(f"Waiting for the first checkpoint in {model_dir}.", flush=True)
            tell_at = math.inf
        time.sleep(_POLL_SECONDS)
    return path


def evaluate_until_trained(
    estimator: tf_estimator.Estimator,
    train_spec: tf_estimator.TrainSpec,
    eval_spec: tf_estimator.EvalSpec,
) -> None:
    """Does the evaluator's part: measures each new checkpoint until the last.

    A checkpoint that the chief deletes while it is being read is passed over.
    """
    while True:
        newest = tf.train.latest_checkpoint(estimator.model_dir)
        try:
            tf_estimator.train_and_evaluate(estimator, train_spec, eval_spec)
            return
        except (tf.errors.NotFoundError, tf.errors.DataLossError, ValueError) as error:
            # TensorFlow raises a ValueError where a checkpoint is missing.
            about_checkpoint = "checkpoint" in str(error)
            if not about_checkpoint or tf.train.latest_checkpoint(estimator.model_dir) == newest:
                raise
            _log.warning("passing over a checkpoint that has gone (%s)", error)


def report_finished(config: tf_estimator.RunConfig) -> None:
    """Tells the parameter servers that this task no longer needs them."""
    for index in range(config.num_ps_replicas):
        address = f"{config.protocol or 'grpc'}://{config.cluster_spec.task_address('ps', index)}"
        try:
            with _mailbox(config, index, address) as (session, queue):
                session.run(queue.enqueue(f"{config.task_type} {config.task_id}"))
        except (tf.errors.UnavailableError, tf.errors.DeadlineExceededError) as error:
            _log.warning("parameter server %s does not answer (%s)", address, error.message)


@contextlib.contextmanager
def _mailbox(
    config: tf_estimator.RunConfig, index: int, target: str
) -> Iterator[tuple[tf.compat.v1.Session, tf.queue.FIFOQueue]]:
    """The queue of finished tasks that lies in a parameter server, and a session that reaches it.

    Args:
      config: of this task.
      index: of the parameter server.
      target: its address.
    """
    device = f"/job:ps/task:{index}"
    settings = tf.compat.v1.ConfigProto(
        device_filters=[device], operation_timeout_in_ms=_TIMEOUT_SECONDS * 1000
    )
    with tf.Graph().as_default(), tf.device(f"{device}/device:CPU:0"):
        # The queue has room for tasks that were restarted and finish again.
        capacity = 10 * config.num_worker_replicas
        queue = tf.queue.FIFOQueue(capacity, tf.string, [[]], shared_name="finished")
        with tf.compat.v1.Session(target, config=settings) as session:
            yield session, queue
