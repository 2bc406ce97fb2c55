"""TiCo: at small batches it learns more than losses that have only the batch to contrast with.

Zhu et al. 2022, arXiv 2206.10698, abstract: covariance contrast is MoCo with an endless memory, so that it does better
than others when batches are small. Here: batches of 8 digits, 5 epochs, an MLP. TiCo, its form without memory (decay 0)
and without the covariance term, and InfoNCE in one direction look at the same moving average as teacher; Barlow Twins
and VICReg train both views, as they are meant to. The losses have six settings each, two learning rates and three of
their own main setting, and the best of them by *few* on a fifth of the training rows, on a seed beyond those counted;
TiCo's forms have TiCo's. *few*: linear evaluation with ten labels per class; *rank*: effective rank
of the test rows. The pages' settings were tried first, then a choice by nearest neighbours, which hardly tell.
"""

from functools import partial

from mini_repr.backend import CPU
from mini_repr.claims.bench.bootstrap import probe_scores
from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.views import trained_on_views
from mini_repr.data import load
from mini_repr.losses.pairs.barlow_twins import barlow_twins
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.losses.pairs.tico import tico
from mini_repr.losses.pairs.vicreg import vicreg
from mini_repr.methods import encode
from mini_repr.methods.state import updated_covariance
from mini_repr.metrics import effective_rank


def tico_of(decay=0.9, **settings):
    """TiCo with its covariance kept from batch to batch."""
    covariance = None

    def loss_of(views, index):
        nonlocal covariance
        loss = tico(*views, covariance, decay=decay, **settings)
        covariance = updated_covariance(covariance, views[0].data, decay)
        return loss

    return loss_of


def loss_of_pairs(loss, **settings):
    return lambda views, index: loss(*views, **settings)


ARMS = {  # makes the loss, momentum of its teacher, learning rate
    "TiCo": (partial(tico_of, covariance_weight=4.0), 0.9, 3e-3),
    "TiCo without memory": (partial(tico_of, covariance_weight=4.0, decay=0.0), 0.9, 3e-3),
    "invariance alone": (partial(tico_of, covariance_weight=0.0), 0.9, 3e-3),
    "InfoNCE": (partial(loss_of_pairs, infonce, temperature=0.2, symmetric=False), 0.9, 3e-3),
    "Barlow Twins": (partial(loss_of_pairs, barlow_twins, redundancy_weight=0.02), None, 1e-3),
    "VICReg": (partial(loss_of_pairs, vicreg, covariance_weight=4.0), None, 3e-3),
}


def scores_of(make, teacher, lr, seed, data):
    encoder = trained_on_views(data.train, make(), seed, teacher=teacher, epochs=5, batch=8, lr=lr)
    return {**probe_scores(encoder, data), "rank": effective_rank(encode(encoder, data.test.images, CPU))}


def measure(seed):
    data = load("digits")
    return {name: scores_of(*arm, seed, data) for name, arm in ARMS.items()}


CLAIM = Claim(
    paper="033",
    says="in batches of 8, TiCo is better than InfoNCE, Barlow Twins and VICReg, and than without its covariance term",
    measure=measure,
    expects=(
        higher("few", "TiCo", "InfoNCE"),
        higher("few", "TiCo", "Barlow Twins"),
        higher("few", "TiCo", "VICReg"),
        higher("few", "TiCo", "invariance alone"),
    ),
    seeds=5,
    designs=3,
)
