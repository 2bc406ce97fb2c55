"""The checks that a project states in its pyproject.toml, run in one process.

[[tool.mini_repr.check]]
target = "losses.py:nt_xent"
against = "infonce"
variant = "nt_xent"
map = { temperature = "tau" }
"""

import tomllib
from pathlib import Path

from mini_repr.conformance.check import check
from mini_repr.conformance.layouts import VIEWS, Layout
from mini_repr.conformance.user_code import Unusable
from mini_repr.pages.names import choose, suggestion

FILE = "pyproject.toml"
# {key of a table: the type of its value, how that is written}
KEYS = {
    "target": (str, '"losses.py:nt_xent"'),
    "against": (str, '"infonce"'),
    "variant": (str, '"nt_xent"'),
    "set": (dict, "{ temperature = 0.5 }"),
    "const": (dict, "{ eps = 1e-8 }"),
    "map": (dict, '{ temperature = "tau" }'),
    "framework": (str, '"torch"'),
    "views": (str, '"stacked"'),
    "transposed": (list, '["queue"]'),
    "dtype": (str, '"float32"'),
    "values-only": (bool, "true"),
    "detached": (list, '["z1"]'),
}
NEEDED = ("target", "against")


def stated_checks(folder="."):
    """The checks stated in a folder's pyproject.toml: a list of tables, complete in their needed keys.

    Raises:
        ValueError: no such file or table, TOML that cannot be read, a key that is unknown, missing or of another type.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        raise ValueError(f"no {FILE} here: expected TARGET --against LOSS, or [[tool.mini_repr.check]] in a {FILE}")
    try:
        stated = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {error}") from None
    tables = stated.get("tool", {}).get("mini_repr", {}).get("check")
    tables = [tables] if isinstance(tables, dict) else tables
    if not isinstance(tables, list) or not tables:
        raise ValueError(f"{path}: no [[tool.mini_repr.check]]: expected a table with target and against")
    for number, table in enumerate(tables, start=1):
        _check_table(f"{path}: tool.mini_repr.check, table {number}", table)
    return tables


def _check_table(where, table):
    if not isinstance(table, dict):
        raise ValueError(f"{where}: got {table!r}, expected a table with target and against")
    for key, value in table.items():
        if key not in KEYS:
            raise ValueError(f"{where}: {key}: no such key{suggestion(key, KEYS)}")
        kind, example = KEYS[key]
        if not isinstance(value, kind):
            raise ValueError(f"{where}: {key}: got {value!r}, expected {key} = {example}")
    for key in NEEDED:
        if key not in table:
            raise ValueError(f"{where}: {key}: missing, expected {key} = {KEYS[key][1]}")


def run_stated(table):
    """The Report of one stated check.

    Raises:
        ValueError: as in ``check``.
    """
    layout = None
    if table.keys() & {"views", "transposed", "dtype"}:
        if "dtype" in table:
            choose("dtype", table["dtype"], ("float32",))
        views = choose("views", table["views"], VIEWS) if "views" in table else ""
        layout = Layout(views, tuple(table.get("transposed", ())), table.get("dtype", ""))
    return check(
        table["target"],
        table["against"],
        variant=table.get("variant"),
        settings=table.get("set"),
        mapping=table.get("map"),
        constants=table.get("const"),
        framework=table.get("framework"),
        values_only=table.get("values-only", False),
        detached=tuple(table.get("detached", ())),
        layout=layout,
    )


def report_of_all(tables):
    """(text, exit code): a line for each check with its verdict, then the details of those that fail; the worst code.

    A check that cannot be run counts as wrong use (2), the others run all the same.
    """
    lines, details, codes = [], [], []
    for table in tables:
        name = f"{table['target']} against {table['against']}"
        try:
            report = run_stated(table)
        except Unusable as problem:
            lines.append(f"{name}: {problem}")
            codes.append(2)
            continue
        lines.append(f"{name}: {report.verdict}")
        codes.append(report.exit_code)
        if report.exit_code:
            details += ["", report.text()]
    worst = max(codes, key=SEVERITY.index)
    return "\n".join([*lines, *details]), worst


SEVERITY = (0, 3, 4, 1, 2)  # exit codes, the worst last
