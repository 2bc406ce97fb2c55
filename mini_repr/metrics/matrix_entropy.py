"""Entropies of the spectrum of rows, and what they say of a layer: of a set, of the words of each text, of two views.

With p the eigenvalues of the Gram matrix z zᵀ over their sum (squared singular values of z over theirs), the matrix
entropy of order alpha is

    H_alpha = log(sum_k p_k^alpha) / (1 - alpha),       H_1 = -sum_k p_k log p_k,

from 0 (all rows along one line) to log min(N, D) (all directions used equally). Rows are taken as they are: centre or
scale them first where that is meant.

Source: Skean et al. 2025, arXiv 2502.02013 (entropy of a prompt's tokens and of a data set, by layer); formulas as in
its official code, OFSkean/information_flow, and repitl. That code also sets negative entries of the covariance to 0,
which is no longer the spectrum of the rows; here nothing is cut.
"""

import math

import numpy as np

from mini_repr.autograd import unit_rows
from mini_repr.backend import backend_of
from mini_repr.metrics.ranks import entropy, singular_shares
from mini_repr.metrics.tokens import each_text
from mini_repr.pages.arguments import Count, Flag, Mask, Optional, Positive, Rows
from mini_repr.pages.declare import metric
from mini_repr.pages.page import definition


@metric(paper="048")
def matrix_entropy(z: Rows("N D"), alpha: Positive = 1.0, normalize: Flag = False):
    """Entropy of the spectrum of the rows, 0 to log min(N, D).

    H_alpha in nats; with ``normalize`` over log min(N, D), from 0 to 1 (0 where that is 0).

    Raises:
        ValueError: also where all numbers are zero.
    """
    found = _entropy(singular_shares("matrix_entropy", z) ** 2, alpha)
    most = math.log(min(z.shape)) if normalize else 1.0
    return found / most if most else 0.0


@definition(matrix_entropy)
def matrix_entropy_definition(z, alpha, normalize):
    found = _entropy_definition(z @ z.T, alpha)
    most = math.log(min(z.shape)) if normalize else 1.0
    return found / most if most else 0.0


@metric(paper="048")
def prompt_entropy(
    tokens: Rows("B T D"), mask: Optional(Mask("B T")) = None, alpha: Positive = 1.0, normalize: Flag = False
):
    """Spread of the words within a text, 0 to log min(T, D).

    The mean over texts of ``matrix_entropy`` of their tokens.

    Args:
        mask: (B, T) booleans, True at words; a text without any is left out.
        alpha, normalize: as ``matrix_entropy``.
    Raises:
        ValueError: also for a text of zeros.
    """
    texts = each_text("prompt_entropy", tokens, mask, least=1)
    return sum(matrix_entropy(text, alpha, normalize) for text in texts) / len(texts)


@definition(prompt_entropy)
def prompt_entropy_definition(tokens, mask, alpha, normalize):
    texts = list(tokens) if mask is None else [text[words] for text, words in zip(tokens, mask, strict=True)]
    entropies = [matrix_entropy_definition(text, alpha, normalize) for text in texts if len(text)]
    return sum(entropies) / len(entropies)


@metric(paper="048", most_rows=1000)
def dime(
    a: Rows("N D", no_zero_row=True),
    b: Rows("N E", no_zero_row=True),
    alpha: Positive = 1.0,
    permutations: Count() = 10,
    seed: Count(0) = 0,
):
    """Entropy lost when the pairing is shuffled, 0 where it tells nothing.

    Difference of matrix entropies (DiME). With A and B the cosines within each view and P a random permutation of the
    rows, the mean over P of H(A ∘ P B Pᵀ) - H(A ∘ B): 0 where the pairing is arbitrary, larger where views of one row
    belong together. Costs N x N matrices and their eigenvalues, O(N³).

    Source: Skean et al. 2023, arXiv 2301.08164. The layers code takes D x D covariances where N > D, which permutes
    dimensions instead of rows; this is its form for N <= D at any size.

    Args:
        a, b: (N, D) and (N, E), row i of a belongs to row i of b.
        permutations: how many are averaged, drawn from ``seed``.
    """
    backend = backend_of(a)
    u, v = unit_rows.on_arrays(a)[0], unit_rows.on_arrays(b)[0]
    within_a, within_b = u @ u.T, v @ v.T
    rng = np.random.default_rng(seed)

    def joint(order):
        return _entropy(backend.xp.linalg.eigvalsh(within_a * within_b[order][:, order]), alpha)

    shuffled = [joint(backend.asarray(rng.permutation(len(a)))) for _ in range(permutations)]
    return sum(shuffled) / permutations - joint(backend.xp.arange(len(a)))


@definition(dime)
def dime_definition(a, b, alpha, permutations, seed):
    xp, rng = backend_of(a).xp, np.random.default_rng(seed)
    u, v = (x / xp.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    identity, shuffled = xp.eye(len(a)), 0.0
    for _ in range(permutations):
        p = identity[backend_of(a).asarray(rng.permutation(len(a)))]
        shuffled += _entropy_definition((u @ u.T) * (p @ v @ v.T @ p.T), alpha) / permutations
    return shuffled - _entropy_definition((u @ u.T) * (v @ v.T), alpha)


def _entropy(eigenvalues, alpha):
    p = eigenvalues[eigenvalues > 0.0].astype("float64")  # rounding leaves negative ones where there should be zeros
    p = p / p.sum()
    return entropy(p) if alpha == 1.0 else math.log(float((p**alpha).sum())) / (1.0 - alpha)


def _entropy_definition(gram, alpha):
    p = [float(value) for value in backend_of(gram).xp.linalg.eigvalsh(gram)]
    p = [x / sum(p) for x in p if x > 1e-14 * max(p)]
    return -sum(x * math.log(x) for x in p) if alpha == 1 else math.log(sum(x**alpha for x in p)) / (1 - alpha)
