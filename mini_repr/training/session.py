"""What the commands do with runs: start, resume, train to the end, report, evaluate, embed."""

import os
from functools import partial
from pathlib import Path

import numpy as np

from mini_repr.backend import get_backend
from mini_repr.data import COLOUR_VIEWS, DEFAULT_VIEWS, PairSet, load, parse_views
from mini_repr.methods import build_encoder, encode, encode_layer_tokens, encode_layers, kind_of
from mini_repr.nn import word_counts
from mini_repr.training import config, folder, report
from mini_repr.training.distributed import ALONE
from mini_repr.training.run import WEIGHTS, Run

RAW, UNTRAINED, TRAINED = "raw input", "untrained", "trained"


def start(chosen, out=None, overwrite=False, init_from=None, world=ALONE):
    """A new run: (run, its folder), with config.json and env.json written and nothing trained.

    On several ranks each has its own run, and the first rank has the folder: the others read and write nothing there.

    Raises:
        ValueError: a wrong setting, data that cannot be read, or a folder that is taken.
    """
    settings, data = prepare(chosen)
    backend = world.device(settings["device"])
    source = _opened(init_from, world) if init_from else None
    run = Run(settings, data, backend, world)
    if source:
        run.start_from(source)
    if world.is_first:
        stem = f"{settings['loss']['name']}-{Path(data.name).stem}"
        home = folder.create(out or folder.free_name(stem), overwrite)
    else:
        home = folder.Onlooker(out or "")
    home.write_json(folder.CONFIG, settings)
    home.write_json(folder.ENVIRONMENT, {**folder.environment(backend, settings["train"]["seed"]), "ranks": world.size})
    facts = " ".join(f"{name}={value}" for name, value in _headline_facts(run).items())
    home.log(f"start {facts}{run.origin}")
    _log_spread(run, home)
    run.save(home)
    return run, home


def prepare(chosen, data=None):
    """Every setting of a new run from the few that were chosen, and its data: (settings, Dataset).

    Args:
        data: a Dataset in place of the one that the settings name.
    Raises:
        ValueError: a wrong setting, or data that cannot be read or trained on.
    """
    config.check_sections(chosen)
    data = _data(chosen.get("data", {})) if data is None else data
    settings = config.resolve(chosen, kind_of(data))
    if kind_of(data) == "texts" and settings["method"]["views"] is not None:
        raise config.ConfigError(f"views: got {settings['method']['views']!r}, expected none: {data.name} holds texts")
    if kind_of(data) == "images" and settings["method"]["views"] is None:
        settings["method"]["views"] = COLOUR_VIEWS if data.train.images.shape[1] == 3 else DEFAULT_VIEWS
    return settings, data


def resume(out, chosen, world=ALONE):
    """Go on with the run in a folder: (run, folder), at its last checkpoint, on any number of ranks.

    Raises:
        ValueError: no run there, a damaged checkpoint, or a chosen setting that differs from the run's.
    """
    home = _opened(out, world)
    settings = world.from_first(home.read_json(folder.CONFIG) if world.is_first else None)
    _refuse_other_settings(out, settings, chosen)
    if "device" in chosen:
        settings = {**settings, "device": chosen["device"]}
    data = _data(settings["data"])
    run = Run(_resolved(home, settings, data), data, world.device(settings["device"]), world)
    run.restore(home)
    home.forget_epochs_after(run.epoch)
    home.log(f"resume at epoch {run.epoch} on {run.backend.name}")
    _log_spread(run, home)
    return run, home


def _opened(path, world):
    return folder.open_run(path) if world.is_first else folder.Onlooker(path)


def _resolved(home, settings, data):
    """A run's own settings, those that it was made without at their defaults."""
    try:
        return config.resolve(settings, kind_of(data))
    except ValueError as error:
        raise folder.RunError(f"{home / folder.CONFIG}: {error}{home.other_version()}") from None


def _log_spread(run, home):
    if run.spread.describe():
        home.log(run.spread.describe())


def _refuse_other_settings(out, settings, chosen):
    for section, values in chosen.items():
        if section == "device":
            continue
        for name, value in values.items():
            before = settings.get(section, {}).get(name)
            if value != before and not (section == "add" and (before or {}).get("weight") == value):
                raise config.ConfigError(
                    f"--resume --out {out}: the run has {section}.{name} = {before!r}, not {value!r}; leave the "
                    f"setting out, or start a new run from these weights with --init-from {out}"
                )


def remaining_epochs(run, home):
    """Train to the end, an epoch at a time: log it, save the checkpoint, hand over its record."""
    while not run.finished:
        record = run.train_epoch()
        home.append_epoch(record)
        home.log(line(record, run.settings["train"]["epochs"]))
        run.save(home)
        yield record


def finish(run, home):
    """Compare trained, untrained and raw; write metrics.json; return {representation: {metric: number}}."""
    scores = compare(run)
    home.write_json(folder.REPORT, scores)
    home.log("done\n" + table(scores))
    return scores


def evaluate(path, data=None, device=None):
    """The table of a run folder, on its own data or another set of the same kind (and image shape)."""
    return compare(*_trained(path, data, device))


def evaluate_layers(path, data=None, device=None):
    """The measures of every layer of a run's encoder, {"layer 1": {metric: number}, ...}: ``report.by_layer``.

    Of two towers it is that of the texts b, against the same layer of that of a.
    """
    run, data = _trained(path, data, device)
    encoders = list(_encoders(run.method).values())
    sides = [partial(encode_layers, encoder, backend=run.backend) for encoder in encoders]
    tokens_of = None
    if hasattr(encoders[-1], "layer_tokens"):
        tokens_of = partial(encode_layer_tokens, encoders[-1], backend=run.backend)
    views = parse_views(run.settings["method"]["views"]) if kind_of(data) == "images" else None
    return report.by_layer(sides, tokens_of, data, views)


def figures():
    """Matplotlib's class of figures.

    Raises:
        ValueError: matplotlib is not there.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ValueError("--plot: needs matplotlib: pip install 'mini-repr[plot]'") from None
    return Figure


def draw_layers(scores, path):
    """Write a picture of ``evaluate_layers``' table: one panel a measure, layers from left to right."""
    measures = [m for m in next(iter(scores.values())) if m != "dimensions"]
    figure = figures()(figsize=(3 * len(measures), 3), layout="constrained")
    for panel, measure in zip(figure.subplots(1, len(measures), squeeze=False)[0], measures, strict=True):
        panel.plot(range(1, len(scores) + 1), [row[measure] for row in scores.values()], marker="o")
        panel.set(title=measure, xlabel="layer")
    figure.savefig(path)


def embed(path, data, out, device=None):
    """Write embeddings of all rows of a data set, training rows first; returns {name of the rows: their shape}.

    The npz holds ``z`` (N, D) float32 (pairs of texts: ``a`` and ``b``, one row a text), ``is_test`` (N,) bool and,
    where known, ``labels`` (N,) int64.
    """
    if os.path.exists(out):
        raise ValueError(f"--out {out}: exists already; choose another name or remove it")
    if not Path(out).name or not Path(out).parent.is_dir():
        raise ValueError(f"--out {out}: no folder {Path(out).parent}" if out else "--out: got '', expected a file")
    run, data = _trained(path, data, device)
    parts = (data.train, data.test)
    encoders = _encoders(run.method)
    arrays = {
        name: np.concatenate([encode(encoders[name], _inputs(part)[name], run.backend) for part in parts])
        for name in encoders
    }
    shapes = {name: rows.shape for name, rows in arrays.items()}
    arrays["is_test"] = np.repeat([False, True], [len(part) for part in parts])
    if data.train.labels is not None:
        arrays["labels"] = np.concatenate([part.labels for part in parts])
    temporary = f"{out}.{os.getpid()}.partial"
    try:
        with open(temporary, "wb") as file:
            np.savez(file, **arrays)
        os.replace(temporary, out)
    except OSError as error:
        raise ValueError(f"--out {out}: cannot be written: {error.strerror}") from None
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)
    return shapes


def headline(run, home):
    """One line that says what is about to be trained."""
    facts = _headline_facts(run)
    return (
        f"{facts['loss']} on {facts['data']} ({facts['rows']} rows), {facts['method']} with {facts['encoder']} of "
        f"{facts['parameters']:,} parameters, {facts['epochs']} epochs on {facts['device']}{run.origin} -> {home.path}"
    )


def _headline_facts(run):
    settings = run.settings
    return {
        "loss": "+".join([settings["loss"]["name"], *settings["add"]]),
        "data": run.data.name,
        "rows": len(run.data.train),
        "method": settings["method"]["name"],
        "encoder": settings["encoder"]["name"],
        "parameters": run.method.parameter_count(),
        "epochs": settings["train"]["epochs"],
        "device": run.backend.name,
    }


def line(record, epochs):
    """An epoch's record for people: terms, gradient norm, collapse indicators."""
    own = ("epoch", "step", "loss", "gradient_norm", "learning_rate", "std", "effective_rank", "seconds")
    terms = [f"{n} {value:.4f}" for n, value in record.items() if n not in own and value != record["loss"]]
    indicators = f"std {record['std']:.2f}  rank {record['effective_rank']:.1f}"
    numbers = [f"loss {record['loss']:.4f}", *terms, f"grad {record['gradient_norm']:.4g}", indicators]
    return f"epoch {record['epoch']}/{epochs}  " + "  ".join(numbers)


def short_line(record):
    """The same for the place beside a progress bar."""
    return f"loss {record['loss']:.4f}  rank {record['effective_rank']:.1f}"


def table(scores):
    return report.table(scores)


def _data(chosen):
    options = {name: value for name, value in chosen.items() if name != "name"}
    data = load(chosen.get("name", "digits"), **options)
    if kind_of(data) == "rows":
        raise ValueError(f"data {data.name}: holds plain rows; runs train on images or on pairs of texts")
    return data


def _trained(path, data_name, device):
    """(the run in a folder, the data to look at): its own, or another set that its encoder takes."""
    home = folder.open_run(path)
    settings = home.read_json(folder.CONFIG)
    own = _data(settings["data"])
    settings = _resolved(home, settings, own)
    run = Run(settings, own, get_backend(device or settings["device"]))
    run.restore(home)
    data = own if data_name is None else _data({"name": data_name})
    if kind_of(data) != kind_of(own):
        raise ValueError(f"data {data_name}: holds {kind_of(data)}, the run in {path} takes {kind_of(own)}")
    return run, data


def _encoders(method):
    """{name of the rows: their encoder}: z, or a and b of pairs."""
    return dict(zip("ab", method.towers, strict=True)) if method.takes == "texts" else {"z": method.encoder}


def _inputs(part):
    return {"a": part.a, "b": part.b} if isinstance(part, PairSet) else {"z": part.images}


def compare(run, data=None):
    """{representation: {metric: number}} of a run's encoder, the same untrained, and the raw inputs, on test rows."""
    settings, backend = run.settings, run.backend
    data = run.data if data is None else data
    rng = np.random.default_rng([settings["train"]["seed"], WEIGHTS])
    fresh = build_encoder(settings, run.data, rng).to(backend)
    if kind_of(data) == "texts":
        return report.compare_pairs(
            {
                TRAINED: [partial(encode, tower, backend=backend) for tower in run.method.towers],
                UNTRAINED: [partial(encode, fresh, backend=backend)] * 2,
                RAW: [word_counts] * 2,
            },
            data,
        )
    encoders = {
        TRAINED: partial(encode, run.method.encoder, backend=backend),
        UNTRAINED: partial(encode, fresh, backend=backend),
        RAW: lambda images: images.reshape(len(images), -1),
    }
    return report.compare(encoders, data, parse_views(settings["method"]["views"]))
