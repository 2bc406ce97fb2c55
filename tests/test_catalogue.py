"""The catalogue: its rows are complete and consistent, and what they point to exists."""

import importlib
import re
import subprocess
import sys
from collections import Counter
from dataclasses import FrozenInstanceError, replace
from importlib import resources

import pytest

from mini_repr.catalogue import FIDELITIES, ROOMS, STATUSES, paper, papers
from mini_repr.pages.page import KINDS
from mini_repr.pages.registry import pages_of

COUNT = 119
CLAIMED = [pytest.param(p, id=p.key) for p in papers() if p.status in ("works", "partial")]


def resolve(reference):
    """The thing that a ``where`` entry names; LookupError, ImportError or AttributeError where there is none."""
    kind, _, name = reference.partition(":")
    if kind == "module":
        path, _, attribute = name.partition(":")
        if not attribute:
            raise LookupError(f"{reference!r} names no attribute")
        return getattr(importlib.import_module(path), attribute)
    if kind not in KINDS:
        raise LookupError(f"{reference!r}: unknown kind; there are {', '.join([*KINDS, 'module'])}")
    return pages_of(kind)[name]


def faults(p):
    """What is wrong with one row taken alone, in words; an empty list where nothing is."""
    found = []
    if not re.fullmatch(r"[a-z0-9_]+", p.key) or p.key.isdecimal():
        found.append("key: not an identifier of [a-z0-9_]+")
    if not p.title or p.title != p.title.strip():
        found.append("title: empty or padded")
    if p.authors and not re.fullmatch(r"[^,]+?( et al\.| and [^,]+)?", p.authors):
        found.append("authors: not 'A', 'A and B' or 'A et al.'")
    if p.arxiv:
        if not re.fullmatch(r"\d{2}(0[1-9]|1[0-2])\.\d{4,5}", p.arxiv):
            found.append("arxiv: not an arXiv id")
        elif len(p.arxiv) != (10 if p.arxiv >= "1501" else 9):
            found.append("arxiv: five digits since 2015, four before")
        if p.year != 2000 + int(p.arxiv[:2]):
            found.append("year: not the arXiv id's")
    if p.year is not None and not 1990 <= p.year <= 2026:
        found.append("year: out of range")
    if not p.rooms or not set(p.rooms) <= set(ROOMS) or len(set(p.rooms)) != len(p.rooms):
        found.append("room: none, unknown or twice")
    if p.status not in STATUSES:
        found.append("status: unknown")
    if p.fidelity not in (("",) if p.status == "planned" else FIDELITIES):
        found.append("fidelity: unknown, or of a planned row")
    if bool(p.where) != (p.status in ("works", "partial")):
        found.append("where: for works and partial, and for these only")
    if bool(p.missing) != (p.status == "partial"):
        found.append("missing: for partial, and for it only")
    return found


def test_numbers_run_from_001_without_a_gap():
    assert [p.number for p in papers()] == [f"{n:03d}" for n in range(1, COUNT + 1)]


@pytest.mark.parametrize("field", ["key", "title", "arxiv"])
def test_no_two_papers_share(field):
    counts = Counter(getattr(p, field) for p in papers() if getattr(p, field))
    assert [value for value, count in counts.items() if count > 1] == []


def test_no_row_has_more_cells_than_the_header():
    header, *rows = resources.files("mini_repr").joinpath("papers.tsv").read_text(encoding="utf-8").splitlines()
    assert [row for row in rows if row.count("\t") > header.count("\t") or row != row.strip()] == []


def test_every_row_is_consistent():
    assert {p.number: faults(p) for p in papers() if faults(p)} == {}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"key": "Info-NCE"}, "key"),
        ({"key": "092"}, "key"),
        ({"title": " padded"}, "title"),
        ({"authors": "Wang, Liu"}, "authors"),
        ({"arxiv": "2012.0974"}, "arxiv"),
        ({"arxiv": "2013.09740"}, "arxiv"),
        ({"year": 2021}, "year"),
        ({"year": 1989, "arxiv": ""}, "year"),
        ({"rooms": ()}, "room"),
        ({"rooms": ("attic",)}, "room"),
        ({"status": "done"}, "status"),
        ({"fidelity": "paper text"}, "fidelity"),
        ({"status": "works", "where": ("loss:infonce",), "fidelity": "hearsay"}, "fidelity"),
        ({"status": "works", "where": ()}, "where"),
        ({"status": "planned", "where": ("loss:infonce",)}, "where"),
        ({"status": "partial", "where": ("loss:infonce",), "missing": ""}, "missing"),
        ({"status": "works", "where": ("loss:infonce",), "missing": "half"}, "missing"),
    ],
)
def test_a_faulty_row_is_noticed(change, fault):
    good = replace(paper("infonce"), status="planned", fidelity="", where=(), missing="")
    assert faults(good) == []
    assert any(found.startswith(f"{fault}:") for found in faults(replace(good, **change)))


@pytest.mark.parametrize("p", CLAIMED)
def test_what_a_working_paper_names_exists(p):
    for reference in p.where:
        assert resolve(reference) is not None


def test_references_resolve_by_kind():
    assert resolve("optimiser:sgd") is pages_of("optimiser")["sgd"]
    assert resolve("module:mini_repr.catalogue:paper") is paper
    for wrong in ("optimiser:none_such", "attic:sgd", "module:mini_repr.catalogue", "sgd"):
        with pytest.raises(LookupError):
            resolve(wrong)
    with pytest.raises(AttributeError):
        resolve("module:mini_repr.catalogue:none_such")


@pytest.mark.parametrize("kind", KINDS)
def test_pages_and_rows_name_each_other(kind):
    """Of papers that are built; a page may name one that is planned, whose row says nothing yet."""
    built = {p.number for p in papers() if p.where}
    of_pages = {(page.name, number) for page in pages_of(kind).values() for number in page.papers if number in built}
    of_rows = {(x.partition(":")[2], p.number) for p in papers() for x in p.where if x.startswith(f"{kind}:")}
    assert of_pages == of_rows


@pytest.mark.parametrize("page", [page for kind in KINDS for page in pages_of(kind).values()], ids=repr)
def test_every_page_names_its_paper_or_its_source(page):
    assert set(page.papers) <= {p.number for p in papers()}
    # What is from elsewhere: its page must say where from, with a year.
    assert page.papers or re.search(r"\bSource\b.*\b(19|20)\d\d\b", page.text, re.DOTALL)


@pytest.mark.parametrize("name", ["092", "92", 92, "infonce", "InfoNCE", " infonce "])
def test_a_paper_is_found_by_number_or_key(name):
    assert paper(name).title == "Understanding the Behaviour of Contrastive Loss"


def test_number_and_key_find_the_same_row():
    assert all(paper(p.number) is p and paper(p.key) is p for p in papers())


@pytest.mark.parametrize(("wrong", "near"), [("infonc", "'infonce'"), ("sig_lip", "'siglip'"), ("120", "'")])
def test_a_wrong_name_is_answered_with_the_nearest(wrong, near):
    with pytest.raises(ValueError, match=f"no paper '{wrong}' in the catalogue: did you mean {near}"):
        paper(wrong)


@pytest.mark.parametrize("wrong", ["", "zzzzzzzzzzzz", None, 1.5])
def test_a_name_like_no_other_is_answered_too(wrong):
    with pytest.raises(ValueError, match="in the catalogue"):
        paper(wrong)


def test_citation_and_link():
    p = paper("092")
    assert p.cite() == "Wang and Liu, 2020, arXiv 2012.09740"
    assert p.link == "https://arxiv.org/abs/2012.09740"
    unknown = replace(p, authors="", year=None, arxiv="")
    assert unknown.link == ""
    assert unknown.cite() == p.title
    assert all("\n" not in p.cite() for p in papers())


def test_rows_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        paper("092").status = "works"
    assert papers() is papers()


def test_importing_reads_nothing():
    code = (
        "import sys, mini_repr; assert 'mini_repr.catalogue' not in sys.modules\n"
        "import mini_repr.catalogue as c; assert c.papers.cache_info().currsize == 0\n"
        "assert 'numpy' not in sys.modules\n"
        f"assert len(c.papers()) == {COUNT}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
