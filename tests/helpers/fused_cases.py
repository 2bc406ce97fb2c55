"""Arguments for every ``Fused`` formula, with each of its optional arguments given and left out."""

import numpy as np

import mini_repr.autograd.primitives.transformer
import mini_repr.data.views
import mini_repr.kernels.class_log_sum_exp
import mini_repr.kernels.log_sum_exp
import mini_repr.kernels.supervision
import mini_repr.kernels.whitening
import mini_repr.losses.embeddings.t_regs
import mini_repr.losses.pairs.best_alignment
import mini_repr.losses.pairs.siglip
import mini_repr.losses.scores.harmonic
import mini_repr.optim  # noqa: F401  (the rooms that declare formulas)
from mini_repr.backend import CPU
from mini_repr.fused import KERNELS

# Formulas whose NumPy form uses up its first argument to be written, which no caller reads.
USED_UP = {"normalise_back_into", "class_sums_into"}


def cases(dtype):
    """[(name, arguments)], the arrays of ``dtype``; rows are shorter and longer than a warp."""
    rng = np.random.default_rng(0)
    found = []

    def normal(*shape):
        return rng.standard_normal(shape).astype(dtype)

    def case(name, *arguments):
        found.append((name, arguments))

    for width in (5, 50):
        rows, residual, weights = normal(7, width), normal(7, width), np.abs(normal(7, width))
        mask = rng.random((7, width)) < 0.5
        mask[2] = False
        case("normalise_into", rows, 1e-5, empty(rows), empty(rows[:, :1]))
        for one in (None, residual):
            case("normalise_back_into", normal(7, width), normal(7, 1), one, normal(7, width), empty(rows))
        extreme = rows * np.array([1, 0, 1e-30, 1e30, 1, 1e-6, 1]).astype(dtype)[:, None]
        for eps in (0.0, 1e-3):
            case("unit_rows_into", extreme, eps, empty(rows), empty(rows[:, :1]), np.empty((7, 1), bool))
        small = np.arange(7)[:, None] % 3 == 0
        case("unit_rows_back_into", normal(7, width), normal(7, width), normal(7, 1), small, empty(rows))
        for one in (None, mask):
            case("scaled_softmax", 0.3, one, 10 * rows)
        g = normal(7, 6)
        shares, values = weights / weights.sum(axis=1, keepdims=True), normal(width, 6)
        case("scaled_softmax_back", 0.3, shares, g, shares @ values, g @ values.T)
        top, tops = normal(7), normal(width)
        case("add_shares", top, rows, normal(7))
        by_row, by_column = np.abs(normal(7)), np.abs(normal(width))  # of one sign: nothing cancels
        for column_top, column_weight in ((None, None), (None, by_column), (tops, by_column)):
            case("weigh_shares", top, by_row, column_top, column_weight, normal(7, width))
        apart = weights**2
        apart[:, 0] = np.inf  # from a row to itself
        case("of_entropy", apart, normal(7) ** 2 + 1, np.log(2.5), empty(rows))
        gain, bias = normal(7, 1), normal(7, 1)
        written = empty(rows), empty(gain[:, 0]), empty(gain[:, 0])
        numbers = np.abs(normal(7)), np.abs(normal(7)), np.abs(rows), np.abs(normal(width))  # nothing cancels
        case("fold_into", *numbers, 7, width, empty(rows[:1].T), empty(rows))
        case("unfold_into", gain, bias, normal(7, width), normal(7, width), normal(width), *written)
        inside, newest = np.arange(7) == 2, np.array([4])
        inside[4] = width == 5  # the newest row is inside already, or comes in
        distance = np.where(inside, np.inf, np.abs(normal(7)) * width).astype(dtype)[:, None]
        case("take_in", rows, newest, width, distance, np.arange(7), inside)
        classes = np.repeat(np.arange(3), (1, 3, width))[: width + 3]  # the first is alone in its class
        first, end = (np.searchsorted(classes, classes[:4], side=side) for side in ("left", "right"))
        for weighted in (False, True):
            pairs = first, end, 0.3, 2.0, weighted, 0, 0, 4
            similar = normal(4, width + 3)
            case("class_sums_into", *pairs, similar, empty(similar[:, 0]), empty(similar[:, 0]))
            sums, weights = normal(2, 4), np.abs(normal(2, 4))
            case("class_weights_into", *pairs, *sums, *weights, normal(4, width + 3))
    for parts, one in ((1, None), (3, normal(3 * 2 * 5))):
        rows = normal(4 * 7, parts * 2 * 5)
        case("heads_from_rows", rows, one, parts, 4, 2, 7, empty(rows))
        case("rows_from_heads", normal(parts, 4, 2, 7, 5), parts, 4, 2, 7, empty(rows))
    wide = normal(7, 200)
    for one in (None, rng.random((7, 200)) < 0.5):
        case("scaled_softmax", 0.3, one, 10 * wide)
    x, bias = 4 * normal(9, 5), normal(5)
    case("gelu_and_slope", x, empty(x), empty(x))
    for one in (None, empty(x)):
        case("biased_gelu", bias, x, one, empty(x))
    slope = empty(x)
    KERNELS["gelu_and_slope"].form(CPU, x + bias, empty(x), slope)
    case("times_slope", bias, x, slope, normal(9, 5))
    for one in (None, normal(9, 5)):
        case("add_both", bias, one, normal(9, 5))
    for edge in (False, True):
        images, maps = normal(4, 2, 3, 5), normal(4, 2, 3) + np.eye(2, 3, dtype=dtype)
        case("sample_into", images, maps, edge, 2, 3, 5, empty(images))
    for frames, tokens in ((3, 2), (40, 35)):
        d = normal(4, frames, tokens) ** 2
        d[0] = 1  # ties
        d[3, 1, 1] = np.nan
        ends = np.array([frames, frames - 1, frames, 2]), np.array([tokens, 1, tokens - 1, 2])
        for dtw in (0, 1):
            total = np.full((4, (frames + 1) * (tokens + 1)), np.inf, dtype)
            case("best_paths", d, *ends, frames, tokens, dtw, total, np.zeros(d.shape, bool))
    rows, centres = normal(4, 5), normal(3, 5)
    centres[1:] = rows[[0, 2]] + [[0], [1e-3]]
    sizes = (rows * rows).sum(axis=1)[:, None] + (centres * centres).sum(axis=1)
    case("recompute_close", rows, centres, sizes, 3, 5, sizes - 2 * rows @ centres.T)
    case("squared_gaps", normal(4, 3, 5), normal(4, 2, 5), 3, 5, 2, empty(normal(4, 3, 2)))
    case("sigmoid_and_softplus", 4 * normal(9), *empty(normal(2, 9)))
    case("centre_into", normal(4, 5), normal(5), np.array([0, 1, 3, 0, 2], dtype), empty(normal(4, 5)))
    covariance, mean = normal(5, 5) + 4 * np.eye(5, dtype=dtype), normal(5)
    case("pivot_excess", np.sqrt(abs(covariance)), covariance, mean, 1e-2, 5, empty(mean))
    total = np.array([0, 2, 0.5], dtype)
    for shift, one in ((0.0, normal(3)), (1.5, None)):
        case("log_total_into", shift, one, total, empty(total))
    case("weight_into", normal(3), total, empty(total))
    case("scale_by", 0.3, normal(9))
    case("moving_average", 0.9, 0.1, normal(9), normal(9))
    case("adamw_update", 1e-3, 1e-8, 0.9, 0.1, 0.999, 0.001, 0.99, normal(9), normal(9), normal(9), np.abs(normal(9)))
    case("sgd_update", 0.1, 0.01, normal(9), normal(9))
    for nesterov in (False, True):
        case("momentum_update", 0.1, 0.01, 0.9, nesterov, normal(9), normal(9), normal(9))
    assert {name for name, _ in found} == KERNELS.keys(), "a formula without a case"
    return found


def empty(like):
    """An array to be written: not yet numbers."""
    return np.full_like(like, np.nan)
