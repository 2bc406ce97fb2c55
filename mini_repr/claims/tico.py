"""TiCo: at small batches it learns more than losses that have only the batch to contrast with.

Zhu et al. 2022, arXiv 2206.10698, abstract: covariance contrast is MoCo with an endless memory, so that it does better
than others when batches are small. Here: batches of 8 digits, 5 epochs, an MLP. TiCo, its form without memory (decay 0)
and without the covariance term, and InfoNCE in one direction (t = 0.2, as digits like it) look at the same moving
average as teacher; Barlow Twins and VICReg train both views, as they are meant to. All other settings are the pages'
defaults. *rank*: effective rank of the test rows.
"""

from mini_repr.backend import CPU
from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.trained import scores
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


def measure(seed):
    data = load("digits")
    arms = {  # the loss and the momentum of its teacher
        "TiCo": (tico_of(), 0.9),
        "TiCo without memory": (tico_of(decay=0.0), 0.9),
        "invariance alone": (tico_of(covariance_weight=0.0), 0.9),
        "InfoNCE": (lambda views, index: infonce(*views, temperature=0.2, symmetric=False), 0.9),
        "Barlow Twins": (lambda views, index: barlow_twins(*views), None),
        "VICReg": (lambda views, index: vicreg(*views), None),
    }
    found = {}
    for name, (loss_of, teacher) in arms.items():
        encoder = trained_on_views(data.train, loss_of, seed, teacher=teacher, epochs=5, batch=8)
        found[name] = {**scores(encoder, data), "rank": effective_rank(encode(encoder, data.test.images, CPU))}
    return found


CLAIM = Claim(
    paper="033",
    says="in batches of 8, TiCo is better than InfoNCE, Barlow Twins and VICReg, and than without its covariance term",
    measure=measure,
    expects=(
        higher("knn", "TiCo", "InfoNCE"),
        higher("knn", "TiCo", "Barlow Twins"),
        higher("knn", "TiCo", "VICReg"),
        higher("knn", "TiCo", "invariance alone"),
    ),
)
