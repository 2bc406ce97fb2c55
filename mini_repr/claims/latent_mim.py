"""Latent MIM: telling hidden patches apart keeps learned targets from collapsing, the squared error does not.

Wei, Gupta, Morgado 2024, arXiv 2407.15837. Wandering digits, a ViT of 16 patches, four visible, equal steps: the whole
method, patches a pixel apart; the squared error of normalised latents in its place; the target learned jointly, with
its gradient; neighbouring patches that touch (*no gap*). *spread*: the deviation of unit pooled rows over test images
times √D, 0 in collapse; *across*: the mean cosine of two images' tokens at the same place, 1 where tokens say their
place alone; *probe*: a linear one with all labels. Tried before, with one seed: 13 epochs; 40; 40 without augmentation,
where the squared error does not collapse.
"""

import numpy as np

from mini_repr.autograd import no_grad, unit_rows
from mini_repr.claims.bench.claim import Claim, higher, lower
from mini_repr.claims.bench.trained import digit_scores, trained
from mini_repr.data import load
from mini_repr.training.config import merge

COMMON = {
    "loss": {"name": "patch_discrimination"},
    "encoder": {"name": "vit", "width": 48, "depth": 3, "patch": 4},
    "method": {"name": "latent_mim", "decoder_width": 48, "gap": 1},
    "train": {"epochs": 20, "batch_size": 64},
}
ARMS = {
    "latent MIM": {},
    "squared error": {"loss": {"name": "masked_regression"}},
    "joint": {"method": {"target": "joint"}},
    "no gap": {"method": {"gap": 0}},
}


def spread(rows):
    """The mean deviation of a column of unit rows (N, D), times √D: 1 for directions that are uniform."""
    unit, _ = unit_rows.on_arrays(rows)
    return float(unit.std(axis=0).mean() * unit.shape[1] ** 0.5)


def across(tokens):
    """The mean cosine of the tokens (N, P, D) of two images at the same place."""
    unit, _ = unit_rows.on_arrays(tokens)
    images = len(unit)
    total = unit.sum(axis=0)
    return float(((total * total).sum(axis=1) - images).mean() / (images * (images - 1)))


def measure(seed):
    found, data = {}, load("wandering", count=3000, seed=seed)
    for arm, own in ARMS.items():
        run = trained(seed, data=data, **merge(COMMON, own))
        encoder = run.method.encoder
        encoder.eval()
        with no_grad():
            encoded = encoder(data.test.images)
        found[arm] = {
            "spread": spread(encoded.pooled.data.astype(np.float64)),
            "across": across(encoded.tokens.data.astype(np.float64)),
            "probe": digit_scores(run)["probe"],
        }
    return found


CLAIM = Claim(
    paper="052",
    says="telling hidden patches apart keeps latent targets from collapsing, where the squared error lets them",
    measure=measure,
    expects=(
        higher("spread", "latent MIM", "squared error", by=0.05),
        lower("across", "latent MIM", "squared error", by=0.05),
        lower("across", "latent MIM", "joint"),
        higher("probe", "latent MIM", "joint"),
        higher("probe", "latent MIM", "squared error"),
        higher("probe", "latent MIM", "no gap"),
    ),
    designs=4,
)
