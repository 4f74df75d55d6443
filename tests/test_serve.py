"""The command `--mode serve`: models, addresses, accounts, and its end."""

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from platforms import HANG
from serving import PRECISION, colorize, free_port, get, gradio_client, post, wait_for

from colorization.errors import UserError
from colorization.files import write_json
from colorization.modes import serve
from colorization.options import parse
from colorization.prediction.export import export_weights
from colorization.program import exit_code
from colorization.server import app, jobs
from colorization.server.addresses import parse_public_url
from colorization.training import general_model
from colorization.training.model_folder import BEST, EVALUATION

pytest_plugins = ["serving_fixtures"]

ROOT = Path(__file__).resolve().parent.parent


def test_behind_a_proxy_it_needs_to_be_told_the_address(server, loaded, photos):
    there = {"Host": "photos.example", "X-Forwarded-Proto": "https"}
    refused = get(server.url, headers=there)
    assert refused.status_code == 403
    assert "--public_url https://photos.example" in refused.text
    public_url = parse_public_url("https://photos.example/colour")
    port = free_port()
    with app.serving(loaded, {}, port=port, public_url=public_url) as url:
        assert url == "https://photos.example/colour"
        here = f"http://127.0.0.1:{port}"
        for headers in ({}, there, {"Host": "upstream", "X-Forwarded-Host": "inner.example"}):
            for folder in ("", "/colour"):
                config = get(f"{here}{folder}/config", headers=headers).json()
                assert config["root"] == url
        for origin, status in ((None, 200), ("https://photos.example", 200), ("http://a.b", 403)):
            headers = {"Origin": origin} if origin else {}
            with open(photos[0], "rb") as file:
                files = {"files": ("gray.png", file)}
                answer = post(f"{here}/gradio_api/upload", files=files, headers=headers)
            assert answer.status_code == status


def test_accounts_are_asked_for(loaded, photos):
    with app.serving(loaded, {}, port=free_port(), accounts=[("ada", "s:cret")]) as url:
        assert get(f"{url}/config").status_code == 401
        with open(photos[0], "rb") as file:
            answer = post(f"{url}/gradio_api/upload", files={"files": file})
        assert answer.status_code == 401
        with pytest.raises(Exception, match=r"[Cc]redentials|login"):
            gradio_client.Client(url, verbose=False, auth=("ada", "guess"))
        client = gradio_client.Client(url, verbose=False, auth=("ada", "s:cret"))
        with contextlib.closing(client):
            assert set(colorize(client, photos[:1])[0]) == {"gray.png"}
            # The browser of somebody who has logged in sends the cookie for other sites as well.
            for origin, status in ((url, 200), ("http://evil.example", 403)):
                headers = {"origin": origin}
                answer = get(f"{url}/config", cookies=client.cookies, headers=headers)
                assert answer.status_code == status


def test_accounts_come_from_a_file_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("COLORIZE_AUTH", raising=False)
    assert app.read_accounts(None) == []
    monkeypatch.setenv("COLORIZE_AUTH", "ada:a:b")
    assert app.read_accounts(None) == [("ada", "a:b")]
    # Gradio leaves out blanks around the name that somebody logs in with, not the password.
    (tmp_path / "accounts").write_text("bob:c\n\neve : d d\n")
    assert app.read_accounts(str(tmp_path / "accounts")) == [("bob", "c"), ("eve", " d d")]
    # As editors and PowerShell on Windows write it.
    for encoding in ("utf-8-sig", "utf-16"):
        (tmp_path / "accounts").write_text("bob:ä\r\n", encoding)
        assert app.read_accounts(str(tmp_path / "accounts")) == [("bob", "ä")]
    for text in ("no colon", " : password", "user: ", ""):
        (tmp_path / "accounts").write_text(text)
        with pytest.raises(UserError, match="user:password"):
            app.read_accounts(str(tmp_path / "accounts"))
    (tmp_path / "accounts").write_text("bob:ä", "cp1252")
    for name, why in (("accounts", "not in UTF-8"), ("missing", "no such file")):
        with pytest.raises(UserError, match=rf"cannot read --auth_file .* \({why}"):
            app.read_accounts(str(tmp_path / name))


def test_files_are_still_removed_after_it_failed_once(loaded, monkeypatch):
    calls, swept = [], threading.Event()

    def sweep(sessions):
        calls.append(sessions)
        if len(calls) == 1:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        swept.set()

    monkeypatch.setattr(app, "_SWEEP_SECONDS", 0.01)
    monkeypatch.setattr(app.Sessions, "sweep", sweep)
    with app.serving(loaded, {}, port=free_port()):
        assert swept.wait(HANG)


def test_a_port_in_use_is_explained(server, loaded):
    port = int(server.url.rpartition(":")[2])
    with (
        pytest.raises(UserError, match=f"port {port} is in use"),
        app.serving(loaded, {}, port=port),
    ):
        pass


def test_an_address_of_another_machine_is_explained(loaded):
    with (
        pytest.raises(UserError, match=r"\([\w' ]+\); choose others with --host"),
        app.serving(loaded, {}, host="192.0.2.1", port=free_port()),
    ):
        pass


def test_the_general_models_are_among_those_to_choose(models, tmp_path, monkeypatch):
    for name in ("color", "color_global"):
        export_weights(str(models / name), tmp_path / name)
        figures = {"loss": 1.0, "evaluations_since": 0}
        write_json(tmp_path / name / BEST / EVALUATION, figures)
    monkeypatch.setattr(general_model, "_PLACE", tmp_path)
    general = ["pretrained/color", "pretrained/color_global"]
    offered = jobs.Models(str(models / "color"), PRECISION)
    assert offered.default == "color"
    assert offered.names == ["color", "color_global", *general]
    assert offered.with_style == ["color_global", "pretrained/color_global"]
    assert offered.colorizer("pretrained/color_global")
    alone = jobs.Models(str(tmp_path / "color_global"), PRECISION)
    assert alone.default == "pretrained/color_global"
    assert alone.full_name("color_global") == "pretrained/color_global"
    assert offered.full_name("color_global") == "color_global"
    assert alone.full_name(["nonsense"]) == ["nonsense"]
    assert sorted(alone.names) == general


def test_an_untrained_model_is_explained(tmp_path):
    with pytest.raises(UserError, match="no trained model"):
        jobs.Models(str(tmp_path), PRECISION)


def test_a_missing_package_is_explained(monkeypatch):
    for module in ("modes.serve", "server.app", "server.jobs"):
        monkeypatch.delitem(sys.modules, f"colorization.{module}")
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(UserError, match=r"pip install -r requirements-serve\.txt"):
        import colorization.modes.serve  # noqa: F401


def test_proxies_that_gradio_does_not_know_are_in_nobodys_way():
    code = "import colorization.modes.serve"
    proxies = dict.fromkeys(["ALL_PROXY", "all_proxy"], "socks://127.0.0.1:1080/")
    environment = {**os.environ, **proxies, "NO_PROXY": "[::1],localhost"}
    subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, timeout=HANG, check=True
    )


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_signals_end_it(models, loaded, monkeypatch, tmp_path, capsys, name):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(serve, "Models", lambda *_: loaded)
    port, former_folder = free_port(), app.gr.routes.DEFAULT_TEMP_DIR
    arguments = ["--mode", "serve", "--port", str(port)]
    options = parse("color_global", [*arguments, "--model_dir", str(models / "color_global")])
    answers = []

    def stop():
        wait_for(lambda: "Ctrl-C" in capsys.readouterr().out)
        answers.append(get(f"http://127.0.0.1:{port}").status_code)
        signal.raise_signal(getattr(signal, name))

    stopper = threading.Thread(target=stop)
    stopper.start()
    try:
        with pytest.raises(SystemExit) as raised:
            exit_code(lambda: serve.run(None, options))
    finally:
        stopper.join()
    assert answers == [200]
    assert raised.value.code == 128 + getattr(signal, name)
    assert not list(tmp_path.iterdir())
    assert former_folder == app.gr.routes.DEFAULT_TEMP_DIR
    with socket.create_server(("127.0.0.1", port)):
        pass
