"""Masked contrast: rebuilding and contrasting masked views makes better rows than either alone.

Yao, Desai, Palaniswami 2022, arXiv 2211.06012. Digits, a ViT of 16 patches, equal steps: MAE (absolute error of raw
pixels, three quarters hidden); the contrast of the same masked views alone; both; both with the same views and the same
share hidden on either side (*symmetric*). *few labels*: a linear probe with ten labels a class. The paper reports the
best accuracy among the compared on CIFAR and Tiny-ImageNet. Tried before, with one seed: wandering digits, of which the
contrast learned less than MAE did in 920 steps, and both together least; 60 epochs, where MAE was ahead as well.
"""

from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.trained import few_labels, trained
from mini_repr.training.config import merge

COMMON = {
    "encoder": {"name": "vit", "width": 48, "depth": 3},
    "method": {"decoder_width": 48},
    "train": {"epochs": 30, "batch_size": 128},
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
    runs = {arm: trained(seed, **merge(COMMON, own)) for arm, own in ARMS.items()}
    return {arm: {"few labels": few_labels(run.method.encoder, run.data)} for arm, run in runs.items()}


CLAIM = Claim(
    paper="041",
    says="rebuilding and contrasting masked views, unequally, makes better rows than either alone",
    measure=measure,
    expects=(
        higher("few labels", "both", "MAE"),
        higher("few labels", "both", "contrast"),
        higher("few labels", "both", "symmetric"),
    ),
    designs=3,
)
