"""``list`` and ``show`` print whatever kind of page is declared, and its registry's entries where none is."""

import pytest
from click.testing import CliRunner

from mini_repr.cli import main
from mini_repr.pages import registry
from mini_repr.pages.arguments import Fraction, Positive
from mini_repr.pages.declare import Function
from mini_repr.pages.page import Page, variant


def hidden(rng, batch, ratio: Fraction = 0.75):
    """Hidden patches: a share of them, at random."""


class Descent:
    """Descent: a step against the gradient."""

    def __init__(self, parameters, lr: Positive = 0.1):
        self.lr = lr


@pytest.fixture
def run(monkeypatch):
    mask = Function("mask", hidden, "092", variants={"half": variant("half of them", ratio=0.5)})
    for page in (mask, Page("optimiser", Descent, ("092", "067"), name="descent")):
        monkeypatch.setitem(registry._pages, (page.kind, page.name), page)
    return lambda *args: CliRunner().invoke(main, args).output


def test_declared_kinds_are_listed_with_their_papers(run):
    tables = {table.split()[0]: " ".join(table.split()) for table in run("list").split("\n\n")}
    assert "hidden 092 Hidden patches: a share of them, at random. Variants: half." in tables["masks"]
    assert "descent 092 067 Descent: a step against the gradient" in tables["optimisers"]
    assert {"losses", "methods", "encoders", "metrics", "claims"} <= tables.keys()


def test_a_declared_page_is_shown(run):
    shown = run("show", "hidden")
    for part in ("mask hidden", "paper 092", "ratio  default 0.75  (>= 0 and <= 1)", "half  half of them (ratio=0.5)"):
        assert part in shown
    assert "def hidden(" in shown and "def hidden(" not in run("show", "hidden", "--no-code")
    shown = run("show", "descent")
    assert "settings, for --set\n  optimizer.lr  default 0.1  (> 0)" in shown and "class Descent" in shown


@pytest.mark.parametrize(
    ("name", "parts", "code"),
    [
        ("softmax", ("primitive softmax (mini_repr.autograd.primitives.softmax)", "softmax(x, /)"), "def backward(g)"),
        ("within_logsumexp", ("primitive within_logsumexp (mini_repr.kernels.", "apart=None"), "def backward(g)"),
        ("shift", ("view shift: mini-repr train", "pixels   default 1.0"), "class Shift"),
    ],
)
def test_primitives_and_views_are_shown(run, name, parts, code):
    assert all(part in run("show", name) for part in (*parts, code))
    assert code not in run("show", name, "--no-code")


def test_a_loss_and_a_primitive_of_one_name_are_both_shown(run):
    shown = run("show", "sparsemax")
    assert shown.index("loss sparsemax (") < shown.index("primitive sparsemax (")


def test_primitives_and_views_are_listed(run):
    assert "softmax" in run("list", "--primitives") and "within_logsumexp" in run("list", "--primitives")
    assert "shift" in run("list", "--views") and run("list", "--views") in run("list") + "\n"
