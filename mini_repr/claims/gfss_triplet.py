"""Base-novel triplet: its weight moves pixel accuracy between old and new classes.

Myers-Dean et al. 2021, arXiv 2112.10982: generalised few-shot segmentation by finetuning, where a triplet
regularisation narrows the gap between base and novel classes. Scenes are 16 x 16 pixels with two digits upon a black
ground; a pixel is classified from the 11 x 11 window around it, as background or as a digit's ink. A network learns
background and digits 0 to 6 (base) from many scenes and is then finetuned on five scenes a digit, 7 to 9 (novel) too,
its first layer frozen, with cross-entropy and a weight times the triplet loss on the features that are classified. Mean
accuracy over the base and over the novel classes, on scenes of test images; "gap" is the first less the second.
"""

import numpy as np

from mini_repr.autograd import Tensor, no_grad, relu
from mini_repr.claims.bench.claim import Claim, lower
from mini_repr.claims.bench.fitting import fit
from mini_repr.data import load
from mini_repr.losses.labels.gfss_triplet import gfss_triplet
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.nn import MLP, Linear, Module, copy_of

BASE = 8  # background and the digits 0 to 6
WEIGHTS = (0.0, 0.3, 1.0, 3.0)


def pixels_of_scenes(part, digits, scenes, rng):
    """(windows (P, 121), classes (P,)) of scenes with two of these digits: all ink, a quarter as much background."""
    windows, classes = [], []
    known = np.flatnonzero(np.isin(part.labels, digits))
    for _ in range(scenes):
        scene, marks = np.zeros((26, 26), np.float32), np.zeros((16, 16), int)
        for left in (0, 8):
            k = rng.choice(known)
            top = rng.integers(0, 9)
            scene[5 + top : 13 + top, 5 + left : 13 + left] = part.images[k, 0]
            marks[top : top + 8, left : left + 8] = (part.images[k, 0] > 0.4) * (1 + part.labels[k])
        ink, ground = np.argwhere(marks), np.argwhere(marks == 0)
        chosen = np.concatenate([ink, rng.permutation(ground)[: len(ink) // 4]])
        around = np.lib.stride_tricks.sliding_window_view(scene, (11, 11))
        windows.append(around[chosen[:, 0], chosen[:, 1]].reshape(-1, 121))
        classes.append(marks[chosen[:, 0], chosen[:, 1]])
    return np.concatenate(windows), np.concatenate(classes)


class Segmenter(Module):
    def __init__(self, rng):
        super().__init__()
        self.embed = MLP((121, 256, 64), rng)
        self.classify = Linear(64, 11, rng)

    def features(self, pixels):
        return relu(self.embed(Tensor(pixels)))


def train(net, pixels, classes, rng, *, frozen=(), weight=0.0, **settings):
    def loss_of(index):
        rows = net.features(pixels[index])
        loss = cross_entropy(net.classify(rows), classes[index])
        return loss + weight * gfss_triplet(rows, classes[index], BASE) if weight else loss

    learned = {name: p for name, p in net.named_parameters().items() if not name.startswith(tuple(frozen))}
    fit(learned, loss_of, len(pixels), rng, batch=128, **settings)


def measure(seed):
    data, rng = load("digits"), np.random.default_rng(seed)
    test, truth = pixels_of_scenes(data.test, range(10), 400, rng)
    pretrained = Segmenter(rng)
    train(pretrained, *pixels_of_scenes(data.train, range(7), 600, rng), rng, steps=800, lr=2e-3)
    few = [pixels_of_scenes(data.train, [k], 5, rng) for k in range(10)]
    few = [np.concatenate(arrays) for arrays in zip(*few, strict=True)]
    arms = {}
    for weight in WEIGHTS:
        net, rng = copy_of(pretrained), np.random.default_rng(seed)
        for parameter in net.named_parameters().values():
            parameter.requires_grad = True
        train(net, *few, rng, frozen=["embed.linears.0"], weight=weight, steps=300, lr=1e-3)
        with no_grad():
            found = net.classify(net.features(test)).data.argmax(axis=1)
        right = [float((found[truth == k] == k).mean()) for k in range(11)]
        base, novel = np.mean(right[:BASE]), np.mean(right[BASE:])
        arms[f"weight {weight:g}"] = {
            "base": base,
            "novel": novel,
            "gap": base - novel,
            "harmonic mean": 2 * base * novel / (base + novel),
        }
    return arms


CLAIM = Claim(
    paper="016",
    says="the base-novel triplet loss narrows the gap between base and novel classes",
    measure=measure,
    expects=(lower("gap", "weight 1", "weight 0"), lower("gap", "weight 3", "weight 0")),
    seeds=5,
)
