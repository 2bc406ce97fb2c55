"""A new word as a weighted sum of known ones."""

import numpy as np

from mini_repr.backend import backend_of
from mini_repr.methods.concepts import fitted_rows
from mini_repr.pages.declare import part
from mini_repr.pages.names import choose

DISTANCES = ("dot", "cosine", "l2")


@part("procedure", "select_basis", paper="106")
def select_basis(table, start, count, distance="dot", among=None):
    """Numbers of the words nearest to a word, each of which adds a direction to those before it; the word itself first.

    Source: Du et al. 2024, arXiv 2407.00608 (BaTex): in the order of their distance words are taken while they raise
    the rank. Where exactly its search ends was not to be found; here at ``count`` words.

    Args:
        table: (V, D) host array, the rows of the words. start: number of the word. count: of words, at most.
        distance: "dot" and "cosine": the largest product is nearest; "l2". among: numbers of the words to choose from;
            by default all.
    Returns:
        (count,) integers, fewer where there are no more directions.
    Raises:
        ValueError: another distance, or a start without a row of its own.
    """
    choose("select_basis: distance", distance, DISTANCES)
    table = np.asarray(table, dtype=np.float64)
    among = np.arange(len(table)) if among is None else np.asarray(among)
    rows, own = table[among], table[start]
    if not own.any():
        raise ValueError(f"select_basis: start: the row of word {start} is zero")
    far = {
        "dot": lambda: -rows @ own,
        "cosine": lambda: -rows @ own / np.maximum(np.linalg.norm(rows, axis=1), 1e-300),
        "l2": lambda: ((rows - own) ** 2).sum(axis=1),
    }[distance]()
    chosen, directions = [], np.empty((0, table.shape[1]))
    for word in (start, *among[np.argsort(far, kind="stable")]):
        left = table[word] - directions.T @ (directions @ table[word])
        if len(chosen) == count or word in chosen or np.linalg.norm(left) <= 1e-6 * np.linalg.norm(table[word]):
            continue
        chosen.append(int(word))
        directions = np.vstack([directions, left / np.linalg.norm(left)])
    return np.array(chosen)


@part("procedure", "subspace_row", paper="106")
def subspace_row(basis, loss_of, *, steps, lr, word="s1"):
    """The row of a new word as sum_i w_i v_i of M known ones: {word: (D,)}, in their span whatever the optimiser does.

    Only w is fitted, from the first of the basis: w = (1, 0, ..., 0). By gradient descent v would move by Vᵀ V g, g its
    own gradient: a step in the span alone.

    Source: Du et al. 2024, arXiv 2407.00608 (BaTex), as others summarise it; no official code was found.

    Args:
        basis: (M, D) array. loss_of: as in ``fitted_rows``.
    """
    return {word: subspace_weights(basis, loss_of, steps=steps, lr=lr, word=word) @ basis}


def subspace_weights(basis, loss_of, *, steps, lr, word="s1"):
    """The weights w (M,) of ``subspace_row``."""
    start = backend_of(basis).xp.zeros(len(basis), dtype=basis.dtype)
    start[0] = 1

    def of_weights(slots):
        row = slots["weights"].reshape(1, len(basis)) @ basis
        return loss_of({word: row.reshape(basis.shape[1])})

    return fitted_rows({"weights": start}, of_weights, steps=steps, lr=lr)["weights"]
