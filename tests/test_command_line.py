"""Both scripts as a user runs them."""

import errno
import functools
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import predicting
import pytest
import tensorflow as tf
from PIL import Image
from platforms import HANG, SIGPIPE, any_names, posix, signals
from unmeasured import unmeasured

from colorization import main

ROOT = Path(__file__).parent.parent


def run(script, *arguments, folder, **settings):
    return subprocess.run(
        [sys.executable, str(ROOT / script), *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=HANG,
        **settings,
    )


def files(folder):
    return sorted(
        str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()
    )


@pytest.fixture
def run_here(monkeypatch, capfd):
    """Like `run`, but in this process, which has TensorFlow already."""

    def run_script(script, *arguments, folder):
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            runpy.run_path(str(ROOT / script), run_name="__main__")
        return subprocess.CompletedProcess(sys.argv, caught.value.code, *capfd.readouterr())

    return run_script


@pytest.fixture
def run_small(monkeypatch, capfd):
    """Like `run_here`, with a network that is soon trained in place of that of color.py."""

    def run_network(*arguments, folder):
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["color.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main.run("color", predicting.network)
        return subprocess.CompletedProcess(sys.argv, caught.value.code, *capfd.readouterr())

    return run_network


def refused(result, *words):
    assert result.returncode == 2, result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert all(word in lines[0] for word in words), lines[0]


# Training with one evaluation of one stage; the full model with a small network, too.
BRIEF = ("--save_checkpoints_steps", "100", "--half_size_share", "0")
SMALL = (*BRIEF, "--global_channels", "3")

# Whether TensorFlow takes the memory of GPUs as it needs it, rather than nearly all at once.
ALLOW_GROWTH = "TF_FORCE_GPU_ALLOW_GROWTH"

# What notebooks and other programs leave in the environment.
OF_OTHERS = {
    "KERAS_BACKEND": "torch",
    "MPLBACKEND": "module://of_a_notebook",
    "TF_DETERMINISTIC_OPS": "1",
    "TF_USE_LEGACY_KERAS": "1",
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a full model of two steps and the photos it has seen."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "photos").mkdir()
    for number in range(3):
        picture = Image.radial_gradient("L").resize((48, 40))
        colours = [picture.point(lambda x, n=n, k=number: (x * (n + k)) % 256) for n in (1, 2, 3)]
        Image.merge("RGB", colours).save(folder / "photos" / f"photo {number}.png")
    Image.radial_gradient("L").save(folder / "photos" / "gray.png")
    shutil.copytree(folder / "photos", folder / "test")
    (folder / "photos" / "broken.jpg").write_bytes(b"nothing")
    result = run(
        "color_global.py", "--mode", "train", "--train_data", "photos", "--test_data", "test",
        *SMALL, "--batch_size", "1", "--max_steps", "2", folder=folder,
        env={**os.environ, **OF_OTHERS},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return folder, result


def test_training_says_what_it_did_and_what_to_do_next(trained):
    folder, result = trained
    lines = result.stdout.splitlines()
    counts = "Trained on 2 of 3 photos, 1 gray left out, 1 unreadable: broken.jpg (not a picture)."
    assert counts in lines
    unreadable = folder / "models/color_global/unreadable.txt"
    assert unreadable.read_text() == "photos/broken.jpg\tnot a picture\n"
    assert "Checkpoint: models/color_global/model.ckpt-2" in lines
    assert "  python color_global.py --mode predict" in lines
    assert "  tensorboard --logdir models" in lines
    assert sum("broken.jpg" in line for line in result.stderr.splitlines()) == 1
    assert "step 2/2" in result.stderr
    assert "WARNING" not in result.stderr
    assert "deprecat" not in result.stderr.lower()
    assert "models/color_global/settings.json" in files(folder)


def test_evaluation_is_printed_and_stored(trained, run_here):
    folder, _ = trained
    arguments = ("--mode", "evaluate", "--test_data", "photos")
    result = run_here("color_global.py", *arguments, folder=folder)
    assert result.returncode == 0, result.stderr
    figures = json.loads((folder / "models/color_global/evaluation.json").read_text())
    assert figures["photos"] == 3
    assert figures["global_step"] == 2
    assert f"{figures['average_loss']:.4f}" in result.stdout
    assert f"{figures['ab_rmse']:.2f}" in result.stdout


def test_a_notebook_has_its_environment_after_a_run(run_here, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", sys)
    for name, value in OF_OTHERS.items():
        monkeypatch.setenv(name, value)
    for name in ("OPENBLAS_NUM_THREADS", ALLOW_GROWTH, "TF_XLA_FLAGS"):
        monkeypatch.delenv(name, raising=False)
    arguments = ("--mode", "train", "--train_data", "missing.jpg", "--xla")
    # The first run may import TensorFlow, which sets variables of its own.
    for _ in range(2):
        before = dict(os.environ)
        refused(run_here("color_global.py", *arguments, folder=tmp_path), "missing.jpg")
    assert dict(os.environ) == before


def test_small_scripts_run_in_a_notebook_without_eager_execution(run_here, tmp_path):
    Image.new("RGB", (4, 4), "red").save(tmp_path / "in.png")
    with tf.Graph().as_default():
        assert run_here("upsample.py", "in.png", "out.png", folder=tmp_path).returncode == 0
        assert run_here("lab_convert.py", "in.png", folder=tmp_path).returncode == 0
    assert files(tmp_path) == ["in.png", "in_lab.png", "out.png"]


@pytest.mark.parametrize(
    ("environment", "seen"), [({}, "true"), ({ALLOW_GROWTH: "false"}, "false")]
)
def test_runs_leave_gpu_memory_to_others(run_here, tmp_path, monkeypatch, environment, seen):
    monkeypatch.delenv(ALLOW_GROWTH, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(
        "colorization.modes.gallery.run", lambda *_: print(os.environ[ALLOW_GROWTH])
    )
    result = run_here("color_global.py", "--mode", "gallery", folder=tmp_path)
    assert result.stdout == f"{seen}\n"


def test_prediction_writes_pictures_and_a_page(trained, tmp_path, run_here):
    folder, _ = trained
    result = run_here(
        "color_global.py", "--mode", "predict", "--input", "photos", "--output", tmp_path / "out",
        folder=folder,
    )  # fmt: skip
    # 1: the broken photo is reported, the rest is done.
    assert result.returncode == 1, result.stderr
    assert result.stderr.count("broken.jpg") == 1
    assert result.stderr.splitlines()[-1].startswith("1 of 5 could not be coloured")
    written = files(tmp_path / "out")
    for kind in ("gray", "predicted", "truth"):
        assert f"{kind}/photo 0.png" in written
        assert Image.open(tmp_path / "out" / kind / "photo 0.png").size == (48, 40)
    assert "predicted/gray.png" in written
    assert "truth/gray.png" not in written
    assert "photo 2.png" in (tmp_path / "out" / "index.html").read_text()


def test_finished_pictures_are_skipped_and_pipes_give_the_same_bytes(trained, tmp_path, run_here):
    folder, _ = trained
    photo = folder / "photos" / "photo 0.png"
    arguments = ("--mode", "predict", "--input", photo, "--output", tmp_path / "out")
    assert run_here("color_global.py", *arguments, folder=folder).returncode == 0
    picture = tmp_path / "out" / "predicted" / "photo 0.png"
    piped = subprocess.run(
        [
            sys.executable,
            str(ROOT / "color_global.py"),
            *["--mode", "predict", "--input", "-", "--output", "-"],
        ],
        cwd=folder,
        input=photo.read_bytes(),
        capture_output=True,
        check=False,
        timeout=HANG,
    )
    assert (piped.returncode, piped.stderr) == (0, b"")
    assert piped.stdout == picture.read_bytes()
    picture.write_bytes(b"finished")
    again = run_here("color_global.py", *arguments, folder=folder)
    assert (again.returncode, "Skipping 1 finished" in again.stdout) == (0, True)
    assert picture.read_bytes() == b"finished"
    assert "colouring" not in again.stderr
    # Nobody reads what it prints.
    unread = subprocess.Popen(
        [sys.executable, str(ROOT / "color_global.py"), *map(str, arguments)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    unread.stdout.close()
    with unread.stderr:
        assert unread.stderr.read() == b""
    assert unread.wait(HANG) == 128 + SIGPIPE
    assert run_here("color_global.py", *arguments, "--overwrite", folder=folder).returncode == 0
    assert picture.read_bytes() == piped.stdout


def test_exporting_says_only_what_was_written(trained, tmp_path):
    folder, _ = trained
    result = run(
        "color_global.py", "--mode", "export", "--format", "tflite", "--output", tmp_path,
        folder=folder,
    )  # fmt: skip
    written = tmp_path / "color_global.tflite"
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"Exported to {written}\n"
    assert files(tmp_path) == [written.name]


def test_training_goes_on_from_the_last_checkpoint(trained, tmp_path, run_here, run_small):
    folder, _ = trained
    shutil.copytree(folder / "models", tmp_path / "models")
    settings = ("--train_data", folder / "photos", "--test_data", folder / "photos")
    done = run_here("color_global.py", *settings, "--max_steps", "2", folder=tmp_path)
    assert (done.returncode, "--max_steps" in done.stdout) == (0, True)
    settings += (*BRIEF, "--from_scratch", "--batch_size", "1", "--model_dir", "own models/(1)")
    with unmeasured():
        begun = run_small(*settings, "--max_steps", "2", folder=tmp_path)
        more = run_small(*settings, "--max_steps", "3", folder=tmp_path)
    assert begun.returncode == more.returncode == 0, begun.stderr + more.stderr
    assert "Going on from step 2" in more.stdout
    assert "model.ckpt-3" in more.stdout
    # The words as a shell takes them.
    *_, predicting, watching = more.stdout.splitlines()
    assert predicting.endswith("--mode predict --model_dir 'own models/(1)'")
    assert watching.endswith("--logdir 'own models'")


@pytest.mark.parametrize(
    ("script", "arguments", "words"),
    [
        ("color_global.py", ["--train_data", "missing"], ["missing", "does not exist"]),
        ("color_global.py", ["--train_data", "empty"], ["no photos in empty"]),
        ("color_global.py", ["--train_data", "texts"], ["no photos in texts"]),
        ("color_global.py", ["--mode", "predict", "--model_dir", "empty"], ["no trained model"]),
        ("color_global.py", ["--mode", "evaluate", "--model_dir", "x"], ["no trained model in x"]),
        (
            "color_global.py",
            ["--mode", "predict", "--model_dir", "photos/gray.png"],
            ["photos/gray.png is not a folder", "--model_dir"],
        ),
        ("color_global.py", ["--mode", "predict", "--global_channels", "8"], ["3, not 8"]),
        ("color_global.py", ["--mode", "evaluate", "--normalization", "none"], ["normalization"]),
        ("color.py", ["--mode", "predict", "--model_dir", "models/color_global"], ["color.py"]),
        ("color_global.py", ["--mode", "predict", "--input", "missing.jpg"], ["missing.jpg"]),
        (
            "color_global.py",
            ["--mode", "predict", "--input", "photos", "--output", "photos/gray.png"],
            ["gray.png is a file", "--output"],
        ),
        (
            "color.py",
            ["--train_data", "photos", "--test_data", "photos", "--model_dir", "photos/gray.png/x"],
            ["gray.png is a file", "--model_dir"],
        ),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(trained, run_here, script, arguments, words):
    folder, _ = trained
    (folder / "empty").mkdir(exist_ok=True)
    (folder / "texts").mkdir(exist_ok=True)
    (folder / "texts" / "a.json").touch()
    before = files(folder)
    refused(run_here(script, *arguments, folder=folder), *words)
    assert files(folder) == before


@posix
def test_a_working_folder_that_is_gone_is_said(tmp_path):
    (tmp_path / "gone").mkdir()
    steps = f"cd gone; rmdir ../gone; exec {sys.executable} {ROOT / 'color.py'} --mode predict"
    result = subprocess.run(
        ["sh", "-c", steps], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=HANG
    )
    refused(result, "working folder is gone")


def test_a_want_of_a_folder_for_temporary_files_is_said(tmp_path, run_here, monkeypatch):
    """As on a disk that is full to the last byte."""

    def full():
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    with monkeypatch.context() as patch:
        patch.setattr("tempfile.gettempdir", full)
        result = run_here("color.py", "--mode", "predict", folder=tmp_path)
    refused(result, "temporary", "TMPDIR")


@posix
def test_a_link_to_a_disk_that_is_not_there_is_said(tmp_path, run_here):
    (tmp_path / "results").symlink_to("/media/stick/results")
    (tmp_path / "a.png").touch()
    preparing = ["--mode", "prepare", "--input", "a.png", "--output", "results/x"]
    for words in (preparing, ["--model_dir", "results"]):
        refused(run_here("color.py", *words, folder=tmp_path), "link to /media/stick", words[-2])


@pytest.mark.parametrize("mode", ["train", "predict"])
def test_a_set_without_usable_photos_is_refused(trained, run_here, mode):
    folder, _ = trained
    before = files(folder)
    data = ("--mode", "train", "--train_data", "photos/gray.png", "--test_data", "photos")
    if mode == "predict":
        data = ("--mode", "predict", "--input", "photos/broken.jpg")
    refused(run_here("color_global.py", *data, folder=folder), "no usable photo")
    assert files(folder) == before


@signals
def test_a_signal_saves_a_checkpoint(trained, tmp_path):
    folder, _ = trained
    script = "import sys; from colorization.main import run; from predicting import network; "
    command = [
        sys.executable, "-c", f"{script}sys.argv[0] = 'color.py'; run('color', network)",
        "--train_data", str(folder / "photos"), "--test_data", str(folder / "photos"),
        "--batch_size", "1", "--max_steps", "100000", "--from_scratch",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))},
    )  # fmt: skip
    try:
        deadline = time.monotonic() + HANG
        while not (tmp_path / "models/color/model.ckpt-0.index").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=HANG)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    step = int(errors.split("Stopped after step ")[1].split(";")[0])
    assert f"models/color/model.ckpt-{step}.index" in files(tmp_path)
    assert "color.py --train_data" in errors.splitlines()[-1]


@any_names
def test_names_that_the_terminal_cannot_show(trained, tmp_path):
    """Also where standard output is strict, as it is in a UTF-8 locale."""
    folder, _ = trained
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"nothing")
    shutil.copy(folder / "photos" / "photo 0.png", tmp_path)
    result = run(
        "color.py", "--mode", "prepare", "--input", ".", "--output", "prepared", folder=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert r"1 unreadable: caf\udce9.jpg (not a picture)." in result.stdout


def test_an_error_has_a_line_to_itself(tmp_path, run_here):
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    arguments = ("--mode", "prepare", "--input", "broken.jpg", "--output", "prepared")
    result = run_here("color.py", *arguments, folder=tmp_path)
    assert result.returncode == 2
    # `splitlines` would end a line where a progress bar returns to its beginning.
    assert result.stderr.split("\n")[-2].startswith("color.py: 1 of 1 photos are unreadable")


def test_photos_held_out_are_measured_and_coloured(photo_folder, tmp_path, run_small):
    photo_folder(20)
    small = (*BRIEF, "--from_scratch", "--batch_size", "2")
    run = functools.partial(run_small, folder=tmp_path)
    with unmeasured():
        trained = run("--mode", "train", "--train_data", "photos", *small, "--max_steps", "2")
    assert (trained.returncode, "Trained on 4 of 18 photos" in trained.stdout) == (0, True)
    # As in a notebook that has turned eager execution off.
    with tf.Graph().as_default():
        measured = run("--mode", "evaluate")
    assert (measured.returncode, "Measured on 2 photos" in measured.stdout) == (0, True)
    assert run("--mode", "predict").returncode == 0
    noted = (tmp_path / "models/color/held_out.json").read_text()
    held_out = [photo["path"] for photo in json.loads(noted)]
    pictures = (tmp_path / "results/color/predicted").iterdir()
    assert {picture.name for picture in pictures} == {Path(path).name for path in held_out}


def test_photos_are_prepared_and_trained_on(trained, tmp_path, run_here, run_small):
    folder, _ = trained
    arguments = ("--mode", "prepare", "--input", folder / "photos", "--output")
    # As in a notebook that has turned eager execution off.
    with tf.Graph().as_default():
        split = run_here("color.py", *arguments, "in [2]", "--split", "0.5", folder=tmp_path)
    assert split.stdout.splitlines()[-1] == (
        "  python color.py --train_data 'in [2]/train' --test_data 'in [2]/test'"
    )
    arguments = (*arguments, "prepared")
    done = run_here("color.py", *arguments, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == (
        "Prepared 3 photos, 1 gray left out, 1 unreadable: broken.jpg (not a picture)."
    )
    assert lines[-1] == "  python color.py --train_data prepared"
    again = run_here("color.py", *arguments, folder=tmp_path)
    assert (again.returncode, "prepared before" in again.stdout) == (0, True)
    other = (*arguments, "--split", "0.5")
    refused(run_here("color.py", *other, folder=tmp_path), "prepared is not empty", "--output")
    data = ("--train_data", "prepared", "--test_data", "prepared")
    data += (*BRIEF, "--from_scratch", "--batch_size", "1")
    with unmeasured():
        result = run_small(*data, "--max_steps", "1", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "Trained on 1 of 3 photos, 0 gray left out, 0 unreadable." in result.stdout.splitlines()
    shard = tmp_path / "prepared" / "00000.tfrecord"
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    damaged = run_small(*data, "--max_steps", "2", folder=tmp_path)
    refused(damaged, str(shard.name), "checksum")
