"""`mini-repr list`: what there is, as tables."""

import click

from mini_repr.commands.claim import verdict_rows, verdicts_title
from mini_repr.commands.errors import plain_errors
from mini_repr.commands.pager import echo_long
from mini_repr.pages.tables import table, whole


@click.command("list", short_help="List losses, metrics, methods, data, papers, claims.")
@click.argument("words", nargs=-1, metavar="[WORD]...")
@click.option("--losses", "kind", flag_value="losses", help="Only the losses.")
@click.option("--papers", "kind", flag_value="papers", help="Only the papers, with their status.")
@click.option("--metrics", "kind", flag_value="metrics", help="Only the metrics.")
@click.option("--encoders", "kind", flag_value="encoders", help="Only the encoders.")
@click.option("--methods", "kind", flag_value="methods", help="Only the methods.")
@click.option("--optimisers", "kind", flag_value="optimisers", help="Only the optimisers.")
@click.option("--masks", "kind", flag_value="masks", help="Only the masks.")
@click.option("--procedures", "kind", flag_value="procedures", help="What acts in training or after it.")
@click.option("--theorems", "kind", flag_value="theorems", help="Closed forms and bounds, on known distributions.")
@click.option("--primitives", "kind", flag_value="primitives", help="The engine's operations, and the costly sums.")
@click.option("--views", "kind", flag_value="views", help="Augmentations of images, for --views.")
@click.option("--names", "kind", flag_value="names", help="Names of the field, such as simclr, and what they are.")
@click.option("--data", "kind", flag_value="data", help="Only the data that need no file.")
@click.option("--claims", "kind", flag_value="claims", help="Only the claims: one small experiment per paper.")
@plain_errors
def list_everything(words, kind):
    """List losses, methods, encoders, metrics, optimisers, masks, procedures, theorems, primitives, views and so on.

    With WORDs only the entries that have each of them, in their name or in their text. Lines are folded to the
    terminal; COLUMNS=999 in front of the command leaves each entry on one.

    \b
    mini-repr list --losses
    mini-repr list temperature queue
    mini-repr list --papers
    """
    echo_long(everything(kind, words))


def everything(only=None, words=(), width=None):
    """Tables of all that has pages, and of the papers and claims.

    Args:
        only: one of them, such as "losses". words: what each entry must have in it; capitals do not count.
        width: of the lines, by default of the terminal.
    Raises:
        ValueError: nothing has these words; names the nearest name.
    """
    sections = {name: rows for name, rows in _sections().items() if only in (None, name) or name == f"{only}, missing"}
    found = {name: [row for row in rows() if _has(row, words)] for name, rows in sections.items()}
    if words and not any(found.values()):
        from mini_repr.pages.names import suggestion

        names = [row[0] for rows in sections.values() for row in rows()]
        raise ValueError(
            f"list {' '.join(words)}: nothing has {'these words' if words[1:] else 'this word'}"
            f"{suggestion(words[0], names)}"
        )
    return "\n\n".join(filter(None, (table(_title(name, rows), rows, width) for name, rows in found.items())))


def _has(row, words):
    """Whether every word is part of a row, as it is or as names are compared: ``NT-Xent`` is part of ``nt_xent``."""
    from mini_repr.pages.names import folded

    text = " ".join(map(str, row)).lower()
    names = [folded(name) for name in text.split()]
    return all(w.lower() in text or (folded(w) and any(folded(w) in name for name in names)) for w in words)


def _sections():
    """{name of a table: function that makes its rows}, in the order in which they are printed."""
    from mini_repr.pages.page import KINDS
    from mini_repr.pages.registry import pages_of

    kinds = {"losses" if kind == "loss" else f"{kind}s": kind for kind in KINDS}
    pages = {name: lambda kind=kind: [_row(page) for page in pages_of(kind).values()] for name, kind in kinds.items()}
    others = {"primitives": _primitives, "views": _views, "names": _names, "data": _data, "papers": _papers}
    return {**pages, **others, "papers, missing": _missing, "claims": _claims}


def _title(name, rows):
    titles = {
        "names": "names of the field, for --loss, show and check --against",
        "data": "data that need no file: runs train on those marked --data; show has their text",
        "papers, missing": "still missing",
    }
    if name == "papers":
        statuses = [row[2] for row in rows]
        counts = ", ".join(f"{statuses.count(s)} {s}" for s in ("works", "partial", "planned") if s in statuses)
        return f"papers: {counts} (arXiv; held against; claim)"
    return verdicts_title(rows) if name == "claims" else titles.get(name, name)


def _primitives():
    from mini_repr.book.parts import all_primitives

    return _parts(all_primitives())


def _views():
    from mini_repr.book.parts import all_views

    return _parts(all_views())


def _parts(parts):
    """Each with the first sentence of its text."""
    import inspect

    return [(name, " ".join(inspect.getdoc(part).partition("\n\n")[0].split())) for name, part in parts.items()]


def _names():
    from mini_repr.pages.field_names import FIELD_NAMES

    return [(name, whole(f"--loss {one.options()}")) for name, one in FIELD_NAMES.items()]


def _row(page):
    text = page.summary.rstrip(".")
    if page.kind in ("metric", "theorem"):
        text += f" ({', '.join(page.needs)})"
    if page.variants:
        text += f". Variants: {', '.join(page.variants)}."
    folder = [page.compares] if page.kind == "loss" else []
    return page.name, *folder, " ".join(page.papers), text


def _data():
    from mini_repr.book.parts import all_data
    from mini_repr.data import EMBEDDED, GENERATED

    trains = EMBEDDED | GENERATED
    return [(name, "--data" * (name in trains), text) for name, text in _parts(all_data())]


def _papers():
    from mini_repr.catalogue import papers

    return [(p.number, p.key, p.status, f"{p.title}{_evidence(p)}") for p in papers()]


def _missing():
    from mini_repr.catalogue import papers

    return [(p.key, p.missing) for p in papers() if p.missing]


def _evidence(paper):
    from mini_repr.claims.bench.results import stored

    result = stored(paper.key)
    verdict = f"claim: {result['verdict']}" if result else ""
    parts = [part for part in (paper.arxiv, paper.fidelity, verdict) if part]
    return f" ({'; '.join(parts)})" if parts else ""


def _claims():
    from mini_repr.claims.bench.results import all_stored

    return verdict_rows(all_stored())
