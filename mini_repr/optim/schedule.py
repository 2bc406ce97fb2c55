"""Learning rates as pure functions of the step, counted from 0.

During warm-up the rate is peak * (step + 1) / (warmup_steps + 1): no update is wasted on a rate of zero, and the peak
is reached exactly at ``step == warmup_steps``.
"""

import math


def cosine_with_warmup(step, total_steps, warmup_steps, peak, final=0.0):
    """Linear warm-up, then half a cosine from ``peak`` at ``warmup_steps`` to ``final`` at ``total_steps``.

    The last update of a run is ``step == total_steps - 1``, one before ``final``. Source: Loshchilov & Hutter 2016,
    arXiv 1608.03983, eq. 5, without restarts; warm-up as in Goyal et al. 2017, arXiv 1706.02677, section 2.2.

    Raises:
        ValueError: not 0 <= step <= total_steps, not 0 <= warmup_steps < total_steps, or a negative or infinite rate.
    """
    _check("cosine_with_warmup", step, total_steps, warmup_steps, peak=peak, final=final)
    if step < warmup_steps:
        return _warmup(step, warmup_steps, peak)
    progress = (step - warmup_steps) / (total_steps - warmup_steps)
    return final + (peak - final) * 0.5 * (1.0 + math.cos(math.pi * progress))


def constant(step, total_steps, warmup_steps, peak):
    """Linear warm-up, then ``peak``. Raises like ``cosine_with_warmup``."""
    _check("constant", step, total_steps, warmup_steps, peak=peak)
    return _warmup(step, warmup_steps, peak) if step < warmup_steps else peak


def _warmup(step, warmup_steps, peak):
    return peak * (step + 1) / (warmup_steps + 1)


def _check(schedule, step, total_steps, warmup_steps, **rates):
    if not 0 <= step <= total_steps:
        raise ValueError(f"{schedule}: step must lie in [0, total_steps = {total_steps}], got {step}")
    if not 0 <= warmup_steps < total_steps:
        raise ValueError(f"{schedule}: warmup_steps must lie in [0, total_steps = {total_steps}), got {warmup_steps}")
    for name, rate in rates.items():
        if not 0.0 <= rate < math.inf:
            raise ValueError(f"{schedule}: {name} must be finite and at least 0, got {rate}")
