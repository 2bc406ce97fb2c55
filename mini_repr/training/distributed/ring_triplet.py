"""Triplets of each row's farthest positive and nearest negative, over the rows of all ranks.

On a first journey round the ring every row finds both; on a second one the rows that were found collect their
gradients. Schroff et al. 2015, arXiv 1503.03832; hard triplets of a batch: Hermans et al. 2017, arXiv 1703.07737.
"""

from mini_repr.backend import backend_of
from mini_repr.kernels.tiles import row_tiles
from mini_repr.kernels.triplets import PENALTY, TripletSum, distances_between
from mini_repr.pages.rows import rows_of
from mini_repr.training.distributed.columns import centred
from mini_repr.training.distributed.ring import ring


def ring_triplet(z, labels, *, world, margin, mining, distance, penalty, normalize, reduction, tile):
    """``triplet`` of the rows of all ranks, the same on every rank; gradients for the own rows, whole.

    Args:
        z: (n, D), the own rows. labels: (n,) integers. world: ``World`` of the ranks. The rest: as
            ``triplet``; ``mining`` "hard".
    Raises:
        ValueError: of all labels no two are equal, or no two differ.
    """
    backend, label_xp = backend_of(z), backend_of(labels).xp
    xp, count = backend.xp, len(labels) * world.size
    largest = int(label_xp.unique(world.gather(labels), return_counts=True)[1].max())
    if largest in (1, count):
        came = "no two equal" if largest == 1 else "all equal"
        raise ValueError(f"triplet: labels: got {came}, expected two equal and two different ones")
    u, to_z = rows_of(z, normalize)
    points, labels = centred(world, u)[0], backend.asarray(labels)

    near, far = _Farthest(xp, u), _Farthest(xp, u)  # the nearest negative is the farthest by -d
    visiting = [points, labels]
    for hop in ring(world, visiting):
        block, of_block = visiting
        first = _first_row(world, hop, len(u))
        for rows in row_tiles(points, len(block), tile):
            d = distances_between(points[rows], block, distance)
            same = labels[rows, None] == of_block
            far.meet(rows, xp.where(same, -xp.inf, -d), first)
            if not hop:
                numbers = xp.arange(rows.start, rows.stop)
                same[numbers - rows.start, numbers] = False
            near.meet(rows, xp.where(same, d, -xp.inf), first)

    chosen = (near.values > -xp.inf) & (far.values > -xp.inf)
    cost, back = PENALTY[penalty].on_arrays(xp.where(chosen, near.values + far.values + margin, 0))
    cost *= chosen
    slope = back(chosen.astype(u.dtype))
    own = xp.stack([cost.sum(), chosen.sum().astype(u.dtype), (cost > 0).sum().astype(u.dtype)])
    sums = TripletSum(*world.sum(own))
    divisor = sums.divisor(reduction)

    def backward(g):
        g_u, visiting = xp.zeros_like(u), [xp.zeros_like(u), points]
        for hop in ring(world, visiting):
            first = _first_row(world, hop, len(u))
            for found, sign in ((near, 1), (far, -1)):
                # Weights of the rows that are here; a distance of 0 has no direction.
                weight = xp.where((found.numbers >= first) & (found.numbers < first + len(u)) & chosen, sign * slope, 0)
                if distance == "squared":
                    weight = 2 * weight
                else:
                    length = xp.abs(xp.where(chosen, found.values, 0))
                    weight = weight / xp.where(length > 0, length, xp.inf)
                places = xp.clip(found.numbers - first, 0, len(u) - 1)
                pull = weight[:, None] * (points - visiting[1][places])
                g_u += pull
                backend.scatter_add(visiting[0], places, -pull)
        return (to_z((g_u + visiting[0]) * (g / divisor)),)

    return sums.total / divisor, backward


class _Farthest:
    """Of each own row the largest value so far, and the number of the row it was met with; the first of equal ones."""

    def __init__(self, xp, rows):
        self._xp = xp
        self.values = xp.full(len(rows), -xp.inf, dtype=rows.dtype)
        self.numbers = xp.zeros(len(rows), dtype="int64")

    def meet(self, rows, values, first):
        """Values (tile, n) of ``rows`` with the rows from number ``first`` on."""
        xp = self._xp
        places = values.argmax(axis=1)
        found, places = values[xp.arange(len(values)), places], places + first
        held, number = self.values[rows], self.numbers[rows]
        better = (found > held) | ((found == held) & (places < number))
        self.values[rows] = xp.where(better, found, held)
        self.numbers[rows] = xp.where(better, places, number)


def _first_row(world, hop, rows):
    """The number of the first row of the block that visits at a hop."""
    return (world.rank - hop) % world.size * rows
