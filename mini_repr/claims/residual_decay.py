"""Decayed shortcuts: a masked autoencoder whose residual path fades learns rows of lower rank, and better ones.

Zhang et al. 2024, arXiv 2404.10947. MAE on digits, a ViT of six blocks: the residual path kept whole, or multiplied by
numbers that fall to 0.9, 0.8 or 0.7, for as many steps. *rank*: the effective rank of test rows; *few labels*: a linear
probe with ten labels a class. Of the paper's form the zero start and the skips to the decoder are left out: every arm
has this page's start and decoder.
"""

from mini_repr.claims.bench.claim import Claim, higher, lower
from mini_repr.claims.bench.trained import few_labels, rows_of, trained
from mini_repr.metrics import effective_rank
from mini_repr.training.config import merge

COMMON = {
    "loss": {"name": "masked_regression"},
    "encoder": {"name": "vit", "width": 48, "depth": 6},
    "train": {"epochs": 27, "batch_size": 64},
    "method": {"decoder_width": 48},
}
SHORTCUTS = (1.0, 0.9, 0.8, 0.7)


def measure(seed):
    found = {}
    for least in SHORTCUTS:
        run = trained(seed, **merge(COMMON, {"encoder": {"shortcut_min": least}}))
        rows = rows_of(run, run.data.test)
        found[f"to {least}"] = {"rank": effective_rank(rows), "few labels": few_labels(run.method.encoder, run.data)}
    return found


CLAIM = Claim(
    paper="119",
    says="a residual path that fades with depth lowers the rank of a masked autoencoder's rows and makes them better",
    measure=measure,
    expects=(lower("rank", "to 0.7", "to 1.0"), higher("few labels", "to 0.7", "to 1.0")),
)
