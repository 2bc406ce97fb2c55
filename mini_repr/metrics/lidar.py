"""LiDAR: in how many directions a representation tells samples apart, relative to how their views differ."""

import math

from mini_repr.backend import backend_of
from mini_repr.metrics.rows import checked_rows


def lidar(a, b, *more, delta=1e-4):
    """Effective rank of the linear discriminant of samples against their views, from 1 to D.

    Each sample is a class, its views the members. With μ_i the mean of sample i's views and μ that of all,

        S_b = mean_i (μ_i - μ)(μ_i - μ)ᵀ,     S_w = mean_{i,q} (z_iq - μ_i)(z_iq - μ_i)ᵀ + delta I

    and p the eigenvalues of S_w^{-1/2} S_b S_w^{-1/2} over their sum, LiDAR = exp(-sum_k p_k log p_k).

    Source: Thilak et al. 2023, arXiv 2312.04000; scatters and delta as in the code of the layers paper (Skean et al.
    2025, arXiv 2502.02013), which takes the entropy itself, the logarithm of this.

    Args:
        a, b, more: (N, D) each, views; row i of each belongs to sample i. delta: above 0, in units of the rows squared.
    Raises:
        ValueError: shapes, empty sets, values that are not finite, samples that are all the same, delta not above 0.
    """
    views = (a, b, *more)
    for view in views:
        if checked_rows("lidar", "views", view).shape != a.shape:
            raise ValueError(f"lidar: views must have the same shape, got {a.shape} and {view.shape}")
    if not delta > 0.0:
        raise ValueError(f"lidar: delta must be above 0, got {delta}")
    xp = backend_of(a).xp
    views = [view.astype("float64") for view in views]
    means = sum(views[1:], views[0]) / len(views)
    within = delta * xp.eye(a.shape[1])
    for view in views:
        within += (view - means).T @ (view - means) / (a.shape[0] * len(views))
    values, directions = xp.linalg.eigh(within)
    told = (means - means.mean(axis=0)) @ (
        directions / xp.sqrt(values)
    )  # its Gram matrix has the discriminant's spectrum
    spectrum = xp.linalg.svd(told, compute_uv=False) ** 2
    total = float(spectrum.sum())
    if total == 0.0:
        raise ValueError("lidar: views have the same mean for every sample")
    p = spectrum[spectrum > 0.0] / total
    return math.exp(-float((p * xp.log(p)).sum()))
