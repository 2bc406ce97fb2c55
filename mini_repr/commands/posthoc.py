"""`mini-repr posthoc`: a procedure on embeddings, from a file of any library or from a run."""

from pathlib import Path

import click

from mini_repr.commands.errors import plain_errors
from mini_repr.commands.settings import mapped, refuse_missing, report, settings_of, write


@click.command(short_help="Apply a procedure to saved embeddings or to those of a run.")
@click.argument("name")
@click.argument("source", metavar="FILE.npz|RUN")
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="A setting of it; repeatable.")
@click.option("--map", "names", multiple=True, metavar="ARGUMENT=ARRAY", help="Which array is which argument.")
@click.option("--load", metavar="FILE.npz", help="Apply what an earlier --out wrote; fit nothing.")
@click.option("--out", metavar="FILE.npz", help="Write what it made there: a projection, a code book, ...")
@click.option("--rows", metavar="FILE.npz", help="Write the arrays there, the rows transformed or drawn anew.")
@plain_errors
def posthoc(name, source, assignments, names, load, out, rows):
    """Apply procedure NAME to the arrays of FILE.npz, or to the embeddings of a RUN's data (its folder).

    What is fitted is fitted to the rows that is_test, where there is one, leaves out.

    \b
    mini-repr posthoc inlp emb.npz --map attribute=labels --out inlp.npz --rows clean.npz
    mini-repr posthoc inlp other.npz --load inlp.npz --rows clean.npz
    """
    from mini_repr.pages.names import find
    from mini_repr.posthoc.estimator import Estimator

    page = find("procedure", name)
    if isinstance(page.thing, type) and not issubclass(page.thing, Estimator):
        raise ValueError(f"posthoc {name}: acts in training, not on saved rows; mini-repr show {name}")
    if not isinstance(page.thing, type):
        if load or rows:
            raise ValueError(f"posthoc {name}: makes no rows; --load and --rows are for procedures that are fitted")
        arrays = mapped(_arrays(source), names, source)
        refuse_missing(page, arrays, source)
        given = {p.name: arrays[p.name] for p in page.arrays if p.name in arrays}
        made = page(**given, **settings_of(page, assignments))._asdict()
        if out:
            write(out, made)
        click.echo(report(made))
        return
    arrays = mapped(_arrays(source), names, source)
    procedure = _loaded(load, page) if load else _fitted(page, settings_of(page, assignments), arrays, source)
    if out:
        procedure.save(out)
    if rows:
        write(rows, _made(procedure, arrays))
    click.echo(repr(procedure))
    click.echo(report({name.removesuffix("_"): v for name, v in vars(procedure).items() if name.endswith("_")}))


def _arrays(source):
    """The arrays of a file, or z, labels and is_test of a run."""
    from mini_repr.data.readers.npz import read_arrays

    if not Path(source).is_dir():
        return read_arrays(source)
    from mini_repr.training.evaluation import embeddings

    return embeddings(source)


def _fitted(page, settings, arrays, source):
    """The procedure, fitted to the training rows.

    Raises:
        ValueError: an array that ``fit`` needs is not there.
    """
    import inspect

    procedure = page.thing(**settings)
    train = ~arrays["is_test"] if "is_test" in arrays else slice(None)
    given = {}
    for p in list(inspect.signature(procedure.fit).parameters.values()):
        if p.name in arrays:
            given[p.name] = arrays[p.name][train]
        elif p.default is p.empty:
            held = ", ".join(arrays) or "nothing"
            raise ValueError(f"{source}: no array {p.name!r}, which {page.name} needs; holds {held}; see --map")
    return procedure.fit(**given)


def _made(procedure, arrays):
    """All arrays with z transformed; of a procedure that draws rows, those and their labels alone."""
    import numpy as np

    if hasattr(procedure, "transform"):
        return arrays | {"z": procedure.transform(arrays["z"])}
    return procedure.sample(procedure.per_class, np.random.default_rng(procedure.seed))._asdict()


def _loaded(path, page):
    from mini_repr.data.readers.npz import read_arrays
    from mini_repr.posthoc.estimator import load_fitted

    procedure = load_fitted(read_arrays(path), path)
    if procedure.page is not page:
        raise ValueError(f"--load {path}: holds {procedure.page.name}, expected {page.name}")
    return procedure
