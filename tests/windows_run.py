"""Every mode in one process that lacks what Windows lacks; what `test_windows.py` starts.

    python tests/windows_run.py FOLDER

FOLDER holds `photos`. Prints one JSON object: mode -> exit code, standard output and error.
"""

import asyncio  # noqa: F401  its own Windows part does without what is taken away here
import builtins
import contextlib
import errno
import io
import json
import os
import shutil
import signal
import sys
import threading
from pathlib import Path
from types import ModuleType

import psutil  # is another one on Windows

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

ABSENT = ("fcntl", "pwd", "grp", "resource", "syslog")
FORBIDDEN = set('<>:"|?*')


def open_files() -> set[str]:
    """All files that this process has open, in C++ too."""
    found = set()
    for number in real_listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.add(os.readlink(f"/proc/self/fd/{number}"))
    return found


def require_closed(*paths) -> None:
    """Windows renames and removes no file that is open, and no folder with one in it."""
    for path in paths:
        real = os.path.realpath(os.fsdecode(path))
        for opened in open_files():
            if opened == real or opened.startswith(f"{real}/"):
                raise PermissionError(errno.EACCES, "file is in use", os.fsdecode(path))


def require_possible(path) -> None:
    """Windows knows neither /proc nor names with some characters."""
    if isinstance(path, int):
        return
    name = os.path.abspath(os.fsdecode(path))
    asking = sys._getframe(2).f_globals.get("__name__", "")
    if f"{name}/".startswith(("/proc/", "/sys/")) and not asking.startswith("psutil"):
        raise FileNotFoundError(errno.ENOENT, "no such file", name)
    if FORBIDDEN & set(name):
        raise OSError(errno.EINVAL, "invalid argument", name)


def wrap(module, name: str, check, count: int) -> None:
    real = getattr(module, name)

    def wrapped(*arguments, **settings):
        check(*arguments[:count])
        return real(*arguments, **settings)

    setattr(module, name, wrapped)


def require_new(source, target) -> None:
    if os.path.exists(target):
        raise FileExistsError(errno.EEXIST, "file exists", os.fsdecode(target))
    require_closed(source)


def become_windows() -> None:
    for name in ABSENT:
        sys.modules[name] = None
    for module, names in {
        signal: ("SIGPIPE", "SIGHUP", "SIGKILL", "SIGUSR1", "SIGALRM", "pause", "alarm"),
        os: ("sysconf", "fork", "forkpty", "killpg", "getuid", "geteuid", "mkfifo"),
    }.items():
        for name in names:
            delattr(module, name)
    shutil._use_fd_functions = False
    wrap(builtins, "open", require_possible, 1)
    io.open = builtins.open
    for name in ("stat", "open", "mkdir", "listdir", "scandir"):
        wrap(os, name, require_possible, 1)
    wrap(os, "replace", require_closed, 2)
    wrap(os, "unlink", require_closed, 1)
    wrap(os, "remove", require_closed, 1)
    wrap(os, "rename", require_new, 2)


def raised(error: type[Exception], action, *arguments) -> bool:
    try:
        action(*arguments)
    except error:
        return True
    return False


def check_itself(folder: Path) -> None:
    """Finds out whether the things above really are impossible."""
    (folder / "a").write_text("a")
    (folder / "b").write_text("b")
    with open(folder / "a"):
        assert raised(PermissionError, os.replace, folder / "b", folder / "a")
        assert raised(PermissionError, (folder / "a").unlink)
        assert raised(PermissionError, os.replace, folder, folder.with_name("other"))
    assert raised(FileExistsError, os.rename, folder / "a", folder / "b")
    assert raised(OSError, (folder / "10:30.jpg").write_text, "x")
    assert raised(FileNotFoundError, open, "/proc/cpuinfo")
    assert raised(ImportError, __import__, "fcntl")
    shutil.rmtree(folder)


def network(nn, lightness, params):
    """As small as one that has what the real ones have can be."""
    return nn.output(nn.conv(nn.input(lightness), 4, "hidden", stride=2), 2, "output"), None


def visit(port: int, answers: list, ended: threading.Event) -> None:
    """Colours a photo on the page, then ends the server; unless that has ended by itself."""
    import httpx
    from gradio_client import Client, handle_file

    url = f"http://127.0.0.1:{port}"
    while not ended.wait(0.2):
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url).status_code == 200:
                break
    else:
        return
    try:
        client = Client(url, verbose=False)
        pictures, problems = client.predict(
            [handle_file("photos/a.png")], model="color", saturation=1, api_name="/colorize"
        )
        answers.extend((len(pictures), problems))
    finally:
        signal.raise_signal(signal.SIGTERM)


def run(model: ModuleType, *words) -> dict:
    from colorization.main import run

    sys.argv = ["color.py", *map(str, words)]
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            run("color", model.network)
        except SystemExit as ended:
            code = ended.code
    return {"code": code, "output": output.getvalue(), "errors": errors.getvalue()}


def main() -> None:
    os.chdir(sys.argv[1])
    port = int(sys.argv[2])
    become_windows()
    os.mkdir("check")
    check_itself(Path("check").absolute())
    import tensorflow as tf

    import color

    for name in ("remove", "rmtree"):
        wrap(tf.io.gfile, name, require_closed, 1)
    wrap(tf.io.gfile, "rename", require_closed, 2)
    color.network = network
    results = {
        "train": run(color, "--train_data", "photos", "--test_data", "photos", "--batch_size", 1,
                     "--max_steps", 2, "--save_checkpoints_steps", 1, "--from_scratch"),
        "train on": run(color, "--train_data", "photos", "--test_data", "photos",
                        "--batch_size", 1, "--max_steps", 3, "--from_scratch",
                        "--save_checkpoints_steps", 100, "--half_size_share", 0),
        "evaluate": run(color, "--mode", "evaluate", "--test_data", "photos"),
        "predict": run(color, "--mode", "predict", "--input", "photos"),
        "predict on": run(color, "--mode", "predict", "--input", "photos", "--overwrite"),
        "prepare": run(color, "--mode", "prepare", "--input", "photos"),
        "export": run(color, "--mode", "export"),
    }  # fmt: skip
    if port:
        answers: list = []
        ended = threading.Event()
        visitor = threading.Thread(target=visit, args=(port, answers, ended))
        visitor.start()
        results["serve"] = run(color, "--mode", "serve", "--port", port)
        ended.set()
        visitor.join()
        results["page"] = answers
    print(json.dumps(results))


real_listdir = os.listdir

if __name__ == "__main__":
    assert psutil.virtual_memory().total
    main()
