"""What learning by reconstruction keeps for perception: subspaces of pixel variance, and a closed form of the overlap.

The linear autoencoder of K dimensions that rebuilds x best from a noisy x̃, min over W, V of E|x - W Vᵀ x̃|², has as
columns of V the K leading solutions of

    A v = λ B v,      A = E[x̃ xᵀ] E[x x̃ᵀ],      B = E[x̃ x̃ᵀ]

and the noise enters through two matrices only, with C = E[x xᵀ] of the centred rows:

    "none"      E[x̃ xᵀ] = C           B = C                 V: the leading principal directions
    "additive"  E[x̃ xᵀ] = C           B = C + strength² I   the same V in the same order: such noise changes nothing
    "masking"   E[x̃ xᵀ] = (1 - p) C   B = C ∘ M             M_ij = 1 - p within a patch, (1 - p)² between two

p = ``strength`` is the chance of a patch to be set to 0 (the mean). The alignment of K dimensions is the share of the
targets' variance that least squares explains from the codes Vᵀx, over the share it explains from all of x:

    alignment(K) = |P_K Y|² / |P_D Y|²,      P_K the projection on the span of the first K codes, Y one-hot labels

1 means that K dimensions of reconstruction serve a linear classifier as well as the input does.

Source: Balestriero & LeCun 2024, arXiv 2402.11337; its official code (RandallBalestriero/LearningByReconstruction,
utils.py and alignment.py) for A, B and the masks. That code's measure is sqrt(sum |Y Yᵀ q|²), which for classes of one
size is the square root of the one here.

Measured: `mini-repr claim reconstruction_subspaces`: digits on a background, bottom 20% of variance 0.767 ± 0.017
against top 90% 0.682 ± 0.017; alignment with the best mask 0.668 ± 0.008 against 0.660 ± 0.008, unchanged by additive
noise: holds; the masks help with 16 codes and did not with 8, the number tried first.
"""

import numpy as np
from scipy.linalg import eigh

from mini_repr.backend import backend_of
from mini_repr.metrics.linear_probe import linear_probe
from mini_repr.metrics.rows import checked_labels, checked_rows


def variance_subspace(z, share=0.75, part="top"):
    """Mean (D,) and orthonormal basis (D, K), on the host, of a subspace of the variance of rows z (N, D).

    "top": the fewest leading principal directions that hold at least ``share`` of the variance. "bottom": the most of
    the last ones that hold at most ``share``. The two with shares s and 1 - s are complements.

    Raises:
        ValueError: shape, values that are not finite, rows all the same, share not in (0, 1], unknown part, no
            direction left.
    """
    z = _host_rows("variance_subspace", "z", z)
    if not 0.0 < share <= 1.0:
        raise ValueError(f"variance_subspace: share must lie in (0, 1], got {share}")
    if part not in ("top", "bottom"):
        raise ValueError(f"variance_subspace: part must be top or bottom, got {part!r}")
    mean = z.mean(axis=0)
    variances, directions = np.linalg.eigh((z - mean).T @ (z - mean))
    variances, directions = np.maximum(variances[::-1], 0), directions[:, ::-1]
    if variances[0] <= 0:
        raise ValueError("variance_subspace: z has no variance")
    reached = np.cumsum(variances) / variances.sum()
    kept = share if part == "top" else 1 - share
    leading = min(int((reached < kept - 1e-12).sum()) + 1, len(reached)) if kept > 0 else 0
    basis = directions[:, :leading] if part == "top" else directions[:, leading:]
    if basis.shape[1] == 0:
        raise ValueError(f"variance_subspace: no direction lies within the {part} share {share}")
    return mean, basis


def subspace_probe(train_z, train_labels, test_z, test_labels, share=0.75, part="top", l2=1.0):
    """Test accuracy of ``linear_probe`` on rows projected on a top or bottom subspace of the training rows' variance.

    Args:
        as ``linear_probe`` and ``variance_subspace``.
    """
    mean, basis = variance_subspace(train_z, share, part)
    if test_z.ndim != 2 or test_z.shape[1] != len(mean):
        raise ValueError(f"subspace_probe: test_z must have {len(mean)} columns, got shape {test_z.shape}")
    train, test = ((_host_rows("subspace_probe", "z", z) - mean) @ basis for z in (train_z, test_z))
    labels = (backend_of(y).to_numpy(y) for y in (train_labels, test_labels))
    train_labels, test_labels = labels
    return linear_probe(train, train_labels, test, test_labels, l2)


def reconstruction_codes(z, noise="none", strength=0.0, patches=None):
    """V (D, R) on the host: directions of the best linear denoising autoencoder of rows z (N, D), leading ones first.

    Its first K columns are the optimum for K dimensions; R is the rank of the centred rows.

    Args:
        noise: "none", "additive" or "masking". strength: deviation of the noise, or chance in [0, 1) of a mask.
        patches: (D,) integers, the patch of every column; None: every column by itself.
    Raises:
        ValueError: shapes, values that are not finite, rows all the same, unknown noise, strength out of range.
    """
    z = _host_rows("reconstruction_codes", "z", z)
    z = z - z.mean(axis=0)
    covariance = z.T @ z / len(z)
    if not covariance.any():
        raise ValueError("reconstruction_codes: z has no variance")
    if not 0.0 <= strength < (1.0 if noise == "masking" else np.inf):
        raise ValueError(f"reconstruction_codes: strength out of range for {noise} noise, got {strength}")
    cross, within = covariance, covariance
    if noise == "additive":
        within = covariance + strength**2 * np.eye(len(covariance))
    elif noise == "masking":
        patches = np.arange(z.shape[1]) if patches is None else np.asarray(patches)
        if patches.shape != z.shape[1:]:
            raise ValueError(f"reconstruction_codes: patches must have shape {z.shape[1:]}, got {patches.shape}")
        both_seen = np.where(patches[:, None] == patches, 1 - strength, (1 - strength) ** 2)
        cross, within = (1 - strength) * covariance, covariance * both_seen
    elif noise != "none":
        raise ValueError(f"reconstruction_codes: noise must be none, additive or masking, got {noise!r}")
    values, directions = eigh(within)
    kept = values > 1e-12 * values[-1]  # constant columns make B singular
    whiten = directions[:, kept] / np.sqrt(values[kept])
    solutions = np.linalg.svd(whiten.T @ cross)[0]
    rank = int((np.linalg.eigvalsh(covariance) > 1e-12 * np.linalg.norm(covariance, 2)).sum())
    return whiten @ solutions[:, :rank]  # what follows is code of no clean row


def alignment_curve(z, labels, noise="none", strength=0.0, patches=None):
    """alignment(K) for K = 1 .. R as an array (R,) on the host: never falling, 1 at the end.

    Args:
        z: (N, D). labels: (N,) integers, at least two classes. The others as ``reconstruction_codes``.
    Raises:
        ValueError: as ``reconstruction_codes``; label types; targets that no linear function of z explains.
    """
    checked_labels("alignment_curve", "labels", labels, z)
    codes = reconstruction_codes(z, noise, strength, patches)
    z = _host_rows("alignment_curve", "z", z)
    labels = backend_of(labels).to_numpy(labels)
    targets = (labels[:, None] == np.unique(labels)).astype(z.dtype)
    basis = np.linalg.qr((z - z.mean(axis=0)) @ codes)[0]
    explained = np.cumsum(((basis.T @ targets) ** 2).sum(axis=1))
    if explained[-1] <= 1e-20 * len(z):
        raise ValueError("alignment_curve: no linear function of z tells the labels apart")
    return explained / explained[-1]


def reconstruction_alignment(z, labels, dimensions=8, noise="none", strength=0.0, patches=None):
    """alignment(K) at K = ``dimensions`` (or at the rank, where that is lower): a float in [0, 1]."""
    if dimensions < 1:
        raise ValueError(f"reconstruction_alignment: dimensions must be at least 1, got {dimensions}")
    curve = alignment_curve(z, labels, noise, strength, patches)
    return float(curve[min(dimensions, len(curve)) - 1])


def _host_rows(metric, argument, z):
    """Checked rows as float64 on the host."""
    return backend_of(checked_rows(metric, argument, z)).to_numpy(z).astype("float64")
