"""What `mini-repr list` and `mini-repr show` print, as text."""

import inspect
import textwrap

from mini_repr.catalogue import papers
from mini_repr.claims import claim_keys, find_claim
from mini_repr.losses import all_losses
from mini_repr.losses.contract import Parameter
from mini_repr.methods import METHODS
from mini_repr.metrics import METRICS
from mini_repr.nn import ENCODERS
from mini_repr.training.config import suggestion


def everything(kind=None):
    """Tables of the losses, methods, encoders, metrics, papers and claims, or of one kind of them."""
    tables = {
        "losses": lambda: _table(
            "losses",
            [(x.name, x.folder, x.paper, ", ".join(x.variants) or "-", x.summary) for x in all_losses().values()],
        ),
        "methods": lambda: _table("methods", [(name, _first_line(method)) for name, method in METHODS.items()]),
        "encoders": lambda: _table("encoders", [(name, encoder.description) for name, encoder in ENCODERS.items()]),
        "metrics": lambda: _table(
            "metrics", [(name, metric.needs, metric.description) for name, metric in METRICS.items()]
        ),
        "papers": _papers,
        "claims": lambda: _table(
            "claims", [(key, find_claim(key).paper, find_claim(key).says) for key in claim_keys()]
        ),
    }
    return "\n\n".join(table() for name, table in tables.items() if kind in (None, name))


def _papers():
    rows = [(p.number, p.key, p.status, p.arxiv, p.title) for p in papers()]
    counts = ", ".join(f"{sum(p.status == s for p in papers())} {s}" for s in ("works", "partial", "planned"))
    missing = "".join(f"\n  {p.key}: still missing: {p.missing}" for p in papers() if p.missing)
    return f"{_table('papers', rows)}\n  {counts}{missing}"


def page(name, code=True):
    """The page called ``name``: a loss, a metric, or a paper by its key or number.

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
    paper = {key: p for p in papers() for key in (p.key, p.number)}.get(name)
    if paper is None:
        known = [*losses, *METRICS, *(p.key for p in papers())]
        raise ValueError(f"show {name!r}: no loss, metric or paper of that name{suggestion(name, known)}")
    lines = [
        f"paper {paper.number} {paper.key}: {paper.title}",
        f"{paper.authors}, {paper.year}{', ' + paper.link if paper.link else ''}",
        f"status: {paper.status}" + (f"; still missing: {paper.missing}" if paper.missing else ""),
        f"where: {', '.join(paper.where) or 'planned for ' + ', '.join(paper.rooms)}",
    ]
    return "\n".join(lines)


def loss_page(loss, code=True):
    """A loss's card: source paper, text of the page, arguments with ranges and defaults, variants, invariants, code."""
    paper = next((p for p in papers() if p.number == loss.paper), None)
    cited = f"paper {paper.number} {paper.key}: {paper.title} ({paper.cite()})" if paper else f"paper {loss.paper}"
    arguments = [(p.name, str(p.annotation), _default(p)) for p in loss.parameters.values()]
    parts = [
        f"loss {loss.name} (losses/{loss.folder})\n{cited}",
        loss.__doc__.strip(),
        _table("arguments", arguments),
        _table("variants", [(n, _settings(v.settings), v.says) for n, v in loss.variants.items()]),
        _table("checked invariants", [(i.says,) for i in loss.invariants]),
    ]
    if code:
        parts.append(_source(loss.function))
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


def _table(title, rows):
    """Left-aligned columns under a title; the last column runs free. Empty without rows."""
    if not rows:
        return ""
    widths = [max(len(str(row[column])) for row in rows) for column in range(len(rows[0]) - 1)]
    lines = [
        "  " + "  ".join([*(str(x).ljust(w) for x, w in zip(row, widths, strict=False)), str(row[-1])]) for row in rows
    ]
    return "\n".join([title, *lines])
