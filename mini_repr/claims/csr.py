"""CSR: of equal active size, sparse codes of frozen rows find the class far better than short rows do.

Wen et al. 2025, arXiv 2503.01776. Rows of 64 columns from an MLP, InfoNCE on the digits, 40 epochs. *k=2, 4, 8*:
accuracy of the nearest training row by cosine, for test rows, with k active numbers per row: codes of 256 units
(*CSR*), the same without its contrast (*γ = 0*), the k first principal components, the first k columns, and the first k
columns of an encoder whose rows were compared, without a head, at 2, 4, 8, 16 and 64 columns (*Matryoshka*). *all*: of
the 64 columns. Nothing is tuned.
"""

import numpy as np

from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.trained import labelled_rows, trained
from mini_repr.metrics import knn_accuracy
from mini_repr.posthoc.csr import CSR

SETTINGS = {"encoder": {"name": "mlp", "width": 64, "hidden": 256, "depth": 2}, "train": {"epochs": 40}}
SIZES = (2, 4, 8)


def nearest(train, labels, test, test_labels):
    """Accuracy by the nearest row; of sparse codes a row may be zero, and is then near to none."""
    pair = [np.ascontiguousarray(rows, np.float32) for rows in (train, test)]
    return knn_accuracy(pair[0], labels, pair[1], test_labels, k=1)


def measure(seed):
    run = trained(seed, loss={"name": "infonce"}, **SETTINGS)
    train, labels, test, test_labels = labelled_rows(run.method.encoder, run.data)
    headless = {"layers": 0, "dimensions": 64}
    nested = trained(seed, loss={"name": "infonce", "matryoshka": [2, 4, 8, 16, 64]}, heads=headless, **SETTINGS)
    nested_train, _, nested_test, _ = labelled_rows(nested.method.encoder, nested.data)
    mean = train.mean(axis=0)
    components = np.linalg.svd(train - mean, full_matrices=False)[2].T
    arms = {name: {} for name in ("CSR", "γ = 0", "components", "columns", "Matryoshka")}
    for k in SIZES:
        codes = {
            name: CSR(k, hidden=256, contrast=contrast, seed=seed).fit(train)
            for name, contrast in (("CSR", 0.1), ("γ = 0", 0.0))
        }
        short = {name: (one.transform(train), one.transform(test)) for name, one in codes.items()} | {
            "components": ((train - mean) @ components[:, :k], (test - mean) @ components[:, :k]),
            "columns": (train[:, :k], test[:, :k]),
            "Matryoshka": (nested_train[:, :k], nested_test[:, :k]),
        }
        for name, (x, y) in short.items():
            arms[name][f"k={k}"] = nearest(x, labels, y, test_labels)
    return arms | {"all": {"k=64": nearest(train, labels, test, test_labels)}}


CLAIM = Claim(
    paper="030",
    says="of equal active size, sparse codes of frozen rows find the class far better than short rows do",
    measure=measure,
    expects=(
        *(higher(f"k={k}", "CSR", "Matryoshka", by=0.05) for k in SIZES),
        *(higher(f"k={k}", "CSR", "columns", by=0.05) for k in SIZES),
        *(higher(f"k={k}", "CSR", "components") for k in SIZES),
    ),
)
