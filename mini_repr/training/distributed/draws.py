"""Random numbers for a share of the rows, the same that one rank would draw for all of them."""


class OwnRows:
    """A ``numpy.random.Generator`` that draws for every rank's rows and hands out those of one.

    Views and masks draw arrays with one row per image, so rank r of n gets rows r * B/n to (r + 1) * B/n of what a
    single rank draws for B images; all ranks' generators stay in step. Drawing all of it costs each rank the time of
    drawing for the whole batch: small beside encoding a share, until shares are a few rows. The memory is that of three
    shares: a generator gives the same numbers in several calls as in one (integers: those of 64 bits).

    Args:
        rng: the generator, in the same state on every rank. rank, ranks: which share.
    """

    def __init__(self, rng, rank, ranks):
        self._rng, self._rank, self._ranks = rng, rank, ranks

    def random(self, size, **params):
        return self._share(lambda shape: self._rng.random(shape, **params), size)

    def standard_normal(self, size, **params):
        return self._share(lambda shape: self._rng.standard_normal(shape, **params), size)

    def uniform(self, low, high, size):
        return self._share(lambda shape: self._rng.uniform(low, high, shape), size)

    def integers(self, *bounds, size):
        return self._share(lambda shape: self._rng.integers(*bounds, size=shape), size)

    def __getattr__(self, name):
        raise ValueError(f"views: drawing by {name} cannot be shared out over ranks; run on one rank")

    def _share(self, draw, size):
        rows, *rest = (size,) if isinstance(size, int) else size
        for rank in range(self._ranks):
            share = draw((rows, *rest))
            if rank == self._rank:
                own = share
        return own
