"""Jobs on a server: beside each other, cancelled, and ended with their session and its files."""

import contextlib
import errno
import os
import threading
from pathlib import Path

import pytest
from platforms import HANG
from serving import colorize, gradio_client, post, stream, wait_for

from colorization.prediction.colorize import Colorizer
from colorization.prediction.memory_budget import MemoryBudget

pytest_plugins = ["serving_fixtures"]


def test_many_jobs_of_one_client_all_come_back(client, predicted, photos):
    files = [gradio_client.handle_file(path) for path in photos]
    submitted = [client.submit(files, api_name="/colorize") for _ in range(30)]
    for job in submitted:
        pictures, problems = job.result(timeout=HANG)
        assert problems == {}
        assert {Path(path).name for path in pictures} == {"gray.png", "photo.jpg"}
        assert all(Path(path).stat().st_size for path in pictures)


def test_a_cancelled_job_ends(client, server, photos, monkeypatch):
    begun, ended = threading.Event(), threading.Event()

    def slow(*_):
        begun.set()
        assert ended.wait(HANG)
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(Colorizer, "predict", slow)
        job = client.submit([gradio_client.handle_file(photos[0])], api_name="/colorize")
        assert begun.wait(HANG)
        job.cancel()
        ended.set()
    assert set(colorize(client, photos)[0]) == {"gray.png", "photo.jpg"}


def test_a_cancelled_job_takes_no_other_along(client, photos, monkeypatch):
    begun, ended, predict = threading.Semaphore(0), threading.Event(), Colorizer.predict

    def slow(*arguments):
        begun.release()
        assert ended.wait(HANG)
        return predict(*arguments)

    monkeypatch.setattr(Colorizer, "predict", slow)
    files = [gradio_client.handle_file(photos[0])]
    running = [client.submit(files, api_name="/colorize") for _ in range(6)]
    begun.acquire()
    for cancelled in (running[0], running[5]):
        assert cancelled.cancel()
    ended.set()
    for job in running[1:5]:
        assert job.result(timeout=300)[1] == {}


def test_jobs_on_large_photos_wait_for_memory(client, photos, monkeypatch):
    taken, predict, two, met = MemoryBudget.taken, Colorizer.predict, threading.Barrier(2), []

    def noted(*arguments):
        with contextlib.suppress(threading.BrokenBarrierError):
            met.append(two.wait(timeout=0.5))
        return predict(*arguments)

    # As if each photo needed more than there is, with which it goes ahead alone.
    monkeypatch.setattr(MemoryBudget, "taken", lambda memory, _: taken(memory, 2**60))
    monkeypatch.setattr(Colorizer, "predict", noted)
    files = [gradio_client.handle_file(photos[0])]
    submitted = [client.submit(files, api_name="/colorize") for _ in range(2)]
    for job in submitted:
        assert job.result(timeout=HANG)[1] == {}
    assert two.broken and not met


def full_disk(self, *_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_named_and_what_was_coloured_before_is_given(
    client, server, photos, monkeypatch
):
    write, before = Path.write_bytes, server.files()

    def partly(path, data):
        return full_disk(path) if path.stem == "1" else write(path, data)

    monkeypatch.setattr(Path, "write_bytes", partly)
    pictures, problems = colorize(client, photos)
    assert set(pictures) == {"gray.png"}
    assert problems == {"photo.jpg": "on the server, the disk is full"}
    left = [path.stem for path in server.files() - before]
    assert "0-coloured" in left
    assert not {"1", "1-gray", "1-coloured"}.intersection(left)
    monkeypatch.setattr(Colorizer, "predict", full_disk)
    with pytest.raises(gradio_client.exceptions.AppError, match="On the server, the disk is full"):
        colorize(client, photos)


def test_a_disk_that_is_too_full_for_a_folder_is_named(client, server, photos, monkeypatch):
    make = Path.mkdir

    def but_for_results(path, *arguments, **settings):
        # Folders of uploads may be there already.
        if path.parent == server.folder and not settings.get("exist_ok"):
            full_disk(path)
        make(path, *arguments, **settings)

    files = [gradio_client.handle_file(path) for path in photos]
    monkeypatch.setattr(Path, "mkdir", but_for_results)
    with pytest.raises(gradio_client.exceptions.AppError, match="On the server, the disk is full"):
        client.predict(files, api_name="/colorize")


def test_an_upload_to_a_full_disk_is_named(server, monkeypatch, caplog):
    monkeypatch.setattr("gradio.route_utils.GradioUploadFile.write", full_disk, raising=True)
    sent = {"files": ("photo.jpg", b"anything")}
    answer = post(f"{server.url}/gradio_api/upload", files=sent)
    assert (answer.status_code, answer.text) == (507, "on the server, the disk is full")
    assert f"{server.folder}: the disk is full" in caplog.messages
    # What had come goes right after the answer, and makes room for others.
    assert wait_for(lambda: all(path.is_dir() for path in server.folder.iterdir()))


def test_a_second_user_does_not_wait_for_the_first(client, server, photos, monkeypatch):
    begun, go_on, predict = threading.Event(), threading.Event(), Colorizer.predict

    def slow(*arguments):
        if not begun.is_set():
            begun.set()
            assert go_on.wait(HANG)
        return predict(*arguments)

    monkeypatch.setattr(Colorizer, "predict", slow)
    first = client.submit([gradio_client.handle_file(photos[0])], api_name="/colorize")
    assert begun.wait(HANG)
    with contextlib.closing(gradio_client.Client(server.url, verbose=False)) as second:
        pictures, _ = colorize(second, photos[1:])
    assert list(pictures) == ["photo.jpg"]
    assert not first.done()
    go_on.set()
    assert len(first.result(timeout=HANG)[0]) == 1


def test_files_go_when_the_session_ends(server, client, photos):
    before = server.files()
    heartbeat = f"{server.url}/gradio_api/heartbeat/{client.session_hash}"
    with stream("GET", heartbeat) as events:
        lines = events.iter_lines()
        next(lines)
        colorize(client, photos)
        # Not their number: files of the sessions of earlier tests may be going meanwhile.
        assert server.files() - before
    wait_for(lambda: server.files() <= before)


def test_a_job_stops_quietly_when_its_session_ends(server, client, photos, monkeypatch, capsys):
    before, predict = server.files(), Colorizer.predict
    begun, ended = threading.Semaphore(0), threading.Event()

    def slow(*arguments):
        begun.release()
        assert ended.wait(HANG)
        return predict(*arguments)

    monkeypatch.setattr(Colorizer, "predict", slow)
    heartbeat = f"{server.url}/gradio_api/heartbeat/{client.session_hash}"
    with stream("GET", heartbeat) as events:
        lines = events.iter_lines()
        next(lines)
        files = [gradio_client.handle_file(path) for path in photos]
        job = client.submit(files, api_name="/colorize")
        assert begun.acquire(timeout=HANG)
    wait_for(lambda: server.files() <= before)
    ended.set()
    with pytest.raises(gradio_client.exceptions.AppError, match="session has ended"):
        job.result(timeout=HANG)
    # The second photo is not begun.
    assert not begun.acquire(blocking=False)
    assert "Traceback" not in capsys.readouterr().err
