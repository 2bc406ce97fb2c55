"""2D Matryoshka: one training gives rows that can be cut short in width and in depth.

Li et al. 2024, arXiv 2402.14776: besides the last layer, whole and cut to d columns, each step trains a random earlier
layer, whole and cut, and draws its similarities to those of the last layer (a KL divergence); short rows of early
layers are poor after plain training, and after Matryoshka on the last layer alone. Here: words look for their
definitions among 2,473 unseen ones (WordNet); a mean of word embeddings and three residual blocks, 128 wide, d = 16,
equal weights. Measured: the mean reciprocal rank at a layer and its first columns. All arms have the same start,
batches and steps. (Without the residual paths no arm learnt much.)
"""

import numpy as np

from mini_repr.autograd import stop_gradient
from mini_repr.claims.claim import Claim, higher
from mini_repr.claims.gloss_pairs import fit_pairs
from mini_repr.data import load
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.losses.pairs.similarity_kl import similarity_kl
from mini_repr.metrics import mean_reciprocal_rank
from mini_repr.nn import MLP, LayerNorm, Module, TextEncoder

WIDTH, CUT, LAYERS = 128, 16, 3


class Layers(Module):
    """Hashed texts to their rows after each of three residual blocks: a list of tensors (B, 128)."""

    def __init__(self, rng):
        self.words = TextEncoder(rng, width=WIDTH, depth=1)
        self.norms = [LayerNorm(WIDTH) for _ in range(LAYERS)]
        self.blocks = [MLP((WIDTH, 2 * WIDTH, WIDTH), rng, activation="gelu") for _ in range(LAYERS)]

    def forward(self, ids, mask):
        x, rows = self.words(ids, mask).pooled, []
        for norm, block in zip(self.norms, self.blocks, strict=True):
            x = x + block(norm(x))
            rows.append(x)
        return rows


def compared(a, b):
    return infonce(a, b, temperature=0.05)


def plain(a, b, rng):
    return compared(a[-1], b[-1])


def matryoshka(a, b, rng):
    return compared(a[-1], b[-1]) + compared(a[-1][:, :CUT], b[-1][:, :CUT])


def two_dimensions(a, b, rng):
    early = rng.integers(LAYERS - 1)
    last = [stop_gradient(rows[-1]) for rows in (a, b)]
    align = similarity_kl(a[early], b[early], *last, temperature=0.05)
    return matryoshka(a, b, rng) + matryoshka([a[early]], [b[early]], rng) + align


def measure(seed):
    data, arms = load("glosses", kind="word-definition"), {}
    for name, loss in {"plain": plain, "Matryoshka": matryoshka, "2D": two_dimensions}.items():
        start, batches, layers = (np.random.default_rng((seed, k)) for k in range(3))
        encoder = Layers(start)
        fit_pairs(encoder, data.train, lambda a, b, _, f=loss, rng=layers: f(a, b, rng), batches, epochs=3)
        sides = [encoder(*encoder.words.tokenise(texts)) for texts in (data.test.a, data.test.b)]
        arms[name] = {
            f"layer {layer}, {columns}": mean_reciprocal_rank(*(rows[layer - 1].data[:, :columns] for rows in sides))
            for layer in (1, LAYERS)
            for columns in (CUT, WIDTH)
        }
    return arms


CLAIM = Claim(
    paper="037",
    says="rows of an early layer, cut short, retrieve better after training that samples layers and widths",
    measure=measure,
    expects=(
        higher(f"layer 1, {CUT}", "2D", "Matryoshka"),
        higher(f"layer 1, {CUT}", "2D", "plain"),
        higher(f"layer {LAYERS}, {CUT}", "2D", "plain"),
    ),
)
