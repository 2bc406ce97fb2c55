"""Classification with masked image modelling beside it: rows that retrieve better than those of classification alone.

Chen et al. 2023, arXiv 2312.00950. A classifier of wandering digits from few labelled images, which it learns by heart,
and the same with hidden patches filled in by a decoder beside it (numbers of a codebook, or pixels), equal steps.
Tested on other images, of digits never drawn for training: accuracy, and *knn*, the nearest neighbours of the class
token.
"""

from mini_repr.autograd import no_grad
from mini_repr.claims.bench.claim import Claim, higher, no_worse
from mini_repr.claims.bench.trained import labelled_rows, trained
from mini_repr.data import Dataset, load
from mini_repr.metrics import knn_accuracy
from mini_repr.training.config import merge

COMMON = {
    "loss": {"name": "cross_entropy"},
    "encoder": {"name": "vit", "width": 48, "depth": 3, "patch": 4, "pooling": "cls"},
    "train": {"epochs": 100, "batch_size": 60},
    "method": {"views": ""},
}
JOINT = {"name": "supervised_masked", "decoder_width": 48}
ARMS = {
    "classification": {"name": "classifier"},
    "with codes": {**JOINT, "predict": "codes"},
    "with pixels": {**JOINT, "predict": "pixels"},
}


def accuracy(run):
    part = run.data.test
    with no_grad():
        scores = run.method.head(run.method.encoder(part.images).pooled).data
    return float((scores.argmax(axis=1) == part.labels).mean())


def measure(seed):
    data = Dataset("wandering", load("wandering", count=300, seed=seed).train, load("wandering", count=3000).test)
    found = {}
    for arm, method in ARMS.items():
        run = trained(seed, data=data, **merge(COMMON, {"method": method}))
        run.method.eval()
        found[arm] = {"knn": knn_accuracy(*labelled_rows(run.method.encoder, data), k=10), "accuracy": accuracy(run)}
    return found


CLAIM = Claim(
    paper="034",
    says="from few labels, filling in hidden patches beside classification gives rows that retrieve better",
    measure=measure,
    expects=(
        higher("knn", "with codes", "classification"),
        no_worse("accuracy", "with codes", "classification", by=0.01),
    ),
)
