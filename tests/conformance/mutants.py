"""The known slips of public code as small implementations, each of which `check` must refuse and name.

Each is written from scratch in engine operations, as public code writes it: none is made from the page or from the
table of slips that the search uses. ``trap`` is its number in the project's catalogue of known traps.
"""

import functools
import inspect
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mini_repr import autograd as ops
from mini_repr.autograd import Tensor, stop_gradient

_LEARNED = ("temperature", "log_scale", "bias")
MUTANTS = []


class Mutant(NamedTuple):
    """A wrong implementation: the loss and settings it claims to be, what is wrong, and how ``check`` must name it."""

    name: str
    trap: int
    loss: str
    settings: dict
    description: str
    named: str  # a part of the verdict that names the slip
    call: Callable


def mutant(trap, loss, description, named, **settings):
    """Register a function of tensors as a mutant; called with arrays, it returns (value, {name: gradient})."""

    def register(function):
        MUTANTS.append(Mutant(function.__name__, trap, loss, settings, description, named, differentiated(function)))
        return function

    return register


def differentiated(function):
    """``function`` of tensors as one of NumPy arrays that also returns the gradients, as the engine finds them."""

    @functools.wraps(function)
    def of_arrays(*args, **params):
        arguments = inspect.signature(function).bind(*args, **params).arguments
        rows = {n: x for n, x in arguments.items() if isinstance(x, np.ndarray) and x.dtype.kind == "f"}
        dtype = next(iter(rows.values())).dtype
        scalars = {n: np.asarray(x, dtype=dtype) for n, x in arguments.items() if n in _LEARNED}
        tensors = {n: Tensor(x, requires_grad=True) for n, x in {**rows, **scalars}.items()}
        value = function(**{**arguments, **tensors})
        value.backward()
        return value.data, {n: np.zeros(t.shape) if t.grad is None else t.grad for n, t in tensors.items()}

    return of_arrays


# What public code is made of.


def _unit(x):
    return x / ops.sqrt((x * x).sum(axis=1, keepdims=True))


def _views(a, b, temperature):
    """NT-Xent's ingredients: (2B, 2B) logits of both views' unit rows, and each row's logit with its partner."""
    z = _unit(ops.concatenate(a, b, axis=0))
    rows = a.shape[0]
    partner = (z * ops.concatenate(z[rows:], z[:rows], axis=0)).sum(axis=1) / temperature
    return z @ z.T / temperature, partner


def _softmax_loss(logits, own):
    return (ops.logsumexp(logits, axis=1) - own).mean()


# InfoNCE and NT-Xent.


@mutant(
    1,
    "infonce",
    "self pair subtracted as e^(1/t): gradient leaks",
    "subtracting e^(1/temp",
    negatives="views",
    normalize=False,
)
def ntxent_self_pair_subtracted(a, b, temperature):
    z = ops.concatenate(a, b, axis=0)
    rows = a.shape[0]
    partner = (z * ops.concatenate(z[rows:], z[:rows], axis=0)).sum(axis=1) / temperature
    total = ops.exp(z @ z.T / temperature).sum(axis=1) - ops.exp(1 / temperature)
    return (ops.log(total) - partner).mean()


@mutant(
    3,
    "infonce",
    "self pair left in the denominator: identical rows give log 2N",
    "off_diagonal is left out",
    negatives="views",
)
def ntxent_self_pair_kept(a, b, temperature):
    logits, partner = _views(a, b, temperature)
    return _softmax_loss(logits, partner)


@mutant(2, "infonce", "only the first view's rows are anchors", "symmetric=False", negatives="views")
def ntxent_one_direction(a, b, temperature):
    logits, partner = _views(a, b, temperature)
    rows = a.shape[0]
    return _softmax_loss(ops.off_diagonal(logits)[:rows], partner[:rows])


@mutant(2, "infonce", "the positive is left out of the denominator", "decoupled=True", negatives="views")
def ntxent_positive_left_out(a, b, temperature):
    u, v = _unit(a), _unit(b)
    cross, own = u @ v.T / temperature, (u * v).sum(axis=1) / temperature
    within = [ops.off_diagonal(x @ x.T / temperature) for x in (u, v)]
    across = [ops.off_diagonal(cross), ops.off_diagonal(cross.T)]
    over_u, over_v = (ops.logsumexp(ops.concatenate(*x, axis=1), axis=1) for x in zip(within, across, strict=True))
    return (over_u + over_v).mean() / 2 - own.mean()


@mutant(2, "infonce", "summed over the 2N anchors, divided by N", "2 times those", negatives="views")
def ntxent_divided_by_n(a, b, temperature):
    logits, partner = _views(a, b, temperature)
    return 2 * _softmax_loss(ops.off_diagonal(logits), partner)


@mutant(2, "infonce", "summed over the 2N anchors", "2B times those", negatives="views")
def ntxent_summed(a, b, temperature):
    logits, partner = _views(a, b, temperature)
    return (ops.logsumexp(ops.off_diagonal(logits), axis=1) - partner).sum()


@mutant(2, "infonce", "negatives from the other view only", "equals infonce(negatives='batch')", negatives="views")
def ntxent_other_view_only(a, b, temperature):
    logits = _unit(a) @ _unit(b).T / temperature
    own = ops.diagonal(logits)
    return (_softmax_loss(logits, own) + _softmax_loss(logits.T, own)) / 2


@mutant(2, "infonce", "the positive counted twice in the denominator", "off_diagonal is left out", symmetric=False)
def infonce_positive_twice(a, b, temperature):
    logits = _unit(a) @ _unit(b).T / temperature
    own = ops.diagonal(logits)
    return _softmax_loss(ops.concatenate(logits, own.reshape(-1, 1), axis=1), own)


@mutant(2, "infonce", "logits multiplied by the temperature", "* in place of /")
def infonce_temperature_multiplied(a, b, temperature):
    logits = _unit(a) @ _unit(b).T * temperature
    own = ops.diagonal(logits)
    return (_softmax_loss(logits, own) + _softmax_loss(logits.T, own)) / 2


@mutant(2, "infonce", "rows are not normalised", "normalize=False")
def infonce_not_normalised(a, b, temperature):
    logits = a @ b.T / temperature
    own = ops.diagonal(logits)
    return (_softmax_loss(logits, own) + _softmax_loss(logits.T, own)) / 2


@mutant(10, "infonce", "MoCo v3: multiplied by 2 temperature", "2 temperature times those", symmetric=False)
def moco_v3_scale(a, b, temperature):
    logits = _unit(a) @ _unit(b).T / temperature
    return _softmax_loss(logits, ops.diagonal(logits)) * 2 * temperature


@mutant(11, "infonce", "CLIP: both directions added, not averaged", "2 times those")
def clip_directions_added(a, b, temperature):
    logits = _unit(a) @ _unit(b).T / temperature
    own = ops.diagonal(logits)
    return _softmax_loss(logits, own) + _softmax_loss(logits.T, own)


@mutant(22, "infonce", "keys gathered without gradient", "no gradient reaches b", symmetric=False)
def infonce_keys_detached(a, b, temperature):
    logits = _unit(a) @ stop_gradient(_unit(b)).T / temperature
    return _softmax_loss(logits, ops.diagonal(logits))


@mutant(22, "infonce", "gradient doubled on its way through the gather", "gradient is 2 times")
def infonce_gradient_doubled(a, b, temperature):
    logits = _unit(a) @ _unit(b).T / temperature
    own = ops.diagonal(logits)
    value = (_softmax_loss(logits, own) + _softmax_loss(logits.T, own)) / 2
    return 2 * value - stop_gradient(value)


@mutant(21, "infonce", "exponentials without the largest taken out: overflow", "temperature-to-zero (value not finite)")
def infonce_overflow(a, b, temperature):
    weights = ops.exp(_unit(a) @ _unit(b).T / temperature)
    own = ops.diagonal(weights)
    return (-ops.log(own / weights.sum(axis=1)) - ops.log(own / weights.sum(axis=0))).mean() / 2


@mutant(18, "infonce", "1e-6 added to the norms", "1e-6 is added to the lengths")
def infonce_epsilon_in_norm(a, b, temperature):
    u, v = (x / (ops.sqrt((x * x).sum(axis=1, keepdims=True)) + 1e-6) for x in (a, b))
    logits = u @ v.T / temperature
    own = ops.diagonal(logits)
    return (_softmax_loss(logits, own) + _softmax_loss(logits.T, own)) / 2


# SupCon.


def _supcon_parts(z, labels, temperature):
    u = _unit(z)
    same = labels[:, None] == labels
    positive = ops.off_diagonal.on_arrays(same)[0]
    return u @ u.T / temperature, positive, positive.sum(axis=1)


@mutant(4, "supcon", "the mean over positives inside the logarithm (L_in)", "form='in'")
def supcon_inside(z, labels, temperature):
    logits, positive, count = _supcon_parts(z, labels, temperature)
    p = ops.softmax(ops.off_diagonal(logits))
    alone = count == 0
    inside = (p * positive).sum(axis=1) / np.maximum(count, 1) + alone
    return -ops.log(inside).sum() / (~alone).sum()


@mutant(
    4,
    "supcon",
    "released code: multiplied by temperature/0.07, mean over all rows",
    "variant official_code",
    mean_over="rows",
)
def supcon_official(z, labels, temperature):
    logits, positive, count = _supcon_parts(z, labels, temperature)
    log_p = ops.log_softmax(ops.off_diagonal(logits))
    return -((log_p * positive).sum(axis=1) / np.maximum(count, 1)).mean() * temperature / 0.07


@mutant(4, "supcon", "each row itself stands in its denominator", "in total, where is left out")
def supcon_self_kept(z, labels, temperature):
    logits, positive, count = _supcon_parts(z, labels, temperature)
    log_p = ops.off_diagonal(logits) - ops.logsumexp(logits, axis=1, keepdims=True)
    return -((log_p * positive).sum(axis=1) / np.maximum(count, 1)).sum() / (count > 0).sum()


@mutant(4, "supcon", "a class of one gives NaN", "class-of-one (value not finite)")
def supcon_singleton_nan(z, labels, temperature):
    logits, positive, count = _supcon_parts(z, labels, temperature)
    log_p = ops.log_softmax(ops.off_diagonal(logits))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = 1 / count.astype(z.dtype)
    return -((log_p * positive).sum(axis=1) * share).mean()


@mutant(5, "supcon", "released SupCon-Hard: the logarithm is missing", "exp of log_p")
def supcon_no_log(z, labels, temperature):
    logits, positive, count = _supcon_parts(z, labels, temperature)
    p = ops.softmax(ops.off_diagonal(logits))
    return -((p * positive).sum(axis=1) / np.maximum(count, 1)).sum() / (count > 0).sum()


# Barlow Twins and VICReg.


def _standardised(x, ddof=0, eps=1e-5):
    centred = x - x.mean(axis=0)
    return centred / ops.sqrt((centred * centred).sum(axis=0) / (x.shape[0] - ddof) + eps)


def _barlow(correlation, weight):
    return ((1 - ops.diagonal(correlation)) ** 2).sum() + weight * (ops.off_diagonal(correlation) ** 2).sum()


@mutant(6, "barlow_twins", "hidden scale-loss 1/32", "scale_loss=0.03125")
def barlow_scaled(a, b, redundancy_weight):
    return _barlow(_standardised(a).T @ _standardised(b) / a.shape[0], redundancy_weight) / 32


@mutant(6, "barlow_twins", "torch.std: unbiased, no epsilon", "unbiased=True")
def barlow_unbiased(a, b, redundancy_weight):
    return _barlow(_standardised(a, 1, 0).T @ _standardised(b, 1, 0) / a.shape[0], redundancy_weight)


@mutant(6, "barlow_twins", "lambda not applied", "redundancy_weight=1.0")
def barlow_no_lambda(a, b, redundancy_weight):
    return _barlow(_standardised(a).T @ _standardised(b) / a.shape[0], 1.0)


@mutant(6, "barlow_twins", "correlation divided by N-1", "rows - 1 in place of rows")
def barlow_correlation_unbiased(a, b, redundancy_weight):
    return _barlow(_standardised(a).T @ _standardised(b) / (a.shape[0] - 1), redundancy_weight)


@mutant(6, "barlow_twins", "both views standardised with common statistics", "common statistics")
def barlow_common_statistics(a, b, redundancy_weight):
    rows = a.shape[0]
    white = _standardised(ops.concatenate(a, b, axis=0))
    return _barlow(white[:rows].T @ white[rows:] / rows, redundancy_weight)


def _vicreg(a, b, deviation, covariance, half=False):
    def variance(x):
        return ops.relu(1 - deviation(x)).mean()

    near = ((a - b) ** 2).mean()
    return 25 * near + 25 * (variance(a) + variance(b)) / (2 if half else 1) + covariance(a) + covariance(b)


def _variance(x):
    centred = x - x.mean(axis=0)
    return (centred * centred).sum(axis=0) / (x.shape[0] - 1)


def _deviation(x):
    return ops.sqrt(_variance(x) + 1e-4)


def _covariance(x, centre=True, diagonal=False):
    centred = x - x.mean(axis=0) if centre else x
    matrix = centred.T @ centred / (x.shape[0] - 1)
    return ((matrix if diagonal else ops.off_diagonal(matrix)) ** 2).sum() / x.shape[1]


@mutant(7, "vicreg", "the variance terms of both views averaged (official code)", "official_code")
def vicreg_variance_halved(a, b):
    return _vicreg(a, b, _deviation, _covariance, half=True)


@mutant(7, "vicreg", "epsilon outside the root", "eps outside sqrt, not inside")
def vicreg_epsilon_outside(a, b):
    return _vicreg(a, b, lambda x: ops.sqrt(_variance(x)) + 1e-4, _covariance)


@mutant(7, "vicreg", "variance in place of the standard deviation", "sqrt is left out")
def vicreg_no_root(a, b):
    return _vicreg(a, b, lambda x: _variance(x) + 1e-4, _covariance)


@mutant(7, "vicreg", "the covariance's diagonal counted", "diagonal")
def vicreg_diagonal(a, b):
    return _vicreg(a, b, _deviation, lambda x: _covariance(x, diagonal=True))


@mutant(7, "vicreg", "the covariance is not centred", "the term x.mean(axis=0) is left out")
def vicreg_uncentred(a, b):
    return _vicreg(a, b, _deviation, lambda x: _covariance(x, centre=False))


@mutant(8, "vicreg", "a later term overwrites the invariance", "invariance_weight=0.0")
def vicreg_term_overwritten(a, b):
    return _vicreg(a, a, _deviation, _covariance) / 2 + _vicreg(b, b, _deviation, _covariance) / 2


# Self-distillation, SigLIP, uniformity.


@mutant(9, "negative_cosine", "the two views summed, not averaged", "views='sum'")
def simsiam_views_summed(p1, p2, z1, z2):
    z1, z2 = stop_gradient(z1), stop_gradient(z2)
    return -(_unit(p1) * _unit(z2)).sum(axis=1).mean() - (_unit(p2) * _unit(z1)).sum(axis=1).mean()


@mutant(9, "negative_cosine", "the stop-gradient is missing", "stop_gradient is left out")
def simsiam_no_stop_gradient(p1, p2, z1, z2):
    return -((_unit(p1) * _unit(z2)).sum(axis=1).mean() + (_unit(p2) * _unit(z1)).sum(axis=1).mean()) / 2


@mutant(12, "siglip", "mean over all N² pairs", "mean_over_pairs")
def siglip_mean_of_pairs(a, b, log_scale, bias):
    logits = _unit(a) @ _unit(b).T * ops.exp(log_scale) + bias
    sign = 2 * np.eye(a.shape[0]) - 1
    return ops.softplus(-logits * sign).mean()


@mutant(12, "siglip", "the logarithm of the scale used as the scale", "exp is left out")
def siglip_no_exp(a, b, log_scale, bias):
    logits = _unit(a) @ _unit(b).T * log_scale + bias
    sign = 2 * np.eye(a.shape[0]) - 1
    return ops.softplus(-logits * sign).sum() / a.shape[0]


@mutant(12, "siglip", "the bias is left out", "bias=0.0")
def siglip_no_bias(a, b, log_scale, bias):
    logits = _unit(a) @ _unit(b).T * ops.exp(log_scale)
    sign = 2 * np.eye(a.shape[0]) - 1
    return ops.softplus(-logits * sign).sum() / a.shape[0]


def _square_distances(x):
    apart = x.reshape(x.shape[0], 1, x.shape[1]) - x.reshape(1, x.shape[0], x.shape[1])
    return (apart * apart).sum(axis=2)


@mutant(14, "uniformity", "the pairs i = j stand in the mean", "self_pairs=True")
def uniformity_all_pairs(z, t):
    return ops.log(ops.exp(-t * _square_distances(_unit(z))).mean())


@mutant(14, "uniformity", "summed over ordered pairs, not averaged", "log(B(B-1)) more")
def uniformity_summed(z, t):
    return ops.log(ops.exp(-t * ops.off_diagonal(_square_distances(_unit(z)))).sum())


@mutant(14, "uniformity", "rows are not normalised", "raw_rows")
def uniformity_not_normalised(z, t):
    return ops.logsumexp(-t * ops.off_diagonal(_square_distances(z))) - np.log(z.shape[0] * (z.shape[0] - 1))


@mutant(14, "align_uniform", "uniformity of both views' rows as one set", "as one set")
def align_uniform_one_set(a, b):
    u, v = _unit(a), _unit(b)
    both = ops.concatenate(u, v, axis=0)
    rows = both.shape[0]
    spread = ops.logsumexp(-2 * ops.off_diagonal(_square_distances(both))) - np.log(rows * (rows - 1))
    return ((u - v) ** 2).sum(axis=1).mean() + spread


# Reconstruction, classification, metric learning.


def _normal(target, ddof, eps=1e-6):
    centred = target - target.mean(axis=-1, keepdims=True)
    variance = (centred * centred).sum(axis=-1, keepdims=True) / (target.shape[-1] - ddof)
    return centred / ops.sqrt(variance + eps)


@mutant(16, "masked_regression", "pixels normalised by the biased variance", "ddof=0")
def mae_biased(prediction, target, mask):
    error = ((prediction - stop_gradient(_normal(target, 0))) ** 2).mean(axis=-1)
    return (error * mask).sum() / mask.sum()


@mutant(16, "masked_regression", "averaged over all patches", "all_patches")
def mae_all_patches(prediction, target, mask):
    return ((prediction - stop_gradient(_normal(target, 1))) ** 2).mean()


@mutant(16, "masked_regression", "the mask marks what was kept", "mask is negated")
def mae_mask_inverted(prediction, target, mask):
    error = ((prediction - stop_gradient(_normal(target, 1))) ** 2).mean(axis=-1)
    kept = ~mask
    return (error * kept).sum() / max(1, kept.sum())


@mutant(17, "cross_entropy", "divided by the classes too: 1/(NC)", "1/C times")
def distillation_mean_of_all(scores, labels, temperature):
    log_p = ops.log_softmax(scores / temperature)
    return -(log_p * np.eye(scores.shape[1])[labels]).mean()


@mutant(17, "cross_entropy", "multiplied by temperature²", "temperature² times")
def distillation_squared_temperature(scores, labels, temperature):
    log_p = ops.log_softmax(scores / temperature)
    return -(log_p * np.eye(scores.shape[1])[labels]).sum(axis=1).mean() * temperature**2


@mutant(17, "cross_entropy", "label smoothing over the wrong classes only", "C-1 wrong classes", label_smoothing=0.1)
def smoothing_over_wrong_classes(scores, labels, temperature, label_smoothing):
    classes = scores.shape[1]
    own = np.eye(classes)[labels]
    q = own * (1 - label_smoothing) + (1 - own) * label_smoothing / (classes - 1)
    return -(ops.log_softmax(scores / temperature) * q).sum(axis=1).mean()


def _triplet_costs(d, labels, margin):
    """(N, N, N) hinge of anchor, positive, negative, and which triplets there are."""
    same = labels[:, None] == labels
    positive = same & ~np.eye(len(labels), dtype=bool)
    chosen = positive[:, :, None] & ~same[:, None, :]
    rows = len(labels)
    return ops.relu(d.reshape(rows, rows, 1) - d.reshape(rows, 1, rows) + margin) * chosen, chosen


@mutant(19, "triplet", "mean over active triplets", "mean_active")
def triplet_active(z, labels, margin):
    cost, _ = _triplet_costs(_square_distances(_unit(z)), labels, margin)
    return cost.sum() / max(1, int((cost.data > 0).sum()))


@mutant(
    19, "triplet", "root of a distance of 0: NaN gradient", "one-column (gradient not finite)", distance="euclidean"
)
def triplet_root_of_zero(z, labels, margin):
    apart = np.eye(len(labels), dtype=bool)
    d = ops.where(apart, 0, ops.sqrt(ops.where(apart, 1, _square_distances(_unit(z)))))
    cost, chosen = _triplet_costs(d, labels, margin)
    return cost.sum() / chosen.sum()


@mutant(14, "dispersive", "only distinct pairs", "self_pairs=False")
def dispersive_distinct(z):
    rows = z.shape[0]
    return ops.logsumexp(-2 * ops.off_diagonal(_square_distances(z))) - np.log(rows * (rows - 1))
