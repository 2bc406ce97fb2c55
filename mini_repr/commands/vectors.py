"""`mini-repr vectors`: golden vectors, written and checked again."""

import sys

import click

from mini_repr.commands.errors import plain_errors

DIFFERS = 1


@click.group(short_help="Write and re-check golden vectors.")
def vectors():
    """Write and re-check golden vectors: inputs with values and gradients exact to the last digit."""


@vectors.command()
@click.option("--out", required=True, metavar="DIR", help="A new or an empty folder.")
@click.option("--loss", "name", metavar="NAME", help="Only this loss. Default: all.")
@plain_errors
def export(out, name):
    """Write one JSON file per loss and variant, their schema and SHA256SUMS into DIR.

    \b
    mini-repr vectors export --out vectors
    mini-repr vectors export --out vectors --loss infonce
    """
    from mini_repr.conformance.vectors import export

    names = export(out, name)
    click.echo(f"{out}: {sum(n.endswith('.json') and n != 'schema.json' for n in names)} files of vectors")


@vectors.command()
@click.argument("folder", metavar="DIR")
@plain_errors
def verify(folder):
    """Compute the set in DIR again and say what changed; exit code 1 if anything did.

    \b
    mini-repr vectors verify vectors
    """
    from mini_repr.conformance.verify import verify

    changes = verify(folder)
    for line in changes:
        click.echo(line)
    click.echo(f"{folder}: {f'changes: {len(changes)}' if changes else 'as this version computes it'}")
    sys.exit(DIFFERS if changes else 0)
