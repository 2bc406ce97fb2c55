"""Finished runs side by side."""

import json
from pathlib import Path

import numpy as np

from mini_repr.pages.tables import folded, numbers
from mini_repr.training import folder
from mini_repr.training.table import COLUMNS

TRAINED = "trained"


def compared(paths):
    """The scores of finished runs as a table, a row a group of runs that differ by their seed alone.

    Raises:
        ValueError: no run there, or one that is not finished.
    """
    runs = [_read(path) for path in paths]
    groups = {}
    for path, settings, scores in runs:
        groups.setdefault(_without_seed(settings), []).append((path, settings, scores[TRAINED]))
    columns = [[scores for _, _, scores in members] for members in groups.values()]
    rows = [["", *map(_name, groups.values())]]
    rows += [
        [title, *(_cell([scores[c] for scores in column if c in scores]) for column in columns)]
        for c, title in COLUMNS.items()
        if any(c in scores for column in columns for scores in column)
    ]
    differences = _differences([members[0][:2] for members in groups.values()])
    return "\n".join([numbers(rows), *map(folded, differences)])


def _name(members):
    name, others = Path(members[0][0]).name, len(members) - 1
    return f"{name} and {others} more seed{'s' * (others > 1)}" if others else name


def _read(path):
    home = folder.open_run(path)
    if not (home / folder.REPORT).exists():
        raise folder.RunError(
            f"{path}: the run is not finished, expected its scores; go on with mini-repr train --resume --out {path}"
        )
    return path, home.read_json(folder.CONFIG), home.read_json(folder.REPORT)


def _without_seed(settings):
    train = {name: value for name, value in settings["train"].items() if name != "seed"}
    return json.dumps({**settings, "train": train, "device": None}, sort_keys=True)


def _cell(values):
    if not values:
        return "-"
    mean = np.mean(values)
    if all(isinstance(value, int) for value in values):  # a number of dimensions
        return f"{mean:g}"
    text = f"{mean:.3f}" if abs(mean) < 5 else f"{mean:.1f}"
    return text if len(values) == 1 else f"{text} ± {np.std(values, ddof=1):.3f}"


def _differences(members):
    """Lines of the settings in which runs differ, one a setting."""
    for name, values in differing([settings for _, settings in members]).items():
        shown = (f"{Path(path).name} {value}" for (path, _), value in zip(members, values, strict=True))
        yield f"{name}: {', '.join(shown)}"


def differing(runs):
    """{setting: its value in each run} where runs differ but by seed; what only some have is left out."""
    flat = [
        {
            f"{part}.{name}": value
            for part, own in settings.items()
            if isinstance(own, dict)
            for name, value in own.items()
        }
        for settings in runs
    ]
    shared = [name for name in flat[0] if name != "train.seed" and all(name in one for one in flat)]
    values = {name: [one[name] for one in flat] for name in shared}
    return {name: found for name, found in values.items() if any(value != found[0] for value in found)}
