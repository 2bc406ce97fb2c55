"""`mini-repr theorem`: a closed form, or both sides of a bound, on the arrays of a file."""

import click

from mini_repr.commands.errors import plain_errors
from mini_repr.commands.settings import refuse_missing, settings_of


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
    mini-repr embed runs/infonce-digits-001 --out emb.npz && mini-repr theorem latent_class_bound emb.npz
    """
    from mini_repr.data.readers.npz import read_arrays
    from mini_repr.pages.names import find

    page = find("theorem", name)
    settings = settings_of(page, assignments)
    arrays = read_arrays(source)
    refuse_missing(page, arrays, source)
    found = page(**{p.name: arrays[p.name] for p in page.arrays if p.name in arrays}, **settings)._asdict()
    if out:
        import numpy as np

        from mini_repr.training.folder import writing

        with writing(out), open(out, "wb") as file:
            np.savez(file, **found)
    width = max(map(len, found))
    for field, value in found.items():
        click.echo(f"{field.ljust(width)}  {_short(value)}")


def _short(value):
    """A number in six digits; of an array its shape, and its values where they fit on a line."""
    import numpy as np

    if np.ndim(value) == 0:
        return f"{value:.6g}" if isinstance(value, float) else str(value)
    values = np.array2string(np.asarray(value), precision=4, separator=", ").replace("\n", " ")
    return f"{np.shape(value)}" + (f" {values}" if len(values) < 80 else "")
