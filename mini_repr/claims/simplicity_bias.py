"""Simplicity bias: contrast drops what it can do without; width, views and a joint loss bring it back.

Xue et al. 2023, arXiv 2305.16536. *Suppression*: InfoNCE of digits beside which stand random bits, which both views
show and which tell images apart more easily: accuracy of a linear probe for the digit, by width of the rows, and where
views draw half of the bits anew. *Collapse*: SupCon whose classes are odd and even, digits their subclasses: the probe
for the digit, and the share of the spread of digits' means that lies within a class; at equal weight with InfoNCE
(*joint*), alone, wider, and, of SupCon, after 3 epochs of 30 (*early*). An MLP of 256 hidden units, the rows
themselves compared, temperature 0.2, the same learning rate and 30 epochs for all.
"""

import numpy as np

from mini_repr.autograd import concatenate
from mini_repr.claims.bench.bit_views import BitViews, outputs, probes, trained_on_bits
from mini_repr.claims.bench.claim import Claim, higher, lower
from mini_repr.data import load
from mini_repr.losses.labels.supcon import supcon
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.metrics import subclass_share

TEMPERATURE = 0.2
# name: (bits, width, share of bits that views keep)
SUPPRESSION = {
    "no bits": (0, 64, 1.0),
    "8 bits": (8, 64, 1.0),
    "8 bits, width 16": (8, 16, 1.0),
    "8 bits, width 4": (8, 4, 1.0),
    "8 bits, views redraw": (8, 64, 0.5),
}
# name: (weight of SupCon, width)
COLLAPSE = {"SupCon": (1.0, 16), "joint": (0.5, 16), "InfoNCE": (0.0, 16), "SupCon, width 64": (1.0, 64)}
EARLY = 3


def suppressed(data, seed, bits, width, keep):
    views = BitViews(data, bits, keep, np.random.default_rng(seed))
    encoder = trained_on_bits(views, lambda a, b, index: infonce(a, b, temperature=TEMPERATURE), width)
    return probes(views, lambda rows: outputs(encoder, rows))


def collapsed(data, seed, weight, width):
    """Scores of the rows at the end, and their share early on."""
    views = BitViews(data, 0, 1.0, np.random.default_rng(seed))
    parity, shares = views.train.labels % 2, {}

    def loss(a, b, index):
        total = 0.0
        if weight:
            rows, labels = concatenate(a, b), np.tile(parity[index], 2)
            total = supcon(rows, labels, temperature=TEMPERATURE) * weight
        return total + infonce(a, b, temperature=TEMPERATURE) * (1 - weight) if weight < 1 else total

    def share(encoder, epoch):
        test = outputs(encoder, views.test.rows)
        shares[epoch] = subclass_share(test, views.test.labels % 2, views.test.labels)

    encoder = trained_on_bits(views, loss, width, watch=share)
    return probes(views, lambda rows: outputs(encoder, rows)) | {"share": shares[max(shares)]}, shares[EARLY]


def measure(seed):
    data = load("digits")
    arms = {name: suppressed(data, seed, *own) for name, own in SUPPRESSION.items()}
    for name, own in COLLAPSE.items():
        arms[name], early = collapsed(data, seed, *own)
        if name == "SupCon":
            arms["SupCon, early"] = {"share": early}
    return arms


CLAIM = Claim(
    paper="059",
    says="contrast drops what it can do without; width, views and a joint loss bring it back",
    measure=measure,
    expects=(
        lower("digit", "8 bits", "no bits", by=0.05),
        lower("digit", "8 bits, width 16", "8 bits", by=0.05),
        lower("digit", "8 bits, width 4", "8 bits, width 16", by=0.05),
        higher("digit", "8 bits, views redraw", "8 bits", by=0.05),
        lower("digit", "SupCon", "InfoNCE", by=0.05),
        lower("share", "SupCon", "SupCon, early"),
        higher("digit", "joint", "SupCon", by=0.05),
        higher("digit", "SupCon, width 64", "SupCon", by=0.05),
    ),
)
