"""FIMA-Q: weights of two bits, rounded by a Fisher matrix that |g| tells of, change a network's answers least.

Wu et al. 2025, arXiv 2506.11543, quantise weights and activations of vision transformers to 3 to 6 bits. Here weights
alone, at 2 bits: a ViT of the digits (width 32, 2 blocks, 15 epochs of cross-entropy), calibrated on 256 training
images without labels. *nearest*: rounded; else rounding is learnt in 200 steps per block: *mse*, *brecq* (Fisher by
g²), *diagonal* (by |g|), *dplr* (that and low rank). *KL*: of the whole network's answers from the quantised one's, on
test rows; *accuracy* likewise. Rate: for each arm the best of three (0.03, 0.1, 0.3; lower ones are too slow for 200
steps) by KL on 256 other training images, on a seed beyond those counted. Tried before, on one seed: 3 and 2 bits at a
rate of 0.01.
"""

from mini_repr.claims.bench.claim import Claim, lower
from mini_repr.claims.bench.trained import trained
from mini_repr.data import load
from mini_repr.posthoc.fima_q import judged, quantise

BITS, STEPS, ROWS = 2, 200, 256
ENCODER = {"name": "vit", "width": 32, "depth": 2, "heads": 4}
RATES = {"nearest": 0.1, "mse": 0.3, "brecq": 0.3, "diagonal": 0.3, "dplr": 0.1}


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


def measured(encoder, head, images, part, loss, lr, seed):
    made = quantise(encoder, head, images, bits=BITS, loss=loss, steps=STEPS, lr=lr, seed=seed)
    accuracy, divergence = judged(encoder, made.encoder, head, part)
    return {"KL": divergence, "accuracy": accuracy}


def measure(seed):
    data, (encoder, head) = load("digits"), classifier(seed)
    arms = {"whole": {"accuracy": judged(encoder, encoder, head, data.test)[0]}}
    for loss, lr in RATES.items():
        arms[loss] = measured(encoder, head, data.train.images[:ROWS], data.test, loss, lr, seed)
    return arms


CLAIM = Claim(
    paper="111",
    says="weights of two bits, rounded by a Fisher matrix that |g| tells of, change a network's answers least",
    measure=measure,
    expects=(
        lower("KL", "diagonal", "mse"),
        lower("KL", "diagonal", "brecq"),
        lower("KL", "dplr", "mse"),
        lower("KL", "dplr", "brecq"),
        lower("KL", "dplr", "diagonal"),
    ),
    designs=2,
)
