"""MW loss: better area under the ROC curve than the contrastive loss, whose scores need no common threshold.

Sheikholeslami et al. 2025, arXiv 2510.00137: retrievers trained on all differences of positive and negative scores
against ones trained by the contrastive loss (InfoNCE from queries to passages). Here, on WordNet: definitions look for
their examples among 1,868 unseen ones ("examples"), and words for their definitions among 2,473 ("words"); two towers
of shared weights, temperature 0.1, the same start, batches and 3 epochs for all. InfoNCE in both directions, no
baseline of the paper, is there for the examples too. AUC: partners against all other pairs of the test set.
"""

from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.trained import pair_rows, trained
from mini_repr.data import load
from mini_repr.metrics import auc, mean_reciprocal_rank

ARMS = {
    "InfoNCE": {"name": "infonce", "temperature": 0.1, "symmetric": False},
    "InfoNCE both ways": {"name": "infonce", "temperature": 0.1},
    "MW": {"name": "mw_loss", "temperature": 0.1},
}
TEXTS = {"examples": "definition-example", "words": "word-definition"}


def measure(seed):
    arms = {name: {} for name in ARMS}
    for texts, kind in TEXTS.items():
        data = load("glosses", kind=kind)
        for name in ARMS if texts == "examples" else ("InfoNCE", "MW"):
            rows = pair_rows(trained(seed, data=data, loss=ARMS[name], train={"epochs": 3}), data.test)
            arms[name] |= {f"AUC, {texts}": auc(*rows), f"MRR, {texts}": mean_reciprocal_rank(*rows)}
    return arms


CLAIM = Claim(
    paper="113",
    says="all differences of scores, trained at once, give a larger area under the ROC curve than InfoNCE",
    measure=measure,
    expects=tuple(higher(f"AUC, {texts}", "MW", "InfoNCE") for texts in TEXTS),
    seeds=8,
)
