"""Hard patches mining on clips: where it is hard is where it moves, and learning that alone makes better rows.

Wang et al. 2023, arXiv 2312.13714. Moving digits, 8 frames of 16 x 16 pixels, 64 tokens of 2 x 4 x 4, nine of ten
hidden, raw pixels rebuilt, 600 steps without augmentation: MAE; MAE with the loss of patch order (*loss prediction*:
masks at random); hard patches mining, whose teacher chooses up to half of what is hidden. *order*: as in the claim
``hpm``, the rank correlation of predicted scores with errors on the hidden tokens of a test clip; *moves*: the share of
tokens whose pixels change, in MAE's row of all of them, in the others' of those to which the teacher gives the highest
scores (45 %); *digit*, *direction*: linear probes of the mean tokens.
"""

import numpy as np

from mini_repr.claims.bench.claim import Claim, above, higher, no_worse
from mini_repr.claims.bench.trained import labelled_rows, trained
from mini_repr.claims.hpm import rank_correlation
from mini_repr.data import load
from mini_repr.metrics import linear_probe
from mini_repr.nn import patchify
from mini_repr.training.config import merge

COMMON = {
    "encoder": {"name": "vit", "width": 48, "depth": 3, "patch": 4, "start": "zero", "pooling": "mean"},
    "train": {"epochs": 26, "batch_size": 64},
    "method": {"decoder_width": 48, "ratio": 0.9, "views": ""},
    "optimizer": {"lr": 3e-3},
}
ARMS = {
    "MAE": {"loss": {"name": "masked_regression", "normalize_target": False}},
    "loss prediction": {"loss": {"name": "patch_order"}, "method": {"mine": False, "momentum": 0.99}},
    "hard patches": {"loss": {"name": "patch_order"}, "method": {"momentum": 0.99}},
}
MINED = 0.45
ALIKE = 0.01


def moving_tokens(clips, encoder):
    """(N, P): whether any pixel of a token changes between its frames."""
    tubes = patchify(clips, encoder.patch, encoder.tube).reshape(len(clips), encoder.patch_count, encoder.tube, -1)
    return (tubes != tubes[:, :, :1]).any(axis=(2, 3))


def measure(seed):
    digit, direction = (load("moving", seed=seed, label=label) for label in ("digit", "direction"))
    found, clips = {}, digit.test.images
    for arm, own in ARMS.items():
        run = trained(seed, data=digit, **merge(COMMON, own))
        method = run.method.eval()
        found[arm] = {
            name: linear_probe(*labelled_rows(method.encoder, data))
            for name, data in (("digit", digit), ("direction", direction))
        }
        moves = moving_tokens(clips, method.encoder)
        if arm != "MAE":
            found[arm]["order"] = rank_correlation(method, clips, np.random.default_rng(seed))
            hardest = np.argsort(-method.scores(clips), axis=1)[:, : int(MINED * moves.shape[1])]
            moves = np.take_along_axis(moves, hardest, axis=1)
        found[arm]["moves"] = moves.mean()
    return found


CLAIM = Claim(
    paper="031",
    says="of clips, too, a network can tell which hidden tokens are hard, those that move, and learns better rows so",
    measure=measure,
    expects=(
        above("order", "loss prediction", 0.4),
        above("order", "hard patches", 0.4),
        higher("moves", "hard patches", "MAE"),
        no_worse("digit", "loss prediction", "MAE", by=ALIKE),
        no_worse("digit", "hard patches", "MAE", by=ALIKE),
        higher("direction", "loss prediction", "MAE"),
        higher("direction", "hard patches", "MAE"),
    ),
)
