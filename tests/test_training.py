"""Options of training, through `--mode train` with a network of three small layers."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from platforms import HANG, movable
from unmeasured import unmeasured

from colorization.data import held_out, lab_planes, photo_files
from colorization.data.prepare import prepare
from colorization.errors import UnreadablePhoto, UserError
from colorization.modes import evaluate, train
from colorization.options import parse
from colorization.training import checkpoint, cluster, event_log, patience, training
from colorization.training.settings import stored_settings


def network(nn, lightness, params):
    x = nn.conv(nn.input(lightness), params["global_channels"], "conv", stride=2)
    logits = nn.output(x, 2, "output")
    if not params.get("class_names"):
        return logits, None
    x = tf.reduce_mean(x, [1, 2])
    return logits, nn.class_logits(x, len(params["class_names"]), "classification/output")


@pytest.fixture
def run(photo_folder, tmp_path, capsys):
    """Trains in `tmp_path/model`; returns what was printed."""
    photos = {name: str(photo_folder(3, name=name)) for name in ("train", "test")}

    # One evaluation of one stage, unless asked otherwise.
    one_stage = ("--save_checkpoints_steps", 100, "--half_size_share", 0)

    def run(*arguments, folder="model", mode=train, steps=3, network=network, brief=one_stage):
        name = mode.__name__.rpartition(".")[2]
        data = [] if mode is train else ["--mode", name]
        for part in ("train", "test") if mode is train else ("test",):
            if f"--{part}_data" not in arguments:
                data += [f"--{part}_data", photos[part]]
        command = [
            *data, "--model_dir", str(tmp_path / folder),
            "--batch_size", "2", "--global_channels", "3", *map(str, arguments),
        ]  # fmt: skip
        if mode is train:
            command = [*map(str, brief), *command, "--max_steps", str(steps)]
        mode.run(network, parse("color_global", command))
        return capsys.readouterr().out

    return run


@pytest.fixture
def no_evaluations():
    """The whole test trains `unmeasured`."""
    with unmeasured():
        yield


def step_of(path):
    return int(tf.train.load_variable(str(path), "global_step"))


def test_the_best_checkpoint_is_kept_and_measured(run, tmp_path, monkeypatch):
    folder = tmp_path / "model"
    best = folder / "best"
    run("--save_checkpoints_steps", 1, "--learning_rate", 0.02, steps=2)
    kept = json.loads((best / "evaluation.json").read_text())
    assert sorted(path.suffix for path in best.glob("model.ckpt*")) == [
        ".data-00000-of-00001",
        ".index",
    ]
    # A step of this size makes any model worse.
    printed = run("--learning_rate", 50, "--learning_rate_schedule", "constant", steps=3)
    # The table is that of the best checkpoint.
    assert f"step {int(kept['global_step'])}:" in printed
    assert float(re.search(r"average loss +([\d.]+)", printed)[1]) == pytest.approx(
        kept["average_loss"], abs=1e-4
    )
    assert "The last one, of step 3, has an average loss of " in printed
    assert json.loads((best / "evaluation.json").read_text())["loss"] == kept["loss"]
    assert step_of(checkpoint.latest_checkpoint(str(folder))) == 3
    chosen = checkpoint.best_checkpoint(str(folder))
    assert chosen.startswith(str(best))
    assert step_of(chosen) == kept["global_step"]
    run(mode=evaluate)
    measured = json.loads((folder / "evaluation.json").read_text())
    assert measured["loss"] == pytest.approx(kept["loss"], 1e-5)
    assert measured["checkpoint"] == chosen
    # One of the photos to test on cannot be read for a moment.
    with monkeypatch.context() as patch:
        patch.setattr(lab_planes, "read_file", refusing(tmp_path / "test" / "colour0.png"))
        run("--learning_rate", 50, steps=4)
    assert checkpoint.best_checkpoint(str(folder)) == chosen
    next(best.glob("*.data*")).write_bytes(b"")
    assert checkpoint.best_checkpoint(str(folder)) == checkpoint.latest_checkpoint(str(folder))


def refusing(photo):
    def read(path):
        if path == str(photo):
            raise UnreadablePhoto("input/output error")
        return photo_files.read_file(path)

    return read


def watched(folder):
    """The network, and a list to which each training graph adds its size and the steps before."""
    made = []

    def spy(nn, lightness, params):
        if nn.training:
            made.append((lightness.shape[1], checkpoint.trained_steps(str(folder))))
        return network(nn, lightness, params)

    return spy, made


def test_the_last_steps_see_photos_at_full_size(run, tmp_path, monkeypatch):
    spy, made = watched(tmp_path / "model")
    second_stage, opened = tmp_path / "model" / "model.ckpt-2.index", []

    def read(path):
        if second_stage.exists():
            opened.append(Path(path).parent.name)
        return photo_files.read_file(path)

    monkeypatch.setattr(lab_planes, "read_file", read)
    run("--half_size_share", 0.5, network=spy, steps=4)
    assert made == [(112, 0), (224, 2)]
    # The second stage and the evaluation at its end find the photos in memory.
    assert opened == ["test"] * 3
    assert step_of(checkpoint.latest_checkpoint(str(tmp_path / "model"))) == 4
    # Going on with more steps, of which eight are at half size.
    with unmeasured():
        run("--half_size_share", 0.9, network=spy, steps=9)
    assert made[2:] == [(112, 4), (224, 8)]


GETS_NOWHERE = (
    "--save_checkpoints_steps", 1, "--learning_rate", 1e-12, "--patience", 2,
    "--normalization", "none",
)  # fmt: skip


def test_patience_stops_training_that_gets_nowhere(run, tmp_path):
    told = "--patience 2 has ended the training at step "
    assert told in run(*GETS_NOWHERE, steps=50)
    step = step_of(checkpoint.latest_checkpoint(str(tmp_path / "model")))
    assert step < 10
    # The same again has nothing to do, unless something has changed, if only the photos.
    printed = run(*GETS_NOWHERE, steps=50)
    assert f"{told}{step}: " in printed and "Nothing is left to do" in printed
    assert step_of(checkpoint.latest_checkpoint(str(tmp_path / "model"))) == step
    shutil.copy(tmp_path / "train" / "colour0.png", tmp_path / "train" / "another.png")
    assert f"Going on from step {step}" in run(*GETS_NOWHERE, steps=50)
    step = step_of(checkpoint.latest_checkpoint(str(tmp_path / "model")))
    assert f"Going on from step {step}" in run(*GETS_NOWHERE, steps=step + 1)
    assert "Going on" not in run(*GETS_NOWHERE, steps=step + 1)


def test_the_start_of_a_training_that_patience_has_ended_may_be_spelled_in_any_way(tmp_path):
    def options(start):
        words = ["--warm_start", start, "--patience", "2", "--model_dir", str(tmp_path)]
        return parse("color", words)

    figures = {"loss": 1, "evaluations_since": 2, "evaluated_step": 5}
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "evaluation.json").write_text(json.dumps(figures))
    patience.store_end(options("other/best/model.ckpt-1"), (3, 3), 5)
    assert patience.has_ended(options("other"), (3, 3), 5)
    assert not patience.has_ended(options("other"), (4, 3), 5)


def test_patience_at_half_size_goes_on_with_the_best_at_full_size(run, tmp_path):
    folder = tmp_path / "model"
    printed = run(*GETS_NOWHERE, "--half_size_share", 0.5, "--keep_checkpoint_max", 20, steps=50)
    source = printed.partition("full size goes on from ")[2].splitlines()[0].removesuffix(".")
    assert 0 < int(source.rpartition("-")[2]) < 10
    # The 25 steps at half size count as done; then the same patience at full size.
    assert 27 <= step_of(checkpoint.latest_checkpoint(str(folder))) < 35
    first, other = (
        tf.train.load_checkpoint(str(folder / f"model.ckpt-{step}"))
        for step in (source.rpartition("-")[2], 25)
    )
    shapes = first.get_variable_to_shape_map()
    assert other.get_variable_to_shape_map() == shapes
    for name in shapes.keys() - {"global_step"}:
        np.testing.assert_array_equal(other.get_tensor(name), first.get_tensor(name))
    # Going on, half size stays done, and so do the evaluations without progress.
    before = step_of(checkpoint.latest_checkpoint(str(folder)))
    printed = run(*GETS_NOWHERE, "--half_size_share", 0.5, "--patience", 3, steps=50)
    assert "Going on" in printed and "Half size" not in printed
    assert step_of(checkpoint.latest_checkpoint(str(folder))) <= before + 2


@pytest.mark.usefixtures("no_evaluations")
def test_a_training_stopped_in_its_last_evaluation_does_it_when_it_is_run_again(
    run, tmp_path, monkeypatch
):
    folder = tmp_path / "model"
    run("--save_checkpoints_steps", 2, steps=2)
    with monkeypatch.context() as patched, pytest.raises(OSError, match="full"):
        patched.setattr(training, "keep_if_best", full_disk)
        run("--save_checkpoints_steps", 2, steps=4)
    listed = (folder / "unreadable.txt").write_text("photo.png\tdamaged\n")
    assert step_of(checkpoint.best_checkpoint(str(folder))) == 2
    printed = run(steps=4)
    assert "The last checkpoint was not evaluated" in printed
    assert f"Best checkpoint, which predict takes: {folder}/best/model.ckpt-4" in printed
    assert step_of(checkpoint.best_checkpoint(str(folder))) == 4
    assert len((folder / "unreadable.txt").read_text()) == listed
    printed = run(steps=4)
    assert "for 4 steps already" in printed and "evaluated" not in printed
    # What has been evaluated and is not the best one is not evaluated again.
    with unmeasured(loss=float):
        run(steps=6)
    assert step_of(checkpoint.best_checkpoint(str(folder))) == 4
    assert "evaluated" not in run(steps=6)


def full_disk(*arguments):
    raise OSError(errno.ENOSPC, "the disk is full")


@pytest.mark.parametrize(("option", "value"), [("--patience", 2), ("--half_size_share", 0.5)])
@pytest.mark.parametrize("task_type", ["chief", "worker", "ps", "evaluator"])
def test_what_needs_one_machine_is_refused_in_a_cluster(run, monkeypatch, option, value, task_type):
    cluster = {"chief": ["localhost:1"], "worker": ["localhost:2"], "ps": ["localhost:3"]}
    task = {"cluster": cluster, "task": {"type": task_type, "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(task))
    with pytest.raises(UserError, match=f"{option} is for one machine"):
        run(option, value)


def test_a_chief_waits_for_its_servers_before_training(run, monkeypatch):
    cluster_of_one = {"chief": ["localhost:1"], "ps": ["localhost:2"]}
    task = {"cluster": cluster_of_one, "task": {"type": "chief", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(task))
    waited = []
    monkeypatch.setattr(cluster, "wait_for_servers", waited.append)
    estimator = training.tf_estimator
    monkeypatch.setattr(estimator, "train_and_evaluate", lambda *_: sys.exit(len(waited)))
    with pytest.raises(SystemExit, match="1"):
        run(brief=())


@pytest.mark.usefixtures("no_evaluations")
def test_a_warm_start_takes_what_fits(run, tmp_path):
    run()
    source = tmp_path / "model"
    before = tf.train.load_checkpoint(checkpoint.best_checkpoint(str(source)))
    printed = run("--warm_start", source, "--learning_rate", 1e-12, folder="same", steps=1)
    assert "7 of 7 variables" in printed
    after = tf.train.load_checkpoint(str(tmp_path / "same" / "model.ckpt-1"))
    for name in ("conv/kernel", "output/kernel", "output/bias"):
        np.testing.assert_allclose(after.get_tensor(name), before.get_tensor(name), atol=1e-6)
    assert after.get_tensor("global_step") == 1

    printed = run("--warm_start", checkpoint.latest_checkpoint(str(source)),
                  "--global_channels", 4, folder="wider", steps=1)  # fmt: skip
    assert "Starting anew, for want of a match: conv/kernel" in printed
    curves = event_log.read_curves(str(tmp_path / "same"))
    assert curves.hyperparameters["warm_start"] == str(source)
    # Going on, it has weights of its own.
    shutil.rmtree(source)
    assert "Starting" not in run("--warm_start", source, folder="same", steps=2)


def test_a_warm_start_ends_no_worse_than_it_began(run, tmp_path):
    run()
    source, folder = tmp_path / "model", tmp_path / "tuned"
    began = json.loads((source / "best/evaluation.json").read_text())
    worse = ("--learning_rate", 50, "--learning_rate_schedule", "constant")
    printed = run("--warm_start", source, *worse, folder="tuned", steps=2)
    assert "No checkpoint does better" in printed
    best = checkpoint.best_checkpoint(str(folder))
    assert (Path(best).parent.name, step_of(best)) == ("best", 0)
    kept = json.loads((folder / "best/evaluation.json").read_text())
    assert kept["loss"] == pytest.approx(began["loss"], 1e-4)
    # The source's factor need not be the best one for the photos to test on.
    assert kept["saturation"] == began["saturation"] and "ab_rmse_saturated" not in kept
    assert f"chroma times {began['saturation']:.2f}, as for the model that" in printed


def test_in_a_cluster_the_evaluator_measures_what_training_starts_from(run, tmp_path, monkeypatch):
    start = ("--warm_start", tmp_path / "model")
    with unmeasured():
        run(folder="model", steps=2)
        run(*start, folder="tuned", steps=1)
    # As the evaluator finds it that begins together with the chief.
    folder = tmp_path / "tuned"
    for path in folder.glob("model.ckpt-1.*"):
        path.unlink()
    shutil.rmtree(folder / "best")
    state = 'model_checkpoint_path: "model.ckpt-0"\n'
    (folder / "checkpoint").write_text(state)
    jobs = {"chief": ["localhost:1"]}
    task = {"cluster": jobs, "task": {"type": "evaluator", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(task))
    monkeypatch.setattr(cluster, "evaluate_until_trained", lambda *_: None)
    run(*start, folder="tuned", steps=1, brief=())
    assert step_of(folder / "best" / "model.ckpt-0") == 0

    def first_checkpoint(model_dir):
        """The chief starts when there is a photo more."""
        more = [*held_out.read(folder / "held_out.json"), held_out.HeldOut("new.jpg", 1, "ab")]
        held_out.write(folder / "held_out.json", more)
        return str(folder / "model.ckpt-0")

    monkeypatch.setattr(cluster, "first_checkpoint", first_checkpoint)
    with pytest.raises(UserError, match="start this task again"):
        run(*start, folder="tuned", steps=1, brief=())


@pytest.mark.usefixtures("no_evaluations")
def test_a_warm_start_of_a_checkpoint_under_another_name(run, tmp_path):
    run(folder="model", steps=2)
    kept = tmp_path / "kept"
    kept.mkdir()
    shutil.copy(tmp_path / "model" / "settings.json", kept)
    for path in (tmp_path / "model").glob("model.ckpt-2.*"):
        shutil.copy(path, kept / path.name.replace("model.ckpt-2", "mine"))
    printed = run("--warm_start", kept / "mine", folder="tuned", steps=1)
    assert re.search(r"What fits: (\d+) of \1 variables", printed)


@pytest.mark.usefixtures("no_evaluations")
def test_a_warm_start_takes_over_the_settings(run, tmp_path):
    run("--chroma_scale", 5, "--normalization", "none")
    start = ("--warm_start", tmp_path / "model")
    run(*start, "--global_channels", 4, folder="tuned", steps=1)
    settings = stored_settings(str(tmp_path / "tuned"))
    taken_over = settings["chroma_scale"], settings["normalization"], settings["global_channels"]
    assert taken_over == (5, "none", 4)
    with pytest.raises(UserError, match=f"{tmp_path / 'model'}, which has none; leave one of them"):
        run(*start, "--normalization", "batch", folder="other", steps=1)


@pytest.mark.usefixtures("no_evaluations")
def test_what_a_failed_start_has_stored_does_not_count(run, tmp_path, monkeypatch):
    """Its first checkpoint could not be saved, so that the next try is of a new model."""
    with monkeypatch.context() as patch:
        patch.setattr(training.hooks.OnSave, "after_save", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run()
    assert (tmp_path / "model" / "trained_on.json").exists()
    for path in (tmp_path / "model").glob("*ckpt*"):
        path.unlink()
    (tmp_path / "model" / "checkpoint").unlink()
    printed = run("--test_data", tmp_path / "train", "--train_data", tmp_path / "test")
    assert "as large as" not in printed and "Not training on" not in printed


@pytest.mark.usefixtures("no_evaluations")
def test_what_is_stored_counts_as_long_as_the_best_checkpoint_is_there(run, tmp_path):
    folder = tmp_path / "model"
    run()
    for path in [*folder.glob("*ckpt*"), folder / "checkpoint"]:
        path.unlink()
    for contradiction, message in (
        (["--normalization", "none"], "was trained with --normalization batch, not none"),
        (["--warm_start", tmp_path / "other"], "began with nothing, not with .*other"),
    ):
        with pytest.raises(UserError, match=message):
            run(*contradiction)
    (folder / "settings.json").unlink()
    with pytest.raises(UserError, match=r"no settings\.json; restore it \(the folder best"):
        run()
    shutil.copy(folder / "best" / "settings.json", folder)
    printed = run("--test_data", tmp_path / "train", "--train_data", tmp_path / "test")
    assert "3 of 3 photos to test on are as large as" in printed


@pytest.mark.usefixtures("no_evaluations")
@movable
def test_a_model_that_is_moved_during_its_training(run, tmp_path, monkeypatch):
    def moved(*_):
        (tmp_path / "model").rename(tmp_path / "moved")

    monkeypatch.setattr(training.held_out, "copy", moved)
    with pytest.raises(UserError, match="model was moved, removed or unmounted during the train"):
        run()


@pytest.mark.usefixtures("no_evaluations")
def test_few_photos_are_trained_on_for_fewer_steps(photo_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("colorization.data.split._STEPS", (2, 4))
    folder = str(photo_folder(3))
    command = ["--train_data", folder, "--test_data", folder, "--model_dir", str(tmp_path / "m")]
    command += ["--batch_size", "1", "--global_channels", "3"]
    train.run(network, parse("color_global", command))
    assert step_of(checkpoint.latest_checkpoint(str(tmp_path / "m"))) == 3


@pytest.mark.usefixtures("no_evaluations")
def test_one_step_is_traced(run, tmp_path):
    run("--profile", 2)
    tags = [
        event.tagged_run_metadata.tag
        for path in (tmp_path / "model").glob("events*")
        for event in tf.compat.v1.train.summary_iterator(str(path))
        if event.HasField("tagged_run_metadata")
    ]
    assert tags == ["step 2"]


@pytest.mark.parametrize("steps_between", [1, 100])
def test_a_loss_that_is_not_finite_stops_training(run, tmp_path, caplog, steps_between):
    """Found by an evaluation, or by the next step."""
    with unmeasured():
        run(steps=1)
    with pytest.raises(UserError, match=r"no longer finite; the last good checkpoint is .*ckpt-1:"):
        run("--learning_rate", 1e38, "--save_checkpoints_steps", steps_between, steps=9)
    assert "damaged" not in caplog.text
    with unmeasured():
        run("--learning_rate", 1e-5, steps=2)
    assert step_of(checkpoint.latest_checkpoint(str(tmp_path / "model"))) == 2


def test_all_workers_know_the_classes_of_all_photos(photo_folder, tmp_path, monkeypatch):
    """Neither of the two has photos of all classes among its own."""
    photos = photo_folder(4, name="train")
    photo_folder(1, name="test")
    for number, name in enumerate(("cat", "cat", "dog", "emu")):
        (photos / name).mkdir(exist_ok=True)
        (photos / f"colour{number}.png").rename(photos / name / f"{number}.png")
    cluster = {"chief": ["localhost:1"], "worker": ["localhost:2"], "ps": ["localhost:3"]}
    found = []
    for kind in ("chief", "worker"):
        task = {"cluster": cluster, "task": {"type": kind, "index": 0}}
        monkeypatch.setenv("TF_CONFIG", json.dumps(task))
        monkeypatch.setattr(
            "colorization.modes.train.train_task",
            lambda network, options, *others: found.append(options.class_names),
        )
        monkeypatch.setattr("colorization.training.cluster.report_finished", lambda task: None)
        monkeypatch.setattr("colorization.training.checkpoint.latest_checkpoint", lambda folder: "")
        command = [
            "--classes", "--train_data", str(tmp_path / "train"),
            "--test_data", str(tmp_path / "test"), "--model_dir", str(tmp_path / "model"),
        ]  # fmt: skip
        train.run(network, parse("color_global", command))
    assert found == [("cat", "dog", "emu")] * 2


def test_xla_compiles_the_network(run, tmp_path):
    """It runs in a process of its own, because TensorFlow decides before it looks for devices."""
    script = (
        "from test_training import network, unmeasured; from colorization.main import run; "
        "unmeasured().start(); run('color_global', network)"
    )
    tests = Path(__file__).parent
    done = subprocess.run(
        [
            sys.executable, "-c", script, "--xla",
            "--train_data", str(tmp_path / "train"), "--test_data", str(tmp_path / "test"),
            "--model_dir", str(tmp_path / "model"), "--max_steps", "2", "--batch_size", "2",
            "--global_channels", "3", "--half_size_share", "0", "--profile", "2",
            "--save_checkpoints_steps", "100",
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (tests.parent, tests)))},
        capture_output=True,
        text=True,
        timeout=HANG,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    traces = [
        event.tagged_run_metadata.run_metadata
        for path in (tmp_path / "model").glob("events*")
        for event in tf.compat.v1.train.summary_iterator(str(path))
        if event.HasField("tagged_run_metadata")
    ]
    assert len(traces) == 1
    assert b"_XlaRun" in traces[0]


@pytest.mark.usefixtures("no_evaluations")
def test_accumulation_counts_steps_not_batches(run, tmp_path):
    assert "3 photos" in run("--accumulate_steps", 3, "--batch_size", 1, steps=2)
    assert step_of(checkpoint.latest_checkpoint(str(tmp_path / "model"))) == 2


def test_classes_come_from_folders(run, tmp_path, colourful):
    for name in ("cat", "dog"):
        (tmp_path / "train" / name).mkdir(parents=True)
        for number in range(2):
            Image.fromarray(colourful(40, 40, number)).save(
                tmp_path / "train" / name / f"{number}.png"
            )
    # The others lie in `test` too, which are not trained on.
    Image.fromarray(colourful(40, 40, 9)).save(tmp_path / "train" / "colour0.png")
    printed = run("--classes", steps=1)
    settings = stored_settings(str(tmp_path / "model"))
    assert settings["classes"] == ["cat", "dog", "train"]
    assert "class accuracy" not in printed  # no test photo lies in one of these folders
    (tmp_path / "test" / "cat").mkdir()
    (tmp_path / "test" / "colour0.png").rename(tmp_path / "test" / "cat" / "0.png")
    assert "class accuracy" in run(mode=evaluate)
    prepare([str(path) for path in (tmp_path / "train").rglob("*.png")], str(tmp_path / "shards"))
    with unmeasured():
        # Without the option, training goes on with the classes it has.
        run(steps=2)
        run("--classes", "--train_data", tmp_path / "shards", folder="prepared", steps=1)
    settings = stored_settings(str(tmp_path / "prepared"))
    assert settings["classes"] == ["cat", "dog"]


def test_rebalanced_training(run, tmp_path):
    with unmeasured():
        run("--loss", "rebalanced")
    frequencies = tf.train.load_variable(
        str(tmp_path / "model" / "model.ckpt-3"), "colour_frequencies/moving_histogram"
    )
    assert frequencies.sum() == pytest.approx(1, 1e-4)
    assert np.ptp(frequencies) > 0.01
    run(mode=evaluate)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--profile", "9"], "--profile 9 is beyond the last step, 3"),
        (["--classes"], "--classes needs photos in several folders"),
        (["--warm_start", "nowhere"], "no checkpoint at nowhere; name a model's folder"),
    ],
)
def test_refusals(run, tmp_path, arguments, message):
    with pytest.raises(UserError, match=message):
        run(*arguments)
    assert not (tmp_path / "model").exists()


def test_a_warm_start_with_nothing_in_common_is_refused(run, tmp_path):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.get_variable("something", [2])
        tf.compat.v1.train.get_or_create_global_step()
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, str(tmp_path / "other"))
    with pytest.raises(UserError, match=f"{re.escape(str(tmp_path / 'other'))} has no variable in"):
        run("--warm_start", tmp_path / "other")


@pytest.mark.usefixtures("no_evaluations")
def test_settings_bind_with_the_first_checkpoint(run, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.train.get_or_create_global_step()
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, str(source / "model.ckpt"), global_step=0)
    with pytest.raises(UserError, match="no variable in common"):
        run("--chroma_scale", 1, "--warm_start", source / "model.ckpt-0")
    assert stored_settings(str(tmp_path / "model")) is None
    run("--chroma_scale", 9, steps=1)
    assert stored_settings(str(tmp_path / "model"))["chroma_scale"] == 9


def test_evaluating_other_photos_leaves_the_training_curves_alone(run, tmp_path, photo_folder):
    with unmeasured():
        run(steps=2)
    before = {path: path.read_bytes() for path in (tmp_path / "model").rglob("events*")}
    run("--test_data", photo_folder(1, name="other"), mode=evaluate)
    after = {path: path.read_bytes() for path in (tmp_path / "model").rglob("events*")}
    assert after == before
    assert json.loads((tmp_path / "model" / "evaluation.json").read_text())["photos"] == 1


@pytest.mark.usefixtures("no_evaluations")
def test_a_trained_model_goes_on_at_full_size(run, tmp_path):
    spy, made = watched(tmp_path / "model")
    run("--half_size_share", 0.5, network=spy, steps=4)
    # Half of these steps would be at half size, had the model never seen photos at full size.
    run(network=spy, steps=10, brief=("--save_checkpoints_steps", 100))
    assert made == [(112, 0), (224, 2), (224, 4)]
    (tmp_path / "model" / "full_size.json").write_text("{")
    with pytest.raises(UserError, match=r"full_size\.json is damaged; restore it, or remove it"):
        run(steps=20, brief=())


@pytest.mark.usefixtures("no_evaluations")
def test_only_photos_that_were_seen_count_as_trained_on(run):
    assert "Trained on 2 of 3 photos, 0 gray left out, 0 unreadable." in run(steps=1)
    assert "Trained on 3 photos, 0 gray left out, 0 unreadable." in run(steps=4)


@pytest.mark.usefixtures("no_evaluations")
def test_a_training_that_goes_on_lists_what_it_has_not_come_to(run, tmp_path, monkeypatch):
    run(steps=1)
    kept, gone = (f"{tmp_path / 'train' / name}\tdamaged\n" for name in ("colour0.png", "gone.png"))
    listed = tmp_path / "model" / "unreadable.txt"
    listed.write_text(kept + gone)
    with monkeypatch.context() as patch, pytest.raises(OSError, match="full"):
        patch.setattr(train, "train_task", full_disk)
        run(steps=2)
    assert listed.read_text() == kept
    run(steps=2)
    assert not listed.exists()
