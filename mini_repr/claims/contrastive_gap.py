"""Contrastive gap: CLIP's loss parts two sets of rows, and uniformity and alignment terms bring them together again.

Fahim et al. 2024, arXiv 2405.18570: a gap opens between two encoders even where both see one modality, since CLIP's
loss leaves both sets in small parts of the sphere; terms for uniformity and alignment (CUA), and for uniformity across
the sets too (CUAXU), close it, with retrieval kept. Here: the left and the right half of each digit, an encoder each
(MLPs, 64 wide), the paper's fixed temperature 0.01 and weights 1, 30 epochs; test rows. Retrieval: a left half looks
for its right half among 360.
"""

import numpy as np

from mini_repr.backend import CPU
from mini_repr.claims.claim import Claim, Expectation, lower
from mini_repr.claims.fitting import fit
from mini_repr.data import load
from mini_repr.losses.pairs.contrastive_gap import contrastive_gap
from mini_repr.methods import encode
from mini_repr.metrics import mean_reciprocal_rank, modality_gap, modality_separability
from mini_repr.nn import ImageMLP

ARMS = {"CLIP": "clip", "CUA": "cua", "CUAXU": None}
KEPT = 0.03


def halves(part):
    return [np.ascontiguousarray(part.images[..., side]) for side in (slice(0, 4), slice(4, 8))]


def measure(seed):
    data, arms = load("digits"), {}
    train, test = halves(data.train), halves(data.test)
    for name, variant in ARMS.items():
        rng = np.random.default_rng(seed)
        encoders = [ImageMLP((1, 8, 4), rng, width=64, hidden=256, depth=2) for _ in train]
        settings = contrastive_gap.variants[variant].settings if variant else {}

        def loss_of(index, encoders=encoders, settings=settings):
            return contrastive_gap(*(e(x[index]).pooled for e, x in zip(encoders, train, strict=True)), **settings)

        parameters = {f"{k}.{n}": p for k, e in enumerate(encoders) for n, p in e.named_parameters().items()}
        fit(parameters, loss_of, len(train[0]), rng, steps=30 * len(train[0]) // 128, batch=128, lr=1e-3)
        rows = [encode(e, x, CPU) for e, x in zip(encoders, test, strict=True)]
        arms[name] = {
            "gap": modality_gap(*rows),
            "separability": modality_separability(*rows),
            "MRR": mean_reciprocal_rank(*rows),
        }
    return arms


def kept(arm):
    says = f"MRR: {arm} no more than {KEPT} below CLIP"
    return Expectation(says, lambda arms: arms[arm]["MRR"] - arms["CLIP"]["MRR"] + KEPT)


CLAIM = Claim(
    paper="104",
    says="uniformity and alignment terms close the gap that CLIP's loss opens, and retrieval stays",
    measure=measure,
    expects=(lower("gap", "CUAXU", "CLIP"), lower("gap", "CUA", "CLIP"), kept("CUAXU"), kept("CUA")),
    seeds=5,
)
