"""The slips of public implementations that no rewrite of a formula reaches, and the factors by which codes multiply.

* an ``Alteration`` evaluates the page in another way: with an argument changed on the way in, or with an operation of
  its definition replaced. The engine differentiates what results, so value and gradient belong together.
* a ``Factor`` is a number by which codes multiply a loss: made of the batch size, the width or the temperature.

What can be said as a change of the formula is found by ``rewrites/``; what only touches the gradient (doubled, missing
for one input) by comparing numbers, in ``relations.py``.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mini_repr import autograd as ops
from mini_repr.autograd import Tensor
from mini_repr.pages.arguments import Rows
from mini_repr.pages.loss import evaluate_definition


class Alteration(NamedTuple):
    """A slip that changes the computation.

    ``applies(loss)``; ``evaluate(loss, arguments)`` -> tensor, from complete arguments whose differentiable ones are
    tensors. ``description`` completes "it is the loss, but ...".
    """

    name: str
    description: str
    applies: Callable
    evaluate: Callable


def value_of_slip(slip, loss, arguments):
    """What a slip gives, as a tensor; None where it cannot be made at these arguments.

    It may give a shape or a value that the rest of the definition cannot take.
    """
    try:
        return slip.evaluate(loss, arguments)
    except (ValueError, TypeError, LookupError):
        return None


class Factor(NamedTuple):
    """``number(sizes) * temperature ** power``, as in "2(N-1)" or "1/temperature"."""

    description: str
    number: Callable  # of (N, D): rows and width of the first array
    power: int = 0


_SIZES = [
    Factor("2", lambda n, d: 2),
    Factor("1/2", lambda n, d: 1 / 2),
    Factor("-1", lambda n, d: -1),
    Factor("4", lambda n, d: 4),
    Factor("1/4", lambda n, d: 1 / 4),
    Factor("N", lambda n, d: n),
    Factor("1/N", lambda n, d: 1 / n),
    Factor("2N", lambda n, d: 2 * n),
    Factor("1/(2N)", lambda n, d: 1 / (2 * n)),
    Factor("N-1", lambda n, d: n - 1),
    Factor("1/(N-1)", lambda n, d: 1 / (n - 1)),
    Factor("N/(N-1)", lambda n, d: n / (n - 1)),
    Factor("(N-1)/N", lambda n, d: (n - 1) / n),
    Factor("2(N-1)", lambda n, d: 2 * (n - 1)),
    Factor("1/(2(N-1))", lambda n, d: 1 / (2 * (n - 1))),
    Factor("N²", lambda n, d: n * n),
    Factor("1/N²", lambda n, d: 1 / (n * n)),
    Factor("1/(N(N-1))", lambda n, d: 1 / (n * (n - 1))),
    Factor("D", lambda n, d: d),
    Factor("1/D", lambda n, d: 1 / d),
    Factor("ND", lambda n, d: n * d),
    Factor("1/(ND)", lambda n, d: 1 / (n * d)),
]
_POWERS = [
    Factor("temperature", lambda n, d: 1, 1),
    Factor("1/temperature", lambda n, d: 1, -1),
    Factor("temperature²", lambda n, d: 1, 2),
    Factor("1/temperature²", lambda n, d: 1, -2),
]
FACTORS = [
    *_SIZES,
    *_POWERS,
    *(Factor(f"{s.description} {p.description}", s.number, p.power) for s in _SIZES for p in _POWERS),
]


def has(*names):
    """Applies to losses with all these parameters."""
    return lambda loss: set(names) <= set(loss.parameters)


def only(*losses):
    """Applies to the losses of these names."""
    return lambda loss: loss.name in losses


def _is_rows(parameter):
    return isinstance(parameter.annotation.bare, Rows)


def _changing(name, description, applies, change):
    """An alteration of arguments: ``change(loss, arguments)`` -> those that become something else."""
    return Alteration(
        name, description, applies, lambda loss, arguments: loss.definition(**{**arguments, **change(loss, arguments)})
    )


# Parts that the alterations below are made of.


def _all_entries(matrix):
    return matrix if isinstance(matrix, Tensor) else Tensor(matrix)


def _every_second(replacement, phase):
    """``off_diagonal`` replaced at calls 0, 2, ... (phase 0: the partners') or 1, 3, ... (phase 1: the self pairs')."""
    calls = [-1]

    def chosen(matrix):
        calls[0] += 1
        return replacement(matrix) if calls[0] % 2 == phase else ops.off_diagonal(matrix)

    return chosen


def _float_rows(loss, arguments):
    """Arrays of rows that have a length: one number per row (an estimate, a temperature) has none."""
    given = {p.name: arguments[p.name] for p in loss.arrays if _is_rows(p) and arguments.get(p.name) is not None}
    return {name: rows for name, rows in given.items() if len(rows.shape) > 1}


def _unit(x):
    return ops.unit_rows(x) if isinstance(x, Tensor) else ops.unit_rows.on_arrays(np.asarray(x))[0]


def _as_tensor(x):
    return x if isinstance(x, Tensor) else Tensor(np.asarray(x))


def _width_of_classes(loss, arguments):
    """How many classes a softmax is over; of pairs, where the partners are the classes, how many pairs."""
    return arguments[loss.arrays[0].name].shape[0 if loss.compares == "pairs" else 1]


def _infonce_logs(arguments):
    """For NT-Xent written with the self pair in its sum and e^(1/t) taken out again: value right, gradient not."""
    temperature = _as_tensor(arguments["temperature"])

    def less_self(logits, axis):
        return ops.log(ops.exp(logits).sum(axis=axis) - ops.exp(1 / temperature))

    return {"off_diagonal": _every_second(_all_entries, 1), "logsumexp": less_self}


def _barlow_common_statistics(loss, arguments):
    a, rows = arguments, arguments["a"].shape[0]
    both = ops.concatenate(a["a"], a["b"], axis=0)
    centred = both - both.mean(axis=0)
    white = centred / ops.sqrt((centred**2).mean(axis=0) + a["eps"])
    correlation = white[:rows].T @ white[rows:] / rows
    invariance = ((1 - ops.diagonal(correlation)) ** 2).sum()
    return a["scale_loss"] * (invariance + a["redundancy_weight"] * (ops.off_diagonal(correlation) ** 2).sum())


def _one_set_uniformity(loss, arguments):
    a = arguments
    u, v = (ops.unit_rows(x) if a["normalize"] else x for x in (a["a"], a["b"]))
    both = ops.concatenate(u, v, axis=0)
    rows, width = both.shape
    apart = both.reshape(rows, 1, width) - both.reshape(1, rows, width)
    potential = ops.logsumexp(ops.off_diagonal(-a["t"] * (apart * apart).sum(axis=2))) - np.log(rows * (rows - 1))
    alignment = (((u - v) ** 2).sum(axis=1) ** (a["alpha"] / 2)).mean()
    return a["alignment_weight"] * alignment + a["uniformity_weight"] * potential


def _binary_cross_entropy(loss, arguments):
    """A sigmoid for every class in place of one softmax, summed over classes."""
    own = arguments["labels"][:, None] == np.arange(_width_of_classes(loss, arguments))
    scores = arguments["scores"] / arguments["temperature"]
    return (ops.softplus(scores) - scores * own).sum(axis=1).mean()


def _mean_a_sample(loss, arguments):
    """Masked regression averaged over each sample's hidden patches first, then over samples."""
    a = arguments
    per_sample = []
    for k in range(a["mask"].shape[0]):
        if a["mask"][k].any():
            one = {n: a[n][k : k + 1] for n in ("prediction", "target", "mask")}
            per_sample.append(loss.definition(**{**a, **one}).reshape(1))
    return ops.concatenate(*per_sample, axis=0).mean()


ALTERATIONS = [
    _changing(
        "normalised_first",
        "rows are normalised first",
        lambda loss: any(_is_rows(p) for p in loss.arrays) and loss.compares != "scores",
        lambda loss, a: {n: _unit(x) for n, x in _float_rows(loss, a).items()},
    ),
    Alteration(
        "self_pair_subtracted",
        "the self pair is removed by subtracting e^(1/temperature): a gradient leaks through it",
        only("infonce"),
        lambda loss, a: evaluate_definition(loss, a, _infonce_logs(a)),
    ),
    Alteration(
        "mean_a_sample",
        "the mean is taken over each sample's hidden patches first",
        only("masked_regression"),
        _mean_a_sample,
    ),
    Alteration(
        "one_set", "uniformity runs over the rows of both views as one set", only("align_uniform"), _one_set_uniformity
    ),
    Alteration(
        "common_statistics",
        "both views are standardised with common statistics",
        only("barlow_twins"),
        _barlow_common_statistics,
    ),
    Alteration(
        "diagonal_in_both",
        "the diagonal stands in the redundancy term too",
        only("barlow_twins"),
        lambda loss, a: evaluate_definition(loss, a, {"off_diagonal": lambda m: m - np.eye(m.shape[0])}),
    ),
    Alteration(
        "binary_cross_entropy",
        "binary cross-entropy of every class, in place of one softmax",
        only("cross_entropy"),
        _binary_cross_entropy,
    ),
    _changing(
        "smoothing_over_wrong_classes",
        "label smoothing is spread over the C-1 wrong classes only",
        has("label_smoothing"),
        lambda loss, a: {
            "label_smoothing": a["label_smoothing"] * _width_of_classes(loss, a) / (_width_of_classes(loss, a) - 1)
        },
    ),
]
