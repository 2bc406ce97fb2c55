"""LAF: a class is forgotten without a label of any row, and the others are kept.

Shen et al. 2024, arXiv 2404.00506. A classifier of digits (extractor 64-256-64, head 64-32-10, 40 epochs) is to forget
the digit 3. *LAF*: label-agnostic forgetting of the extractor, 20 epochs; *LAF+R*: then the head alone learns for 5
epochs from the labels of the remaining rows; *finetuned*: extractor and head learn for 20 epochs from these labels;
*trained anew*: without the 3s from the start. Rates (for LAF of its first optimiser, the second's being twice that):
for each the best of three by accuracy on remaining less that on forgotten rows of a fifth of the training rows.
Accuracy on test rows: *forgotten*, of the 3s; *kept*, of the others. At these rates LAF moves next to nothing, which
says more of this regime than of the method.
"""

from copy import deepcopy

import numpy as np

from mini_repr.autograd import Tensor, no_grad
from mini_repr.claims.bench.altered import held_out
from mini_repr.claims.bench.claim import Claim, below, higher, lower, no_worse
from mini_repr.claims.bench.fitting import fit, named
from mini_repr.data import load
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.nn import MLP
from mini_repr.posthoc.unlearning.laf import forget_without_labels, rows_before

GONE, BATCH, EPOCHS = 3, 64, 20
RATES = {"finetuned": (1e-4, 3e-4, 1e-3), "LAF": (2.5e-4, 5e-4, 1e-3)}


def learn(extractor, head, x, labels, rng, epochs, lr, trained):
    fit(
        named(*trained),
        lambda index: cross_entropy(head(extractor(x[index])), labels[index]),
        len(x),
        rng,
        steps=epochs * len(x) // BATCH,
        batch=BATCH,
        lr=lr,
    )


def classifier(x, labels, seed):
    rng = np.random.default_rng(seed)
    extractor, head = MLP((64, 256, 64), rng), MLP((64, 32, 10), rng)
    learn(extractor, head, x, labels, rng, 40, 1e-3, (extractor, head))
    return extractor, head


def scores(extractor, head, part):
    with no_grad():
        found = head(Tensor(rows_before(extractor, flat(part)))).data.argmax(axis=1) == part.labels
    gone = part.labels == GONE
    return {"forgotten": float(found[gone].mean()), "kept": float(found[~gone].mean())}


def flat(part):
    return part.images.reshape(len(part), -1)


def unlearned(start, part, arm, lr, seed):
    """(extractor, head) after forgetting."""
    extractor, head = map(deepcopy, start)
    x, labels, rng = flat(part), part.labels, np.random.default_rng(seed)
    remain = labels != GONE
    if arm == "finetuned":
        learn(extractor, head, x[remain], labels[remain], rng, EPOCHS, lr, (extractor, head))
    else:
        forget_without_labels(extractor, x[~remain], x[remain], lr_leave=lr, lr_align=2 * lr, epochs=EPOCHS, seed=seed)
    return extractor, head


def measure(seed):
    data = load("digits")
    inner, remain = held_out(data), data.train.labels != GONE
    start = classifier(flat(data.train), data.train.labels, seed)
    inner_start = classifier(flat(inner.train), inner.train.labels, seed)
    anew = classifier(flat(data.train)[remain], data.train.labels[remain], seed)
    arms = {"before": scores(*start, data.test), "trained anew": scores(*anew, data.test)}
    for arm, rates in RATES.items():

        def chosen_by(lr, arm=arm):
            found = scores(*unlearned(inner_start, inner.train, arm, lr, seed), inner.test)
            return found["kept"] - found["forgotten"]

        extractor, head = unlearned(start, data.train, arm, max(rates, key=chosen_by), seed)
        arms[arm] = scores(extractor, head, data.test)
    rng = np.random.default_rng(seed)
    learn(extractor, head, flat(data.train)[remain], data.train.labels[remain], rng, 5, 1e-3, (head,))
    arms["LAF+R"] = scores(extractor, head, data.test)
    return arms


CLAIM = Claim(
    paper="054",
    says="a class is forgotten without a label of any row, and the others are kept",
    measure=measure,
    expects=(
        below("forgotten", "LAF", 0.2),
        lower("forgotten", "LAF", "finetuned", by=0.1),
        no_worse("kept", "LAF", "trained anew", by=0.03),
        higher("kept", "LAF+R", "LAF"),
    ),
)
