"""Encoders of digits with random bits beside their pixels, for claims on what contrast keeps and what it suppresses."""

import numpy as np

from mini_repr.autograd import Tensor, no_grad
from mini_repr.claims.bench.fitting import fit, named
from mini_repr.data import DEFAULT_VIEWS, parse_views
from mini_repr.data.generated.bit_digits import BitDigits, bit_digits, redrawn_bits
from mini_repr.metrics import linear_probe
from mini_repr.nn import MLP

REPEAT = 4


class BitViews:
    """Training and test digits with ``bits`` random bits, four columns each, and random views of them.

    A view moves the pixels as runs do by default, and keeps each bit with probability ``keep``, else draws it anew.
    """

    def __init__(self, data, bits, keep, rng):
        self.part, self.keep, self.rng = data.train, keep, rng
        self.train, self.test = (bit_digits(part, bits, REPEAT, rng) for part in (data.train, data.test))
        self.width = self.train.rows.shape[1]
        self._pixels = parse_views(DEFAULT_VIEWS)

    def __call__(self, index):
        """A view (B, width) of the training digits with these numbers."""
        chosen = BitDigits(*(x[index] for x in self.train))
        rows = redrawn_bits(chosen, REPEAT, self.keep, self.rng)
        pixels = self._pixels(self.part.images[index], self.rng).reshape(len(index), -1)
        return np.concatenate([pixels, rows[:, pixels.shape[1] :]], axis=1)


def trained_on_bits(views, loss_of, width, *, head=None, epochs=30, watch=None, lr=3e-3, batch=128):
    """An MLP (256 hidden) that AdamW trained; rows of ``width`` columns.

    Args:
        loss_of: takes the rows of both views (tensors, behind the head) and the samples' numbers. head: a module.
        watch: called with (encoder, epoch) after each.
    """
    encoder = MLP((views.width, 256, width), views.rng)
    behind = head or (lambda rows: rows)
    count = len(views.part)
    per_epoch = count // batch

    def loss_of_batch(index):
        return loss_of(behind(encoder(views(index))), behind(encoder(views(index))), index)

    def after(step):
        if watch and step % per_epoch == 0:
            watch(encoder, step // per_epoch)

    modules = [encoder] if head is None else [encoder, head]
    fit(named(*modules), loss_of_batch, count, views.rng, steps=epochs * per_epoch, batch=batch, lr=lr, watch=after)
    return encoder


def outputs(net, x):
    """What a network gives for rows, without a gradient."""
    with no_grad():
        return net(Tensor(x)).data


def probes(views, embed):
    """{"digit", "bit"}: accuracies of linear probes of test rows for the digit, and the mean over two bits."""
    train, test = embed(views.train.rows), embed(views.test.rows)
    found = {"digit": linear_probe(train, views.train.labels, test, views.test.labels)}
    bits = range(min(2, views.train.bits.shape[1]))
    if bits:
        each = [linear_probe(train, views.train.bits[:, k], test, views.test.bits[:, k]) for k in bits]
        found["bit"] = float(np.mean(each))
    return found
