"""MMRL++: shared maps with low-rank residuals, and tokens that remember, adapt towers as well with fewer numbers.

Guo, Gu 2025, arXiv 2505.10088. The experiment of ``claim mmrl``: five classes of turned digits, ten images each, the
stand-in ``scenes-clip``, rates chosen alike. *mmrl*: a map of its own for each block and tower, and a new map of the
image's tokens; *mmrl++*: one map a tower with residuals of rank 2, a residual of rank 8 on the towers' own map, and at
each later block 0.7 of fresh tokens; *shared alone*: so, but all tokens fresh; *memory alone*: MMRL with 0.7 of fresh
tokens. *numbers*: that are fitted; the other measures as there.
"""

from mini_repr.claims.bench.adapted import Adaptation
from mini_repr.claims.bench.claim import Claim, higher, no_worse

ARMS = {
    "mmrl": {},
    "mmrl++": {"rank": 2, "map_rank": 8, "fresh": 0.7},
    "shared alone": {"rank": 2, "map_rank": 8},
    "memory alone": {"fresh": 0.7},
}


def measure(seed):
    adaptation = Adaptation(seed)
    return {arm: adaptation.measured(tokens) for arm, tokens in ARMS.items()}


CLAIM = Claim(
    paper="086",
    says="shared maps with low-rank residuals and tokens that remember adapt towers no worse, to new classes better",
    measure=measure,
    expects=(
        no_worse("both", "mmrl++", "mmrl", by=0.01),
        higher("new", "mmrl++", "mmrl"),
    ),
    seeds=8,
    designs=1,
)
