"""Several graphics processors: how many there must be, and how a batch is shared."""

import pytest
import tensorflow as tf

from colorization.errors import UserError
from colorization.training.gpus import gpu_strategy


@pytest.mark.parametrize(("found", "gpus", "words"), [(0, "all", "sees 0"), (1, 2, "sees 1")])
def test_graphics_processors_that_are_not_there(monkeypatch, found, gpus, words):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind] * found)
    with pytest.raises(UserError, match=words):
        gpu_strategy(gpus, 16)


def test_a_batch_is_shared_evenly(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind] * 3)
    with pytest.raises(UserError, match="multiple of 3"):
        gpu_strategy("all", 16)
    assert gpu_strategy(1, 16) is None
