"""How many columns each field of a table needs: an evolution of masks over a click model that was trained with all.

With ``--set method.sampled_columns=true`` every row of a training batch uses a random number of leading columns of each
field, so that one network works with any number of them: the supernet. Then masks, a number c_f from 1 to D for each
field, are drawn, crossed and mutated, and the one of the largest AUC on rows that the network was not trained on is
kept, among those with at most ``share`` of all columns. ``method.encoder.columns[...] = found`` makes it the model's;
set before training, it is that of a network trained anew with these columns.

Source: Lyu et al. 2022, arXiv 2208.04482 (OptEmbed), as Lyu et al. 2023, arXiv 2302.02241, place it among
the choices of dimensions. Compared with fuyuanlyu/OptEmbed, evolution.py and models/modules_super.py (read): the same
masks of leading columns, drawn row by row in training, and mutation and crossing; there the AUC alone decides, without
a share.
"""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.metrics.auc import auc_of_scores
from mini_repr.pages.arguments import Misuse, Scalar
from mini_repr.pages.declare import procedure

POPULATION, PARENTS, MUTATION = 20, 10, 0.1


@procedure(paper="043")
def searched_columns(method, rows, labels, rng, *, share=0.5, rounds=10):
    """(F,) int64: how many leading columns of each field's vector to keep, of those tried the best.

    Args:
        method: a trained ``ClickThrough`` in evaluation mode. rows, labels: those of a table, (N, F) and (N,) of 0 and
            1, on the host, that it was not trained on. rng: host generator. share: of all columns, at most: each field
            keeps one. rounds: of ten crossed and ten mutated masks each.
    Raises:
        ValueError: a share that leaves some field without a column, or above 1.
    """
    fields, dimensions = rows.shape[1], method.encoder.dimensions
    try:
        Scalar(low=1 / dimensions, high=1).check(share, {})
    except Misuse as problem:
        raise ValueError(f"searched_columns: share: {problem}") from None
    most, known = int(share * fields * dimensions), {}

    def within(columns):
        columns = columns.copy()
        while columns.sum() > most:
            columns[rng.choice(np.flatnonzero(columns > 1))] -= 1
        return columns

    def score(columns):
        key = tuple(columns.tolist())
        if key not in known:
            with no_grad():
                known[key] = auc_of_scores(method.logits(rows, columns).astype(np.float64), labels == 1)
        return known[key]

    masks = [within(rng.integers(1, dimensions + 1, fields)) for _ in range(POPULATION)]
    for _ in range(rounds):
        parents = sorted(masks, key=score, reverse=True)[:PARENTS]
        crossed, mutated = [], []
        for parent in parents:
            other = parents[rng.integers(len(parents))]
            crossed.append(within(np.where(rng.random(fields) < 0.5, parent, other)))
            redrawn = rng.random(fields) < MUTATION
            mutated.append(within(np.where(redrawn, rng.integers(1, dimensions + 1, fields), parent)))
        masks = [*parents, *crossed, *mutated]
    return max(masks, key=score)
