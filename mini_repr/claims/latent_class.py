"""Latent classes: pairs drawn from the same class train rows whose mean classifier is nearly that of supervised rows.

Arora et al. 2019, arXiv 1902.09229, section 8.2: without labels in the loss, but with pairs of the same class, the mean
classifier of the rows comes close to that of a trained classifier's rows; more negatives and blocks of partners help.
Digits as pixels, an MLP 64-128-32, rows as they are, 600 steps of 128 anchors with partners of the same class (and
negatives of any class): one negative; ten; means of blocks of 5 partners and 5 negatives (section 6). *supervised*: a
linear layer and cross-entropy on the same rows and batches. Learning rate: for every arm the best of four by two-way
accuracy on a fifth of the training rows. All numbers are of the exact pool of 360 test rows: *two-way* and *ten-way*
accuracy of the mean classifier, L_un with one negative, the bound of L_sup, and L_sup. Three rates were tried before,
with one seed.
"""

import numpy as np

from mini_repr.autograd import concatenate, logsumexp, no_grad
from mini_repr.claims.bench.altered import held_out
from mini_repr.claims.bench.claim import Claim, higher, no_worse
from mini_repr.claims.bench.fitting import fit, named
from mini_repr.data import load
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.metrics.theory import latent_class_bound
from mini_repr.nn import MLP, Linear

STEPS, ANCHORS = 600, 128
RATES = (3e-4, 1e-3, 3e-3, 1e-2)


def contrastive(negatives=1, block=1):
    """A loss of anchors' images x and of ``draw``, which gives partners of the anchors' classes, or of any class."""

    def loss(encoder, head, x, labels, draw):
        rows = encoder(x)
        partners = mean_of_blocks(encoder(draw(labels, block)), block)
        others = mean_of_blocks(encoder(draw(None, negatives * block)), block).reshape(len(x), negatives, -1)
        margins = (rows * partners).sum(axis=1, keepdims=True) - (others @ rows.reshape(len(x), -1, 1))[:, :, 0]
        return logsumexp(concatenate(np.zeros_like(margins.data[:, :1]), -margins, axis=1), axis=1).mean()

    return loss


def mean_of_blocks(rows, block):
    return rows.reshape(-1, block, rows.shape[1]).mean(axis=1)


def supervised(encoder, head, x, labels, draw):
    return cross_entropy(head(encoder(x)), labels)


ARMS = {
    "1 negative": contrastive(),
    "10 negatives": contrastive(negatives=10),
    "blocks of 5": contrastive(block=5),
    "supervised": supervised,
}


def rows_of(loss, lr, data, seed, steps=STEPS):
    """Rows of the test part from an encoder trained on the training part."""
    rng = np.random.default_rng(seed)
    images, labels = data.train.images.reshape(len(data.train), -1), data.train.labels
    encoder, head = MLP((images.shape[1], 128, 32), rng), Linear(32, 10, rng)
    by_class, counts = np.argsort(labels, kind="stable"), np.bincount(labels)
    starts = np.cumsum(counts) - counts

    def draw(classes, count):
        """``count`` images with replacement for each anchor, of its class where classes are given."""
        if classes is None:
            return images[rng.integers(len(images), size=ANCHORS * count)]
        of_anchor = np.repeat(classes, count)
        return images[by_class[starts[of_anchor] + rng.integers(counts[of_anchor])]]

    fit(
        named(encoder, head),
        lambda index: loss(encoder, head, images[index], labels[index], draw),
        len(images),
        rng,
        steps=steps,
        batch=ANCHORS,
        lr=lr,
    )
    with no_grad():
        return encoder(data.test.images.reshape(len(data.test), -1)).data


def scores(rows, labels):
    found = latent_class_bound(rows, labels)
    return {
        "two-way": found.two_way,
        "ten-way": found.accuracy,
        "L_un": found.unsupervised,
        "bound": found.bound,
        "L_sup": found.supervised,
    }


def measure(seed):
    data = load("digits")
    inner = held_out(data)
    arms = {"untrained": scores(rows_of(supervised, RATES[0], data, seed, steps=0), data.test.labels)}
    for name, loss in ARMS.items():

        def chosen_by(lr, loss=loss):
            return latent_class_bound(rows_of(loss, lr, inner, seed), inner.test.labels).two_way

        arms[name] = scores(rows_of(loss, max(RATES, key=chosen_by), data, seed), data.test.labels)
    return arms


CLAIM = Claim(
    paper="010",
    says="pairs of a class train rows whose mean classifier is nearly that of supervised rows; more partners help",
    measure=measure,
    expects=(
        higher("two-way", "1 negative", "untrained", by=0.02),
        no_worse("two-way", "1 negative", "supervised", by=0.01),
        no_worse("ten-way", "1 negative", "supervised", by=0.02),
        higher("ten-way", "10 negatives", "1 negative"),
        higher("ten-way", "blocks of 5", "1 negative"),
    ),
    designs=2,
)
