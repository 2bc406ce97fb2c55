"""The spotter stands for a detector: which digit is in a cell of a scene, or none, and whether it is light or dark."""

import numpy as np

from mini_repr.autograd import Tensor, concatenate, no_grad, softmax, split
from mini_repr.data import digits
from mini_repr.data.generated.scenes import CELL, DARK, scene
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.nn import MLP, Module
from mini_repr.standins.fitting import fit

NOTHING = 10
NOISE, FARTHEST_IN = 0.15, 1  # of training windows: deviation, and pixels that a digit may be moved and still count


class Spotter(Module):
    """An MLP on windows of 8 x 8 pixels: scores of ten digits and nothing, and of light and dark."""

    def __init__(self, rng, hidden=128):
        self.net = MLP((CELL * CELL, hidden, NOTHING + 1 + 2), rng)

    def forward(self, windows):
        """(N, 64) in [0, 1] to scores (N, 11) and (N, 2)."""
        return split(self.net(2 * windows - 1), (NOTHING + 1, 2), axis=1)

    def spot(self, images):
        """(digits (N, cells), 10 for none; attributes (N, cells), 1 for dark) of images (N, 1, 16, 16) on the host."""
        with no_grad():
            kinds, attributes = self(cells_of(images).reshape(-1, CELL * CELL))
        return (np.argmax(scores.data, axis=1).reshape(len(images), -1) for scores in (kinds, attributes))

    def potential(self, images, digit, stride=2):
        """How much every window looks like a digit: (N, windows) probabilities, with a gradient to the images.

        ``digit``: one for all, or (N,) host integers.

        Windows overlap, so that the sum counts a digit more than once: what counting by such a model has to cope with.
        """
        images = images if isinstance(images, Tensor) else Tensor(images)
        side = images.shape[-1] - CELL + 1
        places = [(y, x) for y in range(0, side, stride) for x in range(0, side, stride)]
        columns, asked = [], np.broadcast_to(digit, len(images))[:, None] == np.arange(NOTHING + 1)
        for y, x in places:
            window = images[:, 0, y : y + CELL, x : x + CELL].reshape(len(images), CELL * CELL)
            columns.append((softmax(self(window)[0]) * asked.astype(window.dtype)).sum(axis=1, keepdims=True))
        return concatenate(*columns, axis=1)


def cells_of(images):
    """(N, cells, 8, 8), row by row, of images (N, 1, H, W)."""
    count, _, height, width = images.shape
    grid = images.reshape(count, height // CELL, CELL, width // CELL, CELL)
    return grid.transpose(0, 1, 3, 2, 4).reshape(count, -1, CELL, CELL)


def windows(part, rng, count):
    """Random windows (count, 64) of digits of a part, their digits (10 for nothing) and attributes.

    Nothing: blank, or a digit that stands too far out to be read. Half are dark; all have some noise.
    """
    row = rng.integers(len(part), size=count)
    kinds, dark = part.labels[row].copy(), rng.random(count) < 0.5
    padded = np.pad(part.images[row, 0], ((0, 0), (CELL, CELL), (CELL, CELL)))
    away = rng.random(count) < 0.3
    moves = rng.integers(-FARTHEST_IN, FARTHEST_IN + 1, size=(count, 2))
    far = rng.integers(3, CELL, size=count) * rng.choice([-1, 1], size=count)
    axis = rng.integers(2, size=count)
    moves[away, axis[away]] = far[away]
    seen = np.stack(
        [p[CELL + y : 2 * CELL + y, CELL + x : 2 * CELL + x] for p, (y, x) in zip(padded, moves, strict=True)]
    )
    seen[rng.random(count) < 0.1] = 0.0
    blank = away | ~seen.any(axis=(1, 2))
    kinds[blank] = NOTHING
    seen = seen * np.where(dark, DARK, 1.0)[:, None, None]
    seen += NOISE * rng.random((count, 1, 1)) * rng.standard_normal(seen.shape)
    return np.clip(seen, 0, 1).reshape(count, -1).astype(np.float32), kinds, dark.astype(np.int64)


def make(seed):
    return Spotter(np.random.default_rng([seed, 0]))


def train(spotter, seed, watch=None):
    part = digits().train

    def loss_of(rng):
        seen, kinds, dark = windows(part, rng, 128)
        scores, attributes = spotter(seen)
        readable = np.flatnonzero(kinds != NOTHING)
        return cross_entropy(scores, kinds) + 0.5 * cross_entropy(attributes[readable], dark[readable])

    fit(spotter, loss_of, np.random.default_rng([seed, 1]), steps=3000, lr=2e-3, watch=watch)


def gate(spotter, get):
    """{what: (share, the least that is needed)} on test digits and on scenes of them; asks no other stand-in."""
    part, rng = digits().test, np.random.default_rng(0)
    seen, kinds, dark = windows(part, rng, 2000)
    with no_grad():
        scores, attributes = spotter(seen)
    there = kinds != NOTHING
    scenes = [scene(rng, part) for _ in range(300)]
    found, _ = spotter.spot(np.stack([s.image for s in scenes])[:, None])
    right = [all(found[k][o.cell] == o.digit for o in s.objects) for k, s in enumerate(scenes)]
    return {
        "digits of windows": (float((scores.data.argmax(axis=1) == kinds)[there].mean()), 0.85),
        "attributes": (float((attributes.data.argmax(axis=1) == dark)[there].mean()), 0.9),
        "whole scenes": (float(np.mean(right)), 0.75),
    }
