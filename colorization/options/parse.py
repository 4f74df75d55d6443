"""Parses the command line to `Options`, and reports its errors."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import os
import re
from collections.abc import Sequence
from typing import Any, NoReturn
from urllib.request import url2pathname

from colorization.errors import UserError
from colorization.options.consistency import require_consistent
from colorization.options.options import GROUPS, Options
from colorization.options.photos import shard_of_job

# Options with folders that TensorFlow writes to or reads models from.
_FOLDERS = {"model_dir", "output", "warm_start"}


class _Parser(argparse.ArgumentParser):
    """Reports errors as `UserError` and guesses what a mistyped option was meant to be."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see --help")

    def refuse_unknown(self, arguments: Sequence[str]) -> None:
        if arguments:
            option = arguments[0].split("=")[0]
            for field in dataclasses.fields(Options):
                # What this script does not know may be known to the other.
                if option == f"--{field.name}" and field.metadata:
                    raise UserError(f"{option} needs {' or '.join(field.metadata['models'])}.py")
            names = [name for name in self._option_string_actions if name.startswith("--")]
            matches = difflib.get_close_matches(option, names, n=1)
            hint = f"did you mean {matches[0]}?" if matches else "see --help"
            raise UserError(f"unknown argument {arguments[0]}; {hint}")


def _joined(arguments: Sequence[str]) -> list[str]:
    """Joins values such as `-5,1,red` to their options, because argparse takes them for options."""
    joined: list[str] = []
    for word in arguments:
        if re.match(r"-\d", word) and joined and re.fullmatch("--[a-z_]+", joined[-1]):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _expanded(value: Any) -> Any:
    """Paths without `~/`, which shells keep in `--output=~/x`; an address of a file as its path.

    Of several values, which may name photos, addresses stay.
    """
    if isinstance(value, list):
        return tuple(os.path.expanduser(item) if _in_home(item) else item for item in value)
    if _in_home(value):
        return os.path.expanduser(value)
    if isinstance(value, str) and value.startswith("file://"):
        # A file manager copies %20 for a space.
        return url2pathname(value.removeprefix("file://").removeprefix("localhost"))
    return value


def _in_home(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("~/")


def _followed(path: str) -> str:
    """The path without `..` behind links, which TensorFlow takes for the folders of the links."""
    if "://" in path or os.path.realpath(path) == os.path.realpath(os.path.normpath(path)):
        return path
    return os.path.realpath(path)


def _fields(group: type, model: str) -> list[dataclasses.Field]:
    return [
        field
        for field in dataclasses.fields(group)
        if field.metadata and model in field.metadata["models"]
    ]


def _parser(model: str) -> _Parser:
    parser = _Parser(
        prog=f"python {model}.py",
        usage="%(prog)s [--mode MODE] [options]",
        allow_abbrev=False,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=30, width=100),
    )
    for heading, group in GROUPS.items():
        arguments = parser.add_argument_group(heading)
        for field in _fields(group, model):
            arguments.add_argument(
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
      UserError: an argument is unknown, means nothing in the mode, or has a nonsensical value.
      SystemExit: for `--help`, after printing it.
    """
    parser = _parser(model)
    namespace, unknown = parser.parse_known_args(_joined(arguments))
    parser.refuse_unknown(unknown)
    values = {name: _expanded(value) for name, value in vars(namespace).items()}
    mode = values.get("mode", "train")
    for field in _fields(Options, model):
        if field.name in values and mode not in field.metadata["modes"]:
            raise UserError(
                f"--{field.name} means nothing in --mode {mode}; "
                f"it belongs to --mode {' or '.join(field.metadata['modes'])}"
            )
    require_consistent(values, mode)
    given = frozenset(values)
    if mode in ("predict", "prepare") and "shard" not in values:
        values["shard"] = shard_of_job()
    subject = "compare" if mode == "compare" else model
    values.setdefault("model_dir", f"models/{subject}")
    outputs = {"prepare": "data/prepared", "export": f"exports/{model}"}
    values.setdefault("output", outputs.get(mode, f"results/{subject}"))
    for name in values.keys() & _FOLDERS:
        values[name] = _followed(values[name])
    return Options(**values, model=model, given=given)
