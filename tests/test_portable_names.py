"""Names that every file system takes, against what Python knows of Windows."""

import random
from pathlib import PureWindowsPath

import pytest

from colorization.prediction.portable_names import portable

# Python 3.13 says that this one is deprecated, for one that older ones lack.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("1950/beach (2).jpg", "1950/beach (2).jpg"),
        ("Büro/海辺.png", "Büro/海辺.png"),
        (".hidden.jpg", ".hidden.jpg"),
        ("10:30.jpg", "10_30.jpg"),
        ('a"b<c>d|e?f*g\\h.jpg', "a_b_c_d_e_f_g_h.jpg"),
        ("two\nlines\x7f.jpg", "two_lines_.jpg"),
        ("caf\udce9.jpg", "caf_.jpg"),
        ("end./blank /a.jpg", "end_/blank_/a.jpg"),
        ("nul", "nul_"),
        ("Com1.tar.png", "Com1_.tar.png"),
        ("LPT² .jpg", "LPT²_ .jpg"),
        ("console/com.jpg", "console/com.jpg"),
    ],
)
def test_what_is_refused_is_replaced(name, changed):
    assert portable(name) == changed


def test_the_ending_survives_what_is_cut():
    assert portable("a" * 300, " (2).jpg") == f"{'a' * 246}~ (2).jpg"
    name = portable("海" * 100, ".png")
    assert name == f"{'海' * 83}~.png"
    assert len(name.encode()) == 254


def test_every_name_becomes_one_that_windows_takes():
    pick = random.Random(0)
    letters = [*'aZ9 .:?*<>|"\\\x00\x1f海é²\udcff$', "con", "AUX", "lpt1", "com9", "nul"]
    for _ in range(3000):
        name = "/".join("".join(pick.choices(letters, k=pick.randint(1, 9))) for _ in range(3))
        changed = portable(name, ".png")
        for part in changed.split("/"):
            assert not PureWindowsPath(part).is_reserved(), (name, part)
            assert not set(part) & set('<>:"|?*\\'), (name, part)
            assert not part.endswith((".", " ")), (name, part)
            assert all(" " <= letter < "\ud800" for letter in part), (name, part)
        assert portable(changed) == changed
