"""Sample weights from the losses of a batch: which samples a step listens to, decided anew at every step.

Sow et al. 2025, arXiv 2502.06733. The losses l_i of the batch, as numbers without a gradient, are brought to [-1, 1],

    h_i = (2 l_i - max l - min l) / (max l - min l)            (all 0 where all losses are equal),

a strategy f scores them, and a softmax at the ``temperature`` r makes weights that sum to the batch size B:

    w_i = B e^(f(h_i) / r) / sum_j e^(f(h_j) / r),      the step descends  mean_i w_i l_i.

    linupper    f(h) = min(h + 1, 1)   low losses count little, all in the upper half the same
    quadratic   f(h) = 1 - h²          the middle counts most, both ends little ("mid" in the training code)
    extremes    f(h) = |h|             both ends count most

r -> infinity gives w = 1, r -> 0 the samples of the largest f alone. Least and largest loss are those of the whole
batch; over several processes they must be gathered first, as the authors' code does.

Strategies, scaling and softmax were checked against that code (sowmaster/Sample-Level-Loss-Reweighting-ICLR-2025, with
delta = 1; r = 0.4 in its configurations, 1000 steps of uniform weights first). Its trainer also multiplies by the share
of tokens that a sample has in the batch.
"""

import math

from mini_repr.backend import backend_of, is_array


def linupper(losses, temperature):
    """Weights (B,) that play down samples of low loss and treat the upper half alike.

    Args:
        losses: (B,) floating-point, one per sample, finite.
        temperature: above 0; ``math.inf`` gives ones.
    Raises:
        ValueError: shape, dtype, losses that are not finite, temperature out of range.
    """
    return _weights("linupper", losses, temperature, lambda xp, h: xp.minimum(h + 1, 1))


def quadratic(losses, temperature):
    """Weights (B,) that favour samples of middling loss. Arguments and errors as ``linupper``."""
    return _weights("quadratic", losses, temperature, lambda xp, h: 1 - h * h)


def extremes(losses, temperature):
    """Weights (B,) that favour samples of very low and very high loss. Arguments and errors as ``linupper``."""
    return _weights("extremes", losses, temperature, lambda xp, h: xp.abs(h))


REWEIGHTINGS = {strategy.__name__: strategy for strategy in (linupper, quadratic, extremes)}


def annealed_temperature(step, temperature, warmup=0, ramp=0):
    """Infinite (uniform weights) for ``warmup`` steps; then 1/r grows linearly over ``ramp`` steps to 1/temperature.

    Losses sort samples only once the model has learnt something; ``ramp=0`` is the jump of the authors' code.

    Raises:
        ValueError: step, warmup or ramp below 0, or temperature not above 0.
    """
    if min(step, warmup, ramp) < 0:
        raise ValueError(
            f"annealed_temperature: step, warmup and ramp must be at least 0, got {step}, {warmup} and {ramp}"
        )
    if not temperature > 0:
        raise ValueError(f"annealed_temperature: temperature must be above 0, got {temperature}")
    if step < warmup:
        return math.inf
    progress = (step - warmup + 1) / (ramp + 1)
    return temperature / min(progress, 1.0)


def _weights(strategy, losses, temperature, score):
    if not is_array(losses) or losses.ndim != 1 or losses.dtype.kind != "f" or losses.size == 0:
        got = f"{losses.dtype} {losses.shape}" if is_array(losses) else type(losses).__name__
        raise ValueError(f"{strategy}: losses must be floating-point, one per sample (B,), got {got}")
    xp = backend_of(losses).xp
    if not bool(xp.isfinite(losses).all()):
        raise ValueError(f"{strategy}: losses has values that are not finite")
    if not temperature > 0:
        raise ValueError(f"{strategy}: temperature must be above 0, got {temperature}")
    lowest = losses.min()
    spread = losses.max() - lowest
    h = 2 * (losses - lowest) / xp.where(spread > 0, spread, 1) - (spread > 0)
    logits = score(xp, h)
    logits -= logits.max()
    weights = xp.exp(logits / temperature)
    weights *= len(losses) / weights.sum()
    return weights
