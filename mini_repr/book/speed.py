"""What ``scripts/bench.py --record`` stored, and the tables and the README's line that are written from it."""

import json
from importlib import resources
from textwrap import wrap

FILE = resources.files("mini_repr") / "book" / "speed.json"
SCRIPT = "scripts/bench.py"
# A row's goals are about the first of these that it has. Columns as a table heads them.
PEERS = {"torch": "PyTorch", "sklearn": "scikit-learn"}
COLUMNS = (
    *("work", "ours s", "peer s", "time ratio", "goal", "ours MiB", "peer MiB", "memory ratio", "goal"),
    *("JAX s", "time ratio", "memory ratio"),
)
PRODUCT_COLUMNS = (
    *("work", "GFLOP", "ours s", "its products s", "GFLOP/s", "PyTorch s", "the same products s", "GFLOP/s"),
    *("all else of ours s", "time ratio", "with PyTorch's products"),
)
QUOTED = ("vit", "infonce")
NAMES = {"numpy": "NumPy", "torch": "PyTorch", "jax": "JAX", "scikit-learn": "scikit-learn"}


def stored():
    """{machine: {name: row}}, both in the order of the tables.

    A row has what it is, its goals, the date and the versions of its measurement, and for ``ours`` and each peer
    seconds and mib; a peer's time_ratio and memory_ratio are ours over its. ``products``: GFLOP of our matrix products
    and the seconds that each library takes for these alone.
    """
    return json.loads(FILE.read_text(encoding="utf-8"))


def header(columns):
    """The first two lines of a table."""
    return [_cells(columns), f"|{'---|' * len(columns)}"]


def _cells(texts):
    return f"| {' | '.join(texts)} |"


def line(row):
    """A row as a line of a table, a ratio above its goal in bold."""
    ours, peer, jax = row["ours"], peer_of(row), row.get("jax", {})
    cells = [
        *(row["what"] + _per_pair(row), _seconds(ours["seconds"]), _seconds(peer.get("seconds"))),
        *_with_goal(peer.get("time_ratio"), row["goal_time"]),
        *(_number(ours["mib"], 0), _number(peer.get("mib"), 0)),
        *_with_goal(peer.get("memory_ratio"), row["goal_memory"]),
        *(_seconds(jax.get("seconds")), _number(jax.get("time_ratio"), 2), _number(jax.get("memory_ratio"), 2)),
    ]
    return _cells(cells)


def _per_pair(row):
    """What a pair of a large batch costs beside one of a small, where a row says it."""
    share = row.get("per_pair_over_small")
    return "" if share is None else f": {share:.2f} times a pair of B=4096"


def peer_of(row):
    """The numbers of the peer whom a row's goals are about; {} without one."""
    return next((row[name] for name in PEERS if name in row), {})


def _number(value, digits):
    return "-" if value is None else f"{value:.{digits}f}"


def _seconds(value):
    return "-" if value is None else f"{value:.3g}"


def _with_goal(ratio, goal):
    shown = _number(ratio, 2)
    return (f"**{shown}**" if _missed(ratio, goal) else shown), _number(goal, 2)


def _missed(ratio, goal):
    return None not in (ratio, goal) and round(ratio, 2) > goal


def tables():
    """The lines of the chapter's tables, a machine after the other."""
    lines = []
    for machine, rows in stored().items():
        goals = [
            _missed(peer_of(row)[f"{kind}_ratio"], row[f"goal_{kind}"])
            for row in rows.values()
            for kind in ("time", "memory")
            if peer_of(row) and row[f"goal_{kind}"] is not None
        ]
        measured = f"{machine}; {_versions(rows.values())}; measured {_dates(rows.values())}."
        lines += ["", f"{measured} Of {len(goals)} goals {sum(goals)} are missed.", "", *header(COLUMNS)]
        lines += map(line, rows.values())
        if products := products_table(rows.values()):
            lines += ["", *products]
    return [*lines, ""]


def products_table(rows):
    """The lines of a table of what products take, of the rows that have them; [] without any."""
    lines = []
    for row in rows:
        if "products" not in row:
            continue
        gflop, ours, torch = (row["products"][key] for key in ("gflop", "numpy_seconds", "torch_seconds"))
        else_ = row["ours"]["seconds"] - ours
        cells = [row["what"], _number(gflop, 2)]
        for whole, part in ((row["ours"]["seconds"], ours), (row["torch"]["seconds"], torch)):
            cells += [_seconds(whole), _seconds(part), _number(gflop / part, 0)]
        ratio = (else_ + torch) / row["torch"]["seconds"]
        cells += [_seconds(else_), _number(row["torch"]["time_ratio"], 2), _number(ratio, 2)]
        lines.append(_cells(cells))
    return [*header(PRODUCT_COLUMNS), *lines] if lines else []


def _versions(rows):
    found = {}
    for row in rows:
        for name, number in row["versions"].items():
            found.setdefault(name, {})[number] = None
    return ", ".join(f"{NAMES[name]} {' and '.join(numbers)}" for name, numbers in found.items())


def _dates(rows):
    dates = sorted({row["date"] for row in rows})
    return dates[0] if len(dates) == 1 else f"from {dates[0]} to {dates[-1]}"


def quoted():
    """What the README says, as lines: a step and a loss on the machine that was measured last."""
    quotable = {
        machine: rows for machine, rows in stored().items() if all("torch" in rows.get(name, {}) for name in QUOTED)
    }
    machine, rows = max(quotable.items(), key=lambda item: item[1]["vit"]["date"])
    of = {
        name: "{time_ratio:.2f} of the time and {memory_ratio:.2f} of the memory".format(**rows[name]["torch"])
        for name in QUOTED
    }
    text = (
        f"* Speed on {machine}: a ViT step takes {of['vit']} that PyTorch takes, InfoNCE of 4,096 pairs with its "
        f"gradient {of['infonce']}."
    )
    return wrap(text, 118, subsequent_indent="  ")
