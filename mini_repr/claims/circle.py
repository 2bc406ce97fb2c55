"""Circle: rows of unseen classes are better retrieved than with losses that weigh all similarities alike.

Sun et al. 2020, arXiv 2002.10857, the experiments on fine-grained retrieval (training and test classes differ): circle
loss beats losses of the triplet's form. An MLP learns digits 0 to 4 and is asked for digits 5 to 9: recall at 1 of the
test images of these among their training images, in the space that the loss was trained on. "unit weights" is circle's
unified loss without weights; triplets are semi-hard ones. Each loss has the best of six settings (scale and margin; of
triplets the margin) by ndcg among a fifth of the training images of digits 3 and 4, after training on 0 to 2, over five
seeds beyond those counted. Losses at the pages' settings were tried first.
"""

from mini_repr.autograd import Tensor, no_grad
from mini_repr.claims.bench.altered import classes_of
from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.trained import SMALL, rows_of, trained
from mini_repr.data import Dataset, load
from mini_repr.metrics import knn_accuracy, label_ndcg
from mini_repr.training.config import merge

ARMS = {
    "circle": {"name": "circle", "scale": 80.0, "margin": 0.25},
    "unit weights": {"name": "circle", "weighted": False, "scale": 32.0, "margin": 0.25},
    "triplet": {"name": "triplet", "mining": "semihard", "margin": 0.05},
}


def scores_of(loss, seed, data, known, asked):
    """Of the test images of the classes asked for among their training images, after training on the known ones."""
    seen = Dataset("known digits", *(classes_of(part, known) for part in (data.train, data.test)))
    gallery, queries = (classes_of(part, asked) for part in (data.train, data.test))
    run = trained(seed, data=seen, **merge(SMALL, {"loss": loss}))
    with no_grad():
        rows, wanted = (run.method.head(Tensor(rows_of(run, part))).data for part in (gallery, queries))
    return {
        "recall@1": knn_accuracy(rows, gallery.labels, wanted, queries.labels, k=1),
        "ndcg": label_ndcg(wanted, queries.labels),
    }


def measure(seed):
    data = load("digits")
    return {name: scores_of(loss, seed, data, range(5), range(5, 10)) for name, loss in ARMS.items()}


CLAIM = Claim(
    paper="040",
    says="circle loss retrieves unseen classes better than losses that weigh all similarities alike",
    measure=measure,
    expects=(higher("recall@1", "circle", "unit weights"), higher("recall@1", "circle", "triplet")),
    seeds=8,
    designs=2,
)
