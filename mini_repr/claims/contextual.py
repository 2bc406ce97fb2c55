"""Contextual: neighbourhoods are harder to mislead by wrong labels than pairs are.

Liao et al. 2022, arXiv 2210.01908, the experiments on label noise: with wrong labels among the training images the
contextual loss keeps more retrieval quality than the contrastive loss with margins, its own other part. An MLP learns
digits, as they are, from images of which none, 20% or 40% have a random wrong label, for 33 epochs without views, in
which it begins to memorise them; batches of 4 images per class (as labelled) like the paper's; both at that learning
rate of three at which they are memorised most (at all three the same loss is better on a fifth of the training rows at
20%, over two seeds beyond those counted). Numbers are the ndcg of the test images among each other; "fitted": the share
of training rows whose nearest other training row has their label, wrong or not. Random views and half the steps, which
leave the wrong labels unlearnt, were tried first.
"""

import numpy as np

from mini_repr.autograd import Tensor, no_grad
from mini_repr.claims.bench.altered import mislabelled
from mini_repr.claims.bench.claim import Claim, Expectation, higher
from mini_repr.data import BalancedBatches, load
from mini_repr.kernels.nearest import most_similar
from mini_repr.losses.labels.contextual import contextual
from mini_repr.metrics import label_ndcg
from mini_repr.nn import MLP
from mini_repr.optim import AdamW

ARMS = {"contextual": {}, "contrastive": {"contextual_weight": 0.0, "regulariser_weight": 0.0}}
SHARES, STEPS, RATE = {"right labels": 0.0, "20% wrong": 0.2, "40% wrong": 0.4}, 1200, 1e-3


def rows_after(data, settings, seed):
    """Of the training and of the test images."""
    net = MLP((64, 256, 256, 64), np.random.default_rng(seed), norm="batch")
    optimizer, batches = AdamW(net.named_parameters(), RATE), BalancedBatches(data.train.labels, 10, 4, seed)
    images = [part.images.reshape(len(part), -1) for part in (data.train, data.test)]
    for _ in range(STEPS):
        index = next(batches)
        optimizer.zero_grad()
        contextual(net(Tensor(images[0][index])), data.train.labels[index], **settings).backward()
        optimizer.step()
    net.eval()
    with no_grad():
        return [net(Tensor(x)).data for x in images]


def fitted(rows, labels):
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return (labels[most_similar(unit, unit, 1)[1][:, 0]] == labels).mean()


def measure(seed):
    digits, found = load("digits"), {name: {} for name in ARMS}
    for measured, share in SHARES.items():
        data = mislabelled(digits, share, np.random.default_rng(seed))
        for name, settings in ARMS.items():
            train, test = rows_after(data, settings, seed)
            found[name][measured] = label_ndcg(test, digits.test.labels)
            found[name][f"{measured}, fitted"] = fitted(train, data.train.labels)
    return found


def kept(arms):
    loss = {name: arms[name]["right labels"] - arms[name]["40% wrong"] for name in ARMS}
    return loss["contrastive"] - loss["contextual"]


CLAIM = Claim(
    paper="079",
    says="the contextual loss bears wrong labels better than the contrastive loss",
    measure=measure,
    expects=(
        higher("20% wrong", "contextual", "contrastive"),
        higher("40% wrong", "contextual", "contrastive"),
        Expectation("40% wrong labels cost contextual less than contrastive", kept),
    ),
    seeds=5,
    designs=3,
)
