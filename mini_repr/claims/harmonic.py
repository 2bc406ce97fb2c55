"""Harmonic loss: less delay between learning and generalising, and weights that are the centres of their classes.

Baek et al. 2025, arXiv 2502.01628. Two of its experiments, small. Addition modulo 31 (its modular addition, with its
MLP, tied embeddings and full batches): both losses see the same 80% of the 961 sums, each with the learning rate and
the weight decay, of three each, that were the best for a fifth of these sums, on a seed beyond those counted;
*delay* counts the steps from 90% of the training sums to 90% of the others, up to the end where they are not reached.
Digits from pixels (its MNIST): one layer of weights a class; *cosine* is that of a class's weights to its mean image.
Both losses at one learning rate and weight decay, where cross-entropy never reaches 90%, were tried first.
"""

import numpy as np

from mini_repr.autograd import Tensor, concatenate, no_grad
from mini_repr.claims.bench.claim import Claim, higher, lower
from mini_repr.claims.bench.fitting import fit
from mini_repr.data import load
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.losses.scores.harmonic import harmonic
from mini_repr.nn import MLP

MODULUS, WIDTH, STEPS, EVERY = 31, 16, 1000, 20
SETTINGS = {  # of addition: learning rate, weight decay
    "harmonic": (5e-3, 1.0),
    "cross-entropy": (1e-2, 1.0),
}


def loss_and_classes(name):
    """(loss(rows, weights, labels), classes(rows, weights)) of a layer with one row of weights a class."""
    if name == "harmonic":
        return harmonic, lambda x, w: ((x[:, None] - w) ** 2).sum(axis=2).argmin(axis=1)
    return lambda x, w, labels: cross_entropy(x @ w.T, labels), lambda x, w: (x @ w.T).argmax(axis=1)


def modular_addition(name, lr, weight_decay, seed, choosing=False):
    """Accuracy on the other sums (``choosing``: on a fifth of the training sums), and the delay."""
    rng = np.random.default_rng(seed)
    loss, classes = loss_and_classes(name)
    sums = rng.permutation([(a, b) for a in range(MODULUS) for b in range(MODULUS)])
    seen = len(sums) * 4 // 5
    if choosing:
        sums, seen = sums[:seen], seen * 4 // 5
    labels = sums.sum(axis=1) % MODULUS
    table = Tensor((rng.standard_normal((MODULUS, WIDTH)) / WIDTH**0.5).astype(np.float32), True)
    net = MLP((2 * WIDTH, 100, 100, WIDTH), rng, activation="gelu")
    reached = {}

    def rows(i):
        return net(concatenate(table[sums[i, 0]], table[sums[i, 1]], axis=1))

    def watch(step):
        if step % EVERY == 0:
            with no_grad():
                right = classes(rows(slice(None)).data, table.data) == labels
            reached.update({"train": right[:seen].mean(), "test": right[seen:].mean()})
            for part in ("train", "test"):
                if reached[part] >= 0.9:
                    reached.setdefault(f"{part} at", step)

    parameters = {"table": table, **net.named_parameters()}
    settings = {"steps": STEPS, "batch": seen, "lr": lr, "weight_decay": weight_decay, "watch": watch}
    fit(parameters, lambda i: loss(rows(i), table, labels[i]), seen, rng, **settings)
    return {"test": reached["test"], "delay": reached.get("test at", STEPS) - reached.get("train at", STEPS)}


def digits(name, seed):
    rng = np.random.default_rng(seed)
    loss, classes = loss_and_classes(name)
    data = load("digits")
    x, test_x = (part.images.reshape(len(part), -1) for part in (data.train, data.test))
    w = Tensor((0.1 * rng.standard_normal((10, 64))).astype(np.float32), True)
    fit({"w": w}, lambda i: loss(Tensor(x[i]), w, data.train.labels[i]), len(x), rng, steps=1500, lr=5e-3)
    means = np.stack([x[data.train.labels == c].mean(axis=0) for c in range(10)])
    cosines = (means * w.data).sum(axis=1) / np.linalg.norm(means, axis=1) / np.linalg.norm(w.data, axis=1)
    return {"test": (classes(test_x, w.data) == data.test.labels).mean(), "cosine": cosines.mean()}


def measure(seed):
    names = ("harmonic", "cross-entropy")
    sums = {f"addition, {name}": modular_addition(name, *SETTINGS[name], seed) for name in names}
    return sums | {f"digits, {name}": digits(name, seed) for name in names}


CLAIM = Claim(
    paper="014",
    says="harmonic loss generalises soon after it has learnt, and its weights are the centres of the classes",
    measure=measure,
    expects=(
        lower("delay", "addition, harmonic", "addition, cross-entropy"),
        higher("cosine", "digits, harmonic", "digits, cross-entropy", by=0.3),
    ),
    seeds=5,
    designs=2,
)
