"""The suite as a package: what is in it, and what importing it costs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from encoding import odd_tiff

from colorization.errors import UserError

ROOT = Path(__file__).resolve().parent.parent


def test_importing_it_does_not_import_tensorflow():
    code = "import colorization, sys; assert 'tensorflow' not in sys.modules; colorization.Nothing"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stderr.rstrip().endswith("module 'colorization' has no attribute 'Nothing'")


def test_its_decoders_leave_warnings_and_logs_to_the_program_around_them(colourful, tmp_path):
    (tmp_path / "photo.tif").write_bytes(odd_tiff(colourful(20, 30)))
    code = (
        "import sys; from colorization.decoding.decode import open_photo;"
        "open_photo(open(sys.argv[1], 'rb').read())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "photo.tif")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "UserWarning: Truncated File Read" in done.stderr
    assert "invalid value offset" in done.stderr


def test_it_offers_the_colorizer(model_folder, colourful):
    from colorization import Colorizer

    photo = colourful(24, 32)
    assert Colorizer(model_folder()).colorize(photo).shape == (24, 32, 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda settings: settings.pop("normalization"), "another version"),
        (lambda settings: settings.update(chroma_scale="wide"), "chroma_scale is 'wide'"),
    ],
)
def test_damaged_settings_are_named(model_folder, tmp_path, change, words):
    from colorization import Colorizer

    for file in Path(model_folder()).iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    settings = json.loads((tmp_path / "settings.json").read_text())
    change(settings)
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    with pytest.raises(UserError, match=words):
        Colorizer(str(tmp_path))


def test_a_script_that_is_not_installed_is_named(model_folder, monkeypatch):
    from colorization import Colorizer

    monkeypatch.delitem(sys.modules, "color_global", raising=False)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if Path(path).resolve() != ROOT])
    monkeypatch.setattr(sys, "meta_path", [f for f in sys.meta_path if "editable" not in repr(f)])
    with pytest.raises(UserError, match=r"color_global\.py is not installed"):
        Colorizer(model_folder())


def test_everything_of_the_package_is_installed():
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 and later have it")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert {f"{name}.py" for name in settings["py-modules"]} == {p.name for p in ROOT.glob("*.py")}
    patterns = settings["package-data"]["*"]
    for path in (ROOT / "colorization").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert path.suffix == ".py" or any(path.match(pattern) for pattern in patterns), path
            assert (path.parent / "__init__.py").exists()
    extras = {extra["file"] for extra in settings["dynamic"]["optional-dependencies"].values()}
    listed = {path.name for path in ROOT.glob("requirements-*.txt")} - {"requirements-dev.txt"}
    assert extras == listed
