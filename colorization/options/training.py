"""Options of training."""

from __future__ import annotations

from dataclasses import dataclass

from colorization.options.declaration import MODES_OF_TRAINING, MODES_WITH_PHOTOS, option
from colorization.options.numbers import POSITIVE, SHARE, WHOLE_SHARE, whole_number


def _gpus(text: str) -> int | str:
    return text if text == "all" else whole_number(1)(text)


# The largest tensor of so many photos, with 112 x 112 x 64 values of each, has fewer than 2 ** 31.
# With 65,536 photos, TensorFlow ended the program without a word.
_MOST_PHOTOS = 2048


@dataclass(frozen=True)
class TrainingOptions:
    """Options of training."""

    batch_size: int = option(
        "photos per step; predict: photos to work on at the same time, at most "
        "(default: 16; 8 on the bundled photos)",
        16,
        modes=MODES_WITH_PHOTOS,
        type=whole_number(1, _MOST_PHOTOS),
        metavar="N",
    )
    max_steps: int = option(
        "steps in all, earlier runs counted in (default: as many as photos, but from 1000 to 5000; "
        "260 on the bundled photos; a quarter from a trained model on)",
        5000,
        modes=MODES_OF_TRAINING,
        type=whole_number(1),
        metavar="N",
    )
    minutes: float | None = option(
        "train each model for about so long instead of for --max_steps",
        modes=("compare",),
        type=POSITIVE,
        metavar="M",
    )
    learning_rate: float = option(
        "peak learning rate of Adam (default: 0.0003; 0.0001 from a trained model on)",
        3e-4,
        modes=MODES_OF_TRAINING,
        type=POSITIVE,
        metavar="X",
    )
    learning_rate_schedule: str = option(
        "after the warm-up: constant, or cosine to zero over --max_steps (default: cosine)",
        "cosine",
        modes=MODES_OF_TRAINING,
        choices=("constant", "cosine"),
    )
    warmup_steps: int = option(
        "steps over which the learning rate rises from zero; the paper has 0 (default: 50)",
        50,
        modes=MODES_OF_TRAINING,
        type=whole_number(0),
        metavar="N",
    )
    half_size_share: float = option(
        "share of the steps, the first ones, that see photos at half size, four times as fast "
        "(default: 0.96; 0 in a cluster and from a trained model on)",
        0.96,
        modes=MODES_OF_TRAINING,
        type=SHARE,
        metavar="X",
    )
    aged: float | None = option(
        "share of the photos that look like old prints to the network: faded, soft, grainy, "
        "scratched; evaluate: measure on aged photos, all of them by default "
        "(default: 0)",
        modes=("train", "evaluate", "compare"),
        nargs="?",
        const=1.0,
        type=WHOLE_SHARE,
        metavar="X",
    )
    save_checkpoints_steps: int | None = option(
        "steps between checkpoints, each of which is evaluated "
        "(default: a fifth of --max_steps, at most 1000)",
        modes=MODES_OF_TRAINING,
        type=whole_number(1),
        metavar="N",
    )
    save_checkpoints_secs: int = option(
        "seconds after which a checkpoint is saved between those, without evaluating it: the most "
        "that a crash can lose (default: 600)",
        600,
        modes=MODES_OF_TRAINING,
        type=whole_number(1),
        metavar="N",
    )
    keep_checkpoint_max: int = option(
        "checkpoints to keep; older ones are deleted (default: 5)",
        5,
        modes=MODES_OF_TRAINING,
        # One more than the newest, which may be damaged some day.
        type=whole_number(2),
        metavar="N",
    )
    accumulate_steps: int = option(
        "batches whose gradients are added up for one step, for large batches in little memory "
        "(default: 1)",
        1,
        modes=MODES_OF_TRAINING,
        type=whole_number(1),
        metavar="N",
    )
    clip_norm: float | None = option(
        "scale the gradients down to this norm where theirs is larger; for a loss that leaps or is "
        "not finite (default: never)",
        modes=MODES_OF_TRAINING,
        type=POSITIVE,
        metavar="X",
    )
    loss: str = option(
        "mse, or rebalanced: the rarer a colour is, the more it counts, against pale pictures "
        "(default: mse)",
        "mse",
        modes=MODES_OF_TRAINING,
        choices=("mse", "rebalanced"),
    )
    classes: bool = option(
        "learn as well to tell apart the folders that the photos lie in, as the paper does",
        False,
        modes=("train",),
        models=("color_global",),
        action="store_true",
    )
    warm_start: str | None = option(
        "begin with the weights of this checkpoint or model folder, as far as they fit; pretrained "
        "is the general model of this script (default: that one, but on the bundled photos and for "
        "networks of another shape none)",
        modes=("train",),
        metavar="CHECKPOINT",
    )
    from_scratch: bool = option(
        "begin with random weights",
        False,
        modes=("train",),
        action="store_true",
    )
    patience: int | None = option(
        "stop after so many evaluations in a row without a lower loss, at half size go on at full "
        "size (default: never)",
        modes=("train",),
        type=whole_number(1),
        metavar="N",
    )
    profile: int | None = option(
        "trace this step for the Graphs page of TensorBoard",
        modes=("train",),
        type=whole_number(1),
        metavar="STEP",
    )
    xla: bool = option(
        "compile the network with XLA: worth a try on a GPU, slower on processors",
        False,
        modes=MODES_OF_TRAINING,
        action="store_true",
    )
    gpus: int | str | None = option(
        "graphics processors to share each batch among: a number, or all (default: one, if any)",
        modes=("train",),
        type=_gpus,
        metavar="N|all",
    )
    sync: bool = option(
        "in a TF_CONFIG cluster, let each step wait for the gradients of all workers",
        False,
        modes=("train",),
        action="store_true",
    )
    seed: int = option(
        "of initial weights, order and augmentation (default: 1)",
        1,
        modes=MODES_OF_TRAINING,
        type=whole_number(0),
        metavar="N",
    )
