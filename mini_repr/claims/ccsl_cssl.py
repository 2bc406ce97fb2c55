"""CCSL, CSSL: BYOL needs no batch norm, and gains from pulling at similar rows of the batch too.

Garg, Jain 2022, arXiv 2204.04545, table 1 (STL10): BYOL without batch norm falls far behind, with layer norm (and
weights standardised) it comes near to batch norm; CCSL adds most, CSSL some. Digits, the same networks with batch norm,
layer norm or none in encoder, projector and predictor; the two losses on batch norm, as in the official code's heads.
"""

from functools import partial

from mini_repr.claims.bootstrap import bootstrapped
from mini_repr.claims.claim import Claim, higher
from mini_repr.claims.views import scores
from mini_repr.data import load
from mini_repr.losses.teachers.cross_similarity import cross_similarity

ARMS = {
    "BYOL, batch norm": ("batch", {"weight": 0.0}),
    "BYOL, layer norm": ("layer", {"weight": 0.0}),
    "BYOL, no norm": (None, {"weight": 0.0}),
    "CCSL": ("batch", {"form": "cosine"}),
    "CSSL": ("batch", {"form": "sigmoid"}),
}


def measure(seed):
    data = load("digits")

    def loss_of(predictions, targets, settings):
        return cross_similarity(*predictions, *targets, **settings)

    arms = {"untrained": scores(bootstrapped(data.train, None, seed, epochs=0)[0], data)}
    for arm, (norm, settings) in ARMS.items():
        encoder, _ = bootstrapped(data.train, partial(loss_of, settings=settings), seed, norm=norm)
        arms[arm] = scores(encoder, data)
    return arms


CLAIM = Claim(
    paper="061",
    says="BYOL learns without batch norm, and learns more with CCSL",
    measure=measure,
    expects=(higher("knn", "BYOL, layer norm", "untrained"), higher("knn", "CCSL", "BYOL, batch norm")),
)
