"""SupCon: a linear classifier on its rows beats cross-entropy, most where images are noisy or few.

Khosla et al. 2020, arXiv 2004.11362: accuracy against cross-entropy, on corrupted images, and with less training data.
The same MLP is trained on digits by supervised contrast, then a linear classifier on its rows ("supcon"), or by
cross-entropy with its own linear classifier; "rows of cross-entropy" fits that classifier anew, as SupCon's is.
Measured on the clean test images, on ones with Gaussian noise of deviation 0.3, on clean ones after training on 10
images per class ("few"), and, which the paper does not speak of, after training with 40% of the labels wrong.
"""

from dataclasses import replace

import numpy as np

from mini_repr.autograd import Tensor, no_grad
from mini_repr.claims.bench.altered import at_most, mislabelled
from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.trained import SMALL, rows_of, trained
from mini_repr.data import load
from mini_repr.metrics import linear_probe
from mini_repr.training.config import merge

FEW = {"train": {"batch_size": 100, "epochs": 100}}


def accuracies(loss, data, tests, seed, settings):
    """[(of a fitted classifier, of the method's own or None)] on each set of test images."""
    run = trained(seed, data=data, **merge(merge(SMALL, {"loss": {"name": loss}}), settings))
    labels, rows = data.train.labels, rows_of(run, data.train)
    found = []
    for test in tests:
        asked, own = rows_of(run, test), None
        if loss == "cross_entropy":
            with no_grad():
                own = float((run.method.head(Tensor(asked)).data.argmax(axis=1) == test.labels).mean())
        found.append((linear_probe(rows, labels, asked, test.labels), own))
    return found


def measure(seed):
    rng = np.random.default_rng(seed)
    digits = load("digits")
    noise = 0.3 * rng.standard_normal(digits.test.images.shape)
    noisy = replace(digits.test, images=np.clip(digits.test.images + noise, 0, 1).astype(np.float32))
    few, wrong = at_most(digits, [10] * 10, rng), mislabelled(digits, 0.4, rng)
    arms = {"supcon": {}, "cross-entropy": {}, "rows of cross-entropy": {}}
    for loss in ("supcon", "cross_entropy"):
        found = dict(zip(("clean", "noisy"), accuracies(loss, digits, [digits.test, noisy], seed, {}), strict=True))
        found["few"] = accuracies(loss, few, [few.test], seed, FEW)[0]
        found["mislabelled"] = accuracies(loss, wrong, [wrong.test], seed, {})[0]
        for name, (fitted, own) in found.items():
            arms["supcon" if loss == "supcon" else "rows of cross-entropy"][name] = fitted
            if own is not None:
                arms["cross-entropy"][name] = own
    return arms


CLAIM = Claim(
    paper="093",
    says="supervised contrast classifies better than cross-entropy, on noisy images and from few of them too",
    measure=measure,
    expects=tuple(higher(name, "supcon", "cross-entropy") for name in ("clean", "noisy", "few")),
    seeds=15,
)
