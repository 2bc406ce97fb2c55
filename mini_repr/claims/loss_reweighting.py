"""Loss-based sample weights: a language model learns faster from a corpus full of copies if easy texts count less.

Sow et al. 2025, arXiv 2502.06733: playing down samples of low loss ("linupper") speeds up pretraining, for web corpora
hold much that is redundant; favouring both ends ("extremes") does not. Here: next-word prediction on WordNet's
definitions, a sample is a definition. *Copies*: half of every batch is drawn from 200 definitions, half from the other
9,692; *as it is*: all are drawn alike. Uniform weights for the first tenth of the steps, then r = 0.4, as in the
authors' settings. The loss is measured on unseen definitions, halfway and at the end.
"""

import numpy as np

from mini_repr.autograd import Tensor, no_grad
from mini_repr.claims.bench.claim import Claim, lower
from mini_repr.claims.bench.next_word import NextWord, next_words
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.optim import REWEIGHTINGS, AdamW, annealed_temperature

STEPS, BATCH, COPIED = 800, 32, 200
ARMS = [("copies", name) for name in ("uniform", *REWEIGHTINGS)] + [("as it is", "uniform"), ("as it is", "linupper")]


def losses_on_unseen(corpus, weighting, seed):
    rng = np.random.default_rng(seed)
    (contexts, targets, owners), (test_contexts, test_targets, _) = next_words()
    texts, starts, lengths = np.unique(owners, return_index=True, return_counts=True)
    net, weight = NextWord(rng), Tensor((rng.standard_normal((64, 1000)) / 8).astype(np.float32), True)
    optimizer = AdamW({"weight": weight, **net.named_parameters()}, 2e-3, weight_decay=0.0)
    losses = {}
    for step in range(STEPS):
        if corpus == "copies":
            often = rng.choice(COPIED, BATCH // 2, replace=False)
            picked = np.concatenate([often, rng.choice(np.arange(COPIED, len(texts)), BATCH // 2, replace=False)])
        else:
            picked = rng.choice(len(texts), BATCH, replace=False)
        rows = np.concatenate([np.arange(starts[k], starts[k] + lengths[k]) for k in picked])
        sample = np.repeat(np.arange(BATCH), lengths[picked])
        per_word = cross_entropy(net(contexts[rows]) @ weight, targets[rows], reduction="none")
        weights = np.ones(BATCH)
        if weighting != "uniform":
            per_sample = np.bincount(sample, per_word.data) / lengths[picked]
            weights = REWEIGHTINGS[weighting](per_sample, annealed_temperature(step, 0.4, warmup=STEPS // 10))
        share = (weights / lengths[picked] / BATCH)[sample].astype(np.float32)
        optimizer.zero_grad()
        (per_word * share).sum().backward()
        optimizer.step()
        if step + 1 in (STEPS // 2, STEPS):
            with no_grad():
                name = "test loss" if step + 1 == STEPS else "halfway"
                losses[name] = float(cross_entropy(net(test_contexts) @ weight, test_targets).data)
    return losses


def measure(seed):
    return {f"{corpus}, {weighting}": losses_on_unseen(corpus, weighting, seed) for corpus, weighting in ARMS}


CLAIM = Claim(
    paper="103",
    says="where a corpus is full of copies, playing down easy texts makes training faster",
    measure=measure,
    expects=(
        lower("halfway", "copies, linupper", "copies, uniform"),
        lower("test loss", "copies, linupper", "copies, uniform"),
        lower("test loss", "copies, linupper", "copies, extremes"),
    ),
    seeds=5,
)
