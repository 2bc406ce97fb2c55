"""What `mini-repr list` and `mini-repr show` print, as text."""

import inspect
import textwrap

from mini_repr.catalogue import paper, papers
from mini_repr.claims.bench.keys import claim_keys, find_claim
from mini_repr.methods import METHODS
from mini_repr.pages.names import suggestion
from mini_repr.pages.page import KINDS, Parameter
from mini_repr.pages.registry import all_losses, pages_of
from mini_repr.training.config import keyword_defaults

# The last column of a table keeps at least so many characters, however narrow the terminal.
NARROWEST = 24
# Sections of a run's settings that the arguments of a kind of page are in.
SECTIONS = {"encoder": "encoder", "optimiser": "optimizer", "method": "method"}


def everything(kind=None, width=None):
    """Tables of all there is: losses, methods, encoders, ..., papers and claims, or of one kind of them.

    Args:
        width: of the terminal, to which the last column is folded; by default each entry is one line.
    """

    def losses():
        rows = [(x.name, x.compares, " ".join(x.papers), _with_variants(x)) for x in all_losses().values()]
        return _table("losses", rows, width)

    def summaries(kind):
        return _table(f"{kind}s", [(name, one.summary.rstrip(".")) for name, one in pages_of(kind).items()], width)

    tables = {
        "losses": losses,
        "methods": lambda: _table("methods", [(name, _first_line(one)) for name, one in METHODS.items()], width),
        "encoders": lambda: summaries("encoder"),
        "optimisers": lambda: summaries("optimiser"),
        "masks": lambda: summaries("mask"),
        "metrics": lambda: _table(
            "metrics",
            [(name, f"{x.summary.rstrip('.')} ({', '.join(x.needs)})") for name, x in pages_of("metric").items()],
            width,
        ),
        "papers": lambda: _papers(width),
        "claims": lambda: _table(
            "claims", [(key, find_claim(key).paper, find_claim(key).says) for key in claim_keys()], width
        ),
    }
    return "\n\n".join(table() for name, table in tables.items() if kind in (None, name))


def _with_variants(loss):
    variants = f" Variants: {', '.join(loss.variants)}." if loss.variants else ""
    return f"{loss.summary.rstrip('.')}.{variants}"


def _papers(width):
    rows = [(p.number, p.key, p.status, p.arxiv, p.title) for p in papers()]
    counts = ", ".join(f"{sum(p.status == s for p in papers())} {s}" for s in ("works", "partial", "planned"))
    missing = _table("still missing", [(p.key, p.missing) for p in papers() if p.missing], width)
    return "\n\n".join(part for part in (_table(f"papers: {counts}", rows, width), missing) if part)


def page(name, code=True):
    """The pages called ``name``, of all kinds, or a paper by its key or number.

    Raises:
        ValueError: no such page; names the nearest.
    """
    pages = [p for kind in KINDS for p in pages_of(kind).values()]
    cards = [card(p, code) for p in pages if name in (p.name, *p.aliases)]
    if name in METHODS:
        cards.append(_class_page(f"method {name}", "method", METHODS[name], code))
    if cards:
        return "\n\n".join(cards)
    found = {key: p for p in papers() for key in (p.key, p.number)}.get(name.zfill(3) if name.isdecimal() else name)
    if found is None:
        known = [*(n for p in pages for n in (p.name, *p.aliases)), *METHODS, *(p.key for p in papers())]
        raise ValueError(f"show {name!r}: no {', '.join(KINDS)} or paper of that name{suggestion(name, known)}")
    lines = [
        f"paper {found.number} {found.key}: {found.title}",
        f"{found.authors}, {found.year}{', ' + found.link if found.link else ''}",
        f"status: {found.status}" + (f"; still missing: {found.missing}" if found.missing else ""),
        f"where: {', '.join(found.where) or 'planned for ' + ', '.join(found.rooms)}",
    ]
    if found.key in claim_keys():
        lines.append(f"claim: {find_claim(found.key).says} (mini-repr claim {found.key})")
    return "\n".join(lines)


def _class_page(title, section, made, code):
    settings = [(f"{section}.{name}", f"default {value}") for name, value in keyword_defaults(made).items()]
    parts = [title, inspect.getdoc(made), _table("settings, for --set", settings)]
    return "\n\n".join(part for part in [*parts, _source(made) if code else ""] if part)


def card(page, code=True):
    """A page's card: papers, text, arguments with ranges and defaults, variants, invariants, code and definition."""
    of = [paper(number) for number in page.papers]
    title = page.title if page.kind not in ("loss", "metric") else f"{page.kind} {page.name}"
    folder = f" (losses/{page.compares})" if page.kind == "loss" else ""
    section = SECTIONS.get(page.kind)
    arguments = [
        (f"{section}.{p.name}" if section else p.name, str(p.annotation), _default(p)) for p in page.parameters.values()
    ]
    parts = [
        "\n".join([title + folder, *(f"paper {p.number} {p.key}: {p.title} ({p.cite()})" for p in of)]),
        page.text.strip(),
        _table("settings, for --set" if section else "arguments", arguments),
        _table("variants", [(n, _settings(v.settings), v.description) for n, v in page.variants.items()]),
        _table("checked invariants", [(text,) for text in dict.fromkeys(i.description for i in page.invariants)]),
    ]
    if code:
        parts += [_source(one) for one in (page.thing, page.literal) if one]
    return "\n\n".join(part for part in parts if part)


def _default(parameter):
    if parameter.default is Parameter.required:
        return "required"
    if isinstance(parameter.default, float):
        return f"default {parameter.default:.6g}"
    return f"default {parameter.default}"


def _settings(settings):
    return ", ".join(f"{name}={value}" for name, value in settings.items())


def _source(function):
    return textwrap.dedent(inspect.getsource(function)).rstrip()


def _first_line(thing):
    return inspect.getdoc(thing).splitlines()[0]


def _table(title, rows, width=None):
    """Left-aligned columns under a title; the last one runs free, or is folded to ``width``. Empty without rows."""
    if not rows:
        return ""
    widths = [max(len(str(row[column])) for row in rows) for column in range(len(rows[0]) - 1)]
    lines = [title]
    for row in rows:
        start = "  " + "".join(f"{x!s:{w}}  " for x, w in zip(row, widths, strict=False))
        text = str(row[-1])
        if width:
            room = max(width - len(start), NARROWEST)
            text = f"\n{' ' * len(start)}".join(textwrap.wrap(text, room, break_on_hyphens=False) or [""])
        lines.append((start + text).rstrip())
    return "\n".join(lines)
