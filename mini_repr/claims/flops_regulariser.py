"""FLOPs regulariser: at the same recall fewer multiplications than with L1.

Paria et al. 2020, arXiv 2004.05665, the speed-accuracy trade-off against L1. An MLP maps digits to
256 dimensions, ReLU, unit rows, trained by InfoNCE between views plus a weight times a regulariser; the weight grows
with the square of the step. New views of the test digits must find their digit among them. Each regulariser draws its
curve with four weights, a factor of about three apart: the multiplications that a pair of rows costs an inverted index
are read off where recall is nine tenths, and three quarters, of that of the ReLU alone (logarithms interpolated). Dense
rows of 16 columns are there for comparison.
"""

import numpy as np

from mini_repr.autograd import Tensor, concatenate, no_grad, relu, unit_rows
from mini_repr.claims.bench.claim import Claim, lower
from mini_repr.claims.bench.fitting import fit
from mini_repr.data import DEFAULT_VIEWS, load, parse_views
from mini_repr.losses.embeddings.flops import flops
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.metrics.sparsity import sparse_search
from mini_repr.nn import MLP

STEPS, VIEWS = 250, 8
WEIGHTS = {"flops": (1.0, 3.0, 10.0, 30.0), "l1": (0.03, 0.1, 0.3, 1.0)}
SHARES = {"at 9/10": 0.9, "at 3/4": 0.75}


def views_of(images, rng):
    """(VIEWS, N, 64) views of images (N, 1, 8, 8)."""
    view = parse_views(DEFAULT_VIEWS)
    return np.stack([view(images, rng).reshape(len(images), -1) for _ in range(VIEWS)])


def scores(seed, views, index, queries, form=None, weight=0.0, dimensions=256, sparse=True):
    """(recall, multiplications) on queries (VIEWS, M, 64) of an index (M, 64), after training on views."""
    rng = np.random.default_rng(seed)
    net = MLP((64, 256, dimensions), rng)
    done = 0

    def encode(x):
        z = net(Tensor(x))
        return unit_rows(relu(z) if sparse else z)

    def loss_of(batch):
        nonlocal done
        done += 1
        a, b = (encode(views[k, batch]) for k in rng.choice(VIEWS, 2, replace=False))
        value = infonce(a, b, normalize=False)
        return value + flops(concatenate(a, b), form=form) * (weight * (done / STEPS) ** 2) if form else value

    fit(net.named_parameters(), loss_of, views.shape[1], rng, steps=STEPS, batch=128)
    with no_grad():
        found, _, work = sparse_search(encode(queries.reshape(-1, 64)).data, encode(index).data, 1)
    return (found[:, 0] == np.tile(np.arange(len(index)), VIEWS)).mean(), work.mean() / len(index)


def measure(seed):
    data, rng = load("digits"), np.random.default_rng(seed)
    test = data.test.images
    material = views_of(data.train.images, rng), test.reshape(len(test), -1), views_of(test, rng)
    full, cost = scores(seed, *material)
    dense, dense_cost = scores(seed, *material, dimensions=16, sparse=False)
    table = {"ReLU alone": {"recall": full, "of all": cost}, "dense, 16": {"recall": dense, "of all": dense_cost}}
    for form, weights in WEIGHTS.items():
        curve = sorted([(full, cost), *(scores(seed, *material, form, weight) for weight in weights)])
        recalls, costs = np.array(curve).T
        table[form] = {name: np.exp(np.interp(share * full, recalls, np.log(costs))) for name, share in SHARES.items()}
    return table


CLAIM = Claim(
    paper="022",
    says="for the same recall the FLOPs regulariser needs fewer multiplications than L1",
    measure=measure,
    expects=(lower("at 9/10", "flops", "l1"), lower("at 3/4", "flops", "l1")),
    seeds=5,
)
