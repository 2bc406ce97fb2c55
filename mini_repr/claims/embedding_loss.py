"""Embedding loss: a connector loses neighbours and patches, and a model answers worse where it lost what is asked.

Li et al. 2025, arXiv 2509.11986. Between an image encoder and a language model a connector moves an image's
neighbours: of three models none keeps more than 0.62 of them (figure 3), retrieval falls for two, and images that keep
theirs retrieve better (table 2). And two answer worse where the patches asked about cannot be rebuilt; LLaVA does not
where others cannot (figure 5).

In place of photographs two digits side by side, 32 patches of 2 x 2 pixels; of CLIP a ViT trained on their captions
("three, seven") with InfoNCE, then frozen; of the language model one block that reads the connector's tokens and a
question, "is the left (right) digit odd?", trained together with the connector. An MLP keeps the patches (as in LLaVA),
a merger makes one token of four patches (Qwen2.5-VL), a resampler's 8 tokens attend to all (Idefics2); every token is
twice as wide as a patch. Measured on 1000 scenes of test digits, neighbours and recall by the mean of an image's
tokens: recall@5 is a scene of the same two digits, which the questions do not name, among the nearest five.

"overlap, recall": rank correlation over scenes of the overlap and of whether recall@5 found one. "asked, right" and
"other, right": over questions, of a right answer with the loss of the 16 patches of the digit asked about, and of those
of the other digit. "kept" and "lost": accuracy in the quarters of questions with the least and the most loss of the
digit asked about.

The 0.62 is the paper's and was set before the first run. Tried before this: questions for the digit itself, and those
on the patches of a last block but one, as LLaVA takes them.
"""

import numpy as np
from scipy.stats import spearmanr

from mini_repr.autograd import Tensor, attention, broadcast_to, concatenate, no_grad
from mini_repr.claims.bench.claim import Claim, Expectation
from mini_repr.claims.bench.fitting import fit, named
from mini_repr.data import load
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.metrics.neighbour_overlap import neighbour_overlaps
from mini_repr.metrics.patch_reconstruction import patch_reconstruction_loss
from mini_repr.nn import MLP, Block, Embedding, LayerNorm, Linear, Module, ViT, truncated_normal

PATCH_WIDTH, WIDTH = 32, 64  # of the encoder's patches, and of the language model's tokens
ROWS, COLUMNS = 4, 8  # of patches; the left digit has the first four columns
MERGED = ROWS * COLUMNS // 4
TRAIN_SCENES, TEST_SCENES, STEPS, RECONSTRUCTION_STEPS = 4000, 1000, 300, 600


class Projector(MLP):
    """Each patch to a token."""

    tokens = ROWS * COLUMNS

    def __init__(self, rng):
        super().__init__((PATCH_WIDTH, WIDTH, WIDTH), rng, activation="gelu")


class Merger(Module):
    """2 x 2 patches, side by side, to a token."""

    tokens = MERGED

    def __init__(self, rng):
        self.mlp = MLP((4 * PATCH_WIDTH, WIDTH, WIDTH), rng, activation="gelu")

    def forward(self, patches):
        squares = patches.reshape(len(patches), ROWS // 2, 2, COLUMNS // 2, 2, PATCH_WIDTH).transpose(0, 1, 3, 2, 4, 5)
        return self.mlp(squares.reshape(len(patches), MERGED, 4 * PATCH_WIDTH))


class Resampler(Module):
    """Learned tokens that attend to all patches, then an MLP."""

    tokens = MERGED

    def __init__(self, rng):
        self.latents = Tensor(truncated_normal(rng, (MERGED, WIDTH), np.float32), True)
        self.query, self.key, self.value = (Linear(size, WIDTH, rng) for size in (WIDTH, PATCH_WIDTH, PATCH_WIDTH))
        self.norm, self.mlp = LayerNorm(WIDTH), MLP((WIDTH, WIDTH, WIDTH), rng, activation="gelu")

    def forward(self, patches):
        query = broadcast_to(self.query(self.latents), (len(patches), MERGED, WIDTH))
        x = self.latents + attention(query, self.key(patches), self.value(patches), heads=4)[0]
        return x + self.mlp(self.norm(x))


class Reader(Module):
    """Tokens (B, M, WIDTH) and questions (B,), 0 left and 1 right, to scores of the two answers."""

    def __init__(self, tokens, rng):
        self.questions = Embedding(2, WIDTH, rng)
        self.positions = Tensor(truncated_normal(rng, (tokens + 1, WIDTH), np.float32), True)
        self.block, self.norm, self.answer = Block(WIDTH, 4, 2.0, rng), LayerNorm(WIDTH), Linear(WIDTH, 2, rng)

    def forward(self, tokens, questions):
        x, _ = self.block(concatenate(tokens, self.questions(questions[:, None]), axis=1) + self.positions)
        return self.answer(self.norm(x[:, -1]))


CONNECTORS = {"MLP": Projector, "merger": Merger, "resampler": Resampler}


def scenes(part, pairs, rng):
    """Images (B, 1, 8, 16) of any two samples with these labels (B, 2)."""
    order, counts = np.argsort(part.labels, kind="stable"), np.bincount(part.labels)
    first = np.cumsum(counts) - counts
    index = order[first[pairs] + rng.integers(counts[pairs])]
    return np.concatenate([part.images[index[:, 0]], part.images[index[:, 1]]], axis=3)


def captioned_encoder(part, rng):
    """A ViT whose mean patch finds the caption of its scene among 64 captions, all different."""
    encoder = ViT((1, 8, 16), rng, patch=2, width=PATCH_WIDTH, depth=2, mlp_ratio=2.0, pooling="mean")
    head, words = Linear(PATCH_WIDTH, PATCH_WIDTH, rng), Embedding(20, PATCH_WIDTH, rng)

    def loss_of(index):
        pairs = np.stack(np.divmod(index, 10), axis=1)
        return infonce(head(encoder(scenes(part, pairs, rng)).pooled), words(pairs + [0, 10]).mean(axis=1))

    fit(named(encoder, head, words), loss_of, 100, rng, steps=STEPS)
    return encoder


def recalled(rows, pairs):
    """Whether (N,) a scene of the same two digits is among the five nearest."""
    rows = rows - rows.mean(axis=0)
    distance = (rows**2).sum(axis=1) / 2 - rows @ rows.T
    np.fill_diagonal(distance, np.inf)
    nearest = np.argsort(distance, axis=1)[:, :5]
    return (pairs[nearest] == pairs[:, None]).all(axis=2).any(axis=1)


def measure(seed):
    data, rng = load("digits"), np.random.default_rng(seed)
    encoder = captioned_encoder(data.train, rng)

    def seen(part, count):
        pairs = rng.integers(10, size=(count, 2))
        with no_grad():
            return pairs, encoder(scenes(part, pairs, rng)).tokens.data

    (train_pairs, train), (pairs, test) = seen(data.train, TRAIN_SCENES), seen(data.test, TEST_SCENES)
    table = {"before": {"recall@5": recalled(test.mean(axis=1), pairs).mean()}}
    for name, make in CONNECTORS.items():
        table[name] = measured(make, (train_pairs, train), (pairs, test), seed)
    return table


def measured(make, train, test, seed):
    rng = np.random.default_rng(seed)
    connector = make(rng)
    reader = Reader(connector.tokens, rng)
    (train_pairs, train_patches), (pairs, patches) = train, test

    def loss_of(index):
        questions = rng.integers(2, size=len(index))
        scores = reader(connector(train_patches[index]), questions)
        return cross_entropy(scores, train_pairs[index, questions] % 2)

    fit(named(connector, reader), loss_of, len(train_patches), rng, steps=STEPS, lr=1e-3)
    with no_grad():
        train_tokens, tokens = connector(train_patches).data, connector(patches).data
        answers = [reader(tokens, np.full(len(tokens), side)).data.argmax(axis=1) for side in (0, 1)]
    right = (np.stack(answers, axis=1) == pairs % 2).ravel()
    loss = patch_reconstruction_loss(
        train_patches, train_tokens, patches, tokens, steps=RECONSTRUCTION_STEPS, seed=seed
    )
    by_side = loss.reshape(-1, ROWS, 2, COLUMNS // 2).mean(axis=(1, 3))
    asked, other = by_side.ravel(), by_side[:, ::-1].ravel()
    overlaps = neighbour_overlaps(patches.mean(axis=1), tokens.mean(axis=1), normalize=False)
    found, order, quarter = recalled(tokens.mean(axis=1), pairs), np.argsort(asked), len(asked) // 4
    return {
        "recall@5": found.mean(),
        "overlap": overlaps.mean(),
        "overlap, recall": spearmanr(overlaps, found).statistic,
        "loss": loss.mean(),
        "accuracy": right.mean(),
        "asked, right": spearmanr(asked, right).statistic,
        "other, right": spearmanr(other, right).statistic,
        "kept": right[order[:quarter]].mean(),
        "lost": right[order[-quarter:]].mean(),
    }


CLAIM = Claim(
    paper="019",
    says="connectors lose neighbours and retrieval with them; answers fail where the patches asked about are lost",
    measure=measure,
    expects=(
        Expectation(
            "overlap: every connector < 0.62",
            lambda arms: 0.62 - max(arms[name]["overlap"] for name in CONNECTORS),
        ),
        Expectation(
            "recall@5: MLP and resampler < before",
            lambda arms: arms["before"]["recall@5"] - max(arms[name]["recall@5"] for name in ("MLP", "resampler")),
        ),
        Expectation(
            "overlap, recall: every connector > 0",
            lambda arms: min(arms[name]["overlap, recall"] for name in CONNECTORS),
        ),
        Expectation(
            "asked, right: MLP and resampler < 0",
            lambda arms: -max(arms[name]["asked, right"] for name in ("MLP", "resampler")),
        ),
        Expectation(
            "MLP: asked, right < other, right",
            lambda arms: arms["MLP"]["other, right"] - arms["MLP"]["asked, right"],
        ),
    ),
    seeds=5,
    designs=3,
)
