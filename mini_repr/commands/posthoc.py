"""`mini-repr posthoc`: a procedure on embeddings, from a file of any library or from a run."""

from functools import partial
from pathlib import Path

import click

from mini_repr.commands.errors import plain_errors
from mini_repr.commands.settings import mapped, refuse_missing, report, settings_of, write


@click.command(short_help="Apply a procedure to saved embeddings or to those of a run.")
@click.argument("name")
@click.argument("source", metavar="FILE.npz|RUN")
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="A setting of it; repeatable.")
@click.option(
    "--map",
    "names",
    multiple=True,
    metavar="ARGUMENT=ARRAY",
    help="Which array is which argument; of another file as FILE.npz:ARRAY.",
)
@click.option("--load", metavar="FILE.npz", help="Apply what an earlier --out wrote; fit nothing.")
@click.option("--out", metavar="FILE.npz", help="Write what it made there: a projection, a code book, ...")
@click.option("--rows", metavar="FILE.npz", help="Write the arrays there, the rows transformed or drawn anew.")
@plain_errors
def posthoc(name, source, assignments, names, load, out, rows):
    """Apply procedure NAME to the arrays of FILE.npz, or to the embeddings of a RUN's data (its folder).

    What is fitted is fitted to the rows that is_test, where there is one, leaves out. unlearn, forget_without_labels
    and tune_calibrated change a whole network: that of a RUN on images, whose rows are numbered training rows first; of
    FILE.npz a small one that is made of its z and labels.

    \b
    mini-repr posthoc inlp emb.npz --map attribute=labels --out inlp.npz
    mini-repr posthoc inlp other.npz --load inlp.npz --rows clean.npz
    mini-repr posthoc unlearn RUN --map forget=which.npz:rows --out unlearnt.npz
    mini-repr posthoc tune_calibrated RUN --map labels=noisy.npz:labels
    """
    from mini_repr.pages.names import find
    from mini_repr.posthoc.estimator import Estimator
    from mini_repr.posthoc.networks import CHANGES

    page = find("procedure", name)
    if page.name in CHANGES:
        _on_network(page, source, assignments, names, load, out, rows)
        return
    if isinstance(page.thing, type) and not issubclass(page.thing, Estimator):
        raise ValueError(f"posthoc {name}: acts in training, not on saved rows; mini-repr show {name}")
    if not isinstance(page.thing, type):
        if len(page.parameters) < len(page.__signature__.parameters):
            root = click.get_current_context().find_root()
            if page.name in root.command.list_commands(root):
                raise ValueError(f"posthoc {name}: has a command of its own: mini-repr {page.name} --help")
            raise ValueError(f"posthoc {name}: takes more than arrays and settings, from Python; mini-repr show {name}")
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
    if arrays.get("z") is None or not arrays["z"].ndim:
        raise ValueError(f"{source}: no rows z (N, D); holds {', '.join(arrays) or 'nothing'}; see --map")
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
    train = _training_rows(arrays, source)
    given = {}
    for p in list(inspect.signature(procedure.fit).parameters.values()):
        if p.name in arrays and len(arrays[p.name]) != len(train):
            raise ValueError(f"{source}: {p.name}: got {len(arrays[p.name])} rows, expected {len(train)}, as z has")
        if p.name in arrays:
            given[p.name] = arrays[p.name][train]
        elif p.default is p.empty:
            raise ValueError(
                f"{source}: no array {p.name!r}, which {page.name} needs; holds {', '.join(arrays)}; see --map"
            )
    return procedure.fit(**given)


def _training_rows(arrays, source):
    """(N,) bool: the rows of z that are no test rows."""
    import numpy as np

    rows = len(arrays["z"])
    is_test = arrays.get("is_test", np.zeros(rows, bool))
    if is_test.dtype.kind != "b" or is_test.shape != (rows,) or is_test.all():
        got = "test rows alone" if is_test.dtype.kind == "b" and is_test.all() else f"{is_test.dtype} {is_test.shape}"
        raise ValueError(f"{source}: is_test: got {got}, expected booleans ({rows},), some of them false")
    return ~is_test


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


def _on_network(page, source, assignments, names, load, out, rows):
    """Change the network of a run, or one that is made of rows, and say what changed; or apply one that is stored."""
    from mini_repr.data.readers.npz import read_arrays
    from mini_repr.pages.tables import table
    from mini_repr.posthoc import networks

    if load and (assignments or out or not rows):
        raise ValueError(
            "--load: applies a stored network to all rows, expected --rows beside it, and no --set or --out"
        )
    settings = settings_of(page, assignments)
    encoder, head, given = _inputs(page, source, names)
    if encoder is None:
        make = partial(networks.of_rows, page.name, given.x.shape[1])
    else:
        make = partial(networks.of_run, encoder, given.x.shape[1:])
    if load:
        network = networks.restored(page.name, read_arrays(load), make, load)
    else:
        given.parts(page.name)  # a mistake in what is to be forgotten is told before anything is trained
        if encoder is None:
            network = networks.trained_on_rows(page.name, given, settings.get("seed", 0))
        elif page.name == "unlearn" and head is None:
            raise ValueError(f"{source}: a run without scores, expected one of --method classifier")
        else:
            network = make(None if page.name == "tune_calibrated" else head)
        effects = networks.changed(page.name, network, given, settings)
        lines = [("part", "accuracy before", "after", "rows' mean cosine with before")]
        lines += [(e.part, *("-" if x is None else f"{x:.3f}" for x in e[1:])) for e in effects]
        click.echo(table(f"{page.name} of {source}", lines))
    if out:
        write(out, networks.stored(page.name, network))
    if rows:
        write(rows, given.arrays | network.outputs(given.x))


def _inputs(page, source, names):
    """(a run's encoder or None, its head or None, ``Given``) of the folder of a run on images, or of a file of rows."""
    import numpy as np

    from mini_repr.posthoc.estimator import rows_of
    from mini_repr.posthoc.networks import Given

    if not Path(source).is_dir():
        arrays = mapped(_arrays(source), names, source)
        if "z" not in arrays:
            raise ValueError(f"{source}: no rows z (N, D); holds {', '.join(arrays) or 'nothing'}; see --map")
        z = rows_of(page.name, "z", arrays["z"]).astype(np.float32)
        return None, None, Given(z, _training_rows(arrays, source), arrays, f"{page.name} {source}")
    from mini_repr.methods import kind_of
    from mini_repr.training.evaluation import opened

    run, data = opened(source, device="cpu")
    if kind_of(data) != "images":
        raise ValueError(f"{source}: a run on {kind_of(data)}, expected one on images")
    parts = (data.train, data.test)
    arrays = {"is_test": np.repeat([False, True], [len(part) for part in parts])}
    if data.train.labels is not None:
        arrays["labels"] = np.concatenate([part.labels for part in parts])
    images = np.concatenate([part.images for part in parts])
    given = Given(images, ~arrays["is_test"], mapped(arrays, names, source), f"{page.name} {source}")
    head = getattr(run.method, "head", None) if run.method.page.name == "classifier" else None
    return run.method.encoder, head, given
