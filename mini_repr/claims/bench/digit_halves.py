"""The left and the right half of each digit, an encoder each: pairs of two modalities, for claims of two towers."""

import numpy as np

from mini_repr.backend import CPU
from mini_repr.claims.bench.altered import held_out
from mini_repr.claims.bench.fitting import fit, named
from mini_repr.data import load
from mini_repr.data.generated.halves import halves
from mini_repr.methods import encode
from mini_repr.nn import ImageMLP


def rows_of_halves(loss, seed, *, epochs, batch=128, lr=1e-3, scalars=None, choosing=False):
    """Rows (N, 64) of both halves of the test digits, from two MLPs trained on the training digits.

    Args:
        loss: takes the rows (B, 64) of both halves, tensors. scalars: {name: tensor} that it learns besides.
        choosing: settings are being chosen: train on four fifths of the training digits, give rows of the fifth.
    """
    rng = np.random.default_rng(seed)
    train, test = parts(choosing)
    encoders = towers(rng)
    fit_towers(encoders, train, loss, rng, epochs=epochs, batch=batch, lr=lr, scalars=scalars)
    return rows_of_sides(encoders, test)


def parts(choosing=False):
    """((left, right) halves of the training digits, those of the test digits)."""
    data = held_out(load("digits")) if choosing else load("digits")
    return halves(data.train), halves(data.test)


def towers(rng, width=64, hidden=256):
    """An encoder for each side."""
    return [ImageMLP((1, 8, 4), rng, width=width, hidden=hidden, depth=2) for _ in range(2)]


def fit_towers(encoders, sides, loss, rng, *, epochs, batch=128, lr=1e-3, scalars=None, with_index=False):
    """Train both encoders, in place, on random batches; the loss takes the batch's numbers too ``with_index``."""

    def loss_of(index):
        rows = [encoder(x[index]).pooled for encoder, x in zip(encoders, sides, strict=True)]
        return loss(*rows, index) if with_index else loss(*rows)

    count = len(sides[0])
    parameters = named(*encoders) | (scalars or {})
    fit(parameters, loss_of, count, rng, steps=epochs * count // batch, batch=batch, lr=lr)


def rows_of_sides(encoders, sides):
    """Rows (N, width) of both sides."""
    return [encode(encoder, x, CPU) for encoder, x in zip(encoders, sides, strict=True)]
