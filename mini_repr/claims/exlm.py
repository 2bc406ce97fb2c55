"""ExLM: hidden words expanded into states of a graph train a better encoder than hidden words predicted alone.

Zheng et al. 2025, arXiv 2501.13397: with several states a hidden word, at two-dimensional positions, and the sum over
paths that emit the words, an encoder learns more in the same steps than by masked language modelling, as words that are
hidden together are predicted together. Here: sentences of 16 words of a generated language in which content words
follow each other by topic, 4 of them hidden; two blocks of width 48 with rotary positions of two coordinates in both
arms, 6 epochs of batches of 64. *few labels*: a probe of the topic (20 of them) with ten labels a class, on the mean of
the words' rows, nothing hidden or expanded; *nats*: -log likelihood per hidden word of test sentences, of ExLM that of
all words of a sentence together, their order and number included. Rates: of 0.005 and 0.01 the better one for each arm
by the probe on a fifth of the training sentences of seed 0, there 0.01 for both; two copies were no better than four.
Before this, 12 settings of copies, rate, batch and epochs with learned positions that are added, and one of rotary ones
in 5 epochs, were tried on seed 0.
"""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.backend import CPU
from mini_repr.claims.bench import topic_texts
from mini_repr.claims.bench.claim import Claim, higher, lower
from mini_repr.claims.bench.trained import trained
from mini_repr.claims.bench.word_start import word_start
from mini_repr.methods import encode
from mini_repr.metrics import few_label_probe

HIDDEN = 4  # words of a sentence
ENCODER = {**topic_texts.ENCODER, "buckets": 512, "positions": "rotary_2d"}
ARMS = {
    "MLM": ({"name": "cross_entropy"}, {"name": "language"}),
    "ExLM": ({"name": "dag_likelihood"}, {"name": "exlm", "copies": 4}),
}


def nats(method, part):
    """-log likelihood per hidden word of a part's texts; in every arm the same words are hidden."""
    method.eval()
    inputs = method.sample(*method.load(part, CPU), np.random.default_rng(0))
    with no_grad():
        step = method.compare(method.embed(*inputs), method.targets(*inputs), None, method.objective)
    a_target = float(step.total.data)  # of ExLM the two ends are targets as well
    return a_target * (HIDDEN + 2) / HIDDEN if method.page.name == "exlm" else a_target


def measure(seed):
    data, arms = topic_texts.sentences(seed, chained=True), {}
    for arm, (loss, method) in ARMS.items():
        run = trained(
            seed,
            data=data,
            start=word_start(seed, ENCODER),
            loss=loss,
            method={**method, "ratio": HIDDEN / 16},
            encoder=ENCODER,
            train={"epochs": 6, "batch_size": 64},
            optimizer={"lr": 1e-2},
        )
        train, test = (encode(run.method.encoder, part.texts, CPU) for part in (data.train, data.test))
        few = few_label_probe(train, data.train.labels, test, data.test.labels)[0]
        arms[arm] = {"few labels": few, "nats": nats(run.method, data.test)}
    return arms


CLAIM = Claim(
    paper="070",
    says="hidden words expanded into states of a graph train a better encoder than masked language modelling",
    measure=measure,
    expects=(higher("few labels", "ExLM", "MLM"), lower("nats", "ExLM", "MLM")),
    seeds=5,
    designs=16,
)
