"""Adaptive-length tokenisation: error falls with every token that joins, and fuller scenes need more of them.

Duggal et al. 2024, arXiv 2411.02393. Scenes of one to four digits, 16 patches, a code of one to four tokens of four
numbers, 1,500 steps, raw pixels. *error*: of a test image, |x' - x|² over |x - mean training image|², the mean over
images, for each length. *with digits*, *with entropy*: the rank correlation over test scenes of the tokens that they
need with the number of digits and with the entropy of eight grey levels. Needed are those of the first round whose
error is within 0.05 of the last round's (*settled*). The paper takes the first whose error is below a threshold: here
that of this error (*relative*) or of |x' - x|² (*plain*), its median over training images after two rounds; both stand
beside only, as fuller scenes have the larger errors from an untrained code, too (thresholds alone were the first
design).
"""

import numpy as np
from scipy.stats import spearmanr

from mini_repr.autograd import no_grad
from mini_repr.claims.bench.claim import Claim, above, lower
from mini_repr.claims.bench.trained import trained
from mini_repr.data import load
from mini_repr.nn import patchify
from mini_repr.nn.alit import lengths

SETTINGS = {
    "loss": {"name": "masked_regression", "normalize_target": False},
    "encoder": {"name": "alit", "patch": 4},
    "method": {"name": "alit", "views": ""},
    "optimizer": {"lr": 3e-3},
    "train": {"epochs": 48, "batch_size": 48},
}
LEVELS = 8
WITHIN = 0.05


def errors_of(method, images):
    """(B, rounds): the squared error of each image after each round."""
    with no_grad():
        _, rebuilt = method.eval().rollout(images)
    true = patchify(images, method.encoder.patch)
    return np.stack([((one.data - true) ** 2).sum(axis=(1, 2)) for one in rebuilt], axis=1)


def grey_entropy(images):
    """(B,): the entropy of each image's grey levels, in nats."""
    levels = np.minimum((images * LEVELS).astype(int), LEVELS - 1).reshape(len(images), -1)
    shares = np.stack([(levels == level).mean(axis=1) for level in range(LEVELS)], axis=1)
    return -(shares * np.log(np.where(shares > 0, shares, 1))).sum(axis=1)


def rank_correlation(tokens, values):
    """Spearman's; 0 where all images need as many tokens."""
    return spearmanr(tokens, values).statistic if len(set(tokens)) > 1 else 0.0


def measure(seed):
    data = load("scenes", seed=seed)
    method = trained(seed, data=data, **SETTINGS).method
    train, test = data.train.images, data.test.images
    mean = train.mean(axis=0)
    plain = [errors_of(method, images) for images in (train, test)]
    relative = [
        error / ((images - mean) ** 2).sum(axis=(1, 2, 3))[:, None]
        for error, images in zip(plain, (train, test), strict=True)
    ]
    found = {f"{k + 1} tokens": {"error": error} for k, error in enumerate(relative[1].mean(axis=0))}
    needed = {
        "settled": lengths(relative[1] - relative[1][:, -1:], WITHIN),
        "relative": lengths(relative[1], np.median(relative[0][:, 1])),
        "plain": lengths(plain[1], np.median(plain[0][:, 1])),
    }
    for arm, tokens in needed.items():
        found[arm] = {
            "with digits": rank_correlation(tokens, data.test.labels),
            "with entropy": rank_correlation(tokens, grey_entropy(test)),
        }
    return found


CLAIM = Claim(
    paper="017",
    says="error falls with every token that joins a code, and scenes of more digits need more tokens",
    measure=measure,
    expects=(
        lower("error", "2 tokens", "1 tokens", by=0.02),
        lower("error", "3 tokens", "2 tokens"),
        lower("error", "4 tokens", "3 tokens"),
        above("with digits", "settled", 0.3),
        above("with entropy", "settled", 0.3),
    ),
    designs=2,
)
