"""What a check found: a row per case, the verdict in words and as exit code, and the report as text or JSON."""

import re
import textwrap
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

from mini_repr.conformance.adapters import Outcome
from mini_repr.conformance.cases import Case
from mini_repr.conformance.compare import Comparison
from mini_repr.conformance.explain import Explanation

WIDTH = 80
CONFORMS, DIFFERS, UNDEFINED, SINGLE = 0, 1, 3, 4
# What a number rounded to float32 inside float64 code is off by at most, in value and gradients.
# Where a loss nearly vanishes it is more, in units of that.
OFF_IN_SINGLE, MORE = 5e-7, 20
BAD = ("differs", "value not finite", "gradient not finite", "raised")


class Row(NamedTuple):
    """One line of the table. ``verdict``: one of BAD, or ok, imprecise, undefined (not judged).

    ``rounding``: what of the framework is known to round otherwise, where that is all that is off.
    """

    case: Case
    comparison: Comparison | None
    verdict: str
    note: str = ""
    outcome: Outcome | None = None
    exact: Outcome | None = None
    rounding: str | None = None

    @property
    def bad(self):
        return self.verdict in BAD


class Report(NamedTuple):
    """The result of a check: ``exit_code`` 0, 1, 3 or 4, ``verdict`` in words, rows, the explanation if one fits."""

    loss: object
    settings: dict
    label: str
    framework: str
    rows: list
    explanation: Explanation | None
    notes: list

    @property
    def exit_code(self):
        bad = [row for row in self.rows if row.bad]
        if any("edge" not in row.case.flags for row in bad):
            return DIFFERS if self.explanation or self.worst is None else SINGLE
        return UNDEFINED if bad else CONFORMS

    @property
    def worst(self):
        """The largest error on plain rows that fail, if all cases are right to single precision; else None."""
        failing = [row for row in self.rows if row.bad and "edge" not in row.case.flags]
        if not failing or not all(row.verdict == "differs" for row in failing):
            return None
        errors = {row.case.id: _error_that_counts(row) for row in failing}
        plain = [errors[row.case.id] for row in failing if {"ordinary", "sizes"} & set(row.case.flags)]
        right = max(plain, default=np.inf) <= OFF_IN_SINGLE and max(errors.values()) <= MORE * OFF_IN_SINGLE
        return max(plain) if right else None

    @property
    def verdict(self):
        page = self.page
        if self.exit_code == CONFORMS:
            imprecise = [row.case.id for row in self.rows if row.verdict == "imprecise"]
            less = f", with fewer digits than the formula itself gives on {', '.join(imprecise)}" if imprecise else ""
            return f"conforms to {page} on {sum(r.verdict != 'undefined' for r in self.rows)} cases{less}"
        bad = [row for row in self.rows if row.bad]
        names = ", ".join(f"{row.case.id} ({row.verdict})" for row in bad)
        if self.exit_code == UNDEFINED:
            return f"conforms to {page}, except at the end of what is defined: {names}"
        if self.exit_code == SINGLE:
            return f"agrees with {page} to {self.worst:.0e} only, as a float32 constant inside would give"
        if self.explanation:
            return f"does not conform to {page}: {self.explanation.text}"
        ordinary = {row.verdict for row in bad if "ordinary" in row.case.flags}
        if ordinary == {"value not finite"}:
            return f"does not conform to {page}: its value is not finite on ordinary rows"
        if ordinary:
            return f"does not conform to {page}: no known variant or slip fits"
        return f"does not conform to {page}: agrees on ordinary rows, not on {names}"

    @property
    def title(self):
        return f"{self.label} against {self.loss.name}"

    @property
    def page(self):
        inner = ", ".join(f"{n}={v!r}" for n, v in self.settings.items())
        return f"{self.loss.name}({inner})" if inner else self.loss.name

    @property
    def smallest_failing(self):
        """The failing row with the fewest numbers in it, ordinary ones first; None if all is well."""

        def size(row):
            arrays = [v for v in row.case.arguments.values() if isinstance(v, np.ndarray)]
            plain = {"ordinary", "sizes"} & set(row.case.flags) and min(
                (a.shape[-1] for a in arrays if a.ndim > 1), default=2
            ) > 1
            return ("edge" in row.case.flags, row.comparison is None, not plain, sum(a.size for a in arrays))

        return min((row for row in self.rows if row.bad), key=size, default=None)

    def text(self, every_case=False):
        """The verdict, the cases that fail (or all), and the smallest of them as arrays to paste."""
        lines = [*self.short(), *(line for note in self.notes for line in wrapped(note))]
        shown = [row for row in self.rows if every_case or row.bad or row.verdict == "imprecise"]
        if shown:
            lines += ["", *_table(shown)]
        if self.smallest_failing:
            lines += ["", "The smallest failing case:", *_paste(self.smallest_failing)]
        return "\n".join(lines)

    def short(self):
        """Lines: what was compared, the verdict, and the line of the formula that computes the same."""
        lines = [f"{self.label} ({self.framework}) against {self.page}", *wrapped(f"Verdict: {self.verdict}.")]
        for before, after in self.explanation.diff if self.explanation else ():
            lines += [f"  - {before}", f"  + {after}"]
        return lines

    def suite(self):
        """The cases as a test suite of a JUnit file, one test for each."""
        suite = ElementTree.Element("testsuite", name=f"{self.label} against {self.page}")
        suite.set("tests", str(len(self.rows)))
        suite.set("failures", str(sum(row.bad for row in self.rows)))
        for row in self.rows:
            case = ElementTree.SubElement(suite, "testcase", classname=self.loss.name, name=row.case.id)
            if row.bad:
                failure = ElementTree.SubElement(case, "failure", message=f"{row.verdict}: {row.case.comment}")
                failure.text = "\n".join(self.short())
        return suite

    def document(self):
        """The same as plain values, as ``schema.REPORTS`` describes them."""
        rows = [
            {
                "case": row.case.id,
                "flags": list(row.case.flags),
                "verdict": row.verdict,
                "note": row.note,
                "errors": row.comparison and {part: finite(x) for part, x in row.comparison.errors.items()},
                "allowed": row.comparison and {part: finite(x) for part, x in row.comparison.allowed.items()},
            }
            for row in self.rows
        ]
        explanation = self.explanation and {
            "text": self.explanation.text,
            "settings": self.explanation.settings,
            "slips": list(self.explanation.slips),
            "diff": [{"definition": before, "yours": after} for before, after in self.explanation.diff],
        }
        return {
            "target": self.label,
            "framework": self.framework,
            "loss": self.loss.name,
            "settings": self.settings,
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "explanation": explanation,
            "notes": self.notes,
            "cases": rows,
        }


def junit(suites):
    """The text of a JUnit file, as build servers read it."""
    root = ElementTree.Element("testsuites")
    root.extend(suites)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)


def _error_that_counts(row):
    """The largest error of a row; of the value alone where rows are arranged so that gradients cancel to nothing."""
    errors = row.comparison.errors
    return errors["value"] if "direction" in row.case.flags else max(errors.values())


def finite(number):
    """JSON knows no infinity and no NaN: null stands for them."""
    return float(number) if np.isfinite(number) else None


def wrapped(text):
    """Lines of a text, folded to ``WIDTH``."""
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _table(rows):
    """Lines of relative errors, with the verdict; a long note is cut at the width."""
    parts = list(dict.fromkeys(part for row in rows if row.comparison for part in row.comparison.errors))
    lines = [["errors of", *parts, "verdict"]]
    for row in rows:
        errors = row.comparison.errors if row.comparison else {}
        cells = [f"{errors[part]:.1e}" if part in errors else "-" for part in parts]
        verdict = row.verdict.upper() if row.bad else row.verdict
        lines.append([row.case.id, *cells, f"{verdict}: {row.note}" if row.note else verdict])
    widths = [max(len(line[k]) for line in lines) for k in range(len(parts) + 1)]
    texts = ["  ".join([*(c.ljust(w) for c, w in zip(line, widths, strict=False)), line[-1]]) for line in lines]
    return [text if len(text) <= WIDTH else f"{text[: WIDTH - 3]}..." for text in texts]


def _paste(row):
    """The case as Python that anyone can paste, with found and expected values."""
    lines = [f"# {row.case.id}: {row.case.comment}"]
    for name, value in row.case.arguments.items():
        if isinstance(value, np.ndarray):
            numbers_text = np.array2string(
                value, separator=", ", floatmode="unique", threshold=10**9, max_line_width=WIDTH, prefix="    "
            )
            numbers_text = re.sub(r"\b(nan|inf)\b", r"np.\1", numbers_text)
            lines += [f"{name} = np.array(", f"    {numbers_text},", f"    dtype=np.{value.dtype},", ")"]
        else:
            lines.append(f"{name} = {value!r}")
    if row.outcome is None:
        return [*lines, *(f"# {line}" for line in wrapped(row.note))]
    lines.append(f"# value: got {row.outcome.value:.15g}, expected {row.exact.value:.15g}")
    for name, gradient in (row.outcome.gradients or {}).items():
        if row.comparison.errors.get(f"grad {name}", 0) > row.comparison.allowed.get(f"grad {name}", 0):
            lines.append(_worst(name, gradient, row.exact.gradients.get(name, np.zeros_like(gradient))))
    return lines


def _worst(name, found, expected):
    """A comment on the row of a gradient that is farthest off, or on a scalar's gradient."""
    where = ""
    if np.ndim(found):
        off = np.nan_to_num(np.abs(found - expected), nan=np.inf).reshape(len(found), -1).max(axis=1)
        worst = int(np.argmax(off))
        where, found, expected = f"[{worst}]", found[worst], expected[worst]
    found, expected = (
        np.array2string(np.asarray(x), precision=6, separator=", ", threshold=8, max_line_width=1000)
        for x in (found, expected)
    )
    text = f"# gradient of {name}{where}: got {found}, expected {expected}"
    return textwrap.fill(text, WIDTH, subsequent_indent="#   ", break_long_words=False)
