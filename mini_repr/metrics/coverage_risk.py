"""Coverage against selective risk: how well a confidence or a rejector sorts right answers before wrong ones.

Accept the k most confident of N answers: coverage is k / N, selective risk the share of wrong ones among them.
El-Yaniv, Wiener 2010 (JMLR 11, "On the foundations of noise-free selective classification"); the area under the curve
as a measure: Geifman, Uziel, El-Yaniv 2018, arXiv 1805.08206.
"""

from mini_repr.backend import backend_of, is_array


def coverage_risk(scores, correct):
    """The curve, from one accepted answer to all.

    Equal scores are accepted in random order: the curve is its expectation.

    Args:
        scores: (N,) floating-point, larger is surer.
        correct: (N,) booleans, True where the predictor's answer is right.
    Returns:
        (coverage (N,), risk (N,)), on the device of the scores, in float64.
    Raises:
        ValueError: shapes, dtypes, empty arrays, scores that are not finite.
    """
    xp = _checked("coverage_risk", scores, correct)
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


def area_under_coverage_risk(scores, correct):
    """Mean of the selective risk over all coverages k / N, in [0, 1]: lower is better.

    Random scores give the error rate; a perfect order of e wrong among N answers gives about e - (1 - e) log(1/(1 - e))
    for the rate e. Arguments and errors as ``coverage_risk``.
    """
    _checked("area_under_coverage_risk", scores, correct)
    return float(coverage_risk(scores, correct)[1].mean())


def coverage_at_risk(scores, correct, risk):
    """The largest coverage whose selective risk is at most ``risk``, 0.0 where there is none."""
    _checked("coverage_at_risk", scores, correct)
    coverages, risks = coverage_risk(scores, correct)
    return float(backend_of(scores).xp.where(risks <= risk, coverages, 0.0).max())


def _checked(metric, scores, correct):
    if not is_array(scores) or scores.ndim != 1 or scores.dtype.kind != "f" or scores.size == 0:
        got = f"{scores.dtype} {scores.shape}" if is_array(scores) else type(scores).__name__
        raise ValueError(f"{metric}: scores must be floating-point, one an answer (N,), got {got}")
    if not is_array(correct) or correct.dtype.kind != "b" or correct.shape != scores.shape:
        got = f"{correct.dtype} {correct.shape}" if is_array(correct) else type(correct).__name__
        raise ValueError(f"{metric}: correct must be {len(scores)} booleans, got {got}")
    xp = backend_of(scores).xp
    if not bool(xp.isfinite(scores).all()):
        raise ValueError(f"{metric}: scores has values that are not finite")
    return xp
