"""File mode: values and gradients that were computed elsewhere on exported vectors, compared with the page.

The npz file has, for every case that was run, ``CASE/value`` (one number) and, where there are gradients,
``CASE/grad_NAME``. The cases are those of ``mini-repr vectors export``, or of ``cases_for`` with the same settings.
"""

import numpy as np

from mini_repr.conformance.adapters import Outcome
from mini_repr.conformance.cases import cases_for, needs_of
from mini_repr.conformance.check import Report, judge, resolve_settings
from mini_repr.conformance.explain import explain, gradient_names
from mini_repr.conformance.relations import Evidence
from mini_repr.conformance.user_code import Unusable
from mini_repr.data.readers.npz import read_arrays
from mini_repr.pages.names import find_loss, suggestion


def check_results(path, against, variant=None, settings=None):
    """Compare a results file with a loss page.

    Args:
        path: npz, see above. against, variant, settings: as in ``check``.
    Returns:
        Report; its notes say which cases the file leaves out.
    Raises:
        ValueError: no such loss, variant, setting or file; Unusable: a key, shape or number that fits no case.
    """
    loss = find_loss(against)
    settings, unknown = resolve_settings(loss, variant, settings)
    if unknown:
        raise Unusable(
            f"--set {next(iter(unknown))}: no setting of {loss.name}{suggestion(next(iter(unknown)), loss.parameters)}"
        )
    cases = {case.id: case for case in cases_for(loss, settings, needs_of(loss, variant)) if case.result != "error"}
    outcomes = read_outcomes(path, loss, cases)
    rows = [judge(loss, cases[name], outcome) for name, outcome in outcomes.items()]
    explanation = None
    if any(row.bad and "edge" not in row.case.flags for row in rows):
        evidence = _evidence(loss, rows)
        explanation = explain(loss, settings, evidence, rows=rows) if len(evidence) > 1 else None
    same_again = {"layout", "float32"}  # not exported: the numbers of other cases, in another layout or dtype
    missing = [name for name, case in cases.items() if name not in outcomes and not same_again & set(case.flags)]
    notes = [f"{len(missing)} cases are not in the file: {', '.join(missing)}."] if missing else []
    return Report(loss, settings, str(path), "file", rows, explanation, notes)


def read_outcomes(path, loss, cases):
    """{case id: Outcome} in the order of the battery; Unusable names a key that fits no case or argument."""
    arrays = read_arrays(path)
    found = {}
    for key, array in arrays.items():
        case, slash, part = key.rpartition("/")
        if not slash or case not in cases:
            raise Unusable(f"{path}: {key!r} names no case of {loss.name}{suggestion(case or key, cases)}")
        if part != "value" and part.removeprefix("grad_") not in gradient_names(loss):
            wanted = ", ".join(["value", *(f"grad_{n}" for n in gradient_names(loss))])
            raise Unusable(f"{path}: {key!r}: expected {case}/ and one of {wanted}")
        if array.dtype.kind not in "fiu":
            raise Unusable(f"{path}: {key!r}: got dtype {array.dtype}, expected numbers")
        found.setdefault(case, {})[part] = array
    return {name: _outcome(path, loss, cases[name], found[name]) for name in cases if name in found}


def _outcome(path, loss, case, parts):
    if "value" not in parts or parts["value"].size != 1:
        raise Unusable(f"{path}: {case.id}/value: expected one number")
    arguments = loss.complete(case.arguments)
    gradients = {}
    for part, array in parts.items():
        if part != "value":
            name = part.removeprefix("grad_")
            if array.shape != np.shape(arguments[name]):
                raise Unusable(
                    f"{path}: {case.id}/{part}: got shape {array.shape}, expected {np.shape(arguments[name])}"
                )
            gradients[name] = array.astype(np.float64)
    return Outcome(float(parts["value"].reshape(())), gradients or None, parts["value"].dtype)


def _evidence(loss, rows):
    """The plain cases, with the gradients that all of them have."""
    plain = [row for row in rows if {"ordinary", "sizes", "scalar", "temperature"} & set(row.case.flags)]
    plain = [row for row in plain if "edge" not in row.case.flags and np.isfinite(row.outcome.value) and row.exact]
    plain = [row for row in plain if row.case.differentiable]
    if not plain:
        return []
    shared = set.intersection(*(set(row.outcome.gradients or ()) for row in plain))
    return [
        Evidence(
            loss.complete(row.case.arguments),
            row.outcome._replace(gradients={n: row.outcome.gradients[n] for n in sorted(shared)} or None),
        )
        for row in plain
    ]
