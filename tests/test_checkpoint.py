"""A model folder's checkpoints: the latest, the best, damaged ones and those of killed runs."""

import errno
import itertools
import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from platforms import no_root

from colorization import files
from colorization.errors import UserError
from colorization.files import write_json
from colorization.training.checkpoint import (
    best_checkpoint,
    best_tensors,
    latest_checkpoint,
    locked,
    newest_whole,
    resume,
    trained_steps,
)
from colorization.training.evaluation import is_evaluated, keep_if_best

ROOT = Path(__file__).resolve().parent.parent


def test_a_folder_without_checkpoint_is_named(tmp_path):
    with pytest.raises(UserError, match="--mode train"):
        latest_checkpoint(str(tmp_path))
    with pytest.raises(UserError, match="no trained model"):
        latest_checkpoint(str(tmp_path / "missing"))


def test_json_is_replaced_whole(tmp_path):
    path = tmp_path / "figures.json"
    write_json(path, {"loss": 1.5})
    write_json(path, {"loss": 2.5})
    assert json.loads(path.read_text()) == {"loss": 2.5}
    with pytest.raises(TypeError):
        write_json(path, {"loss": object()})
    assert [file.name for file in tmp_path.iterdir()] == ["figures.json"]
    assert json.loads(path.read_text()) == {"loss": 2.5}


def damage_truncated(data, index):
    os.truncate(data, data.stat().st_size // 2)


def damage_flipped(data, index):
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)


def damage_missing_data(data, index):
    data.unlink()


def damage_missing_index(data, index):
    index.unlink()


def damage_empty_index(data, index):
    os.truncate(index, 0)


def damage_flipped_index(data, index):
    content = bytearray(index.read_bytes())
    content[5] ^= 255
    index.write_bytes(content)


DAMAGES = [
    damage_truncated,
    damage_flipped,
    damage_missing_data,
    damage_missing_index,
    damage_empty_index,
    damage_flipped_index,
]


def save(folder, *steps, extra=None):
    """Checkpoints as the Estimator saves them; the weights are the step."""
    os.makedirs(folder, exist_ok=True)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        step = tf.compat.v1.train.create_global_step()
        weights = tf.compat.v1.get_variable("weights", [1000])
        if extra is not None:
            tf.compat.v1.get_variable("extra", initializer=extra)
        saver = tf.compat.v1.train.Saver(sharded=True, save_relative_paths=True)
        session.run(tf.compat.v1.global_variables_initializer())
        for number in steps:
            weights.load(np.full(1000, number), session)
            step.load(number, session)
            saver.save(session, f"{folder}/model.ckpt", global_step=number)


def files_of(folder, step):
    prefix = f"{folder}/model.ckpt-{step}"
    return Path(f"{prefix}.data-00000-of-00001"), Path(f"{prefix}.index")


def contents(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.is_file()}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_used(tmp_path, caplog, damage):
    folder = str(tmp_path)
    save(folder, 5, 10)
    assert newest_whole(folder) == os.path.join(folder, "model.ckpt-10")
    damage(*files_of(folder, 10))
    before = contents(folder)
    with caplog.at_level(logging.WARNING):
        assert latest_checkpoint(folder) == os.path.join(folder, "model.ckpt-5")
    assert f"{folder}/model.ckpt-10 is damaged" in caplog.text
    assert trained_steps(folder) == 5
    assert contents(folder) == before
    damage(*files_of(folder, 5))
    with pytest.raises(UserError, match=r"model\.ckpt-10, is damaged"):
        newest_whole(folder)


def test_training_goes_on_from_the_one_before(tmp_path):
    save(tmp_path, 5, 10, 15)
    damage_truncated(*files_of(tmp_path, 15))
    leftover = tmp_path / "model.ckpt-20_temp"
    leftover.mkdir()
    (leftover / "part-00000-of-00001.data-00000-of-00001").touch()
    models = {name: text for name, text in contents(tmp_path).items() if name != "checkpoint"}
    graph = tmp_path / "graph.pbtxt.tmp0123456789abcdef"
    graph.touch()
    assert resume(str(tmp_path)) == 10
    assert not leftover.exists() and not graph.exists()
    assert {n: text for n, text in contents(tmp_path).items() if n != "checkpoint"} == models
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "model.ckpt-10")
    listed = tf.train.get_checkpoint_state(str(tmp_path)).all_model_checkpoint_paths
    assert [Path(path).name for path in listed] == ["model.ckpt-5", "model.ckpt-10"]


def test_what_a_killed_copy_left_behind_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_NAMESPACE", str(tmp_path / "none"))
    save(tmp_path, 5)
    best = tmp_path / "best"
    best.mkdir()
    with files.atomic_write(best / "model.ckpt-5.data-00000-of-00001") as begun:
        # A number above those that processes get.
        left_behind = begun.with_name(begun.name.replace(f"-{os.getpid()}-", f"-{2**30}-"))
        for path in (begun, left_behind):
            path.touch()
        resume(str(tmp_path))
        assert {*best.iterdir()} == {begun}


def test_an_undamaged_list_is_left_alone(tmp_path):
    save(tmp_path, 5, 10)
    before = contents(tmp_path)
    assert resume(str(tmp_path)) == 10
    assert contents(tmp_path) == before


@pytest.mark.parametrize("text", [None, "", "half a li", 'model_checkpoint_path: "model.ck'])
def test_a_lost_or_damaged_list_of_checkpoints_is_made_anew(tmp_path, text):
    save(tmp_path, 9, 10)
    (tmp_path / "checkpoint").unlink()
    if text is not None:
        (tmp_path / "checkpoint").write_text(text)
    assert resume(str(tmp_path)) == 10
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "model.ckpt-10")


@pytest.mark.parametrize("listed", ["model.ckpt-99", "C:\\models\\model.ckpt-99"])
def test_a_list_of_checkpoints_that_are_all_gone_hides_no_others(tmp_path, caplog, listed):
    """As in a copy that was made while a training went on."""
    save(tmp_path, 9, 10)
    tf.compat.v1.train.update_checkpoint_state(str(tmp_path), listed, [listed])
    assert resume(str(tmp_path)) == 10
    assert "model.ckpt-99 is damaged (model.ckpt-99.index is missing)" in caplog.text
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "model.ckpt-10")


def test_a_list_from_windows_is_read(tmp_path):
    save(tmp_path, 5, 7)
    listed = "C:\\models\\model.ckpt-5"
    tf.compat.v1.train.update_checkpoint_state(str(tmp_path), listed, [listed])
    assert latest_checkpoint(str(tmp_path)) == str(tmp_path / "model.ckpt-5")


@no_root
@pytest.mark.parametrize("part", [0, 1])
def test_a_checkpoint_that_must_not_be_read_is_not_damaged(tmp_path, part):
    save(tmp_path, 5)
    files_of(tmp_path, 5)[part].chmod(0)
    with pytest.raises(UserError, match=r"cannot read .*5\.[di].*; make it readable"):
        latest_checkpoint(str(tmp_path))


def test_a_list_cannot_lead_out_of_the_folder(tmp_path):
    save(tmp_path / "other", 5)
    save(tmp_path / "model", 5, 7)
    elsewhere = f"{tmp_path}/other/model.ckpt-5"
    tf.compat.v1.train.update_checkpoint_state(str(tmp_path / "model"), elsewhere, [elsewhere])
    assert latest_checkpoint(str(tmp_path / "model")) == str(tmp_path / "model/model.ckpt-5")
    resume(str(tmp_path / "model"))
    listed = tf.train.get_checkpoint_state(str(tmp_path / "model")).all_model_checkpoint_paths
    assert [os.path.dirname(path) for path in listed] == [str(tmp_path / "model")]


def test_a_moved_model_is_found(tmp_path):
    save(tmp_path / "old", 5)
    absolute = f"{tmp_path}/old/model.ckpt-5"
    tf.compat.v1.train.update_checkpoint_state(str(tmp_path / "old"), absolute, [absolute])
    shutil.move(tmp_path / "old", tmp_path / "new")
    assert latest_checkpoint(str(tmp_path / "new")) == str(tmp_path / "new/model.ckpt-5")


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    save(tmp_path, 5, extra="text")
    with pytest.raises(UserError, match="something else than numbers"):
        newest_whole(str(tmp_path))
    # An index that claims more than there is must not make anyone reserve memory for it.
    save(tmp_path / "big", 5, extra=np.zeros(100_000))
    save(tmp_path / "small", 5)
    shutil.copy(files_of(tmp_path / "big", 5)[1], files_of(tmp_path / "small", 5)[1])
    with pytest.raises(UserError, match="its index claims 804,008"):
        newest_whole(str(tmp_path / "small"))


HOLD_LOCK = """
import sys
from pathlib import Path
from colorization.files import locked
with locked(Path(sys.argv[1], "training.lock"), sys.argv[1], "training", "model_dir"):
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_a_second_training_is_refused_until_the_first_has_gone(tmp_path):
    command = [sys.executable, "-c", HOLD_LOCK, tmp_path]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as first:
        try:
            assert first.stdout.readline().strip() == b"ready"
            refused = pytest.raises(UserError, match=f"process {first.pid} on .*--model_dir")
            with refused, locked(str(tmp_path)):
                pass
        finally:
            first.kill()
    refused = pytest.raises(UserError, match=f"process {os.getpid()} on")
    with locked(str(tmp_path)), refused, locked(str(tmp_path)):
        pass
    assert not (tmp_path / "training.owner").exists()


def test_a_checkpoint_that_is_not_finite_is_refused(tmp_path):
    save(tmp_path, 1, extra=np.float32("nan"))
    with pytest.raises(UserError, match="extra holds values that are not finite"):
        latest_checkpoint(str(tmp_path))


def test_a_deleted_checkpoint_does_not_replace_the_best(tmp_path):
    """An evaluator may be slower than the training, which keeps only the newest few."""
    folder = str(tmp_path)
    save(folder, 1, 2)
    baselines = {"loss_no_colour": 2.0, "ab_rmse_no_colour": 9.0}
    first, second = f"{folder}/model.ckpt-1", f"{folder}/model.ckpt-2"
    assert keep_if_best(folder, first, {"loss": 1.0, "global_step": 1, **baselines}, True) == 0
    for path in files_of(folder, 2):
        path.unlink()
    assert keep_if_best(folder, second, {"loss": 0.5, "global_step": 2, **baselines}, True) == 1
    assert best_checkpoint(folder) == os.path.join(folder, "best", "model.ckpt-1")
    # There is no best one yet.
    shutil.rmtree(tmp_path / "best")
    assert keep_if_best(folder, second, {"loss": 0.5, "global_step": 2, **baselines}, True) == 0
    assert best_checkpoint(folder) == first


def test_photos_that_cannot_be_read_for_a_moment_do_not_cost_the_best(tmp_path, caplog):
    folder = str(tmp_path)

    def best_after(step, loss, photos, is_complete=True):
        """The step of the best checkpoint, and the number of evaluations since."""
        figures = {"loss": loss, "global_step": step, "ab_rmse_no_colour": 9.0}
        figures["loss_no_colour"] = 2.0 + photos
        save(folder, step)
        since = keep_if_best(folder, f"{folder}/model.ckpt-{step}", figures, is_complete)
        (index,) = (tmp_path / "best").glob("*.index")
        return int(index.stem.rpartition("-")[2]), since

    # One of twelve photos is damaged from the beginning.
    assert best_after(1, 0.1, 11, False) == (1, 0)
    assert best_after(2, 0.2, 11, False) == (1, 1)
    assert best_after(3, 0.3, 10, False) == (1, 1)
    assert "step 3 was measured without photos" in caplog.text
    assert best_after(4, 0.2, 11, False) == (1, 2)
    assert best_after(5, 0.3, 10, False) == (1, 2)
    # A finished training that is started again evaluates its last step once more.
    assert not is_evaluated(folder, 5)
    assert best_after(5, 0.3, 10, False) == (1, 2)
    assert is_evaluated(folder, 5)
    # Another one does not come back, and then there are others.
    assert "without a comparison" not in caplog.text
    assert best_after(6, 0.4, 10, False) == (6, 0)
    assert best_after(7, 0.3, 10, False) == (7, 0)
    assert best_after(8, 0.5, 20) == (8, 0)
    told = [text.split()[1] for text in caplog.messages if "without a comparison" in text]
    assert told == ["6", "8"]


def test_a_best_checkpoint_that_somebody_reads_is_removed_later(tmp_path, monkeypatch):
    """Windows removes no file that is open."""
    save(str(tmp_path), 1, 2, 3)

    def steps_after(step):
        figures = {"loss": 1 / step, "global_step": step}
        keep_if_best(str(tmp_path), f"{tmp_path}/model.ckpt-{step}", figures, True)
        assert best_checkpoint(str(tmp_path)).endswith(f"best/model.ckpt-{step}")
        return sorted(int(path.stem[-1]) for path in (tmp_path / "best").glob("*.index"))

    def refuse(path, missing_ok=False):
        raise PermissionError(errno.EACCES, "used by another process", str(path))

    assert steps_after(1) == [1]
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        assert steps_after(2) == [1, 2]
    assert steps_after(3) == [3]


@pytest.mark.parametrize("reading", [1, 2])
def test_a_best_checkpoint_that_is_replaced_while_it_is_read(tmp_path, monkeypatch, reading):
    """It is read twice, the first time to see whether it is whole; the newer one is taken."""
    folder = str(tmp_path)
    save(folder, 1, 2, 3)
    baselines = {"loss_no_colour": 2.0, "ab_rmse_no_colour": 9.0}
    worse, better = ({"loss": 1.5 - n / 2, "global_step": n, **baselines} for n in (1, 2))
    keep_if_best(folder, f"{folder}/model.ckpt-1", worse, True)
    read, readings = tf.train.load_checkpoint, itertools.count(1)

    def load(prefix):
        if next(readings) == reading:
            keep_if_best(folder, f"{folder}/model.ckpt-2", better, True)
        return read(prefix)

    monkeypatch.setattr(tf.train, "load_checkpoint", load)
    name, values = best_tensors(folder)
    assert (name, values["global_step"]) == (os.path.join(folder, "best", "model.ckpt-2"), 2)
