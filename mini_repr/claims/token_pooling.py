"""Token pooling: clusters of tokens keep what dropping the least attended ones loses.

Marin et al. 2021, arXiv 2110.03860. A ViT of four blocks learns to classify wandering digits from 64 patches; then,
with no more training, half of its patch tokens are left after each block but the last: as weighted K-medoids, as
weighted K-means, as those that receive most attention, or the whole is kept. *kept*: the accuracy on test images, over
that with all tokens. Tried before: half as many epochs, after which the classifier is poor.
"""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.trained import trained
from mini_repr.data import load
from mini_repr.tokens import PooledViT

SETTINGS = {
    "loss": {"name": "cross_entropy"},
    "encoder": {"name": "vit", "width": 32, "depth": 4, "patch": 2},
    "train": {"epochs": 16, "batch_size": 64},
    "method": {"views": ""},
}
ARMS = {"K-medoids": "medoids", "K-means": "means", "most attended": "top"}
TESTED = 500


def accuracy(run, encoder):
    part = run.data.test
    with no_grad():
        scores = run.method.head(encoder(part.images[:TESTED]).pooled).data
    return float((scores.argmax(axis=1) == part.labels[:TESTED]).mean())


def measure(seed):
    run = trained(seed, data=load("wandering", count=3000, seed=seed), **SETTINGS)
    whole = accuracy(run, run.method.encoder)
    found = {"all tokens": {"accuracy": whole, "kept": 1.0}}
    for arm, by in ARMS.items():
        encoder = PooledViT(
            run.data.train.images.shape[1:], np.random.default_rng(0), by=by, **_own(run.settings["encoder"])
        )
        encoder.load_state_dict(run.method.encoder.state_dict())
        found[arm] = {"accuracy": accuracy(run, encoder)}
        found[arm]["kept"] = found[arm]["accuracy"] / whole
    return found


def _own(settings):
    return {name: settings[name] for name in ("width", "depth", "patch", "heads", "mlp_ratio", "positions")}


CLAIM = Claim(
    paper="024",
    says="of half the tokens from block to block, clusters keep more of a classifier's accuracy than the most attended",
    measure=measure,
    expects=(higher("kept", "K-medoids", "most attended"), higher("kept", "K-means", "most attended")),
    designs=2,
)
