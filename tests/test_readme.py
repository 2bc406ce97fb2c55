"""What the README promises: its Python runs, its commands exist, its table names every loss."""

import re
import shlex
import textwrap
from pathlib import Path

import click
import pytest

from mini_repr.cli import main
from mini_repr.pages.registry import all_losses

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"^    (mini-repr [^#\n]+)", README, flags=re.MULTILINE)))


def test_two_commands_do_all_the_set_up():
    assert "    python -m pip install -e . && mini-repr train --loss infonce\n" in README
    assert "    python -m pip install -e '.[test]' && python -m pytest\n" in README


def test_python_runs():
    names = {}
    blocks = re.findall(r"^ *```python\n(.*?)```", README, flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 2
    for block in blocks:
        if not re.search(r"import (torch|jax)", block):
            exec(compile(textwrap.dedent(block), "README.md", "exec"), names)


@pytest.mark.parametrize("command", COMMANDS)
def test_command_parses(command):
    """Every option of every command shown is one that the command line knows."""
    words = shlex.split(command)[1:]
    group = main
    while isinstance(group, click.Group) and words and not words[0].startswith("-"):
        group = group.get_command(None, words.pop(0))
    group.make_context("mini-repr", words, resilient_parsing=True)
    known = {option for parameter in group.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known | {"--help"}


def test_every_loss_stands_in_the_table():
    for name, loss in all_losses().items():
        assert f"| [`{name}`](mini_repr/losses/{loss.compares}/{name}.py) | `{loss.compares}/` |" in README
