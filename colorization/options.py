"""Every command-line option, declared once; parsing and its error messages.

Imports nothing slow, so that a mistyped option is refused at once.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import math
import os
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from colorization.errors import UserError

MODES = {
    "train": "train, checkpoint, evaluate now and then; goes on from the last checkpoint",
    "evaluate": "measure a checkpoint on --test_data",
    "predict": "colour --input (default: the test photos) into --output",
    "gallery": "make the page of an --output that several machines have coloured into",
    "export": "write the model for TensorFlow Serving, ONNX Runtime or TensorFlow Lite",
    "prepare": "turn the photos of --input into shards in --output that train without waiting",
    "serve": "a page to colour photos on, and the same as an API",
    "compare": "train both models alike; a page shows them side by side",
}
_MODES_WITH_MODEL = ("train", "evaluate", "predict", "export", "serve", "compare")
_MODES_WITH_PHOTOS = ("train", "evaluate", "predict", "compare")
_MODES_OF_TRAINING = ("train", "compare")

_PICTURE_FORMATS = ("jpeg", "png", "webp", "tiff")
_MOST_SHARDS = 100_000
_MODEL_FORMATS = ("savedmodel", "onnx", "tflite", "weights")


def _whole_number(minimum: int, maximum: int = 2**31 - 1) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or value < minimum:
            raise argparse.ArgumentTypeError(
                f"needs a whole number of at least {minimum}, not {text!r}"
            )
        if value > maximum:
            raise argparse.ArgumentTypeError(
                f"needs a whole number of at most {maximum}, not {text!r}"
            )
        return value

    return parse


def _number(allowed: Callable[[float], bool], wanted: str) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not allowed(value):
            raise argparse.ArgumentTypeError(f"needs a number {wanted}, not {text!r}")
        return value

    return parse


_positive_number = _number(lambda value: 0 < value < math.inf, "above 0")
_factor = _number(lambda value: 1e-3 <= value <= 1e3, "from 0.001 to 1000")
_share = _number(lambda value: 0 <= value < 1, "from 0 to below 1")
_whole_share = _number(lambda value: 0 <= value <= 1, "from 0 to 1")


def _gpus(text: str) -> int | str:
    return text if text == "all" else _whole_number(1)(text)


def _shard(text: str) -> tuple[int, int]:
    index, slash, count = text.partition("/")
    try:
        shard = int(index), int(count)
    except ValueError:
        slash = ""
    if not slash or not 0 <= shard[0] < shard[1] <= _MOST_SHARDS:
        raise argparse.ArgumentTypeError(
            f"needs I/N, N up to {_MOST_SHARDS} and I from 0 to N - 1, not {text!r}"
        )
    return shard


def _shard_of_job() -> tuple[int, int]:
    """The shard of a pod of a Kubernetes Indexed Job; the only one anywhere else.

    Raises:
      UserError: the pod does not know how many there are, or the numbers make no sense.
    """
    index, count = (os.environ.get(name) for name in ("JOB_COMPLETION_INDEX", "JOB_COMPLETIONS"))
    if index is None:
        return 0, 1
    if count is None:
        raise UserError(
            "JOB_COMPLETION_INDEX is set and JOB_COMPLETIONS is not; set that to the completions "
            "of the job, or give --shard"
        )
    try:
        return _shard(f"{index}/{count}")
    except argparse.ArgumentTypeError as error:
        raise UserError(f"JOB_COMPLETION_INDEX/JOB_COMPLETIONS {error}") from None


def _hint(text: str) -> tuple[str, str, str]:
    x, _, rest = text.partition(",")
    y, _, colour = rest.partition(",")
    if not colour:
        raise argparse.ArgumentTypeError(f"needs X,Y,COLOUR, not {text!r}")
    return x, y, colour


def _option(
    group: str,
    help: str,
    default: Any = None,
    *,
    modes: Sequence[str] = _MODES_WITH_MODEL,
    models: Sequence[str] = ("color", "color_global"),
    **argument: Any,
) -> Any:
    """A dataclass field that carries its own command-line declaration.

    Args:
      group: the heading in --help.
      help: one line.
      default: the value when the option is not given.
      modes: the modes it means something in; refused in the others.
      models: the scripts that have it.
      **argument: passed on to `argparse.ArgumentParser.add_argument`.
    """
    metadata = {
        "group": group,
        "modes": modes,
        "models": models,
        "argument": {"help": help, **argument},
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Options:
    """All options of one run; immutable.

    Beside them:
      model: name of the script.
      class_names: the folders that `classes` stands for.
      full_size_from: the step from which on a stored model has been trained at full size.
      given: names of the options that stood on the command line.
    In place of the defaults of `NETWORK_SETTINGS` come those of a stored model, see
    `settings.resolve_settings`.
    """

    mode: str = _option(
        "what to do",
        "; ".join(f"{mode}: {what}" for mode, what in MODES.items()) + " (default: train)",
        "train",
        modes=tuple(MODES),
        choices=tuple(MODES),
        metavar="MODE",
    )
    model_dir: str | None = _option(
        "what to do",
        "folder of checkpoints and TensorBoard logs (default: models/MODEL; models/compare holds "
        "both)",
        metavar="FOLDER",
    )
    verbose: bool = _option(
        "what to do",
        "show everything that TensorFlow logs",
        False,
        modes=tuple(MODES),
        action="store_true",
    )

    train_data: tuple[str, ...] = _option(
        "photos",
        "folders (searched through, or prepared), globs, photos or text files of paths "
        "(default: data/train, else the photos bundled with scikit-image)",
        (),
        modes=_MODES_OF_TRAINING,
        nargs="+",
        metavar="PHOTOS",
    )
    test_data: tuple[str, ...] = _option(
        "photos",
        "photos to test on, likewise (default: data/test, else some of --train_data, held out)",
        (),
        modes=_MODES_WITH_PHOTOS,
        nargs="+",
        metavar="PHOTOS",
    )
    input: tuple[str, ...] = _option(
        "photos",
        "photos to colour (default: the test photos) or prepare, likewise",
        (),
        modes=("predict", "prepare"),
        nargs="+",
        metavar="PHOTOS",
    )
    output: str | None = _option(
        "photos",
        "folder for the coloured photos (default: results/MODEL), exported models "
        "(exports/MODEL), shards (data/prepared) or the comparison (results/compare)",
        modes=("predict", "gallery", "export", "prepare", "compare"),
        metavar="FOLDER",
    )
    split: float = _option(
        "photos",
        "share of the photos to hold out into --output/test, the rest into --output/train",
        0.0,
        modes=("prepare",),
        type=_share,
        metavar="X",
    )

    shard: tuple[int, int] = _option(
        "photos",
        "colour or prepare only part I of N, counted from 0; all parts may share one --output "
        "(default: 0/1, in a Kubernetes Indexed Job JOB_COMPLETION_INDEX/JOB_COMPLETIONS)",
        (0, 1),
        modes=("predict", "prepare"),
        type=_shard,
        metavar="I/N",
    )

    format: str | None = _option(
        "prediction",
        f"predict: {', '.join(_PICTURE_FORMATS)} (default: the photo's own); "
        f"export: {', '.join(_MODEL_FORMATS)} (default: savedmodel)",
        modes=("predict", "export"),
        choices=(*_PICTURE_FORMATS, *_MODEL_FORMATS),
        metavar="FORMAT",
    )
    quality: int = _option(
        "prediction",
        "of JPEG and WebP, 1 to 100 (default: 95)",
        95,
        modes=("predict",),
        type=_whole_number(1, 100),
        metavar="N",
    )
    keep: str = _option(
        "prediction",
        "all: gray, coloured and true pictures and a page of them; predicted: only the coloured "
        "ones (default: all)",
        "all",
        modes=("predict",),
        choices=("all", "predicted"),
    )
    overwrite: bool = _option(
        "prediction",
        "colour photos anew whose pictures exist; otherwise they are skipped",
        False,
        modes=("predict",),
        action="store_true",
    )
    working_size: int | None = _option(
        "prediction",
        "the network sees photos at their own proportions, the longer side of N pixels, a "
        "multiple of 8: for photos much wider than high (default: squashed to 224 x 224)",
        modes=("predict",),
        type=_whole_number(8, 4096),
        metavar="N",
    )
    style: str | None = _option(
        "prediction",
        "global features come from this photo",
        modes=("predict",),
        models=("color_global",),
        metavar="PHOTO",
    )
    saturation: float = _option(
        "prediction",
        "livelier or paler colours: factor on the predicted chroma, beside the one that the "
        "model's evaluation found best; export: of all pictures to come (default: 1)",
        1.0,
        modes=("predict", "export"),
        type=_factor,
        metavar="X",
    )
    hints: str | None = _option(
        "prediction",
        "strokes that say what colour something was: a PNG of the photo's size or proportions, "
        "transparent but for them; or a folder of such, named like the photos",
        modes=("predict",),
        metavar="PNG",
    )
    hint: tuple[tuple[str, str, str], ...] = _option(
        "prediction",
        "the same at one point, for one photo: X,Y in pixels or per cent, and a colour's name or "
        "code, such as 50%%,80%%,seagreen; may be repeated",
        (),
        modes=("predict",),
        action="append",
        type=_hint,
        metavar="X,Y,COLOUR",
    )

    host: str = _option(
        "page",
        "address to listen on; others than the default let other machines in (default: 127.0.0.1)",
        "127.0.0.1",
        modes=("serve",),
        metavar="HOST",
    )
    port: int = _option(
        "page",
        "port to listen on (default: 7860)",
        7860,
        modes=("serve",),
        type=_whole_number(1, 65535),
        metavar="N",
    )
    public_url: str | None = _option(
        "page",
        "address that people open, where a proxy stands in front of the page, such as "
        "https://photos.example or https://example.org/colour",
        modes=("serve",),
        metavar="URL",
    )
    auth_file: str | None = _option(
        "page",
        "text file of user:password lines; only those are let in (default: the one in the "
        "environment variable COLORIZE_AUTH, else everyone)",
        modes=("serve",),
        metavar="FILE",
    )

    batch_size: int = _option(
        "training",
        "photos per step; predict: photos to work on at the same time, at most "
        "(default: 16; 8 on the bundled photos)",
        16,
        modes=_MODES_WITH_PHOTOS,
        type=_whole_number(1, 65536),
        metavar="N",
    )
    max_steps: int = _option(
        "training",
        "steps in all, earlier runs counted in (default: as many as photos, but from 1000 to 5000; "
        "260 on the bundled photos; a quarter from a trained model on)",
        5000,
        modes=_MODES_OF_TRAINING,
        type=_whole_number(1),
        metavar="N",
    )
    minutes: float | None = _option(
        "training",
        "train each model for about so long instead of for --max_steps",
        modes=("compare",),
        type=_positive_number,
        metavar="M",
    )
    learning_rate: float = _option(
        "training",
        "peak learning rate of Adam (default: 0.0003; 0.0001 from a trained model on)",
        3e-4,
        modes=_MODES_OF_TRAINING,
        type=_positive_number,
        metavar="X",
    )
    learning_rate_schedule: str = _option(
        "training",
        "after the warm-up: constant, or cosine to zero over --max_steps (default: cosine)",
        "cosine",
        modes=_MODES_OF_TRAINING,
        choices=("constant", "cosine"),
    )
    warmup_steps: int = _option(
        "training",
        "steps over which the learning rate rises from zero; the paper has 0 (default: 50)",
        50,
        modes=_MODES_OF_TRAINING,
        type=_whole_number(0),
        metavar="N",
    )
    half_size_share: float = _option(
        "training",
        "share of the steps, the first ones, that see photos at half size, four times as fast "
        "(default: 0.96; 0 in a cluster and from a trained model on)",
        0.96,
        modes=_MODES_OF_TRAINING,
        type=_share,
        metavar="X",
    )
    aged: float | None = _option(
        "training",
        "share of the photos that look like old prints to the network: faded, soft, grainy, "
        "scratched; evaluate: measure on aged photos, all of them by default "
        "(default: 0)",
        modes=("train", "evaluate", "compare"),
        nargs="?",
        const=1.0,
        type=_whole_share,
        metavar="X",
    )
    save_checkpoints_steps: int | None = _option(
        "training",
        "steps between checkpoints, each of which is evaluated "
        "(default: a fifth of --max_steps, at most 1000)",
        modes=_MODES_OF_TRAINING,
        type=_whole_number(1),
        metavar="N",
    )
    save_checkpoints_secs: int = _option(
        "training",
        "seconds after which a checkpoint is saved between those, without evaluating it: the most "
        "that a crash can lose (default: 600)",
        600,
        modes=_MODES_OF_TRAINING,
        type=_whole_number(1),
        metavar="N",
    )
    keep_checkpoint_max: int = _option(
        "training",
        "checkpoints to keep; older ones are deleted (default: 5)",
        5,
        modes=_MODES_OF_TRAINING,
        # One before the newest, for the day on which that is damaged.
        type=_whole_number(2),
        metavar="N",
    )
    accumulate_steps: int = _option(
        "training",
        "batches whose gradients are added up for one step, for large batches in little memory "
        "(default: 1)",
        1,
        modes=_MODES_OF_TRAINING,
        type=_whole_number(1),
        metavar="N",
    )
    clip_norm: float | None = _option(
        "training",
        "scale the gradients down to this norm where theirs is larger; for a loss that leaps or is "
        "not finite (default: never)",
        modes=_MODES_OF_TRAINING,
        type=_positive_number,
        metavar="X",
    )
    loss: str = _option(
        "training",
        "mse, or rebalanced: the rarer a colour is, the more it counts, against pale pictures "
        "(default: mse)",
        "mse",
        modes=_MODES_OF_TRAINING,
        choices=("mse", "rebalanced"),
    )
    classes: bool = _option(
        "training",
        "learn as well to tell apart the folders that the photos lie in, as the paper does",
        False,
        modes=("train",),
        models=("color_global",),
        action="store_true",
    )
    warm_start: str | None = _option(
        "training",
        "begin with the weights of this checkpoint or model folder, as far as they fit; pretrained "
        "is the general model of this script (default: that one, but on the bundled photos and for "
        "networks of another shape none)",
        modes=("train",),
        metavar="CHECKPOINT",
    )
    from_scratch: bool = _option(
        "training",
        "begin with random weights",
        False,
        modes=("train",),
        action="store_true",
    )
    patience: int | None = _option(
        "training",
        "stop after so many evaluations in a row without a lower loss, at half size go on at full "
        "size (default: never)",
        modes=("train",),
        type=_whole_number(1),
        metavar="N",
    )
    profile: int | None = _option(
        "training",
        "trace this step for the Graphs page of TensorBoard",
        modes=("train",),
        type=_whole_number(1),
        metavar="STEP",
    )
    xla: bool = _option(
        "training",
        "compile the network with XLA: worth a try on a GPU, slower on processors",
        False,
        modes=_MODES_OF_TRAINING,
        action="store_true",
    )
    gpus: int | str | None = _option(
        "training",
        "graphics processors to share each batch among: a number, or all (default: one, if any)",
        modes=("train",),
        type=_gpus,
        metavar="N|all",
    )
    sync: bool = _option(
        "training",
        "in a TF_CONFIG cluster, let each step wait for the gradients of all workers",
        False,
        modes=("train",),
        action="store_true",
    )
    seed: int = _option(
        "training",
        "of initial weights, order and augmentation (default: 1)",
        1,
        modes=_MODES_OF_TRAINING,
        type=_whole_number(0),
        metavar="N",
    )

    global_features: str = _option(
        "network",
        "single: one convolution before the dense layers; paper: four (default: single)",
        "single",
        models=("color_global",),
        choices=("single", "paper"),
    )
    global_channels: int = _option(
        "network",
        "channels of the single global convolution (default: 32)",
        32,
        models=("color_global",),
        type=_whole_number(1, 4096),
        metavar="N",
    )
    normalization: str = _option(
        "network",
        "batch: of convolutions over the batch, of dense layers over the channels; or none "
        "(default: batch)",
        "batch",
        choices=("batch", "none"),
    )
    chroma_scale: float = _option(
        "network",
        "scale of the sigmoid code of a*b*, in CIE units (default: 20)",
        20.0,
        type=_factor,
        metavar="X",
    )
    precision: str = _option(
        "network",
        "of the layers; auto takes bfloat16 where the processor is faster with it (default: auto)",
        "auto",
        choices=("auto", "float32", "bfloat16"),
    )

    model: str = ""
    class_names: tuple[str, ...] = ()
    full_size_from: int | None = None
    given: frozenset[str] = frozenset()

    @property
    def half_size_steps(self) -> int:
        """How many steps, the first ones, are at half size; the last step never is."""
        if self.full_size_from is not None:
            return self.full_size_from
        return int(self.half_size_share * self.max_steps)


# The part of the options that decides what a checkpoint holds; stored beside it.
NETWORK_SETTINGS = ("global_features", "global_channels", "normalization", "chroma_scale", "loss")


class _Parser(argparse.ArgumentParser):
    """Reports errors as `UserError` and guesses what a mistyped option was meant to be."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see --help")

    def refuse_unknown(self, arguments: Sequence[str]) -> None:
        for argument in arguments:
            known = [name for name in self._option_string_actions if name.startswith("--")]
            near = difflib.get_close_matches(argument.split("=")[0], known, n=1)
            hint = f"did you mean {near[0]}?" if near else "see --help"
            raise UserError(f"unknown argument {argument}; {hint}")


def _fields(model: str) -> list[dataclasses.Field]:
    return [
        field
        for field in dataclasses.fields(Options)
        if field.metadata and model in field.metadata["models"]
    ]


def _parser(model: str) -> _Parser:
    parser = _Parser(
        prog=f"python {model}.py",
        usage="%(prog)s [--mode MODE] [options]",
        allow_abbrev=False,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=30, width=100),
    )
    groups = {}
    for field in _fields(model):
        name = field.metadata["group"]
        if name not in groups:
            groups[name] = parser.add_argument_group(name)
        groups[name].add_argument(
            f"--{field.name}", default=argparse.SUPPRESS, **field.metadata["argument"]
        )
    return parser


def parse(model: str, arguments: Sequence[str]) -> Options:
    """Parses the command line of one of the scripts.

    Args:
      model: `"color"` or `"color_global"`; decides which options exist.
      arguments: the words after the script's name.

    Returns:
      The options, `model_dir` and `output` filled in.

    Raises:
      UserError: an argument is unknown, has no sense in the mode, or a nonsense value.
      SystemExit: for `--help`, after printing it.
    """
    parser = _parser(model)
    namespace, unknown = parser.parse_known_args(arguments)
    parser.refuse_unknown(unknown)
    values = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in vars(namespace).items()
    }
    mode = values.get("mode", "train")
    for field in _fields(model):
        if field.name in values and mode not in field.metadata["modes"]:
            raise UserError(
                f"--{field.name} means nothing in --mode {mode}; "
                f"it belongs to --mode {' or '.join(field.metadata['modes'])}"
            )
    _require_sense(values, mode)
    given = frozenset(values)
    if mode in ("predict", "prepare"):
        values.setdefault("shard", _shard_of_job())
    subject = "compare" if mode == "compare" else model
    values.setdefault("model_dir", f"models/{subject}")
    outputs = {"prepare": "data/prepared", "export": f"exports/{model}"}
    values.setdefault("output", outputs.get(mode, f"results/{subject}"))
    return Options(**values, model=model, given=given)


def _require_sense(values: dict[str, Any], mode: str) -> None:
    """Refuses options that contradict each other, and values that mean nothing in the mode.

    Raises:
      UserError: there is such a one.
    """
    if values.get("global_features") == "paper" and "global_channels" in values:
        raise UserError("--global_channels belongs to --global_features single, not to paper")
    if "input" in values and "test_data" in values:
        raise UserError("--input and --test_data both name photos to colour; give one of them")
    if "warm_start" in values and "from_scratch" in values:
        raise UserError("--warm_start and --from_scratch contradict each other; give one of them")
    if "minutes" in values and "max_steps" in values:
        raise UserError("--minutes and --max_steps both say how long to train; give one of them")
    if "hint" in values and "hints" in values:
        raise UserError("--hint and --hints both say what colour it was; give one of them")
    if mode == "prepare" and "input" not in values:
        raise UserError("--mode prepare needs --input; name the photos to prepare")
    formats = _MODEL_FORMATS if mode == "export" else _PICTURE_FORMATS
    if values.get("format", formats[0]) not in formats:
        raise UserError(
            f"--format {values['format']} means nothing in --mode {mode}; "
            f"choose from {', '.join(formats)}"
        )
    for name, value in values.items():
        if value == "" or (isinstance(value, tuple) and "" in value):
            raise UserError(f"--{name} is empty; name something or leave it out")
    if "://" in values.get("output", "") and mode != "prepare":
        raise UserError(
            f"--output {values['output']}: --mode {mode} writes to folders of this machine only; "
            "mount it, or name another and copy that"
        )
    # TensorFlow finds checkpoints by patterns.
    special = sorted(set(values.get("model_dir", "")) & (set("*[\\") - {os.sep}))
    if special:
        raise UserError(
            f"--model_dir {values['model_dir']}: TensorFlow finds no checkpoints in folders with "
            f"{' or '.join(special)} in their path; name another"
        )
    if values.get("working_size", 8) % 8:
        raise UserError(f"--working_size must be a multiple of 8, not {values['working_size']}")
