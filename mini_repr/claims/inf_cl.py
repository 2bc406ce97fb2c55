"""Inf-CL: the contrastive loss of a batch without its similarity matrix: memory grows with the batch, not its square.

Cheng et al. 2024, arXiv 2410.17243: the loss in tiles takes memory that grows linearly with the batch, at about the
speed of the loss that stores the matrix. Here: value and gradients of InfoNCE in both directions, rows of 64 numbers,
batches of 1024 to 8192 pairs; in tiles (``infonce``), and as it is usually written, with the matrix of logits and its
two softmaxes (in place where possible). *MiB*: the most memory held beside the rows; *seconds*: of the processor, the
least of three rounds. That both give the same numbers is a test, not an expectation. The paper's rings of devices and
its batches of millions are not measured.
"""

import math
from functools import partial

import numpy as np

from mini_repr.claims.bench.claim import Claim, Expectation
from mini_repr.claims.bench.cost import cpu_seconds, peak_mib
from mini_repr.losses.pairs.infonce import infonce

SIZES, WIDTH, TEMPERATURE = (1024, 2048, 4096, 8192), 64, 0.1
GROWTH, SLOWER = 2.2, 1.2


def with_the_matrix(a, b):
    """(value, gradients of a and b) of InfoNCE in both directions, with all logits in memory.

    Cosines are at most 1, so that one shift serves all exponentials.
    """
    lengths = [np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b)]
    u, v = a / lengths[0], b / lengths[1]
    logits = u @ v.T
    logits -= 1
    logits /= TEMPERATURE
    positive = np.diagonal(logits).mean()
    shares = np.exp(logits, out=logits)
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    value = (np.log(rows).mean() + np.log(columns).mean()) / 2 - positive
    weights = shares / rows[:, None]
    shares /= columns
    weights += shares
    weights[np.diag_indices(len(a))] -= 2
    weights /= 2 * len(a) * TEMPERATURE
    pulls = weights @ v, weights.T @ u
    gradients = [
        (du - x * (x * du).sum(axis=1, keepdims=True)) / length
        for du, x, length in zip(pulls, (u, v), lengths, strict=True)
    ]
    return value, gradients


def measure(seed):
    rng, arms = np.random.default_rng(seed), {}
    for size in SIZES:
        a, b = rng.standard_normal((2, size, WIDTH), dtype=np.float32)
        works = {"tiles": partial(infonce.value_and_grad, a, b), "matrix": partial(with_the_matrix, a, b)}
        for (arm, work), seconds in zip(works.items(), cpu_seconds(*works.values()), strict=True):
            arms[f"{arm}, {size}"] = {"MiB": peak_mib(work), "seconds": seconds}
    return arms


def growth(size):
    """Of the tiles' memory where the batch doubles; the matrix's is 4."""
    return Expectation(
        f"MiB: tiles grow less than {GROWTH:g} times from {size} to {2 * size}",
        lambda arms: GROWTH - arms[f"tiles, {2 * size}"]["MiB"] / arms[f"tiles, {size}"]["MiB"],
    )


def as_fast(size):
    return Expectation(
        f"seconds: tiles take less than {SLOWER:g} times the matrix's at {size}",
        lambda arms: math.log(SLOWER * arms[f"matrix, {size}"]["seconds"] / arms[f"tiles, {size}"]["seconds"]),
    )


CLAIM = Claim(
    paper="028",
    says="in tiles the memory of the contrastive loss grows with the batch, not its square, at the matrix's speed",
    measure=measure,
    expects=(*(growth(size) for size in SIZES[:-1]), *(as_fast(size) for size in SIZES[-2:])),
)
