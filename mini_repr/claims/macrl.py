"""Masked contrast: rebuilding and contrasting masked views makes better rows than either alone.

Yao, Desai, Palaniswami 2022, arXiv 2211.06012. Wandering digits, a ViT of 16 patches, equal steps: MAE (absolute error
of raw pixels, three quarters hidden); the contrast of the same masked views alone; both; both with the same views and
the same share hidden on either side (*symmetric*). *knn*: accuracy of 20 neighbours; *probe*: of a linear probe. The paper reports the best accuracy among the compared on CIFAR and Tiny-ImageNet.
"""

from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.trained import digit_scores, trained
from mini_repr.data import load
from mini_repr.training.config import merge

COMMON = {
    "encoder": {"name": "vit", "width": 48, "depth": 3, "patch": 4},
    "method": {"decoder_width": 48},
    "train": {"epochs": 40, "batch_size": 128},
}
BOTH = {
    "loss": {"name": "infonce", "negatives": "queue", "symmetric": False, "temperature": 0.2},
    "method": {"name": "masked_contrast", "queue_size": 1024},
}
ARMS = {
    "MAE": {"loss": {"name": "masked_regression", "norm": "l1", "normalize_target": False}},
    "contrast": merge(BOTH, {"method": {"weight": 0.0}}),
    "both": BOTH,
    "symmetric": merge(BOTH, {"method": {"ratio": 0.5, "weak_views": "same"}}),
}


def measure(seed):
    found, data = {}, load("wandering", count=3000, seed=seed)
    for arm, own in ARMS.items():
        run = trained(seed, data=data, **merge(COMMON, own))
        found[arm] = digit_scores(run)
    return found


CLAIM = Claim(
    paper="041",
    says="rebuilding and contrasting masked views, unequally, makes better rows than either alone",
    measure=measure,
    expects=(
        higher("probe", "both", "MAE"),
        higher("probe", "both", "contrast"),
        higher("probe", "both", "symmetric"),
        higher("knn", "both", "MAE"),
    ),
)
