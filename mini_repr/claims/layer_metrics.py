"""Layer metrics: of an autoregressive model an inner layer classifies better than the last, and entropy tells so.

Skean et al. 2025, arXiv 2502.02013: the best representations lie in intermediate layers, of language models and of
autoregressive models of images, and measures without labels follow the layers' quality. A causal transformer of six
blocks learns to predict the next of 16 patches, of 3 x 3 pixels, of a digit that lies anywhere on 12 x 12 pixels, so
that pixels do not classify linearly; a linear probe reads the mean of a layer's patches. "inner": the layer of 2 to 5
whose probe is best on a third of the training digits, "first": layer 1, "last": layer 6. Measures on 200 test digits:
entropy and curvature of the patches of an image; InfoNCE bound and DiME, of centred rows, and LiDAR between two places
of a digit. "rank correlation": of a measure with the probe over the six layers. Digits in their place, whose first
layers classify best, and words of definitions, where the layers hardly differ, were tried first.
"""

import numpy as np
from scipy.stats import spearmanr

from mini_repr.autograd import Tensor, no_grad
from mini_repr.claims.bench.claim import Claim, above, higher
from mini_repr.claims.bench.fitting import fit
from mini_repr.data import load
from mini_repr.metrics import curvature, dime, infonce_bound, lidar, linear_probe, prompt_entropy
from mini_repr.nn import Block, LayerNorm, Linear, Module, patchify, truncated_normal

DEPTH, WIDTH, STEPS, COMPARED = 6, 32, 1000, 200
CANVAS, PATCH = 12, 3


class NextPatch(Module):
    """Patches (B, T, 9) to guesses of those that follow, and the tokens (B, T, WIDTH) after each block."""

    def __init__(self, rng):
        self.embed, self.guess, self.norm = Linear(PATCH**2, WIDTH, rng), Linear(WIDTH, PATCH**2, rng), LayerNorm(WIDTH)
        self.positions = Tensor(truncated_normal(rng, (16, WIDTH)), True)
        self.blocks = [Block(WIDTH, 4, 2.0, rng) for _ in range(DEPTH)]

    def forward(self, patches):
        count, layers = patches.shape[1], []
        x = self.embed(patches) + self.positions[:count]
        for block in self.blocks:
            x, _ = block(x, np.tri(count, dtype=bool))
            layers.append(x)
        return self.guess(self.norm(x)), layers


def placed(images, rng):
    """Patches (B, 16, 9) of images (B, 1, 8, 8), each somewhere on a black canvas."""
    canvas = np.zeros((len(images), 1, CANVAS, CANVAS), np.float32)
    for image, one, (top, left) in zip(images, canvas, rng.integers(0, CANVAS - 7, (len(images), 2)), strict=True):
        one[:, top : top + 8, left : left + 8] = image
    return patchify(canvas, PATCH)


def measure(seed):
    data, rng = load("digits"), np.random.default_rng(seed)
    model = NextPatch(rng)

    def loss_of(index):
        patches = placed(data.train.images[index], rng)
        guess, _ = model(patches[:, :-1])
        return ((guess - patches[:, 1:]) ** 2).mean()

    fit(model.named_parameters(), loss_of, len(data.train), rng, steps=STEPS, batch=48)

    def layers_of(images):
        with no_grad():
            return [layer.data for layer in model(placed(images, rng))[1]]

    some = data.test.images[:COMPARED]
    twice, labels = np.repeat(data.train.images, 2, axis=0), np.repeat(data.train.labels, 2)
    parts = [layers_of(images) for images in (twice, data.test.images, some, some)]
    third, table, chosen_by = len(twice) // 3, {}, []
    for number, (known, unknown, one, other) in enumerate(zip(*parts, strict=True), 1):
        rows, test_rows, a, b = (layer.mean(axis=1) for layer in (known, unknown, one, other))
        a, b = a - a.mean(axis=0), b - b.mean(axis=0)
        chosen_by.append(linear_probe(rows[third:], labels[third:], rows[:third], labels[:third]))
        table[f"layer {number}"] = {
            "probe": linear_probe(rows, labels, test_rows, data.test.labels),
            "entropy": prompt_entropy(unknown[:COMPARED], normalize=True),
            "curvature": curvature(unknown[:COMPARED]),
            "InfoNCE": infonce_bound(a, b),
            "DiME": dime(a, b),
            "LiDAR": lidar(a, b),
        }
    columns = {name: [row[name] for row in table.values()] for name in table["layer 1"]}
    probe = columns.pop("probe")
    inner = 1 + int(np.argmax(chosen_by[1:-1]))
    table |= {name: {"probe": probe[k]} for name, k in (("first", 0), ("inner", inner), ("last", -1))}
    table["rank correlation"] = {name: spearmanr(column, probe).statistic for name, column in columns.items()}
    return table


CLAIM = Claim(
    paper="048",
    says="an inner layer of an autoregressive model classifies better than its ends, and token entropy tells so",
    measure=measure,
    expects=(
        higher("probe", "inner", "last"),
        higher("probe", "inner", "first"),
        above("entropy", "rank correlation", 0),
    ),
    seeds=5,
    designs=3,
)
