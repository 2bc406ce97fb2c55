"""Contrastive gap: CLIP's loss parts two sets of rows, and uniformity and alignment terms bring them together again.

Fahim et al. 2024, arXiv 2405.18570: a gap opens between two encoders even where both see one modality, since CLIP's
loss leaves both sets in small parts of the sphere; terms for uniformity and alignment (CUA), and for uniformity across
the sets too (CUAXU), close it, with retrieval kept. Here: the left and the right half of each digit, an encoder each
(MLPs, 64 wide), the paper's fixed temperature 0.01 and weights 1, 30 epochs; test rows. Retrieval: a left half looks
for its right half among 360.
"""

from functools import partial

from mini_repr.claims.bench.claim import Claim, lower, no_worse
from mini_repr.claims.bench.digit_halves import rows_of_halves
from mini_repr.losses.pairs.contrastive_gap import contrastive_gap
from mini_repr.metrics import mean_reciprocal_rank, modality_gap, modality_separability

ARMS = {"CLIP": "clip", "CUA": "cua", "CUAXU": None}


def measure(seed):
    arms = {}
    for name, variant in ARMS.items():
        settings = contrastive_gap.variants[variant].settings if variant else {}
        rows = rows_of_halves(partial(contrastive_gap, **settings), seed, epochs=30)
        arms[name] = {
            "gap": modality_gap(*rows),
            "separability": modality_separability(*rows),
            "MRR": mean_reciprocal_rank(*rows),
        }
    return arms


CLAIM = Claim(
    paper="104",
    says="uniformity and alignment terms close the gap that CLIP's loss opens, and retrieval stays",
    measure=measure,
    expects=(
        *(lower("gap", arm, "CLIP", by=0.05) for arm in ("CUAXU", "CUA")),
        *(no_worse("MRR", arm, "CLIP", by=0.03) for arm in ("CUAXU", "CUA")),
    ),
    seeds=8,
)
