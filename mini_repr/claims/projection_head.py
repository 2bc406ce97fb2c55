"""Projection head: what it drops is still there before it, most of all under a shift; a fixed head does it too.

Xue et al. 2024, arXiv 2403.11391: layers before a head hold features more evenly than the head's output, so that they
are better where pre-training disagrees with the task; a head that only reweights columns by powers of 1/κ, trained
through and left out, does the same. Digits with 8 random bits that both views show, InfoNCE, an MLP with rows of 128
columns, 30 epochs. *shifted*: a linear probe learns the digit from rows whose bits are a code of their class nine times
in ten, and is tested where they are random; *digit*: with random bits in both. *before*, *after*: the rows that the
head receives and gives. Each arm has three settings (heads: 16, 64 or 128 outputs; fixed head: κ 1.02, 1.05 or 1.1;
none: temperature 0.1, 0.2 or 0.5, 0.2 for the others) and takes the best by *shifted*, of the rows that it uses, on a
fifth of the training digits.
"""

import numpy as np

from mini_repr.claims.bench.altered import held_out
from mini_repr.claims.bench.bit_views import REPEAT, BitViews, outputs, probes, trained_on_bits
from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.data import load
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.metrics import linear_probe
from mini_repr.nn import FixedReweighting, ProjectionHead

BITS, WIDTH, TRUE = 8, 128, 0.9
# name: (the three settings, settings to (head, temperature)).
ARMS = {
    "none": ((0.1, 0.2, 0.5), lambda temperature, rng: (None, temperature)),
    "MLP": ((16, 64, 128), lambda outputs, rng: (ProjectionHead(WIDTH, 128, outputs, rng), 0.2)),
    "linear": ((16, 64, 128), lambda outputs, rng: (ProjectionHead(WIDTH, 128, outputs, rng, layers=1), 0.2)),
    "fixed": ((1.02, 1.05, 1.1), lambda kappa, rng: (FixedReweighting(WIDTH, kappa), 0.2)),
}


def trained_embeddings(data, arm, setting, seed):
    """(views, {"before": map of rows, "after": map of rows}) of an encoder trained with one head."""
    rng = np.random.default_rng(seed)
    views = BitViews(data, BITS, 1.0, rng)
    head, temperature = ARMS[arm][1](setting, rng)
    encoder = trained_on_bits(views, lambda a, b, index: infonce(a, b, temperature=temperature), WIDTH, head=head)

    def before(rows):
        return outputs(encoder, rows)

    return views, {"before": before} | ({} if head is None else {"after": lambda rows: outputs(head, before(rows))})


def shifted(views, embed, seed):
    """Accuracy of a probe learnt where bits tell the class, on test rows where they are random."""
    rng = np.random.default_rng(1000 + seed)
    codes, labels = rng.integers(2, size=(10, BITS)), views.train.labels
    bits = np.where(rng.random((len(labels), 1)) < TRUE, codes[labels], rng.integers(2, size=(len(labels), BITS)))
    rows = views.train.rows.copy()
    rows[:, -BITS * REPEAT :] = np.repeat(bits, REPEAT, axis=1)
    return linear_probe(embed(rows), labels, embed(views.test.rows), views.test.labels)


def measure(seed):
    data, arms = load("digits"), {}
    inner = held_out(data)
    for arm, (settings, _) in ARMS.items():

        def chosen_by(setting, arm=arm):
            views, embeddings = trained_embeddings(inner, arm, setting, seed)
            return shifted(views, embeddings["before"], seed)

        views, embeddings = trained_embeddings(data, arm, max(settings, key=chosen_by), seed)
        for place, embed in embeddings.items():
            name = arm if arm == "none" else f"{arm}, {place}"
            arms[name] = probes(views, embed) | {"shifted": shifted(views, embed, seed)}
    return arms


CLAIM = Claim(
    paper="087",
    says="rows before a projection head hold what it drops, and are better under a shift; so does a fixed head",
    measure=measure,
    expects=(
        *(higher(number, "MLP, before", "MLP, after", by=0.05) for number in ("digit", "shifted")),
        *(higher(number, "linear, before", "linear, after", by=0.05) for number in ("digit", "shifted")),
        higher("shifted", "MLP, before", "none"),
        higher("shifted", "fixed, before", "none"),
    ),
)
