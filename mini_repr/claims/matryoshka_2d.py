"""2D Matryoshka: one training gives rows that can be cut short in width and in depth.

Li et al. 2024, arXiv 2402.14776: besides the last layer, whole and cut to d columns, each step trains a random earlier
layer, whole and cut, and draws its similarities to those of the last layer (a KL divergence); short rows of early
layers are poor after plain training, and after Matryoshka on the last layer alone. Here: a copy of a definition
(WordNet) that lost 60% of its words looks for another such copy among those of 1,000 unseen definitions; a transformer
over words of three blocks, 64 wide, d = 16, as ``train`` does it with ``--matryoshka 16,64 --set
method.inner_layers=true``. Measured: the mean reciprocal rank of the rows of a layer and of their first columns. All
arms have the same start, batches and settings. Words and their definitions, near chance, were tried first.
"""

import numpy as np

from mini_repr.backend import CPU
from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.copies import pairs_of_copies
from mini_repr.claims.bench.trained import pair_rows, trained
from mini_repr.methods import encode_layers
from mini_repr.metrics import mean_reciprocal_rank

WIDTH, CUT, DEPTH = 64, 16, 3
NESTED = {"loss": {"matryoshka": [CUT, WIDTH]}}
ARMS = {"plain": {}, "Matryoshka": NESTED, "2D": {**NESTED, "method": {"inner_layers": True}}}


def measure(seed):
    data, arms = pairs_of_copies(3000, 1000, np.random.default_rng(seed), lost=0.6), {}
    for name, settings in ARMS.items():
        run = trained(
            seed,
            data=data,
            loss={"name": "infonce", "temperature": 0.05, **settings.get("loss", {})},
            encoder={"name": "text_transformer", "width": WIDTH, "depth": DEPTH},
            method=settings.get("method", {}),
            train={"epochs": 4},
        )
        inner = [encode_layers(run.method.encoder, texts, CPU)[0] for texts in (data.test.a, data.test.b)]
        arms[name] = {
            f"layer {layer}, {columns}": mean_reciprocal_rank(*(rows[:, :columns] for rows in sides))
            for layer, sides in ((1, inner), (DEPTH, pair_rows(run, data.test)))
            for columns in (CUT, WIDTH)
        }
    return arms


CLAIM = Claim(
    paper="037",
    says="rows of an early layer, cut short, retrieve better after training that samples layers and widths",
    measure=measure,
    expects=(
        higher(f"layer 1, {CUT}", "2D", "Matryoshka"),
        higher(f"layer 1, {CUT}", "2D", "plain"),
        higher(f"layer {DEPTH}, {CUT}", "2D", "plain"),
    ),
    seeds=5,
    designs=2,
)
