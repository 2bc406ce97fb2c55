"""Features of a denoiser: better than pixels and than an untrained one, in the middle, at little noise.

Fuest et al. 2024, arXiv 2407.00783, section 4. Wandering digits (a digit anywhere on 16 x 16 pixels), a denoiser of 16
patches and 4 blocks trained by flow matching without labels; rows are the mean token after a block, at a noise level,
one draw of noise an image. *few labels*: a linear probe with ten labels a class. Layer and noise level are chosen on a
fifth of the training rows, of both networks alike, and the map is then read on test rows: *first layer* and *most
noise* (t = 0.7) are that choice with one of the two changed.
"""

import numpy as np

from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.trained import trained
from mini_repr.data import load
from mini_repr.methods.denoiser_features import denoiser_features
from mini_repr.metrics import few_label_probe
from mini_repr.nn import Denoiser

SETTINGS = {
    "method": {"name": "flow", "conditional": False},
    "encoder": {"patch": 4, "width": 96, "depth": 4},
    "optimizer": {"lr": 2e-3},
    "train": {"epochs": 25, "batch_size": 64},
}
TIMES, NOISY = (0.0, 0.05, 0.1, 0.2, 0.35), 0.7


def probe(rows_of, fit, score):
    """Accuracy on the rows ``score`` of a probe on the rows ``fit``: each (a part of the data, numbers of its rows)."""
    (one, chosen), (other, held) = fit, score
    rows, labels = rows_of(one.images[chosen]), one.labels[chosen]
    return few_label_probe(rows, labels, rows_of(other.images[held]), other.labels[held], per_class=10)[0]


def measure(seed):
    data = load("wandering", count=3000, seed=seed)
    run = trained(seed, data=data, **SETTINGS)
    untrained = Denoiser((1, 16, 16), np.random.default_rng([seed, 1]), patch=4)
    # A fifth of the training rows chooses, the others fit; for the test rows all of them fit.
    chosen = np.arange(len(data.train)) % 5 == 0
    choosing = (data.train, ~chosen), (data.train, chosen)
    testing = (data.train, np.full(len(data.train), True)), (data.test, np.full(len(data.test), True))
    found = {"pixels": {"few labels": probe(lambda x: x.reshape(len(x), -1), *testing)}}
    for name, denoiser in (("denoiser", run.method.teacher_encoder), ("untrained", untrained)):

        def at(layer, time, parts, denoiser=denoiser):
            return probe(lambda x: denoiser_features(denoiser, x, layer, time), *parts)

        layer, time = max(
            ((layer, time) for layer in range(1, 5) for time in TIMES), key=lambda place: at(*place, choosing)
        )
        found[name] = {"few labels": at(layer, time, testing), "layer": layer, "time": time}
        if name == "denoiser":
            found["first layer"] = {"few labels": at(1, time, testing)}
            found["most noise"] = {"few labels": at(layer, NOISY, testing)}
    return found


CLAIM = Claim(
    paper="036",
    says="a denoiser's features beat pixels and an untrained one; best after the first layer, at little noise",
    measure=measure,
    expects=(
        higher("few labels", "denoiser", "pixels", by=0.05),
        higher("few labels", "denoiser", "untrained", by=0.02),
        higher("few labels", "denoiser", "first layer"),
        higher("few labels", "denoiser", "most noise", by=0.1),
    ),
    designs=1,
)
