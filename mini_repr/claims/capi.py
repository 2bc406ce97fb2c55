"""CAPI: clusters that are shared out at every position say what a patch shows; over all positions, also where it is.

Darcet et al. 2025, arXiv 2502.08769, section 3.2. Wandering digits, a ViT of 16 patches, 48 clusters, equal steps;
arms: the assignment of clusters at each position (*positionwise*) and over all positions at once. *information*: of a
test patch's position and its cluster, in nats, at most log 16 = 2.77; *used*: the share of the clusters that occur;
*few labels*: a linear probe with ten labels a class. Tried before, with one seed: the default views, under which half
of the clusters stay empty; 18 epochs; a momentum of 0.9.
"""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.claims.bench.claim import Claim, above, higher, lower
from mini_repr.claims.bench.trained import few_labels, trained
from mini_repr.data import load
from mini_repr.metrics import position_information
from mini_repr.training.config import merge

COMMON = {
    "encoder": {"name": "vit", "width": 48, "depth": 3, "patch": 4},
    "method": {"name": "capi", "decoder_width": 48, "clusters": 48, "views": ""},
    "train": {"epochs": 60, "batch_size": 128},
}
ARMS = {"positionwise": "position", "over all": "all"}


def measure(seed):
    found, data = {}, load("wandering", count=3000, seed=seed)
    for arm, over in ARMS.items():
        run = trained(seed, data=data, **merge(COMMON, {"loss": {"name": "cluster_prediction", "over": over}}))
        with no_grad():
            logits = run.method.teacher_logits(data.test.images).data
        found[arm] = {
            "information": position_information(logits),
            "used": len(np.unique(logits.argmax(axis=-1))) / logits.shape[-1],
            "few labels": few_labels(run.method.encoder, data),
        }
    return found


CLAIM = Claim(
    paper="049",
    says="clusters shared out at each position do not tell where a patch is, shared out over all positions they do",
    measure=measure,
    expects=(
        lower("information", "positionwise", "over all", by=0.05),
        above("used", "positionwise", 0.5),
        higher("few labels", "positionwise", "over all"),
    ),
    designs=4,
)
