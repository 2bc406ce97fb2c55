"""The settings of runs by name: what `mini-repr show` says of ``train.knn_every`` or ``temperature``."""

from dataclasses import fields


def run_settings():
    """Rows (path, owner, default, range) of all settings of runs, such as ("train.epochs", "train", ...)."""
    from mini_repr.data import GENERATED, options_of
    from mini_repr.pages.registry import pages_of
    from mini_repr.training.config import OBJECTIVE, OBJECTIVE_SAYS

    rows = [
        (f"{section}.{f.name}", section, f"default {f.default}", str(f.type))
        for section, cls in _sections().items()
        for f in fields(cls)
    ]
    rows += [(f"loss.{n}", "every loss", f"default {value!r}", OBJECTIVE_SAYS[n]) for n, value in OBJECTIVE.items()]
    for kind, section in (("loss", "loss"), ("method", "method"), ("encoder", "encoder"), ("optimiser", "optimizer")):
        for page in pages_of(kind).values():
            given = [p for p in page.settings if p.default is not p.required]
            rows += [(f"{section}.{p.name}", page.name, p.default_text, str(p.annotation)) for p in given]
    for name in GENERATED:
        rows += [(f"data.{n}", name, f"default {value}", "") for n, value in options_of(name).items()]
    return rows


def settings_text(name):
    """What is known of the settings called ``name``, with or without their section, or of a section; "" of none."""
    import inspect

    from mini_repr.pages.tables import folded, table

    sections = _sections()
    wanted = {name, *(f"{name}.{f.name}" for f in fields(sections[name]))} if name in sections else {name}
    found = [row for row in run_settings() if row[0] in wanted or row[0].partition(".")[2] == name]
    texts = [inspect.getdoc(sections[owner]) for owner in dict.fromkeys(row[1] for row in found) if owner in sections]
    rows = [(path, f"of {'every run' if owner in sections else owner}", *others) for path, owner, *others in found]
    title = "settings of runs, for --set SECTION.NAME=VALUE"
    return "\n\n".join(filter(None, [table(title, rows), *map(folded, texts)]))


def _sections():
    from mini_repr.nn import Heads
    from mini_repr.training.sections import LearningRate, Training

    return {"train": Training, "optimizer": LearningRate, "heads": Heads}
