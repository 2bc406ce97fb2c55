"""What the book has a page for, and where: everything declared, and everything else that has a name."""

import inspect
from dataclasses import dataclass
from functools import partial

from mini_repr.book import contents
from mini_repr.book.chapters import CHAPTERS, chapter
from mini_repr.book.parts import all_data, all_primitives, all_views
from mini_repr.book.source import Definition, modules
from mini_repr.book.tour import STOPS, tour
from mini_repr.catalogue import papers
from mini_repr.claims.bench.keys import claim_keys, find_claim
from mini_repr.claims.bench.results import stored
from mini_repr.pages.field_names import FIELD_NAMES
from mini_repr.pages.page import KINDS
from mini_repr.pages.registry import pages_of
from mini_repr.standins.store import STANDINS

# {kind: its name in headings}, in the order of the book. The kinds of pages are those of ``pages/page.py``.
HEADINGS = {
    "chapter": "Chapters",
    "loss": "Losses",
    "method": "Methods",
    "encoder": "Encoders",
    "optimiser": "Optimisers",
    "mask": "Masks",
    "metric": "Metrics",
    "theorem": "Theorems",
    "procedure": "Procedures",
    "primitive": "Primitives and kernels",
    "view": "Views",
    "data": "Data",
    "standin": "Stand-ins",
    "claim": "Claims",
    "paper": "Papers",
    "command": "Commands",
    "source": "Source",
}


@dataclass(frozen=True)
class Entry:
    """One page of the book.

    kind, name: of what it is on; ``title`` where lists call it otherwise, ``heading`` where only its page does. line:
    what it is, in a line. sections(book): [(title, HTML)]. words: other names that search finds it by. defines: the
    ``Definition`` that names in code mean; without a name, the page shows that whole file. badges: short facts. group:
    under which heading lists of its kind have it.
    """

    kind: str
    name: str
    line: str
    sections: object
    title: str = ""
    words: tuple = ()
    defines: Definition | None = None
    badges: tuple = ()
    group: str = ""
    heading: str = ""

    @property
    def address(self):
        return f"{self.kind}/{self.name}.html".removeprefix("/")  # the first page is of no kind


def all_entries(commands):
    """Every ``Entry``, in the order of the book; ``commands``: {name: click command}."""
    found = [_chapter(name) for name in CHAPTERS]
    found.append(
        Entry(
            "chapter",
            "follow_the_gradient",
            f"From the command to the backward pass, in {len(STOPS)} stops",
            tour,
            "Follow the gradient",
        )
    )
    found += [_page(page) for kind in KINDS for page in pages_of(kind).values()]
    found += [_primitive(name, function) for name, function in all_primitives().items()]
    for name, cls in all_views().items():
        found.append(Entry("view", name, _first(cls), partial(contents.of_view, name, cls), defines=_at(cls)))
    for name, thing in all_data().items():
        at = Definition(thing.__name__) if inspect.ismodule(thing) else _at(thing)
        found.append(Entry("data", name, _first(thing), partial(contents.of_data, name, at), defines=at))
    for name, one in STANDINS.items():
        at = Definition(getattr(one.make, "func", one.make).__module__)  # some are partial
        found.append(Entry("standin", name, one.says, partial(contents.of_standin, name, at), defines=at))
    found += [_claim(key) for key in claim_keys()]
    for one in papers():
        words = (one.number, one.arxiv)
        found.append(
            Entry(
                "paper",
                one.key,
                f"{one.title} ({one.cite()})",
                partial(contents.of_paper, one),
                f"{one.number} {one.key}",
                words,
                badges=(one.status, one.fidelity),
            )
        )
    for name, command in commands.items():
        line = command.get_short_help_str(200)
        found.append(Entry("command", name, line, partial(contents.of_command, name, command), f"mini-repr {name}"))
    shown = {entry.defines.module for entry in found if entry.defines and not entry.defines.name}
    found += [_source(name) for name in modules() if name not in shown]
    order = list(HEADINGS)
    return sorted(found, key=lambda entry: order.index(entry.kind))


def _page(page):
    words = [*page.aliases, *page.variants]
    words += [field for field, meant in FIELD_NAMES.items() if page.kind == "loss" and meant.loss == page.name]
    at = Definition(page.thing.__module__, page.thing.__name__)
    group = page.compares if page.kind == "loss" else ""
    heading = page.own_text.partition(":")[0] if page.kind == "loss" else ""
    sections = partial(contents.of_page, page)
    return Entry(
        page.kind,
        page.name,
        page.summary.replace("``", ""),
        sections,
        words=tuple(words),
        defines=at,
        badges=tuple(contents.badges(page)),
        group=group,
        heading=heading,
    )


def _chapter(name):
    title = chapter(name).partition("\n")[0]
    return Entry("chapter", name, "", partial(contents.of_chapter, name), title.removeprefix("# "))


def _primitive(name, function):
    at = _at(function.on_arrays)
    sections = partial(contents.of_primitive, name, function)
    return Entry("primitive", name, _first(function), sections, defines=at, group=at.module.split(".", 1)[1])


def _claim(key):
    result = stored(key)
    badges = (result["verdict"], f"{result['seeds']} seeds") if result else ("not measured yet",)
    sections = partial(contents.of_claim, key)
    at = Definition(f"mini_repr.claims.{key}")
    return Entry("claim", key, find_claim(key).says, sections, defines=at, badges=badges)


def _source(name):
    text = modules()[name].text
    line = text.split('"""')[1].splitlines()[0] if text.startswith('"""') else ""
    group = ".".join(name.split(".")[1:2])
    return Entry("source", name, line, partial(contents.of_source, name), defines=Definition(name), group=group)


def _at(thing):
    return Definition(thing.__module__, thing.__name__)


def _first(thing):
    return " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].replace("``", "").split())
