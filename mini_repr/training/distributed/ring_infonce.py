"""InfoNCE over the rows of all ranks without ever holding them: blocks of rows travel round a ring.

Rank r holds its own rows, n of B = size * n, and visits those of the others one block at a time: it adds its part to
the log-sum-exps of its anchors, and (for the anchors of the second view) to those that travel with the block, and
hands the block on. After ``size`` hops each block is home and its sums are complete. Back, blocks travel once more
with their sums and collect gradients. A rank holds its rows, one visiting block and one tile of similarities:
O(n D + n tile) memory, O(n B D) time. Each pair is visited once for both directions.

Source: Cheng et al. 2024, arXiv 2410.17243, section 3.2 (ring over devices, tiles within). There each rank computes its
anchors' gradients and passes on the candidates' too; so here.
"""

from functools import partial

from mini_repr.autograd import record, value_of
from mini_repr.backend import backend_of
from mini_repr.kernels.log_sum_exp import LogSums, combine, further_sums, similarity_logsumexp, sums_backward
from mini_repr.pages.rows import rows_of


def ring_infonce(
    a,
    b,
    *,
    world,
    temperature=0.1,
    hard_negatives=None,
    negatives="batch",
    symmetric=True,
    decoupled=False,
    normalize=True,
    reduction="mean",
    tile=None,
):
    """``infonce`` of the rows of all ranks as a tensor, the same on every rank.

    Gradients: of a, b and the hard negatives, whole, for the own rows; of the temperature, whole.

    Args:
        a, b: (n, D) tensors or arrays, the own rows; the rows of rank r are rows r * n to (r + 1) * n of the batch.
        hard_negatives: (m, D) likewise, as many on every rank, or None.
        world: ``World`` of the ranks. The rest: as ``infonce``; no queue, and no reduction "none".
    """
    arrays, scale = [value_of(x) for x in (a, b)], 1 / float(value_of(temperature))
    (u, to_a), (v, to_b) = (rows_of(x, normalize) for x in arrays)
    positive = (u * v).sum(axis=1) * scale

    parts = [_between(world, u, v, scale, columns=symmetric, skip_partner=decoupled, tile=tile)]
    if negatives == "views":
        parts.append(_within(world, u, v if symmetric else None, scale, tile))
    if hard_negatives is not None:
        hard, to_hard = rows_of(value_of(hard_negatives), normalize)
        sums = partial(_between, world, columns=False, skip_partner=False, tile=tile)
        parts.append(further_sums(u, hard, scale, symmetric, sums))
    (over_a, over_b), back = combine(parts)
    per_pair = (over_a + over_b) / 2 - positive if symmetric else over_a - positive
    weight = 1 / (len(u) * world.size) if reduction == "mean" else 1
    value = world.sum(per_pair.sum()[None])[0] * weight

    def backward(g):
        xp = backend_of(u).xp
        r = xp.full(len(u), weight, dtype=u.dtype) * g
        g_u, g_v, g_scale, *g_hard = back((r / 2, r / 2)) if symmetric else back((r, None))
        pull = (r * scale)[:, None]
        g_u -= pull * v
        g_v -= pull * u
        g_scale -= (r * positive).sum() / scale
        g_temperature = world.sum(g_scale[None])[0] * -(scale**2)
        return to_a(g_u), to_b(g_v), g_temperature, to_hard(*g_hard) if g_hard else None

    inputs = (a, b, temperature, hard_negatives)
    total = record(backend_of(u).asarray(value, dtype=u.dtype), backward, inputs)
    total.terms = {}
    return total


def _between(world, x, y, scale, columns, skip_partner, tile):
    """Log-sum-exps of the own rows of x over all ranks' y, and (``columns``) of the own y over all x: see ``combine``.

    ``skip_partner``: row i of x does not meet row i of y.
    """
    xp = backend_of(x).xp

    def meet(block, hop):
        skip = skip_partner and not hop
        return similarity_logsumexp.on_arrays(x, block, scale, columns=columns, skip_diagonal=skip, tile=tile)

    nothing = xp.full(len(x), -xp.inf, dtype=x.dtype)
    over_rows, over_columns, block = nothing, nothing, y
    for hop in range(world.size):
        (rows, cols), _ = meet(block, hop)
        over_rows = xp.logaddexp(over_rows, rows)
        if columns:
            over_columns = xp.logaddexp(over_columns, cols)
        block, over_columns = world.pass_on([block, over_columns])

    def backward(g):
        g_rows, g_columns = g
        g_x, g_y, g_scale = xp.zeros_like(x), xp.zeros_like(y), 0
        g_columns = g_columns if columns else nothing
        block, totals = y, over_columns
        for hop in range(world.size):
            # The sums of this block again: storing them for all blocks would take what the ring saves.
            (rows, cols), back = meet(block, hop)
            share = g_columns * xp.exp(cols - totals) if columns else None
            g_own, g_block, g_part = back((g_rows * xp.exp(rows - over_rows), share))
            del back
            g_x += g_own
            g_y += g_block
            g_scale = g_scale + g_part
            block, totals, g_columns, g_y = world.pass_on([block, totals, g_columns, g_y])
        return g_x, g_y, g_scale

    return LogSums(over_rows, over_columns if columns else None), backward


def _within(world, u, v, scale, tile):
    """Log-sum-exps of the own rows of u over all ranks' other rows of u; the same for v (or None)."""
    over_u, back_u = among(world, u, scale, tile)
    over_v, back_v = (None, None) if v is None else among(world, v, scale, tile)
    return LogSums(over_u, over_v), sums_backward(back_u, back_v)


def among(world, x, scale, tile):
    """Log-sum-exps (n,) of the own rows of x over all ranks' other rows of x, and its backward: to x and the scale."""
    (over, _), back = _between(world, x, x, scale, columns=False, skip_partner=True, tile=tile)

    def backward(g):
        g_anchors, g_candidates, g_scale = back((g, None))
        return g_anchors + g_candidates, g_scale

    return over, backward
