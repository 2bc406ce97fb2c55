"""Write the book: a folder of pages that opens from a disk, without a network."""

import base64
import json
import posixpath
from functools import cache, partial
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

import mini_repr
from mini_repr.book.contents import COMPARED, code, link, table
from mini_repr.book.entries import HEADINGS, Entry, all_entries
from mini_repr.book.source import Definition, modules, resolve
from mini_repr.catalogue import paper
from mini_repr.claims.bench.results import stored
from mini_repr.pages.names import choose_folded
from mini_repr.pages.registry import all_losses

FILES = Path(__file__).parent / "site"
SEARCH = "search.js"
FONT, LICENCE = "STIXTwoMath-subset.woff2", "STIXTwoMath-OFL.txt"
SAYS = "An executable specification of representation learning: every loss twice, its gradient by hand."


def build(out, commands, only=(), with_pictures=True, watch=iter):
    """Write the pages into the folder ``out``, which is made where it is missing.

    Args:
        commands: {name: click command}. only: names of what to write pages of, by default of everything.
        watch: goes through the list of all pages that are made, such as with a bar.
    Returns:
        the paths written, relative to ``out``.
    Raises:
        ValueError: nothing has a name in ``only``; names the nearest. Or a folder that holds something else.
    """
    if Path(out).is_dir() and any(Path(out).iterdir()) and not Path(out, SEARCH).exists():
        raise ValueError(f"book --out {out}: holds no book, expected a new or empty folder, or an older book")
    entries = all_entries(commands)
    if only:
        names = sorted({entry.name for entry in entries})
        chosen = {choose_folded("page of the book", name, names) for name in only}
        entries = [entry for entry in entries if entry.name in chosen]
    shelf = _Shelf(entries)
    template = Environment(
        loader=PackageLoader("mini_repr.book", "site"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    ).get_template("page.html")
    written = {"style.css": _style(), SEARCH: _search(entries), LICENCE: (FILES / LICENCE).read_text("utf-8")}
    lists = [Entry(kind, "index", "", partial(_list, kind), HEADINGS[kind]) for kind in shelf.kinds]
    for entry in watch([*entries, *lists, Entry("", "index", SAYS, _home, "mini_repr")]):
        sections = [(title, body) for title, body in entry.sections(_Book(shelf, entry, with_pictures)) if body]
        written[entry.address] = _page(template, shelf, entry, sections)
    for name, text in written.items():
        path = Path(out, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    return list(written)


class _Shelf:
    """All entries of a book that is being written, by what they are found by."""

    def __init__(self, entries):
        self.entries = entries
        self.kinds = [kind for kind in HEADINGS if any(entry.kind == kind for entry in entries)]
        self.by_name = {(entry.kind, entry.name): entry for entry in entries}
        self.by_definition = {entry.defines: entry for entry in reversed(entries) if entry.defines}
        self.by_word = {}
        for entry in entries:  # the first in the order of the book has the name
            if entry.kind not in ("paper", "source", "chapter", "data", "view"):
                self.by_word.setdefault(entry.name, entry)


class _Book:
    """What the contents of one page ask for: addresses, seen from that page."""

    def __init__(self, shelf, entry, with_pictures):
        self.shelf, self.entry, self.with_pictures = shelf, entry, with_pictures

    def to(self, address):
        """An address in the book, from this page."""
        return posixpath.relpath(address, posixpath.dirname(self.entry.address) or ".")

    def href(self, kind, name):
        """The page of a thing of a kind, "" where there is none."""
        entry = self.shelf.by_name.get((kind, name))
        return self.to(entry.address) if entry else ""

    def named(self, name):
        """The page of what a text calls ``name``, "" where that is nothing, or this page itself."""
        entry = self.shelf.by_word.get(name.removesuffix("()"))
        return self.to(entry.address) if entry and entry is not self.entry else ""

    def definition(self, definition):
        """The page of a definition, or its place in its file; "" for one of this page itself."""
        entry = self.shelf.by_definition.get(definition)
        if entry is self.entry:
            return ""
        return self.to(entry.address) if entry else self.source(definition)

    def source(self, definition):
        """The place of a definition on the page that shows its whole file."""
        entry = self.shelf.by_definition.get(Definition(definition.module))
        if entry is None:
            return ""
        anchor = f"#{definition.name}" if definition.name else ""
        return anchor if entry is self.entry else self.to(entry.address) + anchor

    def place(self, where):
        """The page of an entry of the catalogue's column ``where``: ``loss:infonce`` or ``module:dotted.path:name``."""
        kind, _, name = where.partition(":")
        if kind != "module":
            return self.href(kind, name)
        module, _, attribute = name.partition(":")
        found = resolve(module, attribute)
        return self.definition(found) if found else ""

    def file(self, path):
        """The page of a file that a chapter links to, relative to the chapters' folder; "" if it is in no page."""
        parts = posixpath.normpath(posixpath.join("mini_repr/book", path)).removesuffix(".py").split("/")
        if parts[0] != "mini_repr":
            return ""
        if path.endswith(".md"):
            return self.href("chapter", parts[-1].removesuffix(".md"))
        module = ".".join(parts)
        name = parts[-1] if module in modules() and parts[-1] in modules()[module].defined else ""
        return self.definition(Definition(module, name))


def _page(template, shelf, entry, sections):
    root = "../" if "/" in entry.address else ""
    menu = [(kind, HEADINGS[kind], f"{kind}/index.html") for kind in shelf.kinds]
    siblings = [one for one in shelf.entries if one.kind == entry.kind != "source"]
    groups = {}
    for one in siblings:
        groups.setdefault(one.group, []).append(one)
    return template.render(
        entry=entry,
        sections=[(title, _anchor(title) if title else "", body) for title, body in sections],
        root=root,
        menu=menu,
        groups=groups,
        version=mini_repr.__version__,
    )


def _anchor(title):
    return "section-" + "".join(c if c.isalnum() else "-" for c in title.lower()).strip("-")


def _home(book):
    """The first page: where to begin, and what there is."""
    begin = [
        (
            link(book.href("chapter", "follow_the_gradient"), "Follow the gradient"),
            "eight stops from the command line to the last line of the backward pass",
        ),
        (
            link(book.to("loss/index.html") if "loss" in book.shelf.kinds else "", "Choose a loss"),
            "by what it is given, what it needs, and what its experiment says",
        ),
        (link(book.href("loss", "infonce"), "Read one"), "InfoNCE: formula, gradient, pictures, code"),
        (link(book.href("chapter", "check"), "Check yours"), "and the slips that others made"),
    ]
    counts = [
        (link(book.to(f"{kind}/index.html"), HEADINGS[kind]), str(sum(e.kind == kind for e in book.shelf.entries)))
        for kind in book.shelf.kinds
    ]
    return [("Where to begin", table(("", ""), begin)), ("What there is", table(("", ""), counts))]


def _list(kind, book):
    """Everything of a kind; losses with what helps to choose one."""
    if kind == "loss":
        return _losses(book)
    groups = {}
    for entry in book.shelf.entries:
        if entry.kind == kind:
            row = (
                link(book.to(entry.address), entry.title or entry.name),
                entry.line,
                ", ".join(filter(None, entry.badges)),
            )
            groups.setdefault(entry.group, []).append(row)
    wide = any(row[2] for rows in groups.values() for row in rows)
    return [
        (group, table(("", "", "")[: 2 + wide], [row[: 2 + wide] for row in rows])) for group, rows in groups.items()
    ]


def _losses(book):
    """The losses by what they are given, with what each needs beyond a batch and what its experiment says."""
    shown = []
    for compares, says in COMPARED.items():
        rows = []
        for name, page in all_losses().items():
            if page.compares == compares and book.href("loss", name):
                needs = [p.name for p in page.arrays if p.annotation.optional]
                claims = [stored(paper(number).key) for number in page.papers]
                verdicts = [result["verdict"] for result in claims if result]
                given = ", ".join(page.required)
                rows.append(
                    (
                        link(book.href("loss", name), name),
                        page.summary,
                        code(given),
                        ", ".join(needs),
                        ", ".join(verdicts),
                    )
                )
        shown.append(
            (f"{compares}: {says}", table(("loss", "in one line", "is given", "and may take", "its claim here"), rows))
        )
    return [(title, rows) for title, rows in shown if rows]


@cache
def _style():
    font = base64.b64encode((FILES / FONT).read_bytes()).decode()
    return (FILES / "style.css").read_text(encoding="utf-8").replace("FONT", f"data:font/woff2;base64,{font}")


def _search(entries):
    """The index as a script: [name, kind, address, other names, first line] of every page but the files."""
    rows = [
        [e.title or e.name, e.kind, e.address, " ".join((e.name, *e.words)), e.line]
        for e in entries
        if e.kind != "source"
    ]
    index = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    return f"const INDEX = {index};\n" + (FILES / "search.js").read_text(encoding="utf-8")
