"""Contextual: neighbourhoods are harder to mislead by wrong labels than pairs are.

Liao et al. 2022, arXiv 2210.01908, the experiments on label noise: with wrong labels among the training images the
contextual loss keeps more retrieval quality than the contrastive loss with margins, its own other part. An MLP learns
digits from images of which none or 40% have a random wrong label, in batches of 4 images per class (as labelled) like
the paper's; ndcg of the test images among each other. "contextual" has the paper's weights, "contextual alone" that
part.
"""

import numpy as np

from mini_repr.autograd import Tensor, no_grad
from mini_repr.claims.bench.altered import mislabelled
from mini_repr.claims.bench.claim import Claim, Expectation, higher
from mini_repr.data import DEFAULT_VIEWS, BalancedBatches, load, parse_views
from mini_repr.losses.labels.contextual import contextual
from mini_repr.metrics import label_ndcg
from mini_repr.nn import MLP
from mini_repr.optim import AdamW

ARMS = {
    "contextual": {},
    "contextual alone": {"contextual_weight": 1.0, "regulariser_weight": 0.0},
    "contrastive": {"contextual_weight": 0.0, "regulariser_weight": 0.0},
}
STEPS = 720  # 20 epochs


def rows_of_test(data, settings, seed):
    rng, view = np.random.default_rng(seed), parse_views(DEFAULT_VIEWS)
    net = MLP((64, 256, 256, 64), rng, norm="batch")
    optimizer, batches = AdamW(net.named_parameters(), 3e-3), BalancedBatches(data.train.labels, 10, 4, seed)
    for _ in range(STEPS):
        index = next(batches)
        rows = net(Tensor(view(data.train.images[index], rng).reshape(len(index), -1)))
        optimizer.zero_grad()
        contextual(rows, data.train.labels[index], **settings).backward()
        optimizer.step()
    net.eval()
    with no_grad():
        return net(Tensor(data.test.images.reshape(len(data.test), -1))).data


def measure(seed):
    digits = load("digits")
    arms = {name: {} for name in ARMS}
    for share, measured in ((0.0, "right labels"), (0.4, "40% wrong")):
        data = mislabelled(digits, share, np.random.default_rng(seed))
        for name, settings in ARMS.items():
            arms[name][measured] = label_ndcg(rows_of_test(data, settings, seed), digits.test.labels)
    return arms


def kept(arms):
    loss = {name: arms[name]["right labels"] - arms[name]["40% wrong"] for name in ARMS}
    return loss["contrastive"] - loss["contextual"]


CLAIM = Claim(
    paper="079",
    says="the contextual loss bears wrong labels better than the contrastive loss",
    measure=measure,
    expects=(
        higher("40% wrong", "contextual", "contrastive"),
        Expectation("wrong labels cost contextual less than contrastive", kept),
    ),
)
