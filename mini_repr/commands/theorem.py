"""`mini-repr theorem`: a closed form, or both sides of a bound, on the arrays of a file."""

import click

from mini_repr.commands.errors import plain_errors
from mini_repr.commands.settings import refuse_missing, report, settings_of, write


@click.command(short_help="Evaluate a theorem on the arrays of a file.")
@click.argument("name")
@click.argument("source", metavar="FILE.npz")
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="A setting of it; repeatable.")
@click.option("--out", metavar="FILE.npz", help="Write all that it found there.")
@plain_errors
def theorem(name, source, assignments, out):
    """Evaluate theorem NAME on the arrays of FILE.npz that are named as its arguments; others are left aside.

    \b
    mini-repr list --theorems
    mini-repr embed runs/infonce-digits-001 --out emb.npz
    mini-repr theorem latent_class_bound emb.npz
    """
    from mini_repr.data.readers.npz import read_arrays
    from mini_repr.pages.names import find

    page = find("theorem", name)
    settings = settings_of(page, assignments)
    arrays = read_arrays(source)
    refuse_missing(page, arrays, source)
    found = page(**{p.name: arrays[p.name] for p in page.arrays if p.name in arrays}, **settings)._asdict()
    if out:
        write(out, found)
    click.echo(report(found))
