"""Explicit perceptual loss: super-resolution against a model of opinions is rated higher, also by another model.

Yoshida, Akita, Haris, Ukita 2020, arXiv 2009.00382. Digits of 8 x 8 from means of 2 x 2, seven hundred steps; opinions
are made (``data.generated.opinions``), not collected. Two models of opinion, each on its own half of the training
digits and opinions, learn from images spoilt in four ways, one of them towards what squared errors make. The networks
train on the first half; *squared error*; *features 0.3*, *3*: beside it the distance in a classifier's hidden layer,
with this weight; *opinions 0.02*, *0.05*, *0.15*: beside it the first model's shortfall. One learning rate for all.
*rated*: expected opinion of test digits made, 1 to 10, by the other model; *own*: by the one that was followed;
*error*: mean squared; *distance*: energy distance to true digits, smaller is better; true digits are in *true*.
"""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.claims.bench.claim import Claim, Expectation, higher
from mini_repr.data import digits
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.methods.super_resolution import (
    enlarged,
    expected_opinion,
    fitted_opinions,
    fitted_upscaler,
    shrunk,
)
from mini_repr.metrics import energy_distance
from mini_repr.nn import MLP
from mini_repr.optim import descended

WEIGHTS, FEATURE_WEIGHTS = (0.02, 0.05, 0.15), (0.3, 3.0)
DEARER = 0.2  # by this share the squared error may rise


def measure(seed):
    data, streams = digits(), np.random.default_rng(seed).spawn(8)
    images = data.train.images
    halves = images[::2], images[1::2]
    squared = [fitted_upscaler(half, stream) for half, stream in zip(halves, streams[:2], strict=True)]
    followed, judge = (
        fitted_opinions(half, made(net, half), stream)
        for half, net, stream in zip(halves, squared, streams[2:4], strict=True)
    )
    features = classifier_features(halves[0], data.train.labels[::2], streams[4])
    nets = {"squared error": squared[0]}
    for weight in FEATURE_WEIGHTS:
        rng = np.random.default_rng([seed, 1])
        nets[f"features {weight:g}"] = fitted_upscaler(halves[0], rng, features=features, feature_weight=weight)
    for weight in WEIGHTS:
        rng = np.random.default_rng([seed, 1])
        nets[f"opinions {weight:g}"] = fitted_upscaler(halves[0], rng, opinions=followed, opinion_weight=weight)
    test = data.test.images
    rows = {arm: made(net, test) for arm, net in nets.items()} | {"true": test}
    found = {}
    for arm, x in rows.items():
        flat = x.reshape(len(x), -1)
        found[arm] = {"rated": expected_opinion(judge, flat), "own": expected_opinion(followed, flat)}
        if arm != "true":
            found[arm] |= {
                "error": float(((x - test) ** 2).mean()),
                "distance": energy_distance(flat, test.reshape(len(test), -1)),
            }
    return found


def made(net, images):
    """What a network makes of small versions of images, as images."""
    with no_grad():
        return np.clip(enlarged(net, shrunk(images)).data, 0, 1).reshape(images.shape)


def classifier_features(images, labels, rng):
    """The hidden layer of a classifier of images: rows to rows, frozen."""
    net, rows = MLP((images[0].size, 128, 10), rng, activation="gelu"), images.reshape(len(images), -1)

    def loss():
        chosen = rng.integers(len(rows), size=128)
        return cross_entropy(net(rows[chosen]), labels[chosen])

    descended(net.named_parameters(), loss, steps=300, lr=1e-3)
    for parameter in net.parameters():
        parameter.requires_grad = False
    return lambda x: next(net.layers(x))


def spared(arms):
    return DEARER - (arms["opinions 0.02"]["error"] / arms["squared error"]["error"] - 1)


CLAIM = Claim(
    paper="069",
    says="super-resolution against a model of opinions is rated higher by another one, for little more squared error",
    measure=measure,
    expects=(
        higher("rated", "opinions 0.02", "features 0.3", by=1.0),
        higher("rated", "opinions 0.02", "features 3", by=1.0),
        higher("rated", "opinions 0.02", "squared error", by=1.0),
        Expectation("error of opinions 0.02 at most 20 % above that of squared error", spared),
    ),
    seeds=5,
    designs=1,
)
