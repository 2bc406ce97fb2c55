"""Sentences of the language of topics, an encoder that was pretrained on them, and what its rows are worth."""

from functools import cache

from mini_repr.backend import CPU
from mini_repr.claims.bench.trained import trained
from mini_repr.claims.bench.word_start import word_start
from mini_repr.data import load
from mini_repr.methods import encode
from mini_repr.metrics import effective_rank, few_label_probe, rank_agreement, uniformity

ENCODER = {"name": "text_transformer", "width": 48, "depth": 2, "buckets": 2048, "max_tokens": 16}
COUNT = 6400


@cache
def sentences(seed, chained=False):
    """Training and test sentences with their topics; other sentences for each seed."""
    return load("topics", kind="sentences", count=COUNT, seed=seed, chained=chained)


def pretrained(seed, **encoder):
    """An encoder after fourteen epochs of masked language modelling; ``encoder`` changes its settings."""
    settings = {**ENCODER, **encoder}
    run = trained(
        seed,
        data=sentences(seed),
        start=word_start(seed, settings),
        loss={"name": "cross_entropy"},
        method={"name": "language"},
        encoder=settings,
        train={"epochs": 14, "batch_size": 64},
        optimizer={"lr": 3e-3},
    )
    return run.method.encoder


def graded(seed, part="test"):
    """Pairs of sentences of a part that no encoder was trained on, with their graded similarity.

    Args:
        part: "test", or "choice" for the pairs by which settings are chosen.
    """
    return load("topics", kind="graded", count=1000, seed=[seed, {"test": 1, "choice": 2}[part]]).train


def agreement(encoder, pairs):
    """Spearman's correlation of an encoder's cosines with graded similarities."""
    return rank_agreement(encode(encoder, pairs.a, CPU), encode(encoder, pairs.b, CPU), pairs.similarity)


def scores(encoder, seed):
    """{"Spearman", "few labels", "uniformity", "rank"} of an encoder on test sentences."""
    data = sentences(seed)
    train, test = encode(encoder, data.train.texts, CPU), encode(encoder, data.test.texts, CPU)
    return {
        "Spearman": agreement(encoder, graded(seed)),
        "few labels": few_label_probe(train, data.train.labels, test, data.test.labels)[0],
        "uniformity": uniformity(test),
        "rank": effective_rank(test),
    }
