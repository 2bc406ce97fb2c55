"""Z-loss: better at the top k than the cross-entropy, and an output layer whose cost does not grow with the classes.

de Brébisson, Vincent 2016, arXiv 1604.08859: on a word language model the Z-loss beats log-softmax in top-k scores.
Here: the next of 1,000 words in WordNet's definitions, the same small network for each loss. Each has the best of three
settings for the top 20 on the predictions of a fifth of the training definitions, on a seed beyond those counted: the
Z-loss of three pairs a and b, cross-entropy of three learning rates. The Z-loss alone was tuned at first. Then the time
of one SGD step of the output layer alone (batch 32, 64 inputs), exact as a dense product and factored.
"""

import time
from functools import partial
from statistics import median

import numpy as np

from mini_repr.autograd import Tensor, no_grad
from mini_repr.claims.bench.claim import Claim, Expectation, higher
from mini_repr.claims.bench.fitting import fit
from mini_repr.claims.bench.next_word import NextWord, next_words
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.losses.scores.z_loss import z_loss
from mini_repr.optim import FactoredOutput

ARMS = {  # and the learning rate
    "z-loss": (partial(z_loss, sharpness=1.0, threshold=5.0), 2e-3),
    "cross-entropy": (cross_entropy, 1e-3),
}


def top_k(loss_of, lr, seed, words=None):
    rng = np.random.default_rng(seed)
    (contexts, targets, _), (test_contexts, test_targets, _) = words or next_words()
    net, weight = NextWord(rng), Tensor((rng.standard_normal((64, 1000)) / 8).astype(np.float32), True)
    parameters = {"weight": weight, **net.named_parameters()}

    def loss(i):
        return loss_of(net(contexts[i]) @ weight, targets[i])

    fit(parameters, loss, len(contexts), rng, steps=2000, batch=128, lr=lr)
    with no_grad():
        scores = (net(test_contexts) @ weight).data
    ranks = (scores > scores[np.arange(len(test_targets)), test_targets][:, None]).sum(axis=1)
    return {f"top {k}": (ranks < k).mean() for k in (1, 10, 20, 50)}


def step_times(classes, seed):
    """Milliseconds of one step, the median of several."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((classes, 64)).astype(np.float32) / 8
    layer = FactoredOutput(weight)
    hidden, labels = rng.standard_normal((32, 64)).astype(np.float32), rng.integers(0, classes, 32)

    def factored():
        _, _, coefficients = layer.value_and_grad(hidden, labels)
        layer.step(hidden, labels, coefficients, 0.1)

    def dense():
        _, gradients = z_loss.value_and_grad(hidden @ weight.T, labels)
        gradients["scores"] @ weight
        weight[...] -= 0.1 * gradients["scores"].T @ hidden

    times = {"factored, ms": (factored, 30), "dense, ms": (dense, 5)}
    return {name: 1000 * median(_seconds(step) for _ in range(count)) for name, (step, count) in times.items()}


def _seconds(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def measure(seed):
    arms = {name: top_k(*arm, seed) for name, arm in ARMS.items()}
    return arms | {f"{classes:,} classes": step_times(classes, seed) for classes in (1_000, 100_000)}


CLAIM = Claim(
    paper="063",
    says="the Z-loss ranks the right class among the first 20 more often; factored, its cost leaves the classes alone",
    measure=measure,
    expects=(
        higher("top 20", "z-loss", "cross-entropy"),
        Expectation(
            "100,000 classes: a factored step takes less than a tenth of a dense one",
            lambda arms: arms["100,000 classes"]["dense, ms"] / 10 - arms["100,000 classes"]["factored, ms"],
        ),
    ),
    seeds=5,
    designs=2,
)
