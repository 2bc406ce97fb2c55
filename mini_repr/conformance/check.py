"""Run the battery of a loss through a user's callable, judge every case, and name what the callable computes instead.

``check("mine.py:nt_xent", "infonce", variant="nt_xent")`` returns a Report: ``.text()``, ``.json()``, ``.exit_code``.
"""

import contextlib
import numbers

import numpy as np

from mini_repr.conformance.adapters import Raised, adapter_for
from mini_repr.conformance.binding import bind
from mini_repr.conformance.cases import cases_for, needs_of
from mini_repr.conformance.compare import allowed_errors, compare, expected_outcome
from mini_repr.conformance.explain import explain, gradient_names, probes
from mini_repr.conformance.layouts import Layout, other_layouts
from mini_repr.conformance.relations import Evidence
from mini_repr.conformance.report import Report, Row
from mini_repr.conformance.roundings import known_rounding
from mini_repr.conformance.user_code import Target, Unusable, framework_of
from mini_repr.pages.names import find_loss, find_variant, suggestion


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
    layout=None,
):
    """Compare a callable with a loss page.

    Args:
        target: "path.py:name", "module:object", or the callable itself. against: name of the loss.
        variant, settings: what of the loss to compare with; a setting that the loss does not have is a constant for
            the callable. mapping: {argument of the loss: parameter of the callable}. constants: {parameter: value}.
        framework: torch, jax or numpy; found out if None. values_only: compare no gradients.
        detached: arguments that the caller of the loss detaches, so that their gradient is not asked for.
        layout: how the callable wants its arrays (``layouts.Layout``); found by trying if None.
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
    needs = needs_of(loss, variant) or ()
    arrays = [p.name for p in loss.arrays if not p.annotation.optional or p.name in needs or p.name in (mapping or {})]
    needs = [n for n in arrays if loss.parameters[n].annotation.optional]
    framework = framework or framework_of(target)
    wanted = [n for n in gradient_names(loss) if n not in detached]

    def settled(layout):
        """An adapter with its binding, settled at the first of the ordinary inputs; and all of these."""
        binding = bind(loss, target, arrays, settings, mapping, constants, layout)
        adapter = adapter_for(framework, loss, target, binding, wanted, values_only=values_only)
        passed = {n for n in (*binding.names, *binding.attributes) if not loss.parameters[n].annotation.is_array}
        ordinary = list(probes(loss, {**binding.fixed, **settings}, needs, passed))
        adapter.settle(ordinary[0])
        return adapter, ordinary, passed

    adapter, ordinary, passed = settled(layout) if layout else _first_that_works(settled, other_layouts(loss, arrays))
    settings = {**adapter.binding.fixed, **settings}
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


def _first_that_works(settled, others):
    """``settled`` of arrays as they are, else of the one other layout that the callable takes.

    Raises:
        Unusable: as for arrays as they are, where none or several of the others do.
    """
    try:
        return settled(Layout())
    except Unusable as refused:
        found = []
        for layout in others:
            try:
                found.append(settled(layout))
            except Unusable:
                continue
        if len(found) == 1:
            return found[0]
        several = " or ".join(adapter.binding.layout.text() for adapter, *_ in found)
        raise Unusable(
            f"{refused}; it takes them with {several}: say which" if several else _with_options(refused)
        ) from None


def _with_options(refused):
    return f"{refused}; --map, --views, --transposed, --dtype and --framework change what it is given"


def resolve_settings(loss, variant, settings):
    """(settings of the loss, the rest): a variant's, then the chosen ones.

    Raises:
        ValueError: no such variant; a setting out of range.
    """
    resolved = dict(loss.variants[find_variant(loss, variant)].settings) if variant else {}
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


def judge(loss, case, outcome, framework=None):
    """Result row of a case. An outcome without gradients is compared by its value alone.

    ``framework``: whose functions may round otherwise, see ``roundings``.
    """
    if case.result == "undefined":
        finite = np.isfinite(outcome.value)
        return Row(case, None, "undefined", f"gives {outcome.value:.6g}" if finite else "not finite", outcome)
    arguments = loss.complete(case.arguments)
    exact = expected_outcome(loss, arguments)
    coarser = min(np.dtype(case.dtype), outcome.dtype, key=lambda dtype: dtype.itemsize)
    allowed = allowed_errors(loss, arguments, exact, coarser)
    comparison = compare(exact, outcome, allowed, case.differentiable)
    note = "" if case.differentiable else "value only"
    rounding = None if comparison.agrees else known_rounding(loss, arguments, outcome, allowed, framework)
    if comparison.agrees or rounding:
        verdict = "ok"
    elif comparison.nearly_agrees:
        verdict = "imprecise"
    elif not np.isfinite(outcome.value):
        verdict = "value not finite"
    else:
        verdict = "differs" if all(np.isfinite(e) for e in comparison.errors.values()) else "gradient not finite"
    return Row(case, comparison, verdict, rounding or note, outcome, exact, rounding)


def _row(loss, adapter, case):
    try:
        outcome = adapter.evaluate(loss.complete(case.arguments))
    except (Raised, Unusable) as problem:
        return Row(case, None, "undefined" if case.result == "undefined" else "raised", str(problem))
    return judge(loss, case, outcome, adapter.framework)


def _evidence(adapter, ordinary):
    """What came back for the ordinary inputs; where the callable raises there is none."""
    found = []
    for arguments in ordinary:
        with contextlib.suppress(Raised, Unusable):
            found.append(Evidence(arguments, adapter.evaluate(arguments)))
    return found


def _named(loss, settings, evidence, rows, own_numbers):
    """The explanation that fits the evidence and, where ordinary rows agree, the failing cases."""
    if not any(row.bad and "ordinary" in row.case.flags for row in rows):
        failing = [row for row in rows if row.verdict == "differs" and row.case.differentiable]
        evidence = [
            *evidence,
            *(Evidence(loss.complete(row.case.arguments), row.outcome) for row in failing),
        ]
        if not failing:
            return None
    if len(evidence) < 2 or not all(np.isfinite(e.outcome.value) for e in evidence):
        return None
    return explain(loss, settings, evidence, own_numbers, rows)


def _own_numbers(target, constants):
    """Numbers in the callable: defaults of its parameters, attributes of the instance, constants."""
    found = [p.default for p in target.parameters.values()]
    found += [*getattr(target.call, "__dict__", {}).values(), *constants.values()]
    return [float(v) for v in found if isinstance(v, numbers.Real) and not isinstance(v, bool)]


def _notes(adapter, evidence, rows):
    notes = _known_roundings(rows)
    if adapter.binding.layout != Layout():
        notes.append(f"Its arrays are given as with {adapter.binding.layout.text()}.")
    silent = _silent(rows)
    if silent and all(not _bad_without(row, silent) for row in rows):
        notes.append(f"No gradient reaches {', '.join(silent)} in any case, all else is equal: as with --detached.")
    if any(row.bad for row in rows):
        notes += [
            f"Its parameter {p.name}={p.default!r} is left at its default (--map ARGUMENT={p.name} would pass it)."
            for p in adapter.target.parameters.values()
            if p.name not in (*adapter.binding.names.values(), *adapter.binding.constants)
            and isinstance(p.default, numbers.Real)
            and not isinstance(p.default, bool)
        ]
    if adapter.wanted == []:
        notes.append("Only values are compared: no gradients came back.")
    elif adapter.as_numbers:
        notes.append(f"Passed as plain numbers, so without a gradient: {', '.join(sorted(adapter.as_numbers))}.")
    if evidence and evidence[0].outcome.dtype != np.float64 and not adapter.binding.layout.dtype:
        notes.append(f"Computes in {evidence[0].outcome.dtype} even for float64 input: judged by that precision.")
    return notes


def _known_roundings(rows):
    """A line for each function of the framework that rounds otherwise: by how much at most, and where."""
    found = {}
    for row in rows:
        if row.rounding:
            found.setdefault(row.rounding, []).append(row)
    return [
        f"{text}: off by {max(max(r.comparison.errors.values()) for r in off):.0e} at most, on "
        f"{', '.join(r.case.id for r in off)}."
        for text, off in found.items()
    ]


def _silent(rows):
    """Names of arrays whose gradient is exactly 0 in every case, where the page's is not."""
    judged = [row for row in rows if row.exact and row.comparison and row.outcome.gradients]
    names = {n for row in judged for n in row.outcome.gradients}
    return sorted(
        n
        for n in names
        if all(not np.any(row.outcome.gradients.get(n, 0)) for row in judged)
        and any(np.any(row.exact.gradients.get(n, 0)) for row in judged)
    )


def _bad_without(row, names):
    """Whether a row is bad for another reason than the gradients of ``names``."""
    if row.comparison is None or not row.bad:
        return row.bad
    return any(
        error > row.comparison.allowed[part]
        for part, error in row.comparison.errors.items()
        if part.removeprefix("grad ") not in names
    )
