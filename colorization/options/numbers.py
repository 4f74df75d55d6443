"""Kinds of numbers that options take; each turns a word of the command line into its value."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable


def whole_number(minimum: int, maximum: int = 2**31 - 1) -> Callable[[str], int]:
    """A kind of value: whole numbers of a range, both ends included."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = -math.inf
        if minimum <= value <= maximum:
            return value
        limit = f"at most {maximum}" if value > maximum else f"at least {minimum}"
        raise argparse.ArgumentTypeError(f"needs a whole number of {limit}, not {text!r}")

    return parse


def number(allowed: Callable[[float], bool], description: str) -> Callable[[str], float]:
    """A kind of value: allowed numbers, which `description` describes in words."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not allowed(value):
            raise argparse.ArgumentTypeError(f"needs a number {description}, not {text!r}")
        return value

    return parse


# TensorFlow computes in float32, where smaller numbers are zero and larger ones infinite.
POSITIVE = number(lambda value: 2**-126 <= value < 2**128, "above 0 that float32 holds")
# The least and the largest factor on colours.
FACTORS = (1e-3, 1e3)
FACTOR = number(lambda value: FACTORS[0] <= value <= FACTORS[1], "from 0.001 to 1000")
VIBRANCE = number(lambda value: 0 <= value <= 20, "from 0 to 20")
SHARE = number(lambda value: 0 <= value < 1, "from 0 to below 1")
WHOLE_SHARE = number(lambda value: 0 <= value <= 1, "from 0 to 1")
