"""Every generated set has a page, a line in the list and a picture."""

import pkgutil
import sys

import pytest
from click.testing import CliRunner

from mini_repr.cli import main
from mini_repr.data import GENERATED, generated
from mini_repr.data.pictures import PICTURED, draw

NAMES = [module.name for module in pkgutil.iter_modules(generated.__path__)]


def command(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def test_every_set_has_a_picture():
    assert sorted(PICTURED) == NAMES and set(GENERATED) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_set_is_shown_and_listed(name):
    shown, plain = command("show", f"data:{name}"), command("show", f"data:{name}", "--no-code")
    assert shown.exit_code == plain.exit_code == 0, shown.output
    assert any(what in shown.output for what in ("np.ndarray", "ImageSet", "CaptionedSet"))
    assert "def " not in plain.output and ("data.seed" in plain.output) == (name in GENERATED)
    assert any(line.split()[0] == name for line in command("list", "--data").output.splitlines()[1:])


@pytest.mark.parametrize("name", NAMES)
def test_every_set_is_drawn(name, tmp_path):
    pytest.importorskip("matplotlib")
    draw(name, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_wrong_names_and_places_are_answered_in_a_line(tmp_path, monkeypatch):
    for words, part in (
        (("show", "data:scene"), "'scenes'"),
        (("show", "infonce", "--plot", tmp_path / "x.png"), "mini-repr show scenes --plot FILE"),
    ):
        done = command(*words)
        assert done.exit_code == 2 and part in done.stderr and len(done.stderr.splitlines()) == 1
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    done = command("show", "data:bars", "--plot", tmp_path / "x.png")
    assert done.exit_code == 2 and "mini-repr[plot]" in done.stderr
