"""InfoNCE as a measure of two views: the share of the pairing's information that cosine similarities tell."""

import math

from mini_repr.losses.pairs.infonce import infonce
from mini_repr.metrics.rows import unit_pairs


def infonce_bound(a, b, temperature=0.1):
    """1 - loss / log N, of the InfoNCE loss with anchors in a: 1 where every partner is told for sure, 0 by chance.

    log N - loss is a lower bound on the mutual information of the views (van den Oord et al. 2018, arXiv 1807.03748);
    over log N it compares sets of one size N. Wrong for sure can be far below 0.

    Source: Skean et al. 2025, arXiv 2502.02013, official code ("mi-lower-bound", temperature 0.1), on unit rows.

    Args:
        a, b: (N, D), N >= 2, row i of a belongs to row i of b. temperature: above 0.
    Raises:
        ValueError: shapes, fewer than two rows, values that are not finite, zero rows, temperature not above 0.
    """
    a, b = unit_pairs("infonce_bound", a, b)
    if a.shape[0] < 2:
        raise ValueError(f"infonce_bound: a must have at least two rows, got {a.shape[0]}")
    if not temperature > 0.0:
        raise ValueError(f"infonce_bound: temperature must be above 0, got {temperature}")
    loss = infonce(a, b, temperature=temperature, symmetric=False, normalize=False).data
    return 1.0 - float(loss) / math.log(a.shape[0])
