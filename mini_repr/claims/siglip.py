"""SigLIP: the sigmoid loss against the softmax loss, at small and at larger batches.

Zhai et al. 2023, arXiv 2303.15343: below some 16 thousand pairs a batch the sigmoid loss beats the softmax loss, and by
more the smaller the batch. Here: the left half of a digit looks for its right half among 360 test digits, an encoder
each (MLPs, 64 wide), 20 epochs at batches of 16, 64 and 256 pairs, all far below the paper's smallest (512); the same
start and batches. Both losses learn their scale: the softmax from CLIP's 1/0.07, the sigmoid from 10, with a bias from
-10. Each has, at each size, the learning rate of three that retrieves best on a fifth of the training digits, over two
seeds beyond those counted. Words with their definitions and definitions with examples (WordNet), where both losses are
near chance, were tried first, then one learning rate for all.
"""

import math

import numpy as np

from mini_repr.autograd import Tensor, exp
from mini_repr.claims.bench.claim import Claim, Expectation, higher
from mini_repr.claims.bench.digit_halves import rows_of_halves
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.losses.pairs.siglip import siglip
from mini_repr.metrics import mean_reciprocal_rank

EPOCHS, SIZES = 20, (16, 64, 256)
RATES = {"softmax": (3e-3, 1e-3, 3e-3), "sigmoid": (1e-3, 1e-3, 3e-3)}  # by size


def softmax():
    """(loss of two sets of rows, its learned scalars)."""
    log_scale = Tensor(np.float32(math.log(1 / 0.07)), True)
    return lambda a, b: infonce(a, b, temperature=exp(-log_scale)), {"log_scale": log_scale}


def sigmoid():
    scalars = {"log_scale": Tensor(np.float32(math.log(10)), True), "bias": Tensor(np.float32(-10), True)}
    return lambda a, b: siglip(a, b, **scalars), scalars


def retrieval(name, size, seed, lr, choosing=False):
    """Mean reciprocal rank of the right half among those of the test digits."""
    loss, scalars = LOSSES[name]()
    settings = {"epochs": EPOCHS, "batch": size, "scalars": scalars, "lr": lr, "choosing": choosing}
    return mean_reciprocal_rank(*rows_of_halves(loss, seed, **settings))


LOSSES = {"softmax": softmax, "sigmoid": sigmoid}


def measure(seed):
    return {
        f"{name}, batch {size}": {"MRR": retrieval(name, size, seed, lr)}
        for name, rates in RATES.items()
        for size, lr in zip(SIZES, rates, strict=True)
    }


def advantage(arms, size):
    return arms[f"sigmoid, batch {size}"]["MRR"] - arms[f"softmax, batch {size}"]["MRR"]


def fades(size, larger):
    return Expectation(
        f"MRR: the sigmoid gains more at batch {size} than at {larger}",
        lambda arms: advantage(arms, size) - advantage(arms, larger),
    )


CLAIM = Claim(
    paper="009",
    says="in batches of 16 the sigmoid loss retrieves better than the softmax loss, and its advantage fades with size",
    measure=measure,
    expects=(higher("MRR", "sigmoid, batch 16", "softmax, batch 16"), fades(16, 64), fades(64, 256)),
    seeds=5,
    designs=4,
)
