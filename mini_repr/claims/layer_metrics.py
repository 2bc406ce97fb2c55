"""Layer metrics: of an autoregressive model an inner layer classifies better than the last, and entropy tells so.

Skean et al. 2025, arXiv 2502.02013: the best representations lie in intermediate layers, of language models and of
autoregressive models of images, and measures without labels follow the layers' quality. A causal transformer of six
blocks learns to predict the next of 16 patches of a digit; a linear probe reads the mean of a layer's patches. "inner":
the layer of 1 to 5 whose probe is best on a third of the training digits, "last": layer 6. Measures on 200 test digits:
entropy and curvature of the patches of an image; InfoNCE bound and DiME, of centred rows, and LiDAR between two views.
"rank correlation": of a measure with the probe over the six layers. At this size the first layers are best, not those
in the middle; and the probes of a model of the same size over the words of definitions do not differ by layer.
"""

import numpy as np
from scipy.stats import spearmanr

from mini_repr.autograd import Tensor, no_grad
from mini_repr.claims.bench.claim import Claim, above, higher
from mini_repr.claims.bench.fitting import fit
from mini_repr.data import DEFAULT_VIEWS, load, parse_views
from mini_repr.metrics import curvature, dime, infonce_bound, lidar, linear_probe, prompt_entropy
from mini_repr.nn import Block, LayerNorm, Linear, Module, patchify, truncated_normal

DEPTH, WIDTH, STEPS, COMPARED = 6, 32, 800, 200


class NextPatch(Module):
    """Patches (B, T, 4) to guesses of those that follow, and the tokens (B, T, WIDTH) after each block."""

    def __init__(self, rng):
        self.embed, self.guess, self.norm = Linear(4, WIDTH, rng), Linear(WIDTH, 4, rng), LayerNorm(WIDTH)
        self.positions = Tensor(truncated_normal(rng, (16, WIDTH)), True)
        self.blocks = [Block(WIDTH, 4, 2.0, rng) for _ in range(DEPTH)]

    def forward(self, patches):
        count, layers = patches.shape[1], []
        x = self.embed(patches) + self.positions[:count]
        for block in self.blocks:
            x, _ = block(x, np.tri(count, dtype=bool))
            layers.append(x)
        return self.guess(self.norm(x)), layers


def measure(seed):
    data, rng = load("digits"), np.random.default_rng(seed)
    model, train = NextPatch(rng), patchify(data.train.images, 2)

    def loss_of(index):
        guess, _ = model(train[index, :-1])
        return ((guess - train[index, 1:]) ** 2).mean()

    fit(model.named_parameters(), loss_of, len(train), rng, steps=STEPS, batch=48)

    def layers_of(images):
        with no_grad():
            return [layer.data for layer in model(patchify(images, 2))[1]]

    view, some = parse_views(DEFAULT_VIEWS), data.test.images[:COMPARED]
    parts = [layers_of(images) for images in (data.train.images, data.test.images, view(some, rng), view(some, rng))]
    labels, third, table, chosen_by = data.train.labels, len(train) // 3, {}, []
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
    table["inner"], table["last"] = {"probe": probe[int(np.argmax(chosen_by[:-1]))]}, {"probe": probe[-1]}
    table["rank correlation"] = {name: spearmanr(column, probe).statistic for name, column in columns.items()}
    return table


CLAIM = Claim(
    paper="048",
    says="an inner layer of an autoregressive model classifies better than its last, and token entropy tells so",
    measure=measure,
    expects=(higher("probe", "inner", "last"), above("entropy", "rank correlation", 0)),
)
