"""The chapters: tables are those of the data, Python and commands are valid, links lead to files."""

import re
import shlex
import textwrap
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from mini_repr.book.chapters import CHAPTERS, FOLDER, TABLES, chapter, with_table
from mini_repr.cli import main
from mini_repr.training.moved import SETTINGS

TEXTS = {name: chapter(name) for name in CHAPTERS}
COMMANDS = sorted(
    {line for text in TEXTS.values() for line in re.findall(r"^    (mini-repr [^#\n]+)", text, flags=re.MULTILINE)}
)


def test_the_chapters_are_the_files():
    assert {Path(str(path)).stem for path in FOLDER.iterdir() if path.name.endswith(".md")} == set(CHAPTERS)
    assert all(text.startswith("# ") for text in TEXTS.values())


@pytest.mark.parametrize("name", TABLES)
def test_the_table_is_that_of_the_data(name):
    assert with_table(TEXTS[name], TABLES[name]()) == TEXTS[name]


@pytest.mark.parametrize("name", CHAPTERS)
def test_python_runs(name):
    names = {}
    for block in re.findall(r"^ *```python\n(.*?)```", TEXTS[name], flags=re.DOTALL | re.MULTILINE):
        if not re.search(r"import (torch|jax)", block):
            exec(compile(textwrap.dedent(block), f"{name}.md", "exec"), names)


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


@pytest.mark.parametrize("name", CHAPTERS)
def test_links_lead_to_files(name):
    links = re.findall(r"\]\((?!http)([^)#]+)", TEXTS[name])
    assert [link for link in links if not Path(str(FOLDER), link).is_file()] == []


def test_what_moved_is_there_and_was_elsewhere():
    rows = re.findall(r"^\| (.*?) \| (.*?) \|$", TEXTS["changelog"], flags=re.MULTILINE)[2:]
    assert len(rows) > 15
    for was, now in rows:
        for module in re.findall(r"`(mini_repr\.[\w.]+)`", now):
            assert find_spec(module), module
        for module in re.findall(r"`(mini_repr\.\w+\.[\w.]+)`", was):
            assert not find_spec(module), module


def test_settings_that_moved_are_told():
    moved = {f"method.{name}" for names in SETTINGS.values() for name in names}
    assert [name for name in moved if f"`{name}`" not in TEXTS["changelog"]] == []
