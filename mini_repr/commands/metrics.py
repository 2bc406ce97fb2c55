"""`mini-repr metrics`: every metric that applies to the arrays of a file."""

import json
import sys

import click

from mini_repr.commands.errors import WRONG_USE, plain_errors
from mini_repr.pages.tables import numbers


@click.command()
@click.argument("source", metavar="FILE.npz")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
@plain_errors
def metrics(source, as_json):
    """Every metric that applies to the arrays in FILE.npz.

    Their names: z or a and b (rows), labels, is_test (the probes learn from the other rows); queries, candidates and
    relevance; tokens and mask.

    \b
    mini-repr embed runs/infonce-digits-001 --out emb.npz
    mini-repr metrics emb.npz
    """
    from mini_repr.data.readers.npz import read_arrays
    from mini_repr.metrics.saved import metrics_of_arrays

    found, failed = metrics_of_arrays(read_arrays(source), source)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif found:
        click.echo(numbers([(name, f"{value:.4f}") for name, value in found.items()]))
    for name, reason in failed.items():
        click.echo(f"not computed: {name}: {reason.removeprefix(f'{name}: ')}", err=True)
    if not found:
        sys.exit(WRONG_USE)
