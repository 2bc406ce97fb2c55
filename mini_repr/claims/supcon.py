"""SupCon: a linear classifier on its rows beats cross-entropy, most where images are noisy or few.

Khosla et al. 2020, arXiv 2004.11362: accuracy against cross-entropy, on corrupted images, and with less training data.
The same MLP is trained on digits by supervised contrast or by cross-entropy; a linear classifier is then fitted on the
rows of either, as cross-entropy's own classifier, which is never refitted, would lose by that alone. Batches of 480,
large as the paper's are, and random views for both; each has the learning rate of three that was best ("clean") on a
fifth of the training rows, on a seed beyond those counted. Measured on the test images, on these with Gaussian
noise of deviation 0.3, and on the test images after training on 10 images per class ("few"). A comparison with
cross-entropy's own classifier was tried first.
"""

from dataclasses import replace

import numpy as np

from mini_repr.claims.bench.altered import at_most
from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.trained import SMALL, rows_of, trained
from mini_repr.data import load
from mini_repr.metrics import linear_probe
from mini_repr.training.config import merge

MANY = {"train": {"batch_size": 480, "epochs": 60}}
FEW = {"train": {"batch_size": 100, "epochs": 100}}
RATES = {"supcon": 1e-2, "cross_entropy": 1e-2}
ARMS = {"supcon": "supcon", "cross_entropy": "cross-entropy"}


def accuracies(loss, lr, data, tests, seed, settings):
    """Of a classifier fitted on the rows of the training part, on each set of test images."""
    sections = merge(merge(SMALL, settings), {"loss": {"name": loss}, "optimizer": {"lr": lr}})
    run = trained(seed, data=data, **sections)
    rows = rows_of(run, data.train)
    return [linear_probe(rows, data.train.labels, rows_of(run, test), test.labels) for test in tests]


def measure(seed):
    rng = np.random.default_rng(seed)
    digits = load("digits")
    noise = 0.3 * rng.standard_normal(digits.test.images.shape)
    noisy = replace(digits.test, images=np.clip(digits.test.images + noise, 0, 1).astype(np.float32))
    few, arms = at_most(digits, [10] * 10, rng), {}
    for loss, arm in ARMS.items():
        clean, corrupted = accuracies(loss, RATES[loss], digits, [digits.test, noisy], seed, MANY)
        (from_few,) = accuracies(loss, RATES[loss], few, [few.test], seed, FEW)
        arms[arm] = {"clean": clean, "noisy": corrupted, "few": from_few}
    return arms


CLAIM = Claim(
    paper="093",
    says="supervised contrast classifies better than cross-entropy, on noisy images and from few of them too",
    measure=measure,
    expects=tuple(higher(name, "supcon", "cross-entropy") for name in ("clean", "noisy", "few")),
    seeds=8,
    designs=2,
)
