"""CIP: added to softmax, it makes rows easier to retrieve.

Li et al. 2019, arXiv 1906.00546: 3D shape retrieval with the CIP loss, alone or added to softmax, beats softmax. An MLP
classifies digits; the loss acts on the rows that the classifier reads. Retrieval among the test rows by cosine (ndcg);
"within" and "across" are the mean cosines of pairs of one class and of two.
"""

from mini_repr.autograd import unit_rows
from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.trained import SMALL, rows_of, trained
from mini_repr.metrics import label_ndcg, tolerance
from mini_repr.training.config import merge

ARMS = {
    "softmax": {"loss": {"name": "cross_entropy"}},
    "softmax and CIP": {"loss": {"name": "cross_entropy"}, "add": {"cip": 1.0}},
    "CIP": {"loss": {"name": "cip"}},
}


def measure(seed):
    arms = {}
    for name, sections in ARMS.items():
        run = trained(seed, **merge(SMALL, sections))
        test = run.data.test
        rows = rows_of(run, test)
        u = unit_rows.on_arrays(rows)[0]
        across = (u @ u.T)[test.labels[:, None] != test.labels].mean()
        arms[name] = {
            "ndcg": label_ndcg(rows, test.labels),
            "within": tolerance(rows, test.labels),
            "across": float(across),
        }
    return arms


CLAIM = Claim(
    paper="076",
    says="with CIP added to softmax, rows of a class are retrieved better",
    measure=measure,
    expects=(higher("ndcg", "softmax and CIP", "softmax", by=0.005),),
    seeds=8,
)
