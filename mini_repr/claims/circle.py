"""Circle: rows of unseen classes are better retrieved than with losses that weigh all similarities alike.

Sun et al. 2020, arXiv 2002.10857, the experiments on fine-grained retrieval (training and test classes differ): circle
loss beats losses of the triplet's form. An MLP learns digits 0 to 4 and is asked for digits 5 to 9: recall at 1 of the
test images of these among their training images, in the space that the loss was trained on. "unit weights" is circle's
unified loss without weights, the same scale and margin; triplets are semi-hard ones.
"""

from mini_repr.autograd import Tensor, no_grad
from mini_repr.claims.bench.altered import classes_of
from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.trained import SMALL, rows_of, trained
from mini_repr.data import Dataset, load
from mini_repr.metrics import knn_accuracy, label_ndcg
from mini_repr.training.config import merge

ARMS = {
    "circle": {"name": "circle"},
    "circle, one for all": {"name": "circle", "over": "batch"},
    "unit weights": {"name": "circle", "weighted": False},
    "triplet": {"name": "triplet", "mining": "semihard"},
}


def measure(seed):
    digits = load("digits")
    seen = Dataset("digits 0 to 4", *(classes_of(part, range(5)) for part in (digits.train, digits.test)))
    gallery, queries = (classes_of(part, range(5, 10)) for part in (digits.train, digits.test))
    arms = {}
    for name, loss in ARMS.items():
        run = trained(seed, data=seen, **merge(SMALL, {"loss": loss}))
        with no_grad():
            rows, asked = (run.method.head(Tensor(rows_of(run, part))).data for part in (gallery, queries))
        arms[name] = {
            "recall@1": knn_accuracy(rows, gallery.labels, asked, queries.labels, k=1),
            "ndcg": label_ndcg(asked, queries.labels),
        }
    return arms


CLAIM = Claim(
    paper="040",
    says="circle loss retrieves unseen classes better than losses that weigh all similarities alike",
    measure=measure,
    expects=(higher("recall@1", "circle", "unit weights"), higher("recall@1", "circle", "triplet")),
)
