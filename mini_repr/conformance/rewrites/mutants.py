"""Whether the battery of a page tells every rewrite of its formula from the page.

A rewrite that no case refuses is held against the formula once more, on further random inputs. One that never differs
there is the same function in other words: normalising twice, a shift that cancels. One that does is a gap of the
battery: code with that slip would pass.
"""

import itertools
from typing import NamedTuple

import numpy as np

from mini_repr.conformance.adapters import Outcome
from mini_repr.conformance.cases import cases_for, result_of
from mini_repr.conformance.compare import allowed_errors, compare, expected_outcome
from mini_repr.conformance.optimum import near_optimum
from mini_repr.conformance.rewrites.evaluate import compiled, outcome_at
from mini_repr.conformance.rewrites.every import place_of, rewrites_of
from mini_repr.conformance.rewrites.folding import formula_of
from mini_repr.pages.arguments import Scalar, WithGradient
from mini_repr.pages.samples import sample, sample_inputs, sizes_of

FURTHER = 24  # inputs on which a rewrite must be the formula to count as the same function
SAME_VALUE, SAME_GRADIENT = 1e-9, 1e-7


class Gap(NamedTuple):
    """A rewrite that the battery does not refuse, although it is another function."""

    words: str
    diff: list


class Score(NamedTuple):
    """Counts of rewrites: all tried, those that run, told apart by a case, the same function; and the gaps."""

    tried: int
    valid: int
    told_apart: int
    same: int
    gaps: list


class _Judged(NamedTuple):
    """A case, the page's outcome there, and the errors that are allowed."""

    case: object
    arguments: dict
    exact: Outcome
    allowed: dict


def mutation_score(loss, variant=None, most=None):
    """The Score of a page's battery.

    Args:
        variant: name of a variant; by default the page's own settings. most: try so many rewrites, spread over all.
    """
    chosen = loss.variants[variant] if variant else None
    settings, needs = (dict(chosen.settings), chosen.needs) if chosen else ({}, ())
    cases = [
        c
        for c in cases_for(loss, settings, needs or None)
        if c.result == "valid" and not {"layout", "float32"} & set(c.flags)
    ]
    ordinary = loss.complete(cases[0].arguments)
    needs = [p.name for p in loss.arrays if p.annotation.optional and ordinary.get(p.name) is not None] or needs
    definition = compiled(formula_of(loss, ordinary))
    judged = [j for j in (_judged(loss, case, definition) for case in cases) if j]
    further = list(itertools.islice(_further(loss, settings, needs, definition), FURTHER))
    rewrites = rewrites_of(loss, ordinary)
    if most and len(rewrites) > most:
        rewrites = [rewrites[int(k)] for k in np.linspace(0, len(rewrites) - 1, most)]
    valid = told_apart = same = 0
    gaps = []
    for rewrite in rewrites:
        with rewrite.applied():
            call = compiled(rewrite.formula)
        if call is None or outcome_at(call, loss, ordinary, ()) is None:
            continue
        valid += 1
        if any(_refuses(loss, j, call) for j in judged):
            told_apart += 1
        elif any(_differs(loss, call, *other) for other in further):
            gaps.append(Gap(f"in {place_of(rewrite)}, {rewrite.words}", rewrite.diff()))
        else:
            same += 1
    return Score(len(rewrites), valid, told_apart, same, gaps)


def _judged(loss, case, definition):
    """None where the formula itself does not pass the case: then rewrites cannot be judged there."""
    arguments = loss.complete(case.arguments)
    exact = expected_outcome(loss, arguments)
    found = _Judged(case, arguments, exact, allowed_errors(loss, arguments, exact, np.dtype("float64")))
    return None if _refuses(loss, found, definition) else found


def _refuses(loss, judged, call):
    names = list(judged.exact.gradients) if judged.case.differentiable else []
    outcome = outcome_at(call, loss, judged.arguments, names)
    if outcome is None:
        return True
    return not compare(judged.exact, outcome, judged.allowed, judged.case.differentiable).nearly_agrees


def _further(loss, settings, needs, definition):
    """(complete arguments, the formula's outcome) of random inputs and numbers, every second near the optimum."""
    rng = np.random.default_rng(2026)
    base = sizes_of(loss)
    rows = loss.arrays[0].annotation.letters[0]
    for k in range(4 * FURTHER):
        alike = [x for x, size in base.items() if size == base[rows]]
        sizes = {**base, **dict.fromkeys(alike, base[rows] + (0, 1, 2, 5)[k % 4])}
        arguments = sample_inputs(loss, rng, needs, sizes)
        if k % 2:
            arguments = near_optimum(loss, arguments, rng)
        for p in loss.settings:
            if p.name not in settings and isinstance(p.annotation, Scalar | WithGradient) and p.name not in needs:
                arguments[p.name] = sample(p.annotation, rng, {})
        arguments = loss.complete({**arguments, **settings})
        if result_of(loss, arguments) == "valid":
            names = [n for n in loss.differentiable if arguments[n] is not None]
            outcome = outcome_at(definition, loss, arguments, names)
            if outcome is not None:
                yield arguments, outcome


def _differs(loss, call, arguments, expected):
    outcome = outcome_at(call, loss, arguments, list(expected.gradients))
    if outcome is None or abs(outcome.value - expected.value) > SAME_VALUE * max(1.0, abs(expected.value)):
        return True
    return any(
        np.max(np.abs(outcome.gradients[n] - g)) > SAME_GRADIENT * max(1e-3, np.max(np.abs(g)))
        for n, g in expected.gradients.items()
    )


def score_table(pages):
    """Lines of text, one for each (loss, variant) of ``pages``, and the lines of the formula at each gap."""
    yield f"{'page':40}  {'tried':>6}  {'told apart':>10}  {'same':>5}  {'gaps':>4}"
    for loss, variant in pages:
        score = mutation_score(loss, variant)
        name = f"{loss.name} {variant}" if variant else loss.name
        yield f"{name:40}  {score.valid:6}  {score.told_apart:10}  {score.same:5}  {len(score.gaps):4}"
        for gap in score.gaps:
            yield f"  {gap.words}"
            for before, after in gap.diff:
                yield f"    - {before}"
                yield f"    + {after}"
