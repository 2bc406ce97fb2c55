"""Tables and paragraphs of the terminal: folded to its width, without losing or breaking a word."""

import importlib

import pytest

from mini_repr.pages.page import KINDS
from mini_repr.pages.registry import pages_of
from mini_repr.pages.tables import UNFOLDED, folded, numbers, table, terminal_width, whole

PAGES = [pytest.param(page, id=page.name) for kind in KINDS for page in pages_of(kind).values()]


def widest(text):
    return max(map(len, text.splitlines()))


def test_the_width_is_what_the_terminal_says_and_else_80(monkeypatch):
    monkeypatch.setenv("COLUMNS", "61")
    assert terminal_width() == 61 and widest(table("words", [("a", "x " * 40)])) == 60
    monkeypatch.delenv("COLUMNS")
    monkeypatch.setattr("sys.__stdout__", None)
    assert terminal_width() == 80


def test_the_last_column_is_folded_under_itself():
    rows = [("one", 1, "a text that does not fit"), ("three", 2, "short"), ("x", 3, "")]
    assert (
        table("title", rows, 33)
        == "title\n  one    1  a text that does not\n            fit\n  three  2  short\n  x      3"
    )
    assert table("title", []) == ""
    assert table("", [("a", "b")]) == "  a  b"


def test_what_has_no_room_stands_below():
    rows = [("a name of some length", "a text that is longer than the room"), ("b", "short")]
    assert table("", rows, 36) == (
        "  a name of some length\n      a text that is longer than the\n      room\n  b                      short"
    )


def test_what_people_copy_is_not_broken():
    command = "mini-repr train --loss infonce --variant nt_xent"
    shown = table("", [("simclr", whole(command)), ("x", "/a/path/that-is-long/" * 3)], 40)
    assert command in shown and "/a/path/that-is-long/" * 3 in shown
    assert folded(f"so: {whole(command)} and more", 30) == f"so:\n{command}\nand more"


def test_numbers_stand_to_the_right_and_go_on_below():
    rows = [["", "first", "second", "third"], ["ours", "1.0", "22.00", "3"], ["b", "-1.0", "2.00", "333333"]]
    assert numbers(rows, 20) == (
        "      first  second\nours    1.0   22.00\nb      -1.0    2.00\n       third\nours       3\nb     333333"
    )
    assert numbers(rows, UNFOLDED).count("\n") == 2


def test_prose_is_filled_and_entries_hang():
    text = """First line of prose that goes on
and on.

    formula = of two parts,      where = that

    "one"   a text that needs some more room

Args:
    name: a word that
        goes on below. other: one more
    last: x
* a point of a list
  that goes on
* the next"""
    assert (
        folded(text, 30)
        == """First line of prose that goes
on and on.

    formula = of two parts,
        where = that

    "one"
        a text that needs some
        more room

Args:
    name: a word that goes on
        below. other: one more
    last: x
* a point of a list that goes
  on
* the next"""
    )
    assert folded(text, 99) == text


@pytest.mark.parametrize("page", PAGES)
def test_no_page_loses_a_word(page):
    for width in (40, 80):
        shown = folded(page.text, width)
        assert shown.split() == page.text.split()
        longest = max(map(len, page.text.split()))
        assert widest(shown) <= max(width, longest + 16)
    assert widest(folded(page.text, 80)) <= 80


def test_generated_data_lose_no_word():
    text = importlib.import_module("mini_repr.data.generated.scenes").__doc__
    assert folded(text, 50).split() == text.split()
