"""Sy-CON: a network that learns one task after another forgets less than one that is only finetuned.

Cha, Moon 2023, arXiv 2306.05101: continual self-supervision. Four tasks without labels: digits as they are, then with
their pixels in three random orders, which make a network forget; views are drawn before the pixels are reordered. Each
task starts from the network of the last. *finetuning* trains each task on NT-Xent; *own negatives* adds the stability
term, each term with its own model's negatives (in the manner of CaSSLe); *Sy-CON* has both models' in both. Epochs,
batches and learning rate are the same for all. ``few``: linear evaluation with ten labels a class on the test rows of a
task, the mean over tasks after the last; *forgetting*: how far that accuracy has fallen from its best after any task,
over the first three. Five tasks of two classes each, which are hardly forgotten, were tried first.
"""

from copy import deepcopy

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.backend import CPU
from mini_repr.claims.bench.claim import Claim, higher, lower
from mini_repr.claims.bench.fitting import fit, named
from mini_repr.data import DEFAULT_VIEWS, load, parse_views
from mini_repr.data.generated.permuted import permuted, pixel_orders
from mini_repr.losses.pairs.sy_con import sy_con
from mini_repr.methods import encode
from mini_repr.metrics import few_label_probe
from mini_repr.nn import MLP, ImageMLP, copy_of

TASKS, EPOCHS, LEARNING_RATE = 4, 20, 3e-3
ARMS = {"finetuning": None, "own negatives": "own", "Sy-CON": "both"}


def learn(past, images, order, negatives, rng):
    """[encoder, projector] trained on a task's views from the past ones (a pair), with their negatives or none."""
    networks, predictor = [deepcopy(one).train() for one in past], MLP((64, 256, 64), rng, norm="batch")
    past, view = [copy_of(one).eval() for one in past], parse_views(DEFAULT_VIEWS)

    def rows(pair, x):
        encoder, projector = pair
        return projector(encoder(x).pooled)

    def loss_of(index):
        flat = [view(images[index], rng).reshape(len(index), -1)[:, order] for _ in range(2)]
        views = [x.reshape(images[index].shape) for x in flat]
        a, b = (rows(networks, x) for x in views)
        if negatives is None:
            return sy_con(a, b)
        with no_grad():
            past_a, past_b = (rows(past, x).data for x in views)
        predicted = {"predicted_a": predictor(a), "predicted_b": predictor(b)}
        return sy_con(a, b, past_a=past_a, past_b=past_b, **predicted, negatives=negatives)

    steps = EPOCHS * len(images) // 128
    fit(named(*networks, predictor), loss_of, len(images), rng, steps=steps, batch=128, lr=LEARNING_RATE)
    return networks


def accuracies(encoder, data, orders):
    """On each task."""
    found = []
    for order in orders:
        train, test = permuted(data.train, order), permuted(data.test, order)
        rows = [encode(encoder, part.images, CPU) for part in (train, test)]
        found.append(few_label_probe(rows[0], train.labels, rows[1], test.labels)[0])
    return found


def measure(seed):
    data, rng = load("digits"), np.random.default_rng(seed)
    orders, images = pixel_orders(TASKS, 64, rng), data.train.images
    start = [ImageMLP((1, 8, 8), rng, width=64, hidden=256, depth=2), MLP((64, 256, 64), rng, norm="batch")]
    first, arms = learn(start, images, orders[0], None, np.random.default_rng(seed)), {}
    for arm, negatives in ARMS.items():
        networks, history = first, [accuracies(first[0], data, orders)]
        for order in orders[1:]:
            networks = learn(networks, images, order, negatives, np.random.default_rng(seed))
            history.append(accuracies(networks[0], data, orders))
        past = np.array(history)[:, :-1]
        arms[arm] = {"few": np.mean(history[-1]), "forgetting": (past.max(axis=0) - past[-1]).mean()}
    return arms


CLAIM = Claim(
    paper="044",
    says="with Sy-CON a network that meets tasks in turn forgets less than by finetuning",
    measure=measure,
    expects=(
        lower("forgetting", "Sy-CON", "finetuning"),
        higher("few", "Sy-CON", "finetuning"),
        higher("few", "Sy-CON", "own negatives"),
    ),
    seeds=5,
    designs=2,
)
