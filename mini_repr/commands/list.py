"""`mini-repr list`: what there is, as tables."""

import click

from mini_repr.commands.claim import verdicts
from mini_repr.commands.errors import plain_errors
from mini_repr.commands.tables import table, terminal_width


@click.command("list")
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
def list_everything(kind):
    """List losses, methods, encoders, metrics, optimisers, masks, procedures, theorems, primitives, views and so on.

    \b
    mini-repr list --losses
    mini-repr list --papers
    """
    click.echo(everything(kind, terminal_width()))


def everything(only=None, width=None):
    """Tables of all that has pages, and of the papers and claims; or ``only`` one of them, such as "losses".

    Args:
        width: of the terminal, to which the last column is folded; by default each entry is one line.
    """
    from mini_repr.pages.page import KINDS
    from mini_repr.pages.registry import pages_of

    kinds = {"losses" if kind == "loss" else f"{kind}s": kind for kind in KINDS}
    chosen = {title: kind for title, kind in kinds.items() if only in (None, title)}
    tables = [table(title, [_row(page) for page in pages_of(kind).values()], width) for title, kind in chosen.items()]
    tables += [_parts(width, "primitives")] if only in (None, "primitives") else []
    tables += [_parts(width, "views")] if only in (None, "views") else []
    tables += [_names(width)] if only in (None, "names") else []
    tables += [_data(width)] if only in (None, "data") else []
    tables += [_papers(width)] if only in (None, "papers") else []
    tables += [_claims(width)] if only in (None, "claims") else []
    return "\n\n".join(filter(None, tables))


def _parts(width, title):
    """Primitives or views, each with the first sentence of its text."""
    import inspect

    from mini_repr.book.parts import all_primitives, all_views

    parts = {"primitives": all_primitives, "views": all_views}[title]()
    rows = [(name, " ".join(inspect.getdoc(part).partition("\n\n")[0].split())) for name, part in parts.items()]
    return table(title, rows, width)


def _names(width):
    from mini_repr.pages.field_names import FIELD_NAMES

    rows = [(name, f"--loss {one.options()}") for name, one in FIELD_NAMES.items()]
    return table("names of the field, for --loss, show and check --against", rows, width)


def _row(page):
    text = page.summary.rstrip(".")
    if page.kind in ("metric", "theorem"):
        text += f" ({', '.join(page.needs)})"
    if page.variants:
        text += f". Variants: {', '.join(page.variants)}."
    folder = [page.compares] if page.kind == "loss" else []
    return page.name, *folder, " ".join(page.papers), text


def _data(width):
    from importlib import import_module

    from mini_repr.data import EMBEDDED, GENERATED
    from mini_repr.data.pictures import PICTURED

    def row(name, text, trains):
        return name, "--data" if trains else "", " ".join(text.partition("\n\n")[0].split())

    rows = [row(name, made.__doc__, True) for name, made in EMBEDDED.items()]
    rows += [row(n, import_module(f"mini_repr.data.generated.{n}").__doc__, n in GENERATED) for n in PICTURED]
    return table("data: runs train on those marked --data; show data:NAME has the generated ones", rows, width)


def _papers(width):
    from mini_repr.catalogue import papers

    rows = [(p.number, p.key, p.status, f"{p.title}{_evidence(p)}") for p in papers()]
    counts = ", ".join(f"{sum(p.status == s for p in papers())} {s}" for s in ("works", "partial", "planned"))
    title = f"papers: {counts} (arXiv; held against; claim)"
    missing = table("still missing", [(p.key, p.missing) for p in papers() if p.missing], width)
    return "\n\n".join(filter(None, (table(title, rows, width), missing)))


def _evidence(paper):
    from mini_repr.claims.bench.results import stored

    result = stored(paper.key)
    verdict = f"claim: {result['verdict']}" if result else ""
    parts = [part for part in (paper.arxiv, paper.fidelity, verdict) if part]
    return f" ({'; '.join(parts)})" if parts else ""


def _claims(width):
    from mini_repr.claims.bench.results import all_stored

    return verdicts(all_stored(), width)
