"""Grouped aggregation: a contrastive loss within groups of the batch trains about as well as over all of it.

Guo et al. 2024, arXiv 2401.15896 (M2-Encoder): the rows are gathered within groups of devices and not over all, which
takes less communication and memory at no loss of accuracy; their batches are of 100 thousand pairs and more. Here: two
copies of a definition (WordNet), each of which lost half of its words, look for each other among 600 after 10 epochs;
hashed words and an MLP; batches of 256 pairs in 1, 2, 4 and 8 groups. Each has the learning rate of three that
retrieves best on a fifth of the training pairs, over two seeds beyond those counted. *rows*: how many an anchor meets.
That groups of ranks give what one rank gives is a test.

The paper's pairs are images with captions in English or Chinese, mixed. Here: scenes of one to three digits, half of
their captions in English and half in a made-up language; towers of ``perceptual_grouping``, batches of 64, 20 epochs.
*one language*: the scenes with English captions alone, 40 epochs, so as many steps. The paper has one model for both
languages; whether they help each other is our question. Rates: of 0.0025, 0.005 and 0.01 the best by captions on a
fifth of the training pairs, of two other seeds. *English*, *made up*: the right caption of test scenes among all of
that language. Before this 4 groups of such a batch, 16 pairs each, were tried on another seed: better than the whole
batch at one rate and worse at another.
"""

import numpy as np

from mini_repr.claims.bench.altered import held_out
from mini_repr.claims.bench.claim import Claim, higher, no_worse
from mini_repr.claims.bench.copies import pairs_of_copies
from mini_repr.claims.bench.trained import pair_rows, trained
from mini_repr.data import Dataset, load
from mini_repr.data.generated.scenes import CELL
from mini_repr.metrics import mean_reciprocal_rank
from mini_repr.training.config import merge
from mini_repr.training.evaluation import compare

BATCH = 256
COMMON = {"loss": {"name": "infonce", "temperature": 0.1}, "train": {"epochs": 10, "batch_size": BATCH}}
RATES = {1: 3e-3, 2: 1e-3, 4: 1e-3, 8: 3e-3}  # by groups, of 3e-4, 1e-3 and 3e-3
ALIKE = 0.01


def retrieval(groups, seed, lr, choosing=False):
    """Mean reciprocal rank of the other copy among those of the test definitions."""
    data = pairs_of_copies(3000, 600, np.random.default_rng(seed), lost=0.5)
    settings = merge(COMMON, {"train": {"loss_groups": groups}, "optimizer": {"lr": lr}})
    run = trained(seed, data=held_out(data) if choosing else data, **settings)
    return mean_reciprocal_rank(*pair_rows(run, run.data.test))


def named(groups):
    return "whole batch" if groups == 1 else f"{groups} groups"


def found_captions(seed, data, lr, **train):
    """{"English", "made up"}: share of test scenes whose caption in that language is found, of towers of images."""
    run = trained(
        seed,
        data=data,
        loss={"name": "infonce", "learn": ["temperature"]},
        encoder={"name": "vit", "pooling": "max", "patch": CELL, "width": 48, "positions": "sine"},
        optimizer={"lr": lr},
        train={"batch_size": 64, **train},
    )
    tests = {name: load("captions", seed=seed, language=name.lower()) for name in ("English", "made up")}
    return {name: compare(run, own)["trained"]["caption"] for name, own in tests.items()}


def bilingual(seed):
    mixed, english = (load("captions", seed=seed, language=language) for language in ("mixed", "english"))
    in_english = np.array([one == own for one, own in zip(mixed.train.texts, english.train.texts, strict=True)])
    half = Dataset("captions", english.train.take(in_english), english.test)
    return {
        "mixed": found_captions(seed, mixed, 2.5e-3, epochs=20),
        "mixed, 2 groups": found_captions(seed, mixed, 5e-3, epochs=20, loss_groups=2),
        "one language": found_captions(seed, half, 1e-2, epochs=40),
    }


def measure(seed):
    arms = {
        named(groups): {"MRR": retrieval(groups, seed, lr), "rows": BATCH // groups} for groups, lr in RATES.items()
    }
    return arms | bilingual(seed)


CLAIM = Claim(
    paper="109",
    says="contrast within groups of the batch is about as good as over the whole; mixed languages help each other",
    measure=measure,
    expects=(
        *(no_worse("MRR", named(groups), "whole batch", by=ALIKE) for groups in (2, 4, 8)),
        *(no_worse(language, "mixed, 2 groups", "mixed", by=0.03) for language in ("English", "made up")),
        higher("English", "mixed", "one language"),
    ),
    designs=3,
)
