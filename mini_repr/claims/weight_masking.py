"""Masking: which weights of a trained network to use, learnt in place of new ones, serves as fine-tuning does.

Zhao et al. 2020, arXiv 2004.12406: masks over BERT's weights are as accurate as fine-tuning, at one bit a weight. Here:
an MLP of 64-256-64, trained by InfoNCE on views of the digits; then 20 labels a class. Arms: a linear probe of the
encoder as it is, the encoder fine-tuned, masks over its weights and over a random classifier, and the same masks over
an untrained encoder. 60 epochs of batches of 50, without views; each arm at the best of three learning rates, chosen on
a fifth of the training rows, by encoders trained on the rest. The probe of this encoder's rows is the best of all, so
that nothing shows of what masks add to it.
"""

import numpy as np

from mini_repr.backend import CPU
from mini_repr.claims.bench.altered import at_most, held_out
from mini_repr.claims.bench.claim import Claim, higher, no_worse
from mini_repr.claims.bench.trained import SMALL, trained
from mini_repr.data import load
from mini_repr.methods import encode
from mini_repr.metrics import linear_probe
from mini_repr.training.config import merge

RATES = (1e-3, 3e-3, 1e-2)
NETWORK = {"encoder": {**SMALL["encoder"], "norm": "layer"}}
TASK = {
    "loss": {"name": "cross_entropy"},
    "train": {"epochs": 60, "batch_size": 50},
    **NETWORK,
}
ARMS = {
    "fine-tuned": ("classifier", True),
    "masks": ("weight_masking", True),
    "masks, untrained": ("weight_masking", False),
}


def accuracy(run, part):
    method = run.method.eval()
    scores = method.head(method.encoder(part.images).pooled).data
    return float((scores.argmax(axis=1) == part.labels).mean())


def task_run(seed, data, start, arm, lr):
    method, pretrained = ARMS[arm]
    sections = {"method": {"name": method, "views": "none"}, "optimizer": {"lr": lr, "weight_decay": 0.0}}
    return trained(seed, data=data, start=start if pretrained else None, **merge(TASK, sections))


def measure(seed):
    whole = load("digits")
    arms, best = {}, {}
    for part in ("choice", "test"):
        data = held_out(whole) if part == "choice" else whole
        pretrained = trained(seed, data=data, loss={"name": "infonce"}, **merge(SMALL, NETWORK))
        few = at_most(data, [20] * 10, np.random.default_rng(seed))
        start = pretrained.method.state_dict()
        for arm in ARMS:
            found = {
                lr: accuracy(task_run(seed, few, start, arm, lr), data.test)
                for lr in (RATES if part == "choice" else [best[arm]])
            }
            best[arm] = max(found, key=found.get)
            arms[arm] = {"accuracy": found[best[arm]], "learning rate": best[arm]}
        train, test = (encode(pretrained.method.encoder, x.images, CPU) for x in (few.train, data.test))
        arms["probe"] = {"accuracy": linear_probe(train, few.train.labels, test, data.test.labels)}
    return arms


CLAIM = Claim(
    paper="004",
    says="learnt masks over a trained network's weights serve a task as fine-tuning does, at one bit a weight",
    measure=measure,
    expects=(
        no_worse("accuracy", "masks", "fine-tuned", by=0.02),
        higher("accuracy", "masks", "probe"),
        higher("accuracy", "masks", "masks, untrained"),
    ),
    seeds=8,
)
