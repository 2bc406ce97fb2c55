"""SimMIM: what matters in masked image modelling are the task's size and where the loss looks, not the head.

Xie et al. 2021, arXiv 2111.09886. Digits, 16 patches of 2 x 2 pixels, of which units of one or of four are replaced by
a mask token; raw pixels rebuilt by a linear head, equal steps. Compared: the loss of hidden patches alone or of all;
its norm; the ratio that is best for each size of the unit, of which the paper finds a lower one best for a larger unit.
*few labels*: a linear probe with ten labels a class.
"""

from mini_repr.claims.bench.claim import Claim, Expectation, higher, no_worse
from mini_repr.claims.bench.trained import few_labels, trained
from mini_repr.training.config import merge

COMMON = {
    "loss": {"name": "masked_regression", "norm": "l1", "normalize_target": False},
    "encoder": {"name": "vit", "width": 48, "depth": 2},
    "train": {"epochs": 15, "batch_size": 64},
    "method": {"style": "simmim", "ratio": 0.5},
}
ALIKE = 0.02
RATIOS = (0.25, 0.5, 0.75)
ARMS = {
    "hidden, L1": {},
    "all, L1": {"loss": {"over": "all"}},
    "hidden, L2": {"loss": {"norm": "l2"}},
    **{f"unit {u}, {r}": {"method": {"unit": u, "ratio": r}} for u in (1, 2) for r in RATIOS if (u, r) != (1, 0.5)},
}


def measure(seed):
    runs = {arm: trained(seed, **merge(COMMON, own)) for arm, own in ARMS.items()}
    return {arm: {"few labels": few_labels(run.method.encoder, run.data)} for arm, run in runs.items()}


def best_ratio(arms, unit):
    """The ratio with the best probe; arms of one seed."""
    names = {ratio: "hidden, L1" if (unit, ratio) == (1, 0.5) else f"unit {unit}, {ratio}" for ratio in RATIOS}
    return max(RATIOS, key=lambda ratio: arms[names[ratio]]["few labels"])


CLAIM = Claim(
    paper="020",
    says="the loss of hidden patches beats that of all, its norm matters little, larger units want a lower ratio",
    measure=measure,
    expects=(
        higher("few labels", "hidden, L1", "all, L1"),
        no_worse("few labels", "hidden, L1", "hidden, L2", by=ALIKE),
        no_worse("few labels", "hidden, L2", "hidden, L1", by=ALIKE),
        Expectation("best ratio: unit 2 < unit 1", lambda arms: best_ratio(arms, 1) - best_ratio(arms, 2)),
    ),
)
