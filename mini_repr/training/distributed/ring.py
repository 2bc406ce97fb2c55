"""Blocks of rows travel round a ring of ranks: every rank meets all rows and never holds them.

Rank r holds its own rows, n of B = size * n, and visits those of the others one block at a time. What a visit finds
out of the visiting rows travels with them, and after ``size`` hops each block is home with its sums complete. A rank
holds its rows, one visiting block and one tile of similarities: O(n D + n tile) memory, O(n B D) time.

Source: Cheng et al. 2024, arXiv 2410.17243, section 3.2 (ring over devices, tiles within). There each rank computes its
anchors' gradients and passes on the candidates' too; so here.
"""

from mini_repr.backend import backend_of
from mini_repr.kernels.log_sum_exp import LogSums, similarity_logsumexp


def ring(world, travelling):
    """Yield the number of each hop. The arrays of the list ``travelling`` go to the next rank after it.

    What the loop's body puts into the list, or adds to an array of it, travels along. After the loop they are home.
    """
    for hop in range(world.size):
        yield hop
        travelling[:] = world.pass_on(travelling)


def ring_sums(world, x, travelling, meet, columns=False):
    """Log-sum-exps of the own rows over the rows of all ranks, several kinds at once, and their backward.

    Args:
        x: (n, D), the own rows. travelling: the arrays of a block: first the rows y (n, D) that x meets, then what is
            known of them.
        meet: ``meet(hop, *block)`` gives ``(sums, back)`` for the own rows and a visiting block, that of the own rank
            at hop 0. ``sums``: a tuple of (n,) arrays, -inf where there is nothing to sum; with ``columns`` the last is
            of the visiting rows. ``back(gradients of sums)``: those of x, of the block's rows, and of numbers.
    Returns:
        (sums, backward), both as those of ``meet``, of the rows of all ranks; a gradient of a number is the own part.
    """
    xp = backend_of(x).xp
    nothing = xp.full(len(x), -xp.inf, dtype=x.dtype)
    own, visiting = None, [nothing, *travelling]
    for hop in ring(world, visiting):
        found, _ = meet(hop, *visiting[1:])
        if columns:
            *found, of_visitors = found
            visiting[0] = xp.logaddexp(visiting[0], of_visitors)
        own = found if own is None else [xp.logaddexp(*both) for both in zip(own, found, strict=True)]
    of_visitors = visiting[0]

    def backward(g):
        *g_own, g_visitors = g if columns else (*g, nothing)
        g_x, numbers = xp.zeros_like(x), []
        visiting = [xp.zeros_like(travelling[0]), of_visitors, g_visitors, *travelling]
        for hop in ring(world, visiting):
            # The sums of this block again: storing them for all blocks would take what the ring saves.
            found, back = meet(hop, *visiting[3:])
            wholes, slopes = (own, g_own) if not columns else ([*own, visiting[1]], [*g_own, visiting[2]])
            of_x, of_block, *of_numbers = back([_share(xp, *one) for one in zip(found, wholes, slopes, strict=True)])
            del back
            g_x += of_x
            visiting[0] += of_block
            numbers = [sum(both) for both in zip(numbers, of_numbers, strict=True)] if numbers else of_numbers
        return g_x, visiting[0], *numbers

    return (*own, of_visitors) if columns else tuple(own), backward


def _share(xp, part, whole, g):
    """The gradient of a part of a log-sum-exp; of nothing, it has none."""
    return g * xp.exp(part - xp.where(whole > -xp.inf, whole, 0))


def softmax_over_ranks(world, values):
    """Softmax and log-sum-exp of the numbers (n,) of all ranks, finite ones among them: the own (n,), and 0-d."""
    xp = backend_of(values).xp
    top = world.gather(values.max()[None]).max()
    shares = xp.exp(values - top)
    total = world.sum(shares.sum()[None])[0]
    return shares / total, top + xp.log(total)


def between(world, x, y, scale, columns, skip_partner, tile):
    """Log-sum-exps of the own rows of x over all ranks' y, and (``columns``) of the own y over all x: see ``combine``.

    ``skip_partner``: row i of x does not meet row i of y.
    """

    def meet(hop, block):
        skip = skip_partner and not hop
        over, back = similarity_logsumexp.on_arrays(x, block, scale, columns=columns, skip_diagonal=skip, tile=tile)
        return (over if columns else over[:1]), lambda g: back(LogSums(*g))

    sums, backward = ring_sums(world, x, [y], meet, columns)
    return LogSums(*sums), lambda g: backward(g if columns else g[:1])


def among(world, x, scale, tile):
    """Log-sum-exps (n,) of the own rows of x over all ranks' other rows of x, and its backward: to x and the scale."""
    (over, _), back = between(world, x, x, scale, columns=False, skip_partner=True, tile=tile)

    def backward(g):
        g_anchors, g_candidates, g_scale = back((g, None))
        return g_anchors + g_candidates, g_scale

    return over, backward
