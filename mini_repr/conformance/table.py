"""The checks that a project states in its pyproject.toml, run in one process.

[[tool.mini_repr.check]]
target = "losses.py:nt_xent"
against = "infonce"
variant = "nt_xent"
map = { temperature = "tau" }
"""

import tomllib
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

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


class NotRun(NamedTuple):
    """A stated check that could not be run: wrong use, and why."""

    label: str
    loss: str
    verdict: str
    exit_code: int = 2

    @property
    def title(self):
        return f"{self.label} against {self.loss}"

    def document(self):
        return {"target": self.label, "loss": self.loss, "error": self.verdict, "exit_code": self.exit_code}

    def suite(self):
        suite = ElementTree.Element("testsuite", name=self.title, tests="1", errors="1")
        case = ElementTree.SubElement(suite, "testcase", classname=self.loss, name="the check itself")
        ElementTree.SubElement(case, "error", message=self.verdict)
        return suite


def run_all(tables):
    """The reports of all stated checks; one that cannot be run leaves the others.

    Raises:
        ValueError: a value that the check refuses, such as a variant that does not exist; names the table.
    """
    reports = []
    for number, table in enumerate(tables, start=1):
        try:
            reports.append(run_stated(table))
        except Unusable as problem:
            reports.append(NotRun(table["target"], table["against"], str(problem)))
        except ValueError as problem:
            raise ValueError(f"{FILE}: tool.mini_repr.check, table {number}: {problem}") from None
    return reports


def text_of_all(reports, quiet=False, every_case=False):
    """A line for each check with its verdict, then (unless ``quiet``) the details of those that fail, or of all."""
    lines = [f"{report.title}: {report.verdict}" for report in reports]
    for report in reports:
        if not (quiet or isinstance(report, NotRun)) and (report.exit_code or every_case):
            lines += ["", report.text(every_case)]
    return "\n".join(lines)


def worst_code(reports):
    """The exit code for all: the worst of theirs."""
    return max((report.exit_code for report in reports), key=SEVERITY.index)


SEVERITY = (0, 3, 4, 1, 2)  # exit codes, the worst last
