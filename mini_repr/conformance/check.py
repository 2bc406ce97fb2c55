"""Run the battery of a loss through a user's callable, judge every case, and name what the callable computes instead.

``check("mine.py:nt_xent", "infonce", variant="nt_xent")`` returns a Report: ``.text()``, ``.json()``, ``.exit_code``.
"""

import numbers

import numpy as np

from mini_repr.conformance.adapters import Raised, adapter_for
from mini_repr.conformance.binding import bind
from mini_repr.conformance.cases import cases_for
from mini_repr.conformance.compare import allowed_errors, compare, expected_outcome
from mini_repr.conformance.explain import Evidence, explain, gradient_names, probes
from mini_repr.conformance.report import Report, Row
from mini_repr.conformance.user_code import Target, Unusable, framework_of
from mini_repr.pages.names import choose, find_loss, suggestion


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
    """Compare a callable with a loss page.

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
    """Result row of a case. An outcome without gradients is compared by its value alone."""
    if case.result == "undefined":
        finite = np.isfinite(outcome.value)
        return Row(case, None, "undefined", f"gives {outcome.value:.6g}" if finite else "not finite", outcome)
    arguments = loss.complete(case.arguments)
    exact = expected_outcome(loss, arguments)
    coarser = min(np.dtype(case.dtype), outcome.dtype, key=lambda dtype: dtype.itemsize)
    allowed = allowed_errors(loss, arguments, exact, coarser)
    comparison = compare(exact, outcome, allowed, case.differentiable)
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
        outcome = adapter.evaluate(loss.complete(case.arguments))
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
            *(Evidence(loss.complete(row.case.arguments), row.outcome) for row in failing),
        ]
        if not failing:
            return None
    if not all(np.isfinite(e.outcome.value) for e in evidence):
        return None
    return explain(loss, settings, evidence, own_numbers)


def _own_numbers(target, constants):
    """Numbers in the callable: defaults of its parameters, attributes of the instance, constants."""
    found = [p.default for p in target.parameters.values()]
    found += [*getattr(target.call, "__dict__", {}).values(), *constants.values()]
    return [float(v) for v in found if isinstance(v, numbers.Real) and not isinstance(v, bool)]


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
