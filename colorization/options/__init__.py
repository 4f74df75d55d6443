"""Every command-line option, declared once, and the one way to parse them.

Nothing here imports TensorFlow or anything else that is slow, so that a mistyped option is refused
at once.
"""

from colorization.options.declaration import MODELS
from colorization.options.options import NETWORK_SETTINGS, Options, choices_of
from colorization.options.parse import parse

__all__ = ["MODELS", "NETWORK_SETTINGS", "Options", "choices_of", "parse"]
