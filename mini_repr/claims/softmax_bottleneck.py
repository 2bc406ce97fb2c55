"""Softmax bottleneck: a head of too small a rank costs likelihood, and a narrow model's head goes flat.

Godey et al. 2024, arXiv 2404.07647: small language models saturate because their heads are of too low a rank for the
words' distributions; the singular values of a narrow head become equal late in training, and its rows point one way.
Here: the next of 1,000 words in WordNet's definitions. First, one body of width 64 with heads of rank 2, 8 and 64, 500
steps; then bodies of width 4, 16 and 64 with plain heads, 1,500 steps: the head's singular entropy (0: flat) and the
rows' anisotropy at the end, and each width's loss on test definitions at its best step, looked at every 250 steps.
"""

import numpy as np

from mini_repr.autograd import Tensor, no_grad
from mini_repr.claims.bench.claim import Claim, higher, lower
from mini_repr.claims.bench.fitting import fit
from mini_repr.claims.bench.next_word import NextWord, next_words
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.metrics import anisotropy, singular_entropy

RANKS, WIDTHS = (2, 8, 64), (4, 16, 64)


def trained(seed, width, rank, steps):
    """(losses on test definitions every 250 steps, the head (V, width), rows of test contexts)."""
    rng = np.random.default_rng(seed)
    (contexts, targets, _), (test_contexts, test_targets, _) = next_words()
    net = NextWord(rng, hidden=width)
    sizes = [(width, 1000)] if rank is None else [(width, rank), (rank, 1000)]
    factors = [Tensor((rng.standard_normal(size) / size[0] ** 0.5).astype(np.float32), True) for size in sizes]
    losses = []

    def scores(words):
        rows = net(words)
        for factor in factors:
            rows = rows @ factor
        return rows

    def look(step):
        if step % 250 == 0:
            with no_grad():
                losses.append(float(cross_entropy(scores(test_contexts), test_targets).data))

    parameters = {f"head.{k}": factor for k, factor in enumerate(factors)} | net.named_parameters()
    fit(
        parameters,
        lambda i: cross_entropy(scores(contexts[i]), targets[i]),
        len(contexts),
        rng,
        steps=steps,
        batch=512,
        watch=look,
    )
    with no_grad():
        return losses, factors[-1].data.T, net(test_contexts[:2000]).data


def measure(seed):
    arms = {}
    for rank in RANKS:
        losses, _, _ = trained(seed, 64, rank, 500)
        arms[f"rank {rank}"] = {"loss": min(losses)}
    for width in WIDTHS:
        losses, head, rows = trained(seed, width, None, 1500)
        arms[f"width {width}"] = {
            "loss": min(losses),
            "singular entropy": singular_entropy(head),
            "anisotropy": anisotropy(rows),
        }
    return arms


CLAIM = Claim(
    paper="094",
    says="a head of too small a rank costs likelihood, and a narrow model's head goes flat",
    measure=measure,
    expects=(
        lower("loss", "rank 8", "rank 2"),
        lower("loss", "rank 64", "rank 8"),
        lower("singular entropy", "width 4", "width 16"),
        lower("singular entropy", "width 16", "width 64"),
        higher("anisotropy", "width 4", "width 64"),
    ),
    seeds=5,
)
