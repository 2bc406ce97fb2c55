"""TriBYOL: with small batches a third view and a second teacher learn more than BYOL from as many views.

Li et al. 2022, arXiv 2206.03012: better than BYOL at small batch sizes. Digits, batches of 16, both teachers moving in
turn; BYOL has the same loss on two views and one teacher. As three views cost more a step, BYOL has one and a half
times the epochs of TriBYOL ("as many views"); BYOL with as many epochs, the paper's comparison, is shown too. Each has
the learning rate of three that was best (``few``) on a fifth of the training rows, on a seed beyond those counted.
``few``: linear evaluation with ten labels per class. Other epochs and a probe with all labels were tried first, then
a comparison at equal epochs.
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


ARMS = {
    "BYOL": (byol_loss, {"epochs": EPOCHS, "lr": 1e-3}),
    "BYOL, as many views": (byol_loss, {"epochs": EPOCHS * 3 // 2, "lr": 1e-3}),
    "TriBYOL": (tribyol_loss, {"epochs": EPOCHS, "views": 3, "teachers": 2, "lr": 3e-3}),
}


def measure(seed, data=None):
    data = data or load("digits")
    return {
        arm: probe_scores(bootstrapped(data.train, loss, seed, batch=16, **settings)[0], data)
        for arm, (loss, settings) in ARMS.items()
    }


CLAIM = Claim(
    paper="071",
    says="with batches of 16, TriBYOL's rows are better than BYOL's from as many views",
    measure=measure,
    expects=(higher("few", "TriBYOL", "BYOL, as many views"), higher("knn", "TriBYOL", "BYOL, as many views")),
    seeds=5,
    designs=4,
)
