"""The area under the ROC curve: does a wanted pair score higher than an unwanted one?"""

from mini_repr.backend import backend_of
from mini_repr.kernels.cosines import cosines
from mini_repr.kernels.tiles import column_blocks
from mini_repr.pages.arguments import Mask, Rows
from mini_repr.pages.declare import checked, metric
from mini_repr.pages.page import definition


@metric()
def auc(a: Rows("N>=2 D", no_zero_row=True), b: Rows("N>=2 D", no_zero_row=True)):
    """Probability that a partner scores above another row.

    That the cosine of a partner pair exceeds that of a non-partner pair; equal ones count one half. Exact, over all N
    partners against all N (N - 1) others; 0.5 tells nothing. Rows come a tile at a time; N numbers are stored.

    Source: Hanley & McNeil 1982, "The meaning and use of the area under a ROC curve".

    Args:
        a, b: (N, D), row i of a belongs to row i of b.
    Returns:
        float in [0, 1].
    """
    xp = backend_of(a).xp
    count = len(a)
    partners, below = xp.empty(count, dtype=a.dtype), 0.0
    for block in column_blocks(a):
        for tile in cosines(a, b, block, partners_only=True):
            partners[tile.rows] = tile.s[tile.partners()]
    partners.sort()
    for block in column_blocks(a):
        for tile in cosines(a, b, block):
            tile.s[tile.partners()] = xp.inf  # a partner is below no partner
            below += _pairs_in_order(xp, xp.sort(tile.s.reshape(-1)), partners)
    return below / (count**2 * (count - 1))


@definition(auc)
def auc_definition(a, b):
    norm, numbers = backend_of(a).xp.linalg.norm, range(len(a))
    s = [[float(x @ y / norm(x) / norm(y)) for y in b] for x in a]
    others = [s[i][j] for i in numbers for j in numbers if i != j]
    return sum((s[i][i] > other) + (s[i][i] == other) / 2 for i in numbers for other in others) / len(a) / len(others)


@checked
def auc_of_scores(scores: Rows("N"), is_positive: Mask("N")):
    """The same for scores (N,) of single items, ``is_positive`` (N,) booleans, of either kind one at least."""
    xp = backend_of(scores).xp
    positives, negatives = scores[is_positive], xp.sort(scores[~is_positive])
    if not len(negatives):
        raise ValueError(f"auc_of_scores: is_positive: got {len(positives)} positives, 0 negatives, expected both")
    return _pairs_in_order(xp, negatives, positives) / (len(positives) * len(negatives))


def _pairs_in_order(xp, ascending, scores):
    """How many pairs of a score and one of the ``ascending`` numbers have the score above, equal ones half."""
    below, up_to = (xp.searchsorted(ascending, scores, side=side).sum() for side in ("left", "right"))
    return (float(below) + float(up_to)) / 2
