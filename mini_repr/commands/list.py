"""`mini-repr list`: what there is, as tables."""

import shutil
import sys

import click

from mini_repr.commands.entries import entries_of
from mini_repr.commands.errors import plain_errors
from mini_repr.commands.tables import table


@click.command("list")
@click.option("--losses", "kind", flag_value="losses", help="Only the losses.")
@click.option("--papers", "kind", flag_value="papers", help="Only the papers, with their status.")
@click.option("--metrics", "kind", flag_value="metrics", help="Only the metrics.")
@click.option("--encoders", "kind", flag_value="encoders", help="Only the encoders.")
@click.option("--methods", "kind", flag_value="methods", help="Only the methods.")
@click.option("--claims", "kind", flag_value="claims", help="Only the claims: one small experiment per paper.")
@plain_errors
def list_everything(kind):
    """List losses, methods, encoders, metrics, papers and claims.

    \b
    mini-repr list --losses
    mini-repr list --papers
    """
    click.echo(everything(kind, shutil.get_terminal_size().columns if sys.stdout.isatty() else None))


def everything(only=None, width=None):
    """Tables of all that has pages, and of the papers and claims; or ``only`` one of them, such as "losses".

    Args:
        width: of the terminal, to which the last column is folded; by default each entry is one line.
    """
    from mini_repr.pages.page import KINDS

    kinds = {"losses" if kind == "loss" else f"{kind}s": kind for kind in KINDS}
    tables = [_table_of_kind(title, kind, width) for title, kind in kinds.items() if only in (None, title)]
    tables += [_papers(width)] if only in (None, "papers") else []
    tables += [_claims(width)] if only in (None, "claims") else []
    return "\n\n".join(filter(None, tables))


def _table_of_kind(title, kind, width):
    return table(title, [_row(entry) for entry in entries_of(kind).values()], width)


def _row(entry):
    text = f"{entry.description} ({entry.needs})" if entry.needs else entry.description
    of_page = []
    if entry.page:
        of_page = [entry.page.compares] if entry.kind == "loss" else []
        of_page.append(" ".join(entry.page.papers))
    return entry.name, *of_page, text


def _papers(width):
    from mini_repr.catalogue import papers

    rows = [(p.number, p.key, p.status, p.arxiv, p.title) for p in papers()]
    counts = ", ".join(f"{sum(p.status == s for p in papers())} {s}" for s in ("works", "partial", "planned"))
    missing = table("still missing", [(p.key, p.missing) for p in papers() if p.missing], width)
    return "\n\n".join(filter(None, (table(f"papers: {counts}", rows, width), missing)))


def _claims(width):
    from mini_repr.claims.bench.keys import claim_keys, find_claim

    claims = {key: find_claim(key) for key in claim_keys()}
    return table("claims", [(key, claim.paper, claim.says) for key, claim in claims.items()], width)
