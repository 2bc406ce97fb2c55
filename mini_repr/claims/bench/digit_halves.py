"""The left and the right half of each digit, an encoder each: pairs of two modalities, for claims of two towers."""

import numpy as np

from mini_repr.backend import CPU
from mini_repr.claims.bench.fitting import fit, named
from mini_repr.data import load
from mini_repr.data.generated.halves import halves
from mini_repr.methods import encode
from mini_repr.nn import ImageMLP


def rows_of_halves(loss, seed, *, epochs, batch=128, scalars=None):
    """Rows (360, 64) of both halves of the test digits, from two MLPs trained on the training digits.

    Args:
        loss: takes the rows (B, 64) of both halves, tensors. scalars: {name: tensor} that it learns besides.
    """
    data, rng = load("digits"), np.random.default_rng(seed)
    train, test = halves(data.train), halves(data.test)
    encoders = [ImageMLP((1, 8, 4), rng, width=64, hidden=256, depth=2) for _ in train]

    def loss_of(index):
        return loss(*(encoder(x[index]).pooled for encoder, x in zip(encoders, train, strict=True)))

    steps = epochs * len(data.train) // batch
    fit(named(*encoders) | (scalars or {}), loss_of, len(data.train), rng, steps=steps, batch=batch, lr=1e-3)
    return [encode(encoder, x, CPU) for encoder, x in zip(encoders, test, strict=True)]
