"""Coverage against selective risk: how well a confidence or a rejector sorts right answers before wrong ones.

Accept the k most confident of N answers: coverage is k / N, selective risk the share of wrong ones among them.
El-Yaniv, Wiener 2010 (JMLR 11, "On the foundations of noise-free selective classification"); the area under the curve
as a measure: Geifman, Uziel, El-Yaniv 2018, arXiv 1805.08206.
"""

from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Mask, Real, Rows
from mini_repr.pages.declare import checked

CORRECT = Mask("N", may_be_empty=True)


@checked
def coverage_risk(scores: Rows("N"), correct: CORRECT):
    """The curve, from one accepted answer to all.

    Equal scores are accepted in random order: the curve is its expectation.

    Args:
        scores: (N,), larger is surer.
        correct: (N,) booleans, True where the predictor's answer is right.
    Returns:
        (coverage (N,), risk (N,)), on the device of the scores, in float64.
    """
    xp = backend_of(scores).xp
    order = xp.argsort(-scores)
    ranked = scores[order]
    accepted = xp.arange(1, len(scores) + 1, dtype="float64")
    wrong = xp.cumsum((~correct[order]).astype("float64"))
    # A block of equal scores: its wrong answers come in evenly from its first place to its last.
    starts = xp.searchsorted(-ranked, -ranked, side="left")
    ends = xp.searchsorted(-ranked, -ranked, side="right")
    before = xp.where(starts > 0, wrong[starts - 1], 0.0)
    share = (accepted - starts) / (ends - starts)
    return accepted / len(scores), (before + share * (wrong[ends - 1] - before)) / accepted


@checked
def area_under_coverage_risk(scores: Rows("N"), correct: CORRECT):
    """Mean of the selective risk over all coverages k / N, in [0, 1]: lower is better.

    Random scores give the error rate; a perfect order of e wrong among N answers gives about e - (1 - e) log(1/(1 - e))
    for the rate e. Arguments as ``coverage_risk``.
    """
    return float(coverage_risk(scores, correct)[1].mean())


@checked
def coverage_at_risk(scores: Rows("N"), correct: CORRECT, risk: Real):
    """The largest coverage whose selective risk is at most ``risk``, 0.0 where there is none."""
    coverages, risks = coverage_risk(scores, correct)
    return float(backend_of(scores).xp.where(risks <= risk, coverages, 0.0).max())
