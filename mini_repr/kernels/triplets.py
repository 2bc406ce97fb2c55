"""Sums of a penalty over triplets of rows; the N x N distances are never stored whole."""

from typing import NamedTuple

from mini_repr.autograd import primitive, relu, softplus
from mini_repr.backend import backend_of, blocks_of
from mini_repr.kernels.tiles import choose_tile

PENALTY = {"hinge": relu, "softplus": softplus}


class TripletSum(NamedTuple):
    """The sum of the penalties, the number of triplets, and of those whose penalty is above 0: 0-d, of one dtype."""

    total: object
    triplets: object
    active: object

    def divisor(self, reduction):
        """What makes the sum a "mean" over triplets, a "mean_active" over those above 0, or a "sum": at least 1."""
        if reduction == "sum":
            return 1
        count = self.triplets if reduction == "mean" else self.active
        return backend_of(count).xp.maximum(count, 1)


@primitive
def triplet_sum(u, /, labels, anchors, others, margin, mining, distance, penalty, tile=None):
    """``TripletSum`` of penalty(d_ap - d_an + margin) over the triplets of rows u (N, D).

    A triplet is an anchor, another row of its label and a row of another label. Which ones count is taken as constant.
    Distances are taken about the mean row; what is below the round-off of their sum of squares is 0.

    Args:
        labels: (N,), on the host or beside u, as are ``anchors`` and ``others``: on the host no GPU is waited for.
        anchors: (A,) indexes of the rows that are anchors, none twice. others: (N,) whether a row may be a negative.
        mining: "all"; "hard": an anchor's farthest positive and nearest negative; "semihard": a pair's nearest negative
            that is farther than its positive; "semihard_fallback": where there is none, its farthest. Ties are broken
            by row number.
        distance: "squared" or "euclidean". penalty: a name of ``PENALTY``. tile: anchors per tile; None chooses.
    """
    backend, label_xp = backend_of(u), backend_of(labels).xp
    xp = backend.xp
    points = u - backend.column_means(u)
    by_class = label_xp.argsort(labels)  # the members of row i's class: by_class[first[i]] and the next members[i] - 1
    first = label_xp.searchsorted(labels[by_class], labels)
    members = label_xp.searchsorted(labels[by_class], labels, side="right") - first
    blocks = blocks_of(len(anchors), tile or choose_tile(u, len(u)))
    largest = [1 if mining == "hard" else int(members[anchors[block]].max()) for block in blocks]
    labels, anchors, others, by_class, first, members = map(
        backend.asarray, (labels, anchors, others, by_class, first, members)
    )

    # All triplets weigh the same: the gradient of their sum is gathered on the way.
    total, triplets, active = 0, 0, 0
    pull = xp.zeros_like(points)
    for block, places in zip(blocks, largest, strict=True):
        rows = anchors[block]
        here = xp.arange(len(rows))
        d = distances_between(points[rows], points, distance)
        g_d = xp.zeros_like(d)
        negative = (labels[rows, None] != labels) & others
        for place in range(places):
            if mining == "hard":
                candidates = xp.where(labels[rows, None] == labels, d, -1)
                candidates[here, rows] = -1
                positive, valid = xp.argmax(candidates, axis=1), members[rows] > 1
            else:
                positive = by_class[xp.minimum(first[rows] + place, len(u) - 1)]
                valid = (place < members[rows]) & (positive != rows)
            near, far, chosen = d[here, positive][:, None], d, negative & valid[:, None]
            if mining != "all":
                candidates = chosen if mining == "hard" else chosen & (d > near)
                nearest = xp.argmin(xp.where(candidates, d, xp.inf), axis=1)
                if mining == "semihard_fallback":
                    farthest = xp.argmax(xp.where(chosen, d, -1), axis=1)
                    nearest, candidates = xp.where(candidates.any(axis=1), nearest, farthest), chosen
                chosen = candidates.any(axis=1)[:, None]
                far = d[here, nearest][:, None]
            cost, back = PENALTY[penalty].on_arrays(xp.where(chosen, near - far + margin, 0))
            cost *= chosen
            slope = back(chosen.astype(u.dtype))
            total = total + cost.sum()
            triplets = triplets + chosen.sum()
            active = active + (cost > 0).sum()
            g_d[here, positive] += slope.sum(axis=1)
            if mining == "all":
                g_d -= slope
            else:
                g_d[here, nearest] -= slope[:, 0]
        if distance == "euclidean":
            g_d /= xp.where(d > 0, 2 * d, xp.inf)  # from distances to their squares
        g_d *= 2
        pull[rows] += g_d.sum(axis=1)[:, None] * points[rows] - g_d @ points
        pull += backend.column_sums(g_d)[:, None] * points - g_d.T @ points[rows]
    sums = TripletSum(*(xp.asarray(one, dtype=u.dtype) for one in (total, triplets, active)))
    return sums, lambda g: pull * g[0]


def distances_between(x, y, distance):
    """(M, K) distances, "squared" or "euclidean", of rows x from rows y; below the round-off of their squares 0."""
    xp = backend_of(x).xp
    reach = (x * x).sum(axis=1)[:, None] + (y * y).sum(axis=1)
    d = (-2 * x) @ y.T
    d += reach
    reach *= 8 * float(xp.finfo(x.dtype).eps)
    xp.copyto(d, 0, where=d <= reach)
    return xp.sqrt(d, out=d) if distance == "euclidean" else d
