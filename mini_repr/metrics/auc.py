"""The area under the ROC curve: does a wanted pair score higher than an unwanted one?"""

from mini_repr.backend import backend_of
from mini_repr.metrics.rows import row_tiles, unit_pairs


def auc(a, b):
    """Probability that the cosine of a partner pair exceeds that of a non-partner pair; equal ones count one half.

    Exact, over all N partners against all N (N - 1) others; 0.5 tells nothing. Source: Hanley & McNeil 1982, "The
    meaning and use of the area under a ROC curve".

    Args:
        a, b: (N, D), row i of a belongs to row i of b.
    Returns:
        float in [0, 1].
    Raises:
        ValueError: shapes, empty sets, values that are not finite, zero rows, fewer than two pairs.
    """
    xp = backend_of(a).xp
    a, b = unit_pairs("auc", a, b)
    count = len(a)
    if count < 2:
        raise ValueError(f"auc: a and b must have two pairs or more, got {count}")
    partners, below = xp.empty(count, dtype=a.dtype), 0.0
    tiles = row_tiles(count, count, a.itemsize)
    for tile in tiles:
        here = xp.arange(tile.start, tile.stop)
        partners[tile] = (a[tile] @ b.T)[here - tile.start, here]
    partners.sort()
    for tile in tiles:
        here = xp.arange(tile.start, tile.stop)
        scores = a[tile] @ b.T
        scores[here - tile.start, here] = xp.inf  # a partner is below no partner
        below += float(_above(xp, partners, scores).sum())
    return below / (count**2 * (count - 1))


def auc_of_scores(scores, is_positive):
    """The same for scores (N,) of single items, ``is_positive`` (N,) booleans.

    Raises:
        ValueError: shapes, scores that are not finite, no positive or no negative.
    """
    xp = backend_of(scores).xp
    if scores.ndim != 1 or is_positive.shape != scores.shape or is_positive.dtype.kind != "b":
        raise ValueError(
            f"auc_of_scores: is_positive must be booleans (N,) for scores (N,), got {is_positive.dtype} "
            f"{is_positive.shape} for {scores.shape}"
        )
    if not bool(xp.isfinite(scores).all()):
        raise ValueError("auc_of_scores: scores has values that are not finite")
    positives, negatives = xp.sort(scores[is_positive]), scores[~is_positive]
    if not len(positives) or not len(negatives):
        raise ValueError(f"auc_of_scores: got {len(positives)} positives, {len(negatives)} negatives, expected both")
    return float(_above(xp, positives, negatives).sum()) / (len(positives) * len(negatives))


def _above(xp, ascending, scores):
    """For each score, how many of the ``ascending`` numbers are above it, equal ones half."""
    flat = scores.reshape(-1)
    return (
        len(ascending)
        - (xp.searchsorted(ascending, flat, side="left") + xp.searchsorted(ascending, flat, side="right")) / 2
    )
