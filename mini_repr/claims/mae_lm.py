"""MAE-LM: a masked language model whose encoder never sees [mask] keeps more directions for the words.

Meng et al. 2023, arXiv 2302.02060: under MLM the rows of real words lose rank towards the last layers, where directions
are spent on [mask]; with [mask] put in by a decoder that is thrown away they do not, and the encoder is better. Here:
the first 8 words of WordNet's definitions and examples, two of them hidden; three blocks of width 24 (few, so that
directions are scarce), 40 epochs of batches of 96, one decoder block. The rank is the exponential of the entropy of
squared singular values of the real words' rows, uncentred, of texts without [mask]. "Few labels": a probe of the 20
largest of the 41 categories on the mean of the words' rows. A first design stopped after 8 epochs, near the loss of the
words' frequencies (5.8), where the last two expectations were unclear.
"""

import numpy as np

from mini_repr.backend import CPU
from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.trained import trained
from mini_repr.claims.bench.word_start import word_start
from mini_repr.data import Dataset, TextSet, load
from mini_repr.methods import encode, encode_layer_tokens
from mini_repr.metrics import few_label_probe, matrix_entropy

WORDS, CATEGORIES = 8, 20
ENCODER = {"name": "text_transformer", "width": 24, "depth": 3, "heads": 4, "buckets": 2048, "max_tokens": WORDS}
STYLES = {"MLM": "mlm", "MAE-LM": "mae_lm"}


def texts():
    """Texts of the largest categories that have eight words or more."""
    data = load("sentences")
    largest = np.argsort(-np.bincount(data.train.labels))[:CATEGORIES]
    names = tuple(str(label) for label in range(CATEGORIES))

    def part(whole):
        long = np.array([len(text.split()) >= WORDS for text in whole.texts]) & np.isin(whole.labels, largest)
        chosen = whole.take(long)
        labels = (chosen.labels[:, None] == largest).argmax(axis=1)
        return TextSet(whole.name, chosen.texts, labels, names)

    return Dataset(data.name, part(data.train), part(data.test))


def measure(seed):
    data, arms = texts(), {}
    for arm, style in STYLES.items():
        losses = []
        run = trained(
            seed,
            each_epoch=lambda run, record, losses=losses: losses.append(record["loss"]),
            data=data,
            start=word_start(seed, ENCODER),
            loss={"name": "cross_entropy"},
            method={"name": "language", "style": style, "ratio": 0.25},
            encoder=ENCODER,
            train={"epochs": 40, "batch_size": 96},
            optimizer={"lr": 3e-3},
        )
        encoder = run.method.encoder
        tokens, mask = encode_layer_tokens(encoder, data.test.texts[:1000], CPU)
        ids, words = encoder.tokenise(data.test.texts[:1000])
        tokens = [*tokens, encoder(ids, words).tokens.data]
        ranks = [float(np.exp(matrix_entropy(rows[mask].astype(np.float64)))) for rows in tokens]
        train, test = encode(encoder, data.train.texts, CPU), encode(encoder, data.test.texts, CPU)
        arms[arm] = {
            **{f"rank {k}": rank for k, rank in enumerate(ranks[:-1], 1)},
            "last rank": ranks[-1],
            "last over first": ranks[-1] / ranks[0],
            "loss": losses[-1],
            "few labels": few_label_probe(train, data.train.labels, test, data.test.labels)[0],
        }
    return arms


CLAIM = Claim(
    paper="015",
    says="a masked language model whose encoder never sees [mask] keeps more directions for real words",
    measure=measure,
    expects=(
        higher("last rank", "MAE-LM", "MLM"),
        higher("last over first", "MAE-LM", "MLM"),
        higher("few labels", "MAE-LM", "MLM"),
    ),
    seeds=5,
    designs=2,
)
