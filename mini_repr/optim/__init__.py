"""Optimisers, schedules, clipping and moving averages; ``OPTIMIZERS`` lists the optimisers by the name users type."""

from mini_repr.optim.adamw import AdamW
from mini_repr.optim.clip import clip_by_global_norm, global_norm
from mini_repr.optim.ema import cosine_momentum, update_ema
from mini_repr.optim.optimizer import decays
from mini_repr.optim.schedule import constant, cosine_with_warmup
from mini_repr.optim.sgd import SGD

OPTIMIZERS = {"sgd": SGD, "adamw": AdamW}

__all__ = [
    "OPTIMIZERS",
    "SGD",
    "AdamW",
    "clip_by_global_norm",
    "constant",
    "cosine_momentum",
    "cosine_with_warmup",
    "decays",
    "global_norm",
    "update_ema",
]
