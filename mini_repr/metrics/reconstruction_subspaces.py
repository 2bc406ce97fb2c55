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
"""

import numpy as np
from scipy.linalg import eigh

from mini_repr.backend import backend_of
from mini_repr.metrics.linear_probe import linear_probe
from mini_repr.pages.arguments import Choice, Count, Labels, NonNegative, Optional, Positive, Rows, Scalar
from mini_repr.pages.declare import checked, metric
from mini_repr.pages.page import definition

SHARE = Scalar(low=0, low_open=True, high=1)
PART = Choice("top", "bottom")
NOISE = Choice("none", "additive", "masking")


@checked
def variance_subspace(z: Rows("N D"), share: SHARE = 0.75, part: PART = "top"):
    """Mean (D,) and orthonormal basis (D, K), on the host, of a subspace of the variance of rows z (N, D).

    "top": the fewest leading principal directions that hold at least ``share`` of the variance. "bottom": the most of
    the last ones that hold at most ``share``. The two with shares s and 1 - s are complements.

    Raises:
        ValueError: also for rows that are all the same, and where no direction is left.
    """
    z = _on_host(z)
    mean = z.mean(axis=0)
    variances, directions = np.linalg.eigh((z - mean).T @ (z - mean))
    variances, directions = np.maximum(variances[::-1], 0), directions[:, ::-1]
    if variances[0] <= 0:
        raise ValueError("variance_subspace: z: got rows that are all the same, expected some variance")
    reached = np.cumsum(variances) / variances.sum()
    kept = share if part == "top" else 1 - share
    leading = min(int((reached < kept - 1e-12).sum()) + 1, len(reached)) if kept > 0 else 0
    basis = directions[:, :leading] if part == "top" else directions[:, leading:]
    if basis.shape[1] == 0:
        expected = f"one that holds a direction within the {part} share"
        raise ValueError(f"variance_subspace: share: got {share:g}, expected {expected}")
    return mean, basis


@metric(paper="046", sizes={"N": 12, "D": 3})
def subspace_probe(
    train_z: Rows("N D"),
    train_labels: Labels("N"),
    test_z: Rows("M D"),
    test_labels: Labels("M"),
    share: SHARE = 0.75,
    part: PART = "top",
    l2: Positive = 1.0,
):
    """Accuracy of linear_probe on the subspace of the top (or bottom) variance alone.

    Test accuracy of ``linear_probe`` on rows projected on a top or bottom subspace of the training rows' variance.

    Args:
        share, part: as ``variance_subspace``. l2: as ``linear_probe``.
    """
    mean, basis = variance_subspace(train_z, share, part)
    train, test = ((_on_host(z) - mean) @ basis for z in (train_z, test_z))
    train_labels, test_labels = (backend_of(labels).to_numpy(labels) for labels in (train_labels, test_labels))
    return linear_probe(train, train_labels, test, test_labels, l2)


@definition(subspace_probe)
def subspace_probe_definition(train_z, train_labels, test_z, test_labels, share, part, l2):
    """By the singular values of the centred rows."""
    train, test = _on_host(train_z), _on_host(test_z)
    _, s, directions = np.linalg.svd(train - train.mean(axis=0), full_matrices=False)
    held = [sum(s[: k + 1] ** 2) / sum(s**2) for k in range(len(s))]
    if part == "top":
        kept = [k for k in range(len(s)) if k == 0 or held[k - 1] < share]
    else:
        kept = [k for k in range(len(s)) if k > 0 and held[k - 1] >= 1 - share]
    return linear_probe.definition(train @ directions[kept].T, train_labels, test @ directions[kept].T, test_labels, l2)


@checked
def reconstruction_codes(
    z: Rows("N D"), noise: NOISE = "none", strength: NonNegative = 0.0, patches: Optional(Labels("D")) = None
):
    """V (D, R) on the host: directions of the best linear denoising autoencoder of rows z (N, D), leading ones first.

    Its first K columns are the optimum for K dimensions; R is the rank of the centred rows.

    Args:
        strength: deviation of the noise, or chance in [0, 1) of a mask.
        patches: the patch of every column; None: every column is one.
    Raises:
        ValueError: also for rows that are all the same.
    """
    z = _on_host(z)
    z = z - z.mean(axis=0)
    covariance = z.T @ z / len(z)
    if not covariance.any():
        raise ValueError("reconstruction_codes: z: got rows that are all the same, expected some variance")
    if noise == "masking" and strength >= 1:
        raise ValueError(f"reconstruction_codes: strength: got {strength:g}, expected below 1, the chance of a mask")
    cross, within = covariance, covariance
    if noise == "additive":
        within = covariance + strength**2 * np.eye(len(covariance))
    elif noise == "masking":
        patches = np.arange(z.shape[1]) if patches is None else backend_of(patches).to_numpy(patches)
        both_seen = np.where(patches[:, None] == patches, 1 - strength, (1 - strength) ** 2)
        cross, within = (1 - strength) * covariance, covariance * both_seen
    values, directions = eigh(within)
    kept = values > 1e-12 * values[-1]  # constant columns make B singular
    whiten = directions[:, kept] / np.sqrt(values[kept])
    solutions = np.linalg.svd(whiten.T @ cross)[0]
    rank = int((np.linalg.eigvalsh(covariance) > 1e-12 * np.linalg.norm(covariance, 2)).sum())
    return whiten @ solutions[:, :rank]  # what follows is code of no clean row


@checked
def alignment_curve(
    z: Rows("N D"),
    labels: Labels("N"),
    noise: NOISE = "none",
    strength: NonNegative = 0.0,
    patches: Optional(Labels("D")) = None,
):
    """alignment(K) for K = 1 .. R as an array (R,) on the host: never falling, 1 at the end.

    Args:
        labels: at least two classes. The others as ``reconstruction_codes``.
    Raises:
        ValueError: also for targets that no linear function of z explains.
    """
    codes = reconstruction_codes(z, noise, strength, patches)
    z, labels = _on_host(z), backend_of(labels).to_numpy(labels)
    targets = (labels[:, None] == np.unique(labels)).astype(z.dtype)
    basis = np.linalg.qr((z - z.mean(axis=0)) @ codes)[0]
    explained = np.cumsum(((basis.T @ targets) ** 2).sum(axis=1))
    if explained[-1] <= 1e-20 * len(z):
        raise ValueError("alignment_curve: labels: got classes that no linear function of z tells apart, expected some")
    return explained / explained[-1]


@metric(paper="046", sizes={"N": 12}, tolerance=1e-8)
def reconstruction_alignment(
    z: Rows("N D"),
    labels: Labels("N"),
    dimensions: Count() = 8,
    noise: NOISE = "none",
    strength: NonNegative = 0.0,
    patches: Optional(Labels("D")) = None,
):
    """What 8 reconstruction codes tell of the labels, of all there is.

    alignment(K) at K = ``dimensions`` (or at the rank, where that is lower), in [0, 1].
    """
    curve = alignment_curve(z, labels, noise, strength, patches)
    return float(curve[min(dimensions, len(curve)) - 1])


@definition(reconstruction_alignment)
def reconstruction_alignment_definition(z, labels, dimensions, noise, strength, patches):
    """A v = λ B v as it stands, and two fits by least squares."""
    z, labels = _on_host(z), backend_of(labels).to_numpy(labels)
    z = z - z.mean(axis=0)
    covariance, width = z.T @ z / len(z), range(z.shape[1])
    cross, within = covariance, covariance
    if noise == "additive":
        within = covariance + strength**2 * np.eye(len(covariance))
    if noise == "masking":
        patches = width if patches is None else patches
        seen = np.array([[(1 - strength) ** (1 if patches[i] == patches[j] else 2) for j in width] for i in width])
        cross, within = (1 - strength) * covariance, covariance * seen
    codes = eigh(cross @ cross.T, within)[1][:, ::-1][:, :dimensions]
    targets = (labels[:, None] == np.unique(labels)).astype(z.dtype)
    targets -= targets.mean(axis=0)

    def explained(x):
        return ((x @ np.linalg.lstsq(x, targets)[0]) ** 2).sum()

    return float(explained(z @ codes) / explained(z))


def _on_host(z):
    """Rows as float64 on the host."""
    return backend_of(z).to_numpy(z).astype("float64")
