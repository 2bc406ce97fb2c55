"""What `mini-repr list` and `mini-repr show` print, as text."""

import inspect
import textwrap
from dataclasses import asdict

from mini_repr.catalogue import paper, papers
from mini_repr.claims.bench.keys import claim_keys, find_claim
from mini_repr.metrics import METRICS
from mini_repr.nn import ENCODERS
from mini_repr.pages.names import suggestion
from mini_repr.pages.page import Parameter
from mini_repr.pages.registry import all_losses, pages_of
from mini_repr.training.config import keyword_defaults

# The last column of a table keeps at least so many characters, however narrow the terminal.
NARROWEST = 24


def everything(kind=None, width=None):
    """Tables of the losses, methods, encoders, metrics, papers and claims, or of one kind of them.

    Args:
        width: of the terminal, to which the last column is folded; by default each entry is one line.
    """

    def losses():
        rows = [(x.name, x.compares, " ".join(x.papers), _with_variants(x)) for x in all_losses().values()]
        return _table("losses", rows, width)

    tables = {
        "losses": losses,
        "methods": lambda: _table(
            "methods", [(name, _first_line(x.thing)) for name, x in pages_of("method").items()], width
        ),
        "encoders": lambda: _table("encoders", [(name, one.description) for name, one in ENCODERS.items()], width),
        "metrics": lambda: _table(
            "metrics", [(name, f"{x.description} ({x.needs.replace(',', ', ')})") for name, x in METRICS.items()], width
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
    """The page called ``name``: a loss, a metric, a method, an encoder, or a paper by its key or number.

    Raises:
        ValueError: no such page; names the nearest.
    """
    losses = all_losses()
    if name in losses:
        return loss_page(losses[name], code)
    if name in METRICS:
        metric = METRICS[name]
        text = f"metric {name} ({metric.needs}): {metric.description}\n\n{inspect.getdoc(metric.function)}"
        return text + (f"\n\n{_source(metric.function)}" if code else "")
    methods = pages_of("method")
    of_name = [x for x in methods.values() if name in (x.name, *x.aliases)]
    pages = [_class_page(x.title, _method_settings(x.thing), x.thing, code) for x in of_name]
    if name in ENCODERS:
        made = ENCODERS[name].make
        settings = {f"encoder.{n}": value for n, value in keyword_defaults(made).items()}
        return _class_page(f"encoder {name}: {ENCODERS[name].description}", settings, made, code)
    found = {key: p for p in papers() for key in (p.key, p.number)}.get(name.zfill(3) if name.isdecimal() else name)
    if found is not None:
        pages.append(_paper_page(found))
    if not pages:
        known = [*losses, *METRICS, *methods, *ENCODERS, *(p.key for p in papers())]
        raise ValueError(
            f"show {name!r}: no loss, metric, method, encoder or paper of that name{suggestion(name, known)}"
        )
    return "\n\n".join(pages)


def _paper_page(found):
    lines = [
        f"paper {found.number} {found.key}: {found.title}",
        f"{found.authors}, {found.year}{', ' + found.link if found.link else ''}",
        f"status: {found.status}" + (f"; still missing: {found.missing}" if found.missing else ""),
        f"where: {', '.join(found.where) or 'planned for ' + ', '.join(found.rooms)}",
    ]
    if found.key in claim_keys():
        lines.append(f"claim: {find_claim(found.key).says} (mini-repr claim {found.key})")
    return "\n".join(lines)


def _method_settings(method):
    own = {f"method.{p.name}": p.default for p in method.page.settings}
    heads = asdict(method.heads) if method.heads else {}
    return own | {f"heads.{name}": value for name, value in heads.items()}


def _class_page(title, settings, made, code):
    rows = [(name, f"default {value}") for name, value in settings.items()]
    parts = [title, inspect.getdoc(made), _table("settings, for --set", rows)]
    return "\n\n".join(part for part in [*parts, _source(made) if code else ""] if part)


def loss_page(loss, code=True):
    """A loss's card: source paper, text of the page, arguments with ranges and defaults, variants, invariants, code."""
    of = [paper(number) for number in loss.papers]
    cited = "\n".join(f"paper {p.number} {p.key}: {p.title} ({p.cite()})" for p in of)
    arguments = [(p.name, str(p.annotation), _default(p)) for p in loss.parameters.values()]
    parts = [
        f"loss {loss.name} (losses/{loss.compares})\n{cited}",
        loss.__doc__.strip(),
        _table("arguments", arguments),
        _table("variants", [(n, _settings(v.settings), v.description) for n, v in loss.variants.items()]),
        _table("checked invariants", [(text,) for text in dict.fromkeys(i.description for i in loss.invariants)]),
    ]
    if code:
        parts.append(_source(loss.thing))
        parts.append(_source(loss.literal))
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
