"""FIMA-Q: a network of three bits, rounded by a Fisher matrix that |g| tells of, changes its answers least.

Wu et al. 2025, arXiv 2506.11543, quantise vision transformers to 3 to 6 bits. Here weights, and what enters products,
have 3 bits (pixels 8): a ViT of the digits (width 32, 2 blocks, 15 epochs of cross-entropy), calibrated on 256 training
images without labels. *nearest*: rounded; else rounding and scales are learnt in 100 steps per part: *mse*, *brecq*
(Fisher by g²), *diagonal* (by |g|), *dplr* (that and low rank). *KL*: of the whole network's answers from the quantised
one's, on test rows; *accuracy* likewise. Rate: for each arm the best of three (0.03, 0.1, 0.3) by KL on 256 other
training images, on a seed beyond those counted. Designs before, of weights alone: one seed at 3 bits, one and five
seeds at 2 bits, in which *dplr* was no better than *mse*.
"""

from copy import deepcopy

import numpy as np

from mini_repr.claims.bench.claim import Claim, lower
from mini_repr.claims.bench.trained import trained
from mini_repr.data import load
from mini_repr.posthoc.fima_q import Learning, calibrated, judged, learn

BITS, STEPS, ROWS, BATCH, SCALE_LR = 3, 100, 256, 32, 3e-4
ENCODER = {"name": "vit", "width": 32, "depth": 2, "heads": 4}
RATES = {"nearest": 0.1, "mse": 0.1, "brecq": 0.3, "diagonal": 0.3, "dplr": 0.1}


def classifier(seed):
    """(encoder, head) in evaluation mode."""
    run = trained(
        seed,
        loss={"name": "cross_entropy"},
        encoder=ENCODER,
        method={"views": ""},
        train={"epochs": 15},
        optimizer={"lr": 3e-3},
    )
    return run.method.encoder.eval(), run.method.head


def measured(encoder, head, images, part, rates, seed):
    """{loss: {"KL", "accuracy"}} on labelled images, with the rate of each loss."""

    def whole(images):
        return head(encoder(images).pooled)

    start, found = calibrated(encoder, head, images, BITS, BITS), {}
    for loss, lr in rates.items():
        made = deepcopy(start)
        how = Learning(loss, STEPS, BATCH, lr, SCALE_LR)
        learn(made, encoder, head, images, how, np.random.default_rng(seed))
        accuracy, divergence = judged(made, whole, part)
        found[loss] = {"KL": divergence, "accuracy": accuracy}
    return found | {"whole": {"accuracy": judged(whole, whole, part)[0]}}


def measure(seed):
    data, (encoder, head) = load("digits"), classifier(seed)
    return measured(encoder, head, data.train.images[:ROWS], data.test, RATES, seed)


CLAIM = Claim(
    paper="111",
    says="a network of three bits, rounded by a Fisher matrix that |g| tells of, changes its answers least",
    measure=measure,
    expects=(
        lower("KL", "diagonal", "mse"),
        lower("KL", "diagonal", "brecq"),
        lower("KL", "dplr", "mse"),
        lower("KL", "dplr", "brecq"),
        lower("KL", "dplr", "diagonal"),
    ),
    designs=4,
)
