"""LiDAR: in how many directions a representation tells samples apart, relative to how their views differ."""

import math

from mini_repr.backend import backend_of
from mini_repr.metrics.ranks import entropy
from mini_repr.pages.arguments import Optional, Positive, Rows
from mini_repr.pages.declare import metric
from mini_repr.pages.page import definition


@metric(paper="048")
def lidar(a: Rows("N D"), b: Rows("N D"), more: Optional(Rows("V N D")) = None, delta: Positive = 1e-4):
    """Effective rank of samples compared with their views, 1 to D.

    Each sample is a class, its views the members. With μ_i the mean of sample i's views and μ that of all,

        S_b = mean_i (μ_i - μ)(μ_i - μ)ᵀ,     S_w = mean_{i,q} (z_iq - μ_i)(z_iq - μ_i)ᵀ + delta I

    and p the eigenvalues of S_w^{-1/2} S_b S_w^{-1/2} over their sum, LiDAR = exp(-sum_k p_k log p_k).

    Source: Thilak et al. 2023, arXiv 2312.04000; scatters and delta as in the code of the layers paper (Skean et al.
    2025, arXiv 2502.02013), which takes the entropy itself, the logarithm of this.

    Args:
        a, b: (N, D), two views; row i of each belongs to sample i. more: (V, N, D), further views.
        delta: in units of the rows squared.
    Raises:
        ValueError: also for samples whose means are all the same.
    """
    xp = backend_of(a).xp
    views = [view.astype("float64") for view in (a, b, *(() if more is None else more))]
    means = sum(views[1:], views[0]) / len(views)
    within = delta * xp.eye(a.shape[1])
    for view in views:
        within += (view - means).T @ (view - means) / (len(a) * len(views))
    values, directions = xp.linalg.eigh(within)
    # The Gram matrix of these rows has the discriminant's spectrum.
    whitened = (means - means.mean(axis=0)) @ (directions / xp.sqrt(values))
    spectrum = xp.linalg.svd(whitened, compute_uv=False) ** 2
    total = float(spectrum.sum())
    if total == 0.0:
        raise ValueError("lidar: a: got views of the same mean for every sample, expected samples that differ")
    return math.exp(entropy(spectrum / total))


@definition(lidar)
def lidar_definition(a, b, more, delta):
    xp = backend_of(a).xp
    views = xp.stack([a, b, *(() if more is None else more)])
    means = views.mean(axis=0)
    between = sum(xp.outer(x, x) for x in means - means.mean(axis=0)) / len(a)
    within = sum(xp.outer(x, x) for view in views - means for x in view) / (len(views) * len(a))
    values, directions = xp.linalg.eigh(within + delta * xp.eye(a.shape[1]))
    root = directions @ xp.diag(values**-0.5) @ directions.T
    p = [float(value) for value in xp.linalg.eigvalsh(root @ between @ root)]
    return math.exp(-sum(x / sum(p) * math.log(x / sum(p)) for x in p if x > 1e-14 * max(p)))
