"""Alignment and uniformity: contrastive training lowers both, and both tell how good a representation is.

Wang, Isola 2020, arXiv 2005.10242, figures 3 to 5: both fall as training goes on, and over many encoders accuracy goes
with both low. Here: InfoNCE on the digits, first against last epoch; then ten encoders trained by the weighted sum of
both losses and by InfoNCE at several temperatures, and the rank correlation of (alignment + uniformity) with accuracy.
"""

import numpy as np
from scipy.stats import spearmanr

from mini_repr.backend import CPU
from mini_repr.claims.claim import Claim, above, lower
from mini_repr.claims.trained import SMALL, digit_scores, rows_of, trained
from mini_repr.data import DEFAULT_VIEWS, parse_views
from mini_repr.methods import encode
from mini_repr.metrics import alignment, uniformity
from mini_repr.training.config import merge

SWEEP = [
    *({"name": "infonce", "temperature": t} for t in (0.05, 0.2, 0.7, 2.0, 5.0)),
    *({"name": "align_uniform", "uniformity_weight": w} for w in (0.01, 0.1, 0.3, 1.0, 3.0)),
]


def measure(seed):
    """{"start", "end": {"alignment", "uniformity"}, "sweep": {"correlation"}}."""
    epochs = []
    trained(seed, lambda run, _: epochs.append(both(run)), **merge(SMALL, {"loss": SWEEP[1], "train": {"epochs": 20}}))
    sums, accuracies = [], []
    for loss in SWEEP:
        run = trained(seed, **merge(SMALL, {"loss": loss, "train": {"epochs": 8}}))
        sums.append(sum(both(run).values()))
        accuracies.append(digit_scores(run)["probe"])
    return {
        "first epoch": epochs[0],
        "last epoch": epochs[-1],
        "sweep": {"correlation": -float(spearmanr(sums, accuracies).statistic)},
    }


def both(run):
    rng, views, images = np.random.default_rng(0), parse_views(DEFAULT_VIEWS), run.data.test.images
    first, second = (encode(run.method.encoder, views(images, rng), CPU) for _ in range(2))
    return {"alignment": alignment(first, second), "uniformity": uniformity(rows_of(run, run.data.test))}


CLAIM = Claim(
    paper="001",
    says="training by InfoNCE lowers alignment and uniformity, and a low sum goes with a high probe accuracy",
    measure=measure,
    expects=(
        lower("alignment", "last epoch", "first epoch"),
        lower("uniformity", "last epoch", "first epoch"),
        above("correlation", "sweep", 0),
    ),
)
