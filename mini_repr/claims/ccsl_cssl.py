"""CCSL, CSSL: BYOL's encoder needs no batch norm, and BYOL gains from pulling at similar rows of the batch too.

Garg, Jain 2022, arXiv 2204.04545, table 1 (STL10, linear evaluation): an encoder without batch norm falls far behind,
with layer norm and standardised weights it comes near to one with it; CCSL adds most to BYOL, CSSL some. The official
code keeps batch norm in projector and predictor. Digits, with batch norm, layer norm or none in the encoder and batch
norm in the heads as there, and with layer norm in all; the two losses with batch norm, at the official threshold.
``few``: linear evaluation with ten labels per class.
"""

from functools import partial

from mini_repr.claims.bench.bootstrap import bootstrapped, probe_scores
from mini_repr.claims.bench.claim import Claim, higher, no_worse
from mini_repr.data import load
from mini_repr.losses.teachers.cross_similarity import cross_similarity

ARMS = {
    "BYOL, batch norm": (("batch", "batch"), {"weight": 0.0}),
    "BYOL, layer norm": (("layer", "batch"), {"weight": 0.0}),
    "BYOL, no norm": ((None, "batch"), {"weight": 0.0}),
    "BYOL, layer norm in heads too": (("layer", "layer"), {"weight": 0.0}),
    "CCSL": (("batch", "batch"), {"form": "cosine"}),
    "CSSL": (("batch", "batch"), {"form": "sigmoid"}),
}


def measure(seed):
    data = load("digits")

    def loss_of(predictions, targets, settings):
        return cross_similarity(*predictions, *targets, **settings)

    arms = {"untrained": probe_scores(bootstrapped(data.train, None, seed, epochs=0)[0], data)}
    for arm, (norms, settings) in ARMS.items():
        encoder, _ = bootstrapped(data.train, partial(loss_of, settings=settings), seed, norms=norms)
        arms[arm] = probe_scores(encoder, data)
    return arms


CLAIM = Claim(
    paper="061",
    says="BYOL learns with no batch norm in its encoder, and learns more with CCSL",
    measure=measure,
    expects=(
        no_worse("few", "BYOL, layer norm", "BYOL, batch norm", by=0.02),
        higher("few", "BYOL, layer norm", "BYOL, no norm"),
        higher("few", "CCSL", "BYOL, batch norm"),
    ),
    seeds=5,
)
