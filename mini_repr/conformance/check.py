"""Run the battery of a loss through a user's callable, judge every case, and name what the callable computes instead.

``check("mine.py:nt_xent", "infonce", variant="nt_xent")`` returns a Report: ``.text()``, ``.json()``, ``.exit_code``.
"""

import json
import numbers
from typing import NamedTuple

import numpy as np

from mini_repr.conformance import agreement
from mini_repr.conformance.adapters import Outcome, Raised, adapter_for
from mini_repr.conformance.cases import Case, cases_for
from mini_repr.conformance.naming import Evidence, Explanation, explain, gradient_names, probes
from mini_repr.conformance.targets import Target, Unusable, bind, framework_of
from mini_repr.pages.names import choose, find_loss, suggestion

CONFORMS, DIFFERS, UNDEFINED = 0, 1, 3
BAD = ("differs", "value not finite", "gradient not finite", "raised")


class Row(NamedTuple):
    """One line of the table. ``verdict``: one of BAD, or ok, imprecise, undefined (not judged)."""

    case: Case
    comparison: agreement.Comparison | None
    verdict: str
    note: str = ""
    outcome: Outcome | None = None
    exact: Outcome | None = None

    @property
    def bad(self):
        return self.verdict in BAD


class Report(NamedTuple):
    """The result of a check: ``exit_code`` 0, 1 or 3, ``verdict`` in words, rows, and the explanation if one fits."""

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
            return DIFFERS
        return UNDEFINED if bad else CONFORMS

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
        if self.explanation:
            return f"does not conform to {page}: {self.explanation.text}"
        if any("ordinary" in row.case.flags for row in bad):
            return f"does not conform to {page}: no known variant or slip fits"
        return f"does not conform to {page}: agrees on ordinary rows, not on {names}"

    @property
    def page(self):
        inner = ", ".join(f"{n}={v!r}" for n, v in self.settings.items())
        return f"{self.loss.name}({inner})" if inner else self.loss.name

    @property
    def smallest_failing(self):
        """The failing row with the fewest numbers in it, ordinary ones first; None if all is well."""

        def size(row):
            arrays = [v for v in row.case.arguments.values() if isinstance(v, np.ndarray)]
            plain = {"ordinary", "sizes"} & set(row.case.flags) and min(a.shape[-1] for a in arrays if a.ndim > 1) > 1
            return ("edge" in row.case.flags, row.comparison is None, not plain, sum(a.size for a in arrays))

        return min((row for row in self.rows if row.bad), key=size, default=None)

    def text(self, every_case=True):
        """The table, the verdict, and the smallest failing case as arrays to paste."""
        lines = [f"{self.label} ({self.framework}) against {self.page}", ""]
        lines += _table(self.rows, every_case)
        lines += ["", *self.notes]
        lines += [f"Verdict: {self.verdict}."]
        if self.smallest_failing:
            lines += ["", "The smallest failing case:", *_paste(self.smallest_failing)]
        return "\n".join(lines)

    def json(self):
        """The same as JSON text."""
        rows = [
            {
                "case": row.case.id,
                "flags": list(row.case.flags),
                "verdict": row.verdict,
                "note": row.note,
                "errors": row.comparison and _finite(row.comparison.errors),
                "allowed": row.comparison and _finite(row.comparison.allowed),
            }
            for row in self.rows
        ]
        explanation = self.explanation and {
            "text": self.explanation.text,
            "settings": self.explanation.settings,
            "slips": list(self.explanation.slips),
        }
        return json.dumps(
            {
                "target": self.label,
                "framework": self.framework,
                "loss": self.loss.name,
                "settings": self.settings,
                "verdict": self.verdict,
                "exit_code": self.exit_code,
                "explanation": explanation,
                "notes": self.notes,
                "cases": rows,
            },
            indent=2,
        )


def check(
    target,
    against,
    variant=None,
    settings=None,
    mapping=None,
    constants=None,
    framework=None,
    values_only=False,
    detached=(),
):
    """Hold a callable against a loss page.

    Args:
        target: "path.py:name", "module:object", or the callable itself. against: name of the loss.
        variant, settings: what of the loss to compare with; a setting that the loss does not have is a constant for
            the callable. mapping: {argument of the loss: parameter of the callable}. constants: {parameter: value}.
        framework: torch, jax or numpy; found out if None. values_only: compare no gradients.
        detached: arguments that the caller of the loss detaches, so that their gradient is not asked for.
    Returns:
        Report.
    Raises:
        ValueError: names or settings that do not exist; Unusable where the callable cannot be checked at all.
    """
    loss = find_loss(against)
    settings, extra = resolve_settings(loss, variant, settings)
    for name in detached:
        if name not in loss.parameters:
            raise ValueError(f"--detached {name}: {loss.name} has no {name!r}{suggestion(name, loss.parameters)}")
    constants = {**extra, **(constants or {})}
    if isinstance(target, str):
        target = Target.load(target)
    elif not isinstance(target, Target):
        target = Target.of(target)
    needs = loss.variants[variant].needs if variant else ()
    arrays = [p.name for p in loss.arrays if not p.annotation.optional or p.name in needs or p.name in (mapping or {})]
    needs = [n for n in arrays if loss.parameters[n].annotation.optional]
    binding = bind(loss, target, arrays, settings, mapping, constants)
    settings = {**binding.fixed, **settings}
    framework = framework or framework_of(target)
    wanted = [n for n in gradient_names(loss) if n not in detached]
    adapter = adapter_for(framework, loss, target, binding, wanted, values_only=values_only)

    passed = {n for n in (*binding.names, *binding.attributes) if not loss.parameters[n].annotation.is_array}
    ordinary = list(probes(loss, settings, needs, passed))
    adapter.settle(ordinary[0])
    evidence = _evidence(adapter, ordinary)
    cases = [
        case
        for case in cases_for(loss, settings, needs)
        if all(n in passed or n in settings for n in case.arguments if not loss.parameters[n].annotation.is_array)
    ]
    rows = [_row(loss, adapter, case) for case in cases if case.result != "error"]
    found = None
    if any(row.bad and "edge" not in row.case.flags for row in rows):
        found = _named(loss, settings, evidence, rows, _own_numbers(target, constants))
    return Report(loss, settings, target.label, framework, rows, found, _notes(adapter, evidence, rows))


def resolve_settings(loss, variant, settings):
    """(settings of the loss, the rest): a variant's, then the chosen ones.

    Raises:
        ValueError: no such variant; a setting out of range.
    """
    resolved = (
        dict(loss.variants[choose(f"variant of {loss.name}", variant, loss.variants)].settings) if variant else {}
    )
    extra = {}
    for name, value in (settings or {}).items():
        if name in loss.parameters and not loss.parameters[name].annotation.is_array:
            try:
                resolved[name] = loss.parameters[name].annotation.check(value, {})
            except ValueError as problem:
                raise ValueError(f"{loss.name}: {name}: {problem}") from None
        else:
            extra[name] = value
    return resolved, extra


def judge(loss, case, outcome):
    """The row of a case from what came of it (None for gradients: only the value is compared)."""
    if case.result == "undefined":
        finite = np.isfinite(outcome.value)
        return Row(case, None, "undefined", f"gives {outcome.value:.6g}" if finite else "not finite", outcome)
    arguments = agreement.complete(loss, case.arguments)
    exact = agreement.truth(loss, arguments)
    coarser = min(np.dtype(case.dtype), outcome.dtype, key=lambda dtype: dtype.itemsize)
    allowed = agreement.allowed_errors(loss, arguments, exact, coarser)
    comparison = agreement.compare(exact, outcome, allowed, case.differentiable)
    if comparison.agrees:
        verdict = "ok"
    elif comparison.nearly_agrees:
        verdict = "imprecise"
    elif not np.isfinite(outcome.value):
        verdict = "value not finite"
    else:
        verdict = "differs" if all(np.isfinite(e) for e in comparison.errors.values()) else "gradient not finite"
    return Row(case, comparison, verdict, "" if case.differentiable else "value only", outcome, exact)


def _row(loss, adapter, case):
    try:
        outcome = adapter.evaluate(agreement.complete(loss, case.arguments))
    except (Raised, Unusable) as problem:
        return Row(case, None, "undefined" if case.result == "undefined" else "raised", str(problem))
    return judge(loss, case, outcome)


def _evidence(adapter, ordinary):
    try:
        return [Evidence(arguments, adapter.evaluate(arguments)) for arguments in ordinary]
    except Raised as raised:
        raise Unusable(f"{adapter.target.label}: raised {raised}") from None


def _named(loss, settings, evidence, rows, own_numbers):
    """The explanation that fits the evidence and, where ordinary rows agree, the failing cases."""
    if not any(row.bad and set(row.case.flags) & {"ordinary", "sizes"} for row in rows):
        failing = [row for row in rows if row.verdict == "differs" and row.case.differentiable]
        evidence = [
            *evidence,
            *(Evidence(agreement.complete(loss, row.case.arguments), row.outcome) for row in failing),
        ]
        if not failing:
            return None
    if not all(np.isfinite(e.outcome.value) for e in evidence):
        return None
    return explain(loss, settings, evidence, own_numbers)


def _own_numbers(target, constants):
    """Numbers that the callable holds itself: defaults of its parameters, attributes of the instance."""
    held = [p.default for p in target.parameters.values()]
    held += [*getattr(target.call, "__dict__", {}).values(), *constants.values()]
    return [float(v) for v in held if isinstance(v, numbers.Real) and not isinstance(v, bool)]


def _notes(adapter, evidence, rows):
    notes = []
    if any(row.bad for row in rows):
        notes += [
            f"Its parameter {p.name}={p.default!r} is left at its default (--map ARGUMENT={p.name} would pass it)."
            for p in adapter.target.parameters.values()
            if p.name not in (*adapter.binding.names.values(), *adapter.binding.constants)
            and isinstance(p.default, numbers.Real)
            and not isinstance(p.default, bool)
        ]
    if evidence[0].outcome.gradients is None:
        notes.append("Only values are compared: no gradients came back.")
    elif adapter.as_numbers:
        notes.append(f"Passed as plain numbers, so without a gradient: {', '.join(sorted(adapter.as_numbers))}.")
    if evidence[0].outcome.dtype != np.float64:
        notes.append(f"Computes in {evidence[0].outcome.dtype} even for float64 input: judged by that precision.")
    return notes


def _finite(numbers_by_part):
    """JSON knows no infinity: null stands for it."""
    return {part: x if np.isfinite(x) else None for part, x in numbers_by_part.items()}


def _table(rows, every_case):
    shown = [row for row in rows if every_case or row.bad]
    parts = list(dict.fromkeys(part for row in rows if row.comparison for part in row.comparison.errors))
    head = ["case", *(f"{part} error" for part in parts), "verdict"]
    lines = [head]
    for row in shown:
        errors = row.comparison.errors if row.comparison else {}
        cells = [f"{errors[part]:.1e}" if part in errors else "-" for part in parts]
        verdict = row.verdict.upper() if row.bad else row.verdict
        lines.append([row.case.id, *cells, f"{verdict}: {row.note}" if row.note else verdict])
    widths = [max(len(line[k]) for line in lines) for k in range(len(head) - 1)]
    return ["  ".join([*(c.ljust(w) for c, w in zip(line, widths, strict=False)), line[-1]]) for line in lines]


def _paste(row):
    """The case as Python that anyone can paste, and what came and what should have."""
    lines = [f"# {row.case.id}: {row.case.comment}"]
    for name, value in row.case.arguments.items():
        if isinstance(value, np.ndarray):
            numbers_text = np.array2string(
                value, separator=", ", floatmode="unique", threshold=10**9, max_line_width=110
            )
            indent = " " * len(f"{name} = np.array(")
            lines.append(f"{name} = np.array({numbers_text}, dtype=np.{value.dtype})".replace("\n", f"\n{indent}"))
        else:
            lines.append(f"{name} = {value!r}")
    if row.outcome is None:
        return [*lines, f"# {row.note}"]
    lines.append(f"# value: got {row.outcome.value:.15g}, expected {row.exact.value:.15g}")
    for name, gradient in (row.outcome.gradients or {}).items():
        if row.comparison.errors.get(f"grad {name}", 0) > row.comparison.allowed.get(f"grad {name}", 0):
            lines.append(_worst(name, gradient, row.exact.gradients.get(name, np.zeros_like(gradient))))
    return lines


def _worst(name, came, expected):
    """A comment on the row of a gradient that is farthest off, or on a scalar's gradient."""
    where = ""
    if np.ndim(came):
        off = np.nan_to_num(np.abs(came - expected), nan=np.inf).reshape(len(came), -1).max(axis=1)
        worst = int(np.argmax(off))
        where, came, expected = f"[{worst}]", came[worst], expected[worst]
    came, expected = (
        np.array2string(np.asarray(x), precision=6, separator=", ", threshold=8, max_line_width=1000)
        for x in (came, expected)
    )
    return f"# gradient of {name}{where}: got {came}, expected {expected}"
