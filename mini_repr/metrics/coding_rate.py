"""How many bits the tokens of an image take in some subspaces."""

import math

from mini_repr.autograd import unit_rows
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Count, Flag, Positive, Rows
from mini_repr.pages.declare import metric
from mini_repr.pages.page import definition


@metric(paper="006")
def coding_rate(tokens: Rows("B T D"), heads: Count() = 1, epsilon: Positive = 0.1, normalize: Flag = True):
    """Coding rate of an image's tokens in subspaces, in nats: low where they agree.

    With V_k (T, p) the k-th of ``heads`` equal parts of the tokens' columns, as unit rows with ``normalize``, and
    β = p / (T ε²), R = 1/2 sum_k log det(I + β V_k V_kᵀ), the mean over images. For CRATE the tokens are those in the
    subspaces, Z U of a layer's normalised tokens Z.

    Source: Yu et al. 2023, arXiv 2306.01129, eq. 8 (R^c), and its official code, vis_utils/coding_rate.py: unit rows
    within each head, ε² = 0.01.

    Args:
        heads: a divisor of D. epsilon: the distortion ε that is allowed.
    Raises:
        ValueError: heads that do not divide D.
    """
    batch, count, width = tokens.shape
    if width % heads:
        raise ValueError(f"coding_rate: heads: got {heads}, expected a divisor of {width}")
    xp, size = backend_of(tokens).xp, width // heads
    v = tokens.reshape(batch, count, heads, size).swapaxes(1, 2).astype("float64")
    v = unit_rows.on_arrays(v)[0] if normalize else v
    # The determinant is the same with the tokens' products or the columns'; the smaller matrix is taken.
    gram = v @ v.swapaxes(-1, -2) if count < size else v.swapaxes(-1, -2) @ v
    inner = xp.eye(gram.shape[-1]) + size / (count * epsilon**2) * gram
    return float(xp.linalg.slogdet(inner)[1].sum() / (2 * batch))


@definition(coding_rate)
def coding_rate_definition(tokens, heads, epsilon, normalize):
    xp = backend_of(tokens).xp
    total = 0.0
    for image in tokens.astype("float64"):
        for v in xp.split(image, heads, axis=1):
            rows = [row / max(math.sqrt(float(row @ row)), 1e-300) for row in v] if normalize else list(v)
            beta = v.shape[1] / (len(v) * epsilon**2)
            gram = xp.stack([xp.stack([p @ q for q in rows]) for p in rows])
            total += 0.5 * math.log(float(xp.linalg.det(xp.eye(len(v)) + beta * gram)))
    return total / len(tokens)
