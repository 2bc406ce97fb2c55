"""Which features a linear contrastive encoder keeps, and how strongly, in closed form; its layers one by one.

A linear encoder f(x) = F x of ``width`` rows minimises the spectral contrastive loss over positive pairs (x, x⁺) and
independent views (x, x⁻),

    L(F) = -2 E f(x)·f(x⁺) + E (f(x)·f(x⁻))²  =  -2 tr(F M⁺ Fᵀ) + |F M Fᵀ|²,    M = E x xᵀ, M⁺ = E x x⁺ᵀ

With N = M^{-1/2} M⁺ M^{-1/2} and [N]_p its best approximation that is positive and of rank p = ``width``, the minimum
is -|[N]_p|², at

    Fᵀ F = M^{-1/2} [N]_p M^{-1/2}

Where M has no inverse the pseudo-inverse gives, of all minimisers, the one of least norm. A feature of variance v whose
views have noise s, independent of all others, has the strength v / (v + s) in N: the ``width`` strongest are kept, an
easy feature that views leave alone before a hard one (feature suppression). With M⁺ = sum_c π_c m_c m_cᵀ of class means
m_c, supervised contrast, a feature that only tells subclasses of a class apart has strength 0 (class collapse); any
mixture of both M⁺ keeps it.

Layers. Gradient descent on F = W_L ... W_1 from a small, balanced start keeps W_l W_lᵀ = W_{l+1}ᵀ W_{l+1}. Then

    Fᵀ F = (W_1ᵀ W_1)^L

so that before L - 1 linear layers of a projection head the weights of features are the L-th roots of their squares
after it: less unequal.

Source: Xue, Joshi, Gan, Chen, Mirzasoleiman 2023, arXiv 2305.16536 (collapse and suppression); Xue, Gan, Ni, Joshi,
Mirzasoleiman 2024, arXiv 2403.11391 (layers). The closed forms are derived here, and tested against gradient descent.
"""

from typing import NamedTuple

import numpy as np

from mini_repr.pages.arguments import Count, Rows
from mini_repr.pages.declare import theorem
from mini_repr.pages.page import definition

# Eigenvalues below this share of the largest are taken for 0.
NEGLIGIBLE = 1e-10


class SpectralMinimiser(NamedTuple):
    """Fᵀ F (D, D); the least loss; strengths (D,) of all directions, the eigenvalues of N, falling."""

    gram: np.ndarray
    least: float
    strengths: np.ndarray


class BalancedLayers(NamedTuple):
    """W_1ᵀ W_1 (D, D); how unequal the features are before and after the head: largest through smallest weight."""

    first: np.ndarray
    spread_before: float
    spread_after: float


@theorem(paper=("059", "087"))
def spectral_minimiser(second: Rows("D D", frozen=True), positive: Rows("D D", frozen=True), width: Count() = 2):
    """The linear encoder that minimises the spectral contrastive loss, from two moments of the views.

    Args:
        second: M, symmetric and positive. positive: M⁺, symmetric. width: rows of F.
    Raises:
        ValueError: an M that is not symmetric or has a negative eigenvalue, or an M⁺ that is not symmetric.
    """
    values, vectors = np.linalg.eigh(_symmetric("spectral_minimiser", "second", second))
    if values[0] < -NEGLIGIBLE * max(values[-1], 0) or values[-1] <= 0:
        raise ValueError(f"spectral_minimiser: second: got an eigenvalue of {values[0]:g}, expected none below 0")
    kept = values > NEGLIGIBLE * values[-1]
    root = (vectors[:, kept] / np.sqrt(values[kept])) @ vectors[:, kept].T
    inner = root @ _symmetric("spectral_minimiser", "positive", positive) @ root
    strengths, directions = np.linalg.eigh(inner)
    strengths, directions = strengths[::-1], directions[:, ::-1]
    top = np.maximum(strengths[:width], 0)
    half = root @ directions[:, :width]
    return SpectralMinimiser((half * top) @ half.T, -float((top**2).sum()), strengths)


@definition(spectral_minimiser)
def spectral_minimiser_definition(second, positive, width):
    """By generalised eigenvectors: M⁺ u = n M u, with u scaled so that u M u = 1."""
    from scipy.linalg import eigh

    strengths, vectors = eigh(positive, second)
    gram, least = np.zeros_like(second), 0.0
    for strength, u in list(zip(strengths, vectors.T, strict=True))[::-1][:width]:
        if strength > 0:
            gram = gram + strength * np.outer(u, u)
            least -= strength**2
    return SpectralMinimiser(gram, float(least), strengths[::-1])


@theorem(paper=("059", "087"))
def balanced_layers(gram: Rows("D D", frozen=True), layers: Count() = 2):
    """What the first of several balanced linear layers has learnt, from what all of them together compute.

    Directions that F does not use are left out of both spreads, which are 1 where one direction is used.

    Args:
        gram: Fᵀ F, symmetric and positive. layers: L, those of encoder and head together.
    Raises:
        ValueError: a matrix that is not symmetric, or has a negative eigenvalue, or is 0.
    """
    values, vectors = np.linalg.eigh(_symmetric("balanced_layers", "gram", gram))
    if values[-1] <= 0 or values[0] < -NEGLIGIBLE * values[-1]:
        raise ValueError(
            f"balanced_layers: gram: got eigenvalues {values[0]:g} to {values[-1]:g}, expected none below 0"
        )
    used = values > NEGLIGIBLE * values[-1]
    roots = np.where(used, values, 0) ** (1 / layers)
    spread = float(values[used][-1] / values[used][0])
    return BalancedLayers((vectors * roots) @ vectors.T, spread ** (1 / (2 * layers)), spread**0.5)


@definition(balanced_layers)
def balanced_layers_definition(gram, layers):
    """By singular values: of a square root of Fᵀ F, and the L-th root by logarithms."""
    left, values, _ = np.linalg.svd(gram)
    used = values[values > NEGLIGIBLE * values[0]]
    first = sum(np.exp(np.log(v) / layers) * np.outer(u, u) for v, u in zip(used, left.T, strict=False))
    weights = np.exp(np.log(used) / 2)
    before = np.exp(np.log(used) / 2 / layers)
    return BalancedLayers(first, float(before[0] / before[-1]), float(weights[0] / weights[-1]))


def spectral_loss(encoder, second, positive):
    """L(F) of an encoder F (width, D)."""
    return float(-2 * np.trace(encoder @ positive @ encoder.T) + ((encoder @ second @ encoder.T) ** 2).sum())


def _symmetric(name, argument, matrix):
    if np.abs(matrix - matrix.T).max() > 1e-6 * np.abs(matrix).max():
        raise ValueError(f"{name}: {argument}: got a matrix that is not symmetric, expected a symmetric one")
    return (matrix + matrix.T) / 2
