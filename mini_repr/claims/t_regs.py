"""T-REGS: a longest spanning tree on the sphere keeps the dimensions that alignment alone lets collapse.

Mordacq et al. 2025, arXiv 2510.23484: the mean squared distance of two views with the tree length as its only
regulariser trains an encoder without dimensional collapse. Digits, a small MLP, unit rows: alignment alone, with the
tree length of each view (weight 1), and, for reference, with the uniformity of each view (weight 1). Rank: effective
rank of the projected test rows, of 64 dimensions.
"""

from mini_repr.autograd import no_grad
from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.trained import SMALL, digit_scores, rows_of, trained
from mini_repr.metrics import effective_rank
from mini_repr.training.config import merge

TREE = {"t_regs": {"weight": 1.0, "normalize": True, "sphere_weight": 0.0}}
ARMS = {"alignment alone": {}, "with the tree": TREE, "with uniformity": {"uniformity": 1.0}}


def measure(seed):
    table = {}
    for name, add in ARMS.items():
        loss = {"name": "align_uniform", "uniformity_weight": 0.0}
        run = trained(seed, **merge(SMALL, {"loss": loss, "add": add}))
        with no_grad():
            projected = run.method.projector(rows_of(run, run.data.test)).data
        table[name] = {**digit_scores(run), "rank": effective_rank(projected)}
    return table


CLAIM = Claim(
    paper="102",
    says="lengthening the minimum spanning tree of a batch prevents the collapse of dimensions under alignment",
    measure=measure,
    expects=(
        higher("rank", "with the tree", "alignment alone"),
        higher("knn", "with the tree", "alignment alone"),
        higher("probe", "with the tree", "alignment alone"),
    ),
    seeds=5,
)
