"""What all claims share: arms measured over seeds, expectations between them, a verdict, a table and JSON.

A claim is a small experiment for one paper. Its module ``claims/KEY.py`` holds ``CLAIM``, whose ``measure(seed)``
returns ``{arm: {measure: number}}``: the ways compared, and what was measured of each. ``expects`` says what the paper
says of them. An expectation *holds* if its difference, paired by seed, lies on the right side by more than its standard
error over the seeds; it *does not hold* if the mean lies on the wrong side; between the two it is *unclear*. A claim is
as good as the worst of its expectations.
"""

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

HOLDS, UNCLEAR, FAILS = "holds", "unclear", "does not hold"


class Expectation(NamedTuple):
    """``difference(arms)`` of one seed's measures is positive where the paper is right."""

    says: str
    difference: Callable


def higher(measure, arm, than):
    """``measure`` is higher for ``arm`` than for the arm ``than``."""
    return Expectation(f"{measure}: {arm} > {than}", lambda arms: arms[arm][measure] - arms[than][measure])


def lower(measure, arm, than):
    """``measure`` is lower for ``arm`` than for the arm ``than``."""
    return Expectation(f"{measure}: {arm} < {than}", lambda arms: arms[than][measure] - arms[arm][measure])


def above(measure, arm, bound):
    """``measure`` of ``arm`` is above a number."""
    return Expectation(f"{measure}: {arm} > {bound:g}", lambda arms: arms[arm][measure] - bound)


def below(measure, arm, bound):
    """``measure`` of ``arm`` is below a number."""
    return Expectation(f"{measure}: {arm} < {bound:g}", lambda arms: bound - arms[arm][measure])


@dataclass(frozen=True)
class Claim:
    """One experiment.

    paper: catalogue number. says: the claim in a line. measure: ``measure(seed)`` to ``{arm: {measure: number}}``, the
    same names for every seed (an arm need not have every measure). expects: the expectations. seeds: how many.
    """

    paper: str
    says: str
    measure: Callable
    expects: tuple
    seeds: int = 3


def run(claim, seeds=None, watch=lambda seed: None):
    """Measure a claim over seeds 0, 1, ...: plain values that JSON can hold.

    Returns:
        {"paper", "says", "seeds", "seconds", "arms": {arm: {measure: [value per seed]}}, "expects": [{"says",
        "difference": [value per seed], "verdict"}], "verdict"}.
    Raises:
        ValueError: fewer than one seed, or a measure that is not finite.
    """
    seeds = claim.seeds if seeds is None else seeds
    if seeds < 1:
        raise ValueError(f"claim: seeds: got {seeds}, expected 1 or more")
    started = time.perf_counter()
    by_seed = []
    for seed in range(seeds):
        watch(seed)
        by_seed.append(_finite(claim.measure(seed), seed))
    arms = {
        arm: {measure: [float(one[arm][measure]) for one in by_seed] for measure in measures}
        for arm, measures in by_seed[0].items()
    }
    expects = []
    for expectation in claim.expects:
        differences = [float(expectation.difference(one)) for one in by_seed]
        expects.append({"says": expectation.says, "difference": differences, "verdict": verdict(differences)})
    worst = max((one["verdict"] for one in expects), key=(HOLDS, UNCLEAR, FAILS).index)
    return {
        "paper": claim.paper,
        "says": claim.says,
        "seeds": seeds,
        "seconds": time.perf_counter() - started,
        "arms": arms,
        "expects": expects,
        "verdict": worst,
    }


def verdict(differences):
    """Whether differences, one per seed, lie above 0 by more than their standard error."""
    mean, error = statistics.fmean(differences), 0.0
    if len(differences) > 1:
        error = statistics.stdev(differences) / math.sqrt(len(differences))
    if mean <= 0:
        return FAILS
    return HOLDS if mean > error else UNCLEAR


def table(result):
    """The result as text: one row per arm with mean ± deviation over seeds, then each expectation with its verdict."""
    measures = list(dict.fromkeys(m for row in result["arms"].values() for m in row))
    rows = [["", *measures]]
    rows += [[arm, *(spread(row[m]) if m in row else "" for m in measures)] for arm, row in result["arms"].items()]
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
    checks = [f"  {e['verdict']}: {e['says']} (difference {spread(e['difference'])})" for e in result["expects"]]
    seeds = "one seed" if result["seeds"] == 1 else f"{result['seeds']} seeds, mean ± deviation"
    return "\n".join(
        [result["says"], "", *lines, "", *checks, f"{result['verdict']} ({seeds}, {result['seconds']:.0f} s)"]
    )


def spread(values):
    """``0.912 ± 0.004`` over seeds; one value stands alone."""
    mean = statistics.fmean(values)
    text = _short(mean)
    return text if len(values) == 1 else f"{text} ± {_short(statistics.stdev(values))}"


def _short(value):
    return f"{value:.3g}" if abs(value) >= 100 or 0 < abs(value) < 0.001 else f"{value:.3f}"


def _finite(arms, seed):
    for arm, row in arms.items():
        for measure, value in row.items():
            if not math.isfinite(value):
                raise ValueError(f"claim: seed {seed}: {measure} of {arm} is {value}, expected a finite number")
    return arms
