"""Linear regression tasks that share a low-dimensional representation, and a target task made of few of them."""

from typing import NamedTuple

import numpy as np


class LinearTasks(NamedTuple):
    """basis (D, K) orthonormal columns; weights (K, M), a source task each; relevance (M,); target (K,).

    target = weights @ relevance, with few entries of the relevance other than 0.
    """

    basis: np.ndarray
    weights: np.ndarray
    relevance: np.ndarray
    target: np.ndarray


def linear_tasks(tasks, width, rank, relevant, rng):
    """Source tasks y = x B w_m of rows of ``width`` columns, and a target task that ``relevant`` of them make up.

    Task weights are random directions of length 1; the relevance of a relevant task is +1 or -1. Source: own, after the
    setting of Wang et al. 2023, arXiv 2306.02556. For row 029 (active multitask learning).

    Args:
        tasks, width, rank: M, D and K. relevant: how many tasks the target is made of.
    Raises:
        ValueError: a rank above the width, or more relevant tasks than there are.
    """
    if not 1 <= rank <= width or not 1 <= relevant <= tasks:
        raise ValueError(
            f"linear_tasks: rank {rank} in width {width}, {relevant} relevant of {tasks} tasks; expected no more than "
            "there are, and at least 1"
        )
    basis = np.linalg.qr(rng.normal(size=(width, rank)))[0]
    weights = rng.normal(size=(rank, tasks))
    weights /= np.linalg.norm(weights, axis=0)
    relevance = np.zeros(tasks)
    relevance[rng.choice(tasks, relevant, replace=False)] = rng.choice([-1.0, 1.0], relevant)
    return LinearTasks(basis, weights, relevance, weights @ relevance)


def task_rows(world, weights, count, noise, rng):
    """Rows x (count, D), standard normal, and their targets x B w plus Gaussian noise of that deviation: (count,)."""
    x = rng.normal(size=(count, len(world.basis)))
    return x, x @ (world.basis @ weights) + noise * rng.normal(size=count)
