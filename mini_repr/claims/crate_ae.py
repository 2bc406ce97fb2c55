"""CRATE's autoencoder: a decoder that undoes the encoder's layers rebuilds masked images nearly as well as a ViT.

Yu et al. 2023, arXiv 2311.13110. Digits, 16 patches, three quarters hidden, a learned token in their place, as many
steps: CRATE with four layers and its inverse with four; a ViT of eight. *error*: of hidden test patches, each
normalised, so that 1 is the mean's; *weights*: in thousands; *few labels*: a linear probe of the mean of the tokens
after the fourth layer with ten labels a class. The threshold of CRATE is the official 0.5. The paper's reconstructions
are near a ViT's with about a third of its weights.
"""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.claims.bench.claim import Claim, Expectation, below
from mini_repr.claims.bench.trained import trained
from mini_repr.losses.reconstruction.masked_regression import masked_regression
from mini_repr.metrics import few_label_probe
from mini_repr.training.config import merge

COMMON = {
    "loss": {"name": "masked_regression"},
    "encoder": {"width": 48, "heads": 4, "patch": 2, "positions": "sine"},
    "method": {"views": ""},
    "train": {"epochs": 60, "batch_size": 64},
}
ARMS = {
    "CRATE": {"encoder": {"name": "crate", "depth": 4, "threshold": 0.5}, "method": {"style": "crate"}},
    "ViT": {"encoder": {"name": "vit", "depth": 8}, "method": {"style": "simmim"}},
}
NEAR = 1.15


def measure(seed):
    found = {}
    for arm, own in ARMS.items():
        run = trained(seed, **merge(COMMON, own))
        method, data = run.method, run.data
        method.eval()
        with no_grad():
            mask = method.sample(data.test.images, np.random.default_rng(seed))[1]
            prediction, _ = method.embed(data.test.images, mask)
            error = masked_regression(prediction.data, *method.targets(data.test.images, mask))
            rows = [method.encoder.layer_rows(part.images)[3].data for part in (data.train, data.test)]
        probe = few_label_probe(rows[0], data.train.labels, rows[1], data.test.labels, per_class=10)[0]
        found[arm] = {
            "error": float(error.data),
            "weights": method.parameter_count() / 1000,
            "few labels": probe,
        }
    return found


CLAIM = Claim(
    paper="042",
    says="a decoder that undoes CRATE's layers rebuilds hidden patches nearly as well as a larger ViT",
    measure=measure,
    expects=(
        below("error", "CRATE", 1.0),
        Expectation("error: CRATE < 1.15 ViT", lambda arms: NEAR * arms["ViT"]["error"] - arms["CRATE"]["error"]),
    ),
)
