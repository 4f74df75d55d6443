"""Training on several graphics processors of one machine, `--gpus`."""

from __future__ import annotations

import tensorflow as tf

from colorization.errors import UserError


def gpu_strategy(gpus: int | str, batch_size: int) -> tf.distribute.Strategy | None:
    """A strategy that distributes each batch to the graphics processors of this machine.

    Args:
      gpus: how many, or "all".
      batch_size: examples per step, over all of them.

    Returns:
      None for a single processor, which needs no strategy.

    Raises:
      UserError: there are too few, or the batch cannot be divided evenly.
    """
    available = len(tf.config.list_physical_devices("GPU"))
    count = available if gpus == "all" else gpus
    if not 0 < count <= available:
        raise UserError(f"--gpus {gpus}: TensorFlow sees {available} on this machine; leave it out")
    if batch_size % count:
        raise UserError(
            f"--batch_size {batch_size} cannot be shared evenly among {count} graphics processors; "
            f"give a multiple of {count}"
        )
    return mirrored_strategy([f"GPU:{number}" for number in range(count)]) if count > 1 else None


def mirrored_strategy(devices: list[str]) -> tf.distribute.MirroredStrategy:
    """A strategy with a copy of the model on each device, all in step.

    NCCL adds up the gradients on graphics processors. Elsewhere, the default way deadlocks with
    fewer processor cores than threads, but adding them on one device does not.
    """
    on_gpus = all(device.startswith("GPU") for device in devices)
    reduction = None if on_gpus else tf.distribute.ReductionToOneDevice()
    return tf.distribute.MirroredStrategy(devices, cross_device_ops=reduction)
