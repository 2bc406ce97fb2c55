"""Features for click-through rates: bins of numbers, crosses of fields and products of vectors each add to the rest.

Lyu et al. 2023, arXiv 2302.02241, a survey: which features, and how each is represented, decide what a click model can
learn. Here: a generated table of 12 categories and 2 numbers whose clicks depend on products of pairs of values, on a
curve of one number, and on two categories together; 16,000 rows, 4 epochs of batches of 256, 8 dimensions. *LR*:
logistic regression; *FM*: factorisation machine; *DeepFM*: beside it a network of two layers of 64; *DCN*: that network
and two cross layers. *Bins*: each number cut into 16 bins of equal frequency (else as it is); *cross*: the category of
the two together; *soft bins*: AutoDis; *selected*: values whose vectors stay below a learned threshold do not count
(OptEmbed, penalty 0.003). Measured: area under the ROC curve and log loss on 4,000 test rows, and the share of values
that count. Rates: for each arm the best of 0.004, 0.008 and 0.016, and the penalty of 0.003, 0.01 and 0.03, by the AUC
on a fifth of the training rows of seed 0. Searched dimensions, of which the survey speaks too, are not measured. The
first design had no selection.
"""

from mini_repr.claims.bench.claim import Claim, below, higher, no_worse
from mini_repr.claims.bench.trained import trained
from mini_repr.data import load
from mini_repr.training.evaluation import compare_answers

BINS, CROSS = {"numbers": "equal_frequency"}, "c6*c7"
LR, FM, DEEP_FM, DCN = {"pairs": False, "hidden": 0}, {"hidden": 0}, {}, {"pairs": False, "cross_layers": 2}
ARMS = {
    "LR": (LR, {}, "", 0.016),
    "LR, bins": (LR, BINS, "", 0.016),
    "FM": (FM, {}, "", 0.008),
    "FM, bins": (FM, BINS, "", 0.008),
    "FM, bins, cross": (FM, BINS, CROSS, 0.004),
    "FM, soft bins, cross": (FM, {"numbers": "soft_bins"}, CROSS, 0.008),
    "DeepFM": (DEEP_FM, {}, "", 0.008),
    "DeepFM, bins, cross": (DEEP_FM, BINS, CROSS, 0.008),
    "DCN, bins, cross": (DCN, BINS, CROSS, 0.016),
    "DeepFM, selected": ({"threshold_weight": 0.003}, {**BINS, "selected": True}, CROSS, 0.008),
}


def answers(data, seed, method, encoder, lr):
    """{"auc", "log_loss"} on the test rows of a table and, of selected values, the share of "kept" ones."""
    run = trained(
        seed,
        data=data,
        loss={"name": "cross_entropy"},
        method={"name": "click_through", **method},
        encoder={"name": "fields", **encoder},
        train={"epochs": 4, "batch_size": 256},
        optimizer={"lr": lr, "weight_decay": 0.02},
    )
    kept = {"kept": run.method.encoder.kept()} if encoder.get("selected") else {}
    return {**compare_answers(run.method, data)["trained"], **kept}


def measure(seed):
    tables, arms = {crosses: load("clicks", seed=seed, crosses=crosses) for crosses in ("", CROSS)}, {}
    for arm, (method, encoder, crosses, lr) in ARMS.items():
        arms[arm] = answers(tables[crosses], seed, method, encoder, lr)
    return arms


CLAIM = Claim(
    paper="043",
    says="bins of numbers, crosses of fields and products of vectors each add to what a click model knows",
    measure=measure,
    expects=(
        higher("auc", "FM", "LR", by=0.01),
        higher("auc", "LR, bins", "LR", by=0.01),
        higher("auc", "FM, bins", "FM", by=0.01),
        higher("auc", "FM, bins, cross", "FM, bins", by=0.01),
        higher("auc", "DeepFM, bins, cross", "DeepFM", by=0.01),
        no_worse("auc", "DeepFM, selected", "DeepFM, bins, cross", by=0.005),
        below("kept", "DeepFM, selected", 0.9),
    ),
    seeds=5,
    designs=2,
)
