"""Weights in one small file: what comes back, and what damage is noticed."""

import errno
import json
import os
import shutil
import tempfile

import numpy as np
import pytest
from platforms import link

from colorization.errors import UserError
from colorization.prediction.export import export_weights
from colorization.training import weights
from colorization.training.liveliness import stored_liveliness


@pytest.fixture
def values():
    rng = np.random.default_rng(0)
    return {
        "low/kernel": rng.normal(0, [0.01, 1, 100, 1], [3, 3, 8, 4]).astype(np.float32),
        "dense/kernel": rng.normal(size=[50, 4]).astype(np.float32),
        "low/offset": rng.normal(size=[4]).astype(np.float32),
        "global_step": np.int64(123),
    }


def test_kernels_come_back_within_a_step_of_their_channel(values, tmp_path):
    weights.write(tmp_path / weights.FILE, values)
    found = weights.read(tmp_path / weights.FILE)
    assert found.keys() == values.keys()
    for name in ("low/kernel", "dense/kernel"):
        assert found[name].dtype == np.float32
        for channel in range(4):
            true, read = values[name][..., channel], found[name][..., channel]
            step = np.abs(true).max() / 127
            assert np.abs(true - read).max() <= 1.0001 * step
            # Nothing adds up.
            assert np.abs(np.cumsum(true - read)).max() <= 0.501 * step


def test_what_is_learnt_in_less_than_a_step_is_kept(values, tmp_path):
    weights.write(tmp_path / "1.npz", values)
    learnt = weights.read(tmp_path / "1.npz")
    before = learnt["dense/kernel"].sum(0)
    step = np.abs(learnt["dense/kernel"]).max(0) / 127
    learnt["dense/kernel"] = learnt["dense/kernel"] * np.float32(0.999)
    weights.write(tmp_path / "2.npz", learnt)
    after = weights.read(tmp_path / "2.npz")["dense/kernel"].sum(0)
    np.testing.assert_allclose(after, 0.999 * before, atol=(step * 0.501).max())


def test_vectors_and_the_step_come_back_exactly(values, tmp_path):
    weights.write(tmp_path / weights.FILE, values)
    found = weights.read(tmp_path / weights.FILE)
    assert np.array_equal(found["low/offset"], values["low/offset"])
    assert found["global_step"] == 123 and found["global_step"].dtype == np.int64


def test_what_has_been_written_once_is_written_again_unchanged(values, tmp_path):
    weights.write(tmp_path / "1.npz", values)
    first = weights.read(tmp_path / "1.npz")
    weights.write(tmp_path / "2.npz", first)
    again = weights.read(tmp_path / "2.npz")
    for name, value in first.items():
        np.testing.assert_allclose(again[name], value, rtol=1e-6)


def test_a_channel_of_zeros_stays_zero(tmp_path):
    values = {"kernel": np.zeros([5, 2], np.float32), "global_step": np.int64(0)}
    weights.write(tmp_path / weights.FILE, values)
    assert not weights.read(tmp_path / weights.FILE)["kernel"].any()


def test_a_changed_byte_anywhere_in_the_numbers_is_noticed(values, tmp_path):
    path = tmp_path / weights.FILE
    weights.write(path, values)
    whole = path.read_bytes()
    for place in range(200, len(whole) // 2, 97):
        changed = bytearray(whole)
        changed[place] ^= 0x55
        path.write_bytes(changed)
        try:
            found = weights.read(path)
        except UserError as error:
            assert "is damaged" in str(error) and "\n" not in str(error)
        else:
            # A byte of a header that nothing depends on.
            path.write_bytes(whole)
            expected = weights.read(path)
            assert all(np.array_equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("end", [0, 1, 100, -1, -100])
def test_a_file_that_was_cut_off_is_refused(values, tmp_path, end):
    path = tmp_path / weights.FILE
    weights.write(path, values)
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(UserError, match="is damaged"):
        weights.read(path)


def test_a_pointer_of_git_lfs_is_named_as_such(tmp_path):
    path = tmp_path / weights.FILE
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(UserError, match=r"pointer of Git LFS.*git lfs pull"):
        weights.read(path)


@pytest.mark.parametrize(
    "arrays",
    [
        {"kernel": np.ones([2, 2], np.int8), "kernel:scale": np.ones([3]), "global_step": 1},
        {"kernel": np.full([2], np.nan, np.float32), "global_step": 1},
        {"kernel": np.ones([2, 2], np.float32)},
        {"kernel": np.array([{}], object), "global_step": 1},
    ],
)
def test_arrays_that_are_no_weights_are_refused(tmp_path, arrays):
    np.savez(tmp_path / weights.FILE, **arrays)
    with pytest.raises(UserError, match="is damaged"):
        weights.read(tmp_path / weights.FILE)


def with_evaluation(model, folder, saturation):
    """A copy of a model whose evaluation has found a saturation."""
    shutil.copytree(model, folder)
    figures = {"loss": 1.0, "evaluations_since": 0, "saturation": saturation}
    (folder / "best").mkdir()
    (folder / "best" / "evaluation.json").write_text(json.dumps(figures))
    return str(folder)


def test_exported_weights_keep_the_saturation_and_take_one_on_top(small_model, tmp_path):
    folder = with_evaluation(small_model, tmp_path / "model", 1.1)
    export_weights(folder, tmp_path / "as it is")
    assert stored_liveliness(str(tmp_path / "as it is")).saturation == pytest.approx(1.1)
    export_weights(folder, tmp_path / "livelier", saturation=1.2)
    assert stored_liveliness(str(tmp_path / "livelier")) == pytest.approx((1.32, 0))
    export_weights(folder, tmp_path / "apart", vibrance=5.0)
    assert stored_liveliness(str(tmp_path / "apart")) == pytest.approx((1.1, 5))
    export_weights(str(tmp_path / "apart"), tmp_path / "again")
    assert stored_liveliness(str(tmp_path / "again")) == pytest.approx((1.1, 5))


def test_weights_of_the_best_checkpoints_own_folder_keep_its_saturation(small_model, tmp_path):
    copied = tmp_path / "best of a model"
    shutil.copytree(small_model, copied)
    figures = {"loss": 1.0, "evaluations_since": 0, "saturation": 0.8}
    (copied / "evaluation.json").write_text(json.dumps(figures))
    export_weights(str(copied), tmp_path / "weights")
    assert stored_liveliness(str(tmp_path / "weights")).saturation == pytest.approx(0.8)
    export_weights(str(copied), tmp_path / "livelier", saturation=1.5)
    assert stored_liveliness(str(tmp_path / "livelier")).saturation == pytest.approx(1.2)


@pytest.mark.parametrize("found", [0.1, 1.1, 30.0])
def test_an_exported_saturation_counts_however_large(small_model, tmp_path, found):
    folder = with_evaluation(small_model, tmp_path / "model", found)
    before = stored_liveliness(folder).saturation
    export_weights(folder, tmp_path / "once", saturation=3.0)
    export_weights(str(tmp_path / "once"), tmp_path / "twice", saturation=0.1)
    for name, factor in (("once", 3.0), ("twice", 0.3)):
        assert stored_liveliness(str(tmp_path / name)).saturation == pytest.approx(before * factor)


def test_part_of_an_export_may_lie_on_another_disk(small_model, tmp_path):
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("no other disk is known")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        (tmp_path / "weights").mkdir()
        link(tmp_path / "weights" / "best", other)
        folder = with_evaluation(small_model, tmp_path / "model", 1.1)
        export_weights(folder, tmp_path / "weights")
        assert stored_liveliness(str(tmp_path / "weights")).saturation == pytest.approx(1.1)


def test_an_evaluation_of_an_earlier_export_goes(small_model, tmp_path):
    export_weights(with_evaluation(small_model, tmp_path / "model", 1.1), tmp_path / "weights")
    export_weights(small_model, tmp_path / "weights")
    assert not (tmp_path / "weights" / "best" / "evaluation.json").exists()
    export_weights(small_model, tmp_path / "other")
    assert not (tmp_path / "other" / "best").exists()


def test_an_export_that_fails_leaves_an_earlier_one_as_it_was(small_model, tmp_path, monkeypatch):
    def full_disk(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    target = tmp_path / "weights"
    export_weights(with_evaluation(small_model, tmp_path / "model", 1.1), target)
    before = {path: path.read_bytes() for path in target.rglob("*.*")}
    monkeypatch.setattr(weights, "write", full_disk)
    with pytest.raises(OSError, match="No space"):
        export_weights(str(tmp_path / "model"), target, saturation=2.0)
    assert {path: path.read_bytes() for path in target.rglob("*.*")} == before


def test_a_saturation_needs_an_evaluation(small_model, tmp_path):
    with pytest.raises(UserError, match="no evaluation"):
        export_weights(small_model, tmp_path / "weights", saturation=1.2)
    with pytest.raises(UserError, match="no evaluation that"):
        export_weights(small_model, tmp_path / "weights", vibrance=3.0)


def test_short_memory_is_not_called_damage(values, tmp_path, monkeypatch):
    def short(*_):
        raise MemoryError("Unable to allocate 4.50 MiB")

    weights.write(tmp_path / weights.FILE, values)
    monkeypatch.setattr(weights, "expanded", short)
    with pytest.raises(UserError, match=r"^not enough memory to read .*weights.npz; free some$"):
        weights.read(tmp_path / weights.FILE)
