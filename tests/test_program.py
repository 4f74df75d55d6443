"""A program's messages, and its end: by itself, by a signal, or for want of output."""

import logging
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from encoding import odd_tiff
from platforms import HANG

from colorization.decoding.decode import open_photo
from colorization.errors import UserError
from colorization.program import exit_code


def test_exit_codes(capsys):
    assert exit_code(lambda: 1) == 1
    with pytest.raises(ZeroDivisionError):
        exit_code(lambda: 1 // 0)
    with pytest.raises(FileNotFoundError):
        exit_code(lambda: os.listdir("/nowhere/at/all"))

    def broken():
        raise OSError("broken data stream")

    with pytest.raises(OSError, match="broken data stream"):
        exit_code(broken)
    assert capsys.readouterr() == ("", "")

    def refuse():
        raise UserError("no photos; name some")

    assert exit_code(refuse) == 2
    assert capsys.readouterr() == ("", "no photos; name some\n")


def test_programs_tell_nothing_of_odd_photos_and_leave_filters_and_levels(
    colourful, recwarn, caplog
):
    photo, log = odd_tiff(colourful(20, 30)), logging.getLogger("tifffile")
    former_filters, former_level = list(warnings.filters), log.level

    def work():
        open_photo(photo)
        warnings.filterwarnings("ignore", "of a library that is imported")
        return 0

    assert exit_code(work) == 0
    assert not recwarn.list and not caplog.messages
    assert (warnings.filters[1:], log.level) == (former_filters, former_level)
    open_photo(photo)
    assert recwarn.list and caplog.messages


@pytest.fixture
def on_sigint():
    """Sets what the program was started to do when it is interrupted."""
    former = signal.getsignal(signal.SIGINT)
    yield lambda action: signal.signal(signal.SIGINT, action)
    signal.signal(signal.SIGINT, former)


def interrupt():
    signal.raise_signal(signal.SIGINT)
    return 0


def test_a_signal_ends_the_program(on_sigint):
    on_sigint(signal.default_int_handler)
    with pytest.raises(SystemExit) as ended:
        exit_code(interrupt)
    assert ended.value.code == 130
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("error", [ImportError, SystemError, UserError])
def test_a_signal_ends_the_program_though_a_module_in_c_makes_an_error_of_it(
    on_sigint, capsys, error
):
    on_sigint(signal.default_int_handler)

    def import_module():
        try:
            interrupt()
        except SystemExit:
            raise error("initialization failed") from None

    with pytest.raises(SystemExit) as ended:
        exit_code(import_module)
    assert ended.value.code == 130
    assert capsys.readouterr() == ("", "")


def test_a_signal_whose_exception_is_lost_in_a_callback_comes_once_more(on_sigint, capsys):
    on_sigint(signal.default_int_handler)

    class Interrupting:
        def __del__(self):
            interrupt()

    def work():
        Interrupting()
        time.sleep(HANG)

    with pytest.raises(SystemExit) as ended:
        exit_code(work)
    assert ended.value.code == 130
    assert capsys.readouterr() == ("", "")


def test_a_signal_while_an_error_is_handled_leaves_no_trace_of_the_error(on_sigint):
    """Notebooks of some years cannot show an exception with another one as its context."""
    on_sigint(signal.default_int_handler)

    def handle():
        try:
            raise ValueError
        except ValueError:
            return interrupt()

    with pytest.raises(SystemExit) as ended:
        exit_code(handle)
    assert ended.value.__context__ is None


def test_a_signal_that_the_program_was_started_to_ignore_is_ignored(on_sigint):
    on_sigint(signal.SIG_IGN)
    assert exit_code(interrupt) == 0


def test_programs_run_in_threads(on_sigint):
    on_sigint(signal.default_int_handler)
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(exit_code, lambda: 3).result() == 3


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_standard_output_that_cannot_be_written_is_told():
    program = (
        "import sys; from colorization.program import exit_code; "
        "sys.exit(exit_code(lambda: print(1) or 0))"
    )
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", program],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=HANG,
        )
    assert done.returncode == 2
    assert done.stderr == "cannot write (no space left on device)\n"


@pytest.mark.parametrize("script", ["color.py", "lab_convert.py", "upsample.py"])
def test_without_packages_a_line_says_how_to_get_them(script):
    """Python without its site packages, as before the environment is activated."""
    arguments = ["--mode", "train"] if script == "color.py" else []
    done = subprocess.run(
        [sys.executable, "-S", script, *arguments],
        cwd=Path(__file__).resolve().parent.parent,
        capture_output=True,
        text=True,
        timeout=HANG,
    )
    assert done.returncode == 2
    assert re.fullmatch(
        rf"{script}: No module named 'tensorflow' for .*python.*; activate .*, or run pip install "
        r"-r requirements\.txt\n",
        done.stderr,
    )
