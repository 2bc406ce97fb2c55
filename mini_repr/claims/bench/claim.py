"""What all claims share: arms measured over seeds, expectations between them, a verdict.

A claim is a small experiment for one paper. Its module ``claims/KEY.py`` holds ``CLAIM``, whose ``measure(seed)``
returns ``{arm: {measure: number}}``: the ways compared, and what was measured of each. ``expects`` says what the paper
says of them. The verdict on an expectation is by the difference d, paired by seed, and its one-sided 95 % bounds,

    mean(d) ± t * std(d) / sqrt(n),    t: the 0.95 quantile of Student's distribution with n - 1 degrees of freedom

It *holds* if the lower bound is above the smallest effect that the expectation asks for (0 where it names none), *does
not hold* if the upper bound is below it, and is *unclear* otherwise. One seed gives no verdict. A claim is as good as
the worst of its expectations.
"""

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from scipy.special import stdtrit

HOLDS, UNCLEAR, FAILS, NONE = "holds", "unclear", "does not hold", "no verdict"
VERDICTS = (HOLDS, UNCLEAR, FAILS, NONE)  # from the best
CONFIDENCE = 0.95


class Expectation(NamedTuple):
    """``difference(arms)`` of one seed's measures is above ``smallest`` where the paper is right."""

    says: str
    difference: Callable
    smallest: float = 0.0


def higher(measure, arm, than, by=0.0):
    """``measure`` is higher for ``arm`` than for the arm ``than``, by more than the smallest effect ``by``."""
    return Expectation(
        f"{measure}: {arm} > {than}{_margin(by)}", lambda arms: arms[arm][measure] - arms[than][measure], by
    )


def lower(measure, arm, than, by=0.0):
    """``measure`` is lower for ``arm`` than for the arm ``than``, by more than the smallest effect ``by``."""
    return Expectation(
        f"{measure}: {arm} < {than}{_margin(by)}", lambda arms: arms[than][measure] - arms[arm][measure], by
    )


def no_worse(measure, arm, than, by):
    """``measure`` of ``arm`` is not lower than that of ``than`` by as much as ``by``."""
    return Expectation(
        f"{measure}: {arm} no worse than {than} by {by:g}", lambda arms: arms[arm][measure] - arms[than][measure], -by
    )


def above(measure, arm, bound):
    """``measure`` of ``arm`` is above a number."""
    return Expectation(f"{measure}: {arm} > {bound:g}", lambda arms: arms[arm][measure] - bound)


def below(measure, arm, bound):
    """``measure`` of ``arm`` is below a number."""
    return Expectation(f"{measure}: {arm} < {bound:g}", lambda arms: bound - arms[arm][measure])


def _margin(by):
    return f" by {by:g}" if by else ""


@dataclass(frozen=True)
class Claim:
    """One experiment.

    paper: catalogue number. says: the claim in a line. measure: ``measure(seed)`` to ``{arm: {measure: number}}``, the
    same names for every seed (an arm need not have every measure). expects: the expectations. seeds: how many, 5 or
    more. designs: how many experiments were tried for this claim, this one among them; the verdict is read with it.
    """

    paper: str
    says: str
    measure: Callable
    expects: tuple
    seeds: int = 5
    designs: int = 1


def run(claim, seeds=None, measured=None):
    """Measure a claim over seeds 0, 1, ...: plain values that JSON can hold.

    Args:
        seeds: how many; by default what the claim asks for.
        measured: takes the seeds (a range) and yields what ``claim.measure`` returns for each in order; by default one
            after the other in this process.
    Returns:
        {"paper", "says", "seeds", "designs", "seconds", "arms": {arm: {measure: [value per seed]}}, "expects":
        [{"says", "smallest", "difference": [value per seed], "bounds": [lower, upper], "verdict"}], "verdict"}.
    Raises:
        ValueError: fewer than one seed, or a measure that is not finite.
    """
    seeds = claim.seeds if seeds is None else seeds
    if seeds < 1:
        raise ValueError(f"claim: seeds: got {seeds}, expected 1 or more")
    started = time.perf_counter()
    each = (measured or (lambda chosen: map(claim.measure, chosen)))(range(seeds))
    by_seed = [_finite(arms, seed) for seed, arms in enumerate(each)]
    arms = {
        arm: {measure: [float(one[arm][measure]) for one in by_seed] for measure in measures}
        for arm, measures in by_seed[0].items()
    }
    expects = [_judged(expectation, by_seed) for expectation in claim.expects]
    return {
        "paper": claim.paper,
        "says": claim.says,
        "seeds": seeds,
        "designs": claim.designs,
        "seconds": time.perf_counter() - started,
        "arms": arms,
        "expects": expects,
        "verdict": max((one["verdict"] for one in expects), key=VERDICTS.index),
    }


def _judged(expectation, by_seed):
    differences = [float(expectation.difference(one)) for one in by_seed]
    return {
        "says": expectation.says,
        "smallest": expectation.smallest,
        "difference": differences,
        "bounds": bounds(differences),
        "verdict": verdict(differences, expectation.smallest),
    }


def bounds(differences):
    """[lower, upper] one-sided 95 % bounds of the mean of differences, one per seed; [] of a single one."""
    n = len(differences)
    if n == 1:
        return []
    mean = statistics.fmean(differences)
    reach = float(stdtrit(n - 1, CONFIDENCE)) * statistics.stdev(differences) / math.sqrt(n)
    return [mean - reach, mean + reach]


def verdict(differences, smallest=0.0):
    """On which side of the smallest effect the differences lie, one per seed, as their bounds tell."""
    if len(differences) == 1:
        return NONE
    lowest, highest = bounds(differences)
    if lowest > smallest:
        return HOLDS
    return FAILS if highest < smallest else UNCLEAR


def _finite(arms, seed):
    for arm, row in arms.items():
        for measure, value in row.items():
            if not math.isfinite(value):
                raise ValueError(f"claim: seed {seed}: {measure} of {arm} is {value}, expected a finite number")
    return arms
