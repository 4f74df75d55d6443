"""Messages for the user when the machine is at fault, and what is left then."""

import errno
import os

import numpy as np
import pytest
import tensorflow as tf

from colorization.errors import explain
from colorization.training.checkpoint import resume


def exhausted(message):
    return tf.errors.ResourceExhaustedError(None, None, message)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "photo.png"),
        OSError(errno.EDQUOT, "Disk quota exceeded", "photo.png"),
        exhausted("models/model.ckpt-5.index; No space left on device"),
        exhausted("models/model.ckpt-5.index; Disk quota exceeded"),
        RuntimeError("model.ckpt-5.events; No space left on device Failed to flush 1 events"),
        tf.errors.UnknownError(None, None, "model.ckpt-5; No space left on device"),
        exhausted(
            "Graph execution error:\n\nDetected at node save\nmodel.ckpt-5; No space left on device"
        ),
        exhausted(
            "{{function_node __wrapped__SaveV2_dtypes_82_device_/job:localhost/CPU:0}} "
            "model.ckpt-5; No space left on device [Op:SaveV2]"
        ),
    ],
)
def test_a_full_disk(error):
    line = explain(error, 16)
    assert line.startswith("the disk is full")
    assert "free some space" in line
    assert "\n" not in line
    assert "photo.png" in line or "model.ckpt-5" in line
    assert "{" not in line and "[Op" not in line


# Disks and shares on Linux: the server has failed, the ticket to it is out of date, no disc is in
# the drive, and the file system is damaged.
LINUX = ("EREMOTEIO", "EKEYEXPIRED", "ENOKEY", "ENOMEDIUM", "EUCLEAN")


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (errno.EFBIG, "takes no file as large as this"),
        (errno.EIO, "has failed"),
        (errno.ESTALE, "has failed"),
        (errno.ENOTCONN, "has failed"),
        (errno.EHOSTDOWN, "has failed"),
        (errno.EHOSTUNREACH, "has failed"),
        (errno.ECONNRESET, "has failed"),
        *((getattr(errno, name), "has failed") for name in LINUX if hasattr(errno, name)),
    ],
)
def test_other_faults_of_disks(code, meaning):
    words = os.strerror(code)
    for error in (
        OSError(code, words, "photo.png"),
        tf.errors.OutOfRangeError(None, None, f"Graph execution error:\n\nphoto.png; {words}"),
    ):
        line = explain(error, 16)
        assert meaning in line
        assert "photo.png" in line and words in line and "run the same command again" in line
        assert "\n" not in line


@pytest.mark.parametrize(
    "error",
    [MemoryError(), MemoryError("cannot allocate"), exhausted("node:\nOOM when allocating\ntrace")],
)
def test_out_of_memory(error):
    line = explain(error, 16)
    assert line.startswith("out of memory")
    assert "lower --batch_size, now 16" in line
    assert "\n" not in line
    assert "--batch_size" not in explain(error, 1)


def test_no_more_threads():
    line = explain(RuntimeError("can't start new thread"), 16)
    assert "limit of threads" in line and "run the same command again" in line
    assert "\n" not in line


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: (folder / "file" / "below").mkdir(),
        lambda folder: (folder / "missing" / "below").mkdir(),
        lambda folder: (folder / "file").mkdir(),
        lambda folder: folder.write_bytes(b""),
        lambda folder: (folder / ("x" * 300)).exists() or (folder / ("x" * 300)).mkdir(),
    ],
)
def test_paths_that_cannot_be_used(tmp_path, make):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError) as error:
        make(tmp_path)
    line = explain(error.value, 16)
    assert line.startswith(f"cannot use {tmp_path}")
    assert "name another path" in line


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_what_tensorflow_may_not_write(code):
    words = os.strerror(code)
    line = explain(tf.errors.PermissionDeniedError(None, None, f"m/graph.pbtxt.tmp1; {words}"), 16)
    assert line == f"cannot use m/graph.pbtxt.tmp1; {words}; mend that or name another path"


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bug"),
        OSError(errno.EPIPE, "Broken pipe"),
        tf.errors.InternalError(None, None, "bug"),
        tf.errors.UnavailableError(None, None, "recvmsg:Connection reset by peer"),
    ],
)
def test_other_errors_are_not_explained_away(error):
    assert explain(error, 16) is None


def test_a_checkpoint_that_does_not_fit(tmp_path):
    def saver_of(name):
        tf.compat.v1.get_variable(name, [2])
        return tf.compat.v1.train.Saver()

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        saver = saver_of("weights")
        session.run(tf.compat.v1.global_variables_initializer())
        path = saver.save(session, f"{tmp_path}/model.ckpt")
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        with pytest.raises(tf.errors.NotFoundError) as error:
            saver_of("others").restore(session, path)
        assert "settings.json" in explain(error.value, 16)


def test_a_save_that_fails_half_way_leaves_the_one_before(tmp_path):
    """The parts are written, then the disk is full: what a real one does is the same."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        step = tf.compat.v1.train.create_global_step()
        weights = tf.compat.v1.get_variable("weights", [10], initializer=tf.ones_initializer())
        saver = tf.compat.v1.train.Saver(sharded=True)
        session.run(tf.compat.v1.global_variables_initializer())
        step.load(5, session)
        saver.save(session, f"{tmp_path}/model.ckpt", 5)
        # A folder stands where the index is to go, so the last step of saving fails.
        (tmp_path / "model.ckpt-6.index").mkdir()
        step.load(6, session)
        with pytest.raises(tf.errors.OpError):
            saver.save(session, f"{tmp_path}/model.ckpt", 6)
        assert resume(str(tmp_path)) == 5
        saver.restore(session, tf.train.latest_checkpoint(str(tmp_path)))
        np.testing.assert_array_equal(session.run(weights), np.ones(10))
