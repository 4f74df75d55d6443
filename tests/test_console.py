"""Console output, wherever it goes."""

import errno
import io
import logging
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import absl.logging
import pytest
from PIL import Image
from platforms import HANG, posix

from colorization.console import (
    log_to_console,
    nobody_reads,
    print_error,
    progress_bar,
    ready_streams,
)

ROOT = Path(__file__).resolve().parent.parent

PRINT = """
import contextlib, os, sys, tempfile
from colorization.console import captured_stderr, print_error, progress_bar, ready_streams
with ready_streams():
    # A file must not get the number of a stream that is closed.
    file = tempfile.TemporaryFile()
    with contextlib.suppress(OSError):
        os.write(2, b"from C++")
    file.seek(0)
    assert not file.read()
    with captured_stderr():
        with contextlib.suppress(OSError):
            os.write(2, b"chatter")
    with progress_bar(10, "working", " things") as bar:
        bar.update(10)
    print_error("an error")
sys.exit(7)
"""


@posix
@pytest.mark.parametrize("stream", ["2>&-", ">&-", "2>&- >&-", "2>/dev/full", "<&- >&- 2>&-"])
def test_closed_and_full_streams_end_nothing(stream):
    if "/dev/full" in stream and not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    command = ["sh", "-c", f'exec "$0" -c "$1" {stream}', sys.executable, PRINT]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 7


@posix
def test_scripts_that_import_tensorflow_first_run_without_streams(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "in.png")
    command = [sys.executable, "upsample.py", str(tmp_path / "in.png"), str(tmp_path / "out.png")]
    closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command]
    assert subprocess.run(closed, cwd=ROOT, check=False).returncode == 0
    assert Image.open(tmp_path / "out.png").size == (8, 8)


@pytest.mark.parametrize(
    ("number", "gone"),
    # The second is what Windows says.
    [(errno.EPIPE, True), (errno.EINVAL, True), (errno.ENOSPC, False), (None, False)],
)
def test_a_pipe_that_nobody_reads_is_told_from_a_full_disk(monkeypatch, number, gone):
    class Output(io.StringIO):
        def flush(self):
            if number:
                raise OSError(number, os.strerror(number))

    monkeypatch.setattr(sys, "stdout", Output())
    assert nobody_reads() == gone


def test_streams_of_notebooks_will_do(monkeypatch):
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.StringIO())
    with ready_streams():
        print("coloured")
        print_error("skipped")
    assert (sys.stdout.getvalue(), sys.stderr.getvalue()) == ("coloured\n", "skipped\n")


def test_the_log_handler_of_tensorflow_does_not_close_standard_error(monkeypatch):
    """A server closes all handlers; a notebook has streams of its own."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    handler = absl.logging.PythonHandler()
    with ready_streams():
        handler.close()
    assert not stream.closed


def test_a_log_gets_whole_lines_of_bars_below_others_too(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    with (
        ready_streams(),
        progress_bar(4, "colouring", " photos") as first,
        progress_bar(4, "evaluating", " batches", leave=False) as second,
        progress_bar(4, "writing", " files", leave=False) as third,
    ):
        for bar in (first, second, third):
            bar.update(4)
            bar.refresh()
    assert not re.search(r"[\r\x1b]", log.getvalue())
    assert "colouring" in log.getvalue()


def test_a_bar_under_way_writes_nothing_below_an_error_in_a_log(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    with ready_streams(), progress_bar(4, "evaluating", " batches", leave=False) as bar:
        bar.update(1)
        print_error("Stopped.")
        assert log.getvalue().splitlines()[-1] == "Stopped."


def test_a_log_gets_whole_lines_now_and_then(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    clock = iter(range(10**6))
    monkeypatch.setattr("tqdm.std.time", lambda: next(clock))
    with ready_streams():
        # Each look at this clock takes a second.
        with progress_bar(1000, "colouring", " photos") as bar:
            for _ in range(500):
                bar.set_postfix_str("loss 0.5", refresh=False)
                bar.update(2)
                if bar.n == 300:
                    print_error("skipped a.jpg")
        with progress_bar(2, "evaluating", " batches", leave=False) as bar:
            bar.update(2)
    text = log.getvalue()
    assert not re.search(r"[\r\x1b]", text)
    lines = text.splitlines()
    shown = [line for line in lines if line != "skipped a.jpg"]
    assert len(shown) == len(lines) - 1
    assert 4 < len(shown) < 20
    assert all(line.startswith("colouring: ") for line in shown)
    assert "100% 1000/1000" in shown[-1]


def test_bars_leave_no_threads_behind_and_slow_down_with_their_work(monkeypatch):
    """Threads are limited in containers, and a folder of films has a bar for each."""
    log, now = io.StringIO(), [0.0]
    monkeypatch.setattr(sys, "stderr", log)
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    threads = set(threading.enumerate())
    for _ in range(2):
        with progress_bar(2000, "colouring", " photos") as bar:
            for _ in range(1000):
                now[0] += 0.1
                bar.update()
            for number in range(20):
                now[0] += 31
                bar.update()
                assert f" {1001 + number}/2000 " in log.getvalue().splitlines()[-1]
    assert set(threading.enumerate()) == threads


@pytest.mark.parametrize(("terminal", "width"), [("xterm", 0), ("dumb", 80)])
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such terminals")
def test_terminals_that_no_bar_can_be_drawn_on_get_lines(terminal, width):
    import fcntl
    import pty
    import struct
    import termios

    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    code = (
        "import time; from colorization.console import progress_bar;"
        "bar = progress_bar(3, 'colouring', ' photos'); time.sleep(1.2); bar.update(3); bar.close()"
    )
    environment = {**os.environ, "TERM": terminal}
    subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stderr=writer, env=environment, timeout=HANG
    )
    os.close(writer)
    shown = os.read(reader, 10_000).decode()
    os.close(reader)
    assert re.fullmatch(r"colouring: 100% 3/3 \[.*\]\s*", shown)


def test_each_warning_is_told_once_however_many_programs_run_in_a_notebook(capsys):
    for _ in range(2):
        with log_to_console():
            logging.getLogger("colorization.any").warning("anything")
        assert capsys.readouterr().err == "anything\n"
