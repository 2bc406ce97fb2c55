"""The book: a page for everything, whole, the same every time, without a network."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from mini_repr.cli import main
from mini_repr.pages.registry import all_losses

pytest.importorskip("math_core", reason="the extra book is not installed")

from mini_repr.book.build import build
from mini_repr.book.entries import all_entries
from mini_repr.book.formulas import formulas
from mini_repr.book.prose import html, inline
from mini_repr.book.source import Definition, modules, references, resolve
from mini_repr.book.tour import STOPS

COMMANDS = {name: main.get_command(None, name) for name in main.list_commands(None)}
WHOLE = """
import sys
from mini_repr.book.build import build
from mini_repr.cli import main
build(sys.argv[1], {name: main.get_command(None, name) for name in main.list_commands(None)}, with_pictures=False)
"""


class Page(HTMLParser):
    """What a page refers to, and what can be referred to in it."""

    def __init__(self, text):
        super().__init__()
        self.links, self.resources, self.anchors = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors += [found["id"]] if "id" in found else []
        if tag == "a":
            self.links.append(found["href"])
        self.resources += [found[name] for name in ("src", "srcset", "data") if tag != "a" and name in found]
        self.resources += [found["href"]] if tag in ("link", "use", "image") and "href" in found else []


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """{address: text} of the whole book but its pictures, which take most of the time."""
    out = tmp_path_factory.mktemp("book")
    return {name: (out / name).read_text(encoding="utf-8") for name in build(out, COMMANDS, with_pictures=False)}


@pytest.fixture(scope="module")
def parsed(book):
    return {name: Page(text) for name, text in book.items() if name.endswith(".html")}


@pytest.fixture(scope="module")
def pictured(tmp_path_factory):
    """The folder of the pages of three losses and their claims, with pictures."""
    out = tmp_path_factory.mktemp("pictured")
    done = CliRunner().invoke(
        main, ["book", "--out", str(out), "--only", "vicreg", "--only", "siglip", "--only", "flops"]
    )
    assert done.exit_code == 0, done.output
    return out


def test_everything_has_a_page(book):
    assert {entry.address for entry in all_entries(COMMANDS)} <= set(book)
    assert {f"loss/{name}.html" for name in all_losses()} <= set(book)


def test_every_link_and_anchor_is_there(parsed):
    missing = []
    for name, page in parsed.items():
        for link in page.links:
            if not link.startswith("https://arxiv.org/abs/"):
                address, _, anchor = link.partition("#")
                target = str((Path("/") / name).parent / address) if address else f"/{name}"
                target = parsed.get(str(Path(target).resolve().relative_to("/")))
                if target is None or (anchor and anchor not in target.anchors):
                    missing.append((name, link))
    assert missing == []


def test_no_anchor_stands_twice(parsed):
    assert [name for name, page in parsed.items() if len(set(page.anchors)) < len(page.anchors)] == []


def test_nothing_is_loaded_from_elsewhere(book, parsed):
    for page in parsed.values():
        assert all(re.match(r"data:|(\.\./)?(style\.css|search\.js)$", resource) for resource in page.resources)
    assert re.findall(r"url\((?!data:)|@import", book["style.css"]) == []
    assert "http" not in re.sub(r"const INDEX = .*\n", "", book["search.js"])


def test_no_page_is_large(book, pictured):
    texts = [*book.values(), *(path.read_text(encoding="utf-8") for path in pictured.rglob("*.html"))]
    assert max(len(text.encode()) for text in texts) <= 200_000


def test_every_page_is_the_same_with_sets_in_another_order_elsewhere(book, tmp_path):
    """Ten seconds: the whole book once more, in a process whose sets, time zone and terminal are others."""
    elsewhere = {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "COLUMNS": "200", "LC_ALL": "C"}
    subprocess.run([sys.executable, "-c", WHOLE, str(tmp_path)], check=True, env={**os.environ, **elsewhere})
    again = {str(path.relative_to(tmp_path)): path.read_text("utf-8") for path in tmp_path.rglob("*") if path.is_file()}
    assert [name for name in book.keys() | again.keys() if book.get(name) != again.get(name)] == []


def test_built_by_another_process_it_is_the_same(pictured, tmp_path):
    command = [sys.executable, "-m", "mini_repr.cli", "book", "--out", str(tmp_path)]
    names = [word for name in ("vicreg", "siglip", "flops") for word in ("--only", name)]
    subprocess.run([*command, *names], check=True, capture_output=True)
    first, second = (
        {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
        for out in (pictured, tmp_path)
    )
    assert first == second


@pytest.mark.parametrize(("name", "of"), [("vicreg", 3), ("siglip", 3), ("flops", 2)])
def test_a_loss_has_its_pictures(pictured, name, of):
    text = (pictured / "loss" / f"{name}.html").read_text(encoding="utf-8")
    pictures = re.findall(r'<svg class="picture".*?</svg>', text, flags=re.DOTALL)
    assert len(pictures) == of
    for picture in pictures:
        assert picture.count("<path") > 10 and "nan" not in picture.lower()
        assert re.findall(r"#0000[0-9a-f]{2}\b|#0[1-3]0[1-3]0[1-3]", picture) == []  # all colours are the page's
    assert all(f"> {variant}</li>" in text for variant in all_losses()[name].variants)


def test_the_picture_of_a_claim(pictured):
    text = (pictured / "claim" / "siglip.html").read_text(encoding="utf-8")
    assert text.count('<svg class="picture"') == 1


LOSSES_WITH_TEX = [name for name, page in all_losses().items() if page.tex]


@pytest.mark.parametrize("name", LOSSES_WITH_TEX)
def test_tex_converts(name, book):
    for text in all_losses()[name].tex.values():
        set_ = formulas(text)
        assert set_.count("<math") == text.strip().count("\n\n") + 1 and "\\" not in set_
        assert set_ in book[f"loss/{name}.html"]


@pytest.mark.parametrize("wrong", [r"\notacommand", r"\frac{1}", "x_{"])
def test_wrong_tex_is_an_error(wrong):
    with pytest.raises(Exception, match=r"Unknown|Expected"):
        formulas(wrong)


def test_a_formula_is_set_in_place_of_its_text(book):
    assert "sum_i |a_i - b_i|²" not in book["loss/vicreg.html"]
    assert "sum_i |a_i - b_i|" not in book["loss/vicreg.html"]


def test_symbols_in_prose_have_their_indices():
    text = "With u_i = a_i/|a_i|, dz'_ij and s_y² of e^{s_ij/t} in sum_{c in C_i}; x_{t+1}, Σ^{-1/2}."
    assert inline(text, lambda name: "") == (
        "With u<sub>i</sub> = a<sub>i</sub>/|a<sub>i</sub>|, dz&#39;<sub>ij</sub> and s<sub>y</sub>² of "
        "e<sup>s<sub>ij</sub>/t</sup> in sum<sub>c in C<sub>i</sub></sub>; x<sub>t+1</sub>, Σ<sup>-1/2</sup>."
    )
    for text in ("mae_st of align_uniform", "s_i.py", "``u_i`` or `x_t`", "e^log_scale", "smooth_l1_loss"):
        assert "<su" not in inline(text, lambda name: "")


def test_what_goes_on_below_an_entry_is_of_it():
    text = "Args:\n    width: of a row, and so\n        on. depth: two\n    rng: last"
    assert html([text], lambda name: "") == (
        '<p>Args:</p><ul class="lines"><li>width: of a row, and so on. depth: two</li><li>rng: last</li></ul>'
    )


def test_words_between_asterisks_are_emphasised():
    assert inline("the *hardest tenth*: a *b* in O(B * tile), 2*x*y", lambda name: "") == (
        "the <em>hardest tenth</em>: a *b* in O(B * tile), 2*x*y"
    )


def test_no_name_is_taken_for_a_symbol():
    names = {word for entry in all_entries(COMMANDS) for word in (entry.name, *entry.words)}
    assert [name for name in names if "<su" in inline(name, lambda name: "")] == []


@pytest.mark.parametrize(
    ("page", "to"),
    [
        ("command/train", "source/mini_repr.commands.train"),
        ("chapter/follow_the_gradient", "source/mini_repr.training.step#training_step"),
        ("source/mini_repr.training.step", "source/mini_repr.optim.clip#squared_norm"),
        ("method/simclr", "source/mini_repr.methods.method#Method"),
        ("loss/infonce", "primitive/candidate_logsumexp"),
        ("primitive/candidate_logsumexp", "primitive/similarity_logsumexp"),
        ("primitive/candidate_logsumexp", "source/mini_repr.autograd.primitive#primitive"),
        ("source/mini_repr.autograd.primitive", "source/mini_repr.autograd.tensor#Tensor"),
        ("claim/infonce", "metric/uniformity"),
        ("chapter/losses", "loss/vicreg"),
    ],
)
def test_names_in_code_lead_to_their_definitions(page, to, parsed):
    address, _, anchor = to.partition("#")
    links = {os.path.normpath(os.path.join(os.path.dirname(page), link)) for link in parsed[f"{page}.html"].links}
    assert address + ".html" + (f"#{anchor}" if anchor else "") in links


def test_every_stop_of_the_tour_is_in_the_code():
    assert len(STOPS) == 8
    assert all(name in modules()[stop.module].defined for stop in STOPS for name in stop.names)


def test_names_mean_what_python_says():
    assert resolve("mini_repr.losses", "infonce") == Definition("mini_repr.losses.pairs.infonce", "infonce")
    assert resolve("mini_repr.autograd", "logsumexp") == Definition(
        "mini_repr.autograd.primitives.reduction", "logsumexp"
    )
    targets = {target.name for _, _, target, _ in references("mini_repr.losses.pairs.infonce")}
    # A name that a function has for itself is not that of the module's import.
    assert {"unit_rows", "candidate_logsumexp", "rows_of"} <= targets and "over" not in targets


def test_a_page_shows_what_a_loss_declares(book):
    text = book["loss/infonce.html"]
    for part in (
        "InfoNCE",
        "van den Oord",
        "1807.03748",
        "one_direction",
        "identical rows give log B",
        "@misc{infonce",
    ):
        assert part in text, part
    assert "unit_rows</a>" in text and 'href="../claim/infonce.html"' in text


def test_search_knows_names_aliases_and_variants(book):
    for name in ("infonce", "nt_xent", "simclr", "092", "knn_accuracy", "follow_the_gradient"):
        assert re.search(rf'[" ]{name}[" ]', book["search.js"]), name


def test_only_what_exists(tmp_path):
    done = CliRunner().invoke(main, ["book", "--out", str(tmp_path / "b"), "--only", "infonse"])
    assert done.exit_code == 2 and "infonce" in done.stderr and not (tmp_path / "b").exists()


def test_what_is_no_book_is_left_alone(tmp_path):
    (tmp_path / "index.html").write_text("mine")
    done = CliRunner().invoke(main, ["book", "--out", str(tmp_path), "--only", "flops"])
    assert done.exit_code == 2 and "holds no book" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


def test_without_the_extra_one_line_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr("mini_repr.book.extra.find_spec", lambda name: None if name == "math_core" else True)
    done = CliRunner().invoke(main, ["book", "--out", str(tmp_path / "b")])
    assert done.exit_code == 2 and done.stderr.count("\n") == 1 and "pip install 'mini-repr[book]'" in done.stderr
