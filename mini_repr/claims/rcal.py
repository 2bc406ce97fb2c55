"""RCAL: noisy labels of unequal classes teach better by calibrated samples, and near rows learnt without labels.

Zhang et al. 2022, arXiv 2211.10955. Digits whose classes shrink from 140 training rows to 7 (or 3), and whose labels
are flipped in two fifths (or a fifth) of the rows, to another class in proportion to its size. Rows: an MLP of 64
columns, InfoNCE without labels, 60 epochs. *Distributional part.* Logistic regression on: the noisy rows; these drawn
again so that classes are equal; samples of class Gaussians (*Gaussians*), of Gaussians without outliers (*no
outliers*), with borrowing (*borrowed*), with both (*calibrated*). *Individual part.* The encoder is tuned for 30 epochs
with a linear head on the noisy labels alone (*tuned*), with the distance to the rows before (*distance*), mixup
(*mixup*), both (*individual*), and both with samples of the calibrated Gaussians for the head (*whole*). The penalty of
the regression (0.1, 1, 10) and the rate of tuning (1e-4, 3e-4, 1e-3): for each arm the best of three on a fifth of the
noisy rows, drawn again to balance. Accuracy on the clean, nearly balanced test rows. The distributional part was
measured before the individual one was there; its arms are as they were.
"""

from copy import deepcopy
from dataclasses import replace

import numpy as np

from mini_repr.claims.bench.altered import at_most
from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.trained import labelled_rows, trained
from mini_repr.data import load
from mini_repr.metrics import linear_probe
from mini_repr.posthoc.class_gaussians import ClassGaussians
from mini_repr.posthoc.individual_calibration import tune_calibrated

LARGEST, PENALTIES = 140, (0.1, 1.0, 10.0)
SETTINGS = {"encoder": {"name": "mlp", "width": 64, "hidden": 256, "depth": 2}, "train": {"epochs": 60}}
# name: (share of flipped labels, largest through smallest class)
REGIMES = {"0.4, 20": (0.4, 20), "0.2, 50": (0.2, 50)}


def flipped(labels, share, rng):
    """A share of the labels becomes another class, in proportion to its size."""
    counts = np.bincount(labels, minlength=10)
    noisy = labels.copy()
    for i in rng.choice(len(labels), round(share * len(labels)), replace=False):
        weights = np.where(np.arange(10) == labels[i], 0, counts)
        noisy[i] = rng.choice(10, p=weights / weights.sum())
    return noisy


def balanced(z, labels, rng):
    """Rows drawn again, as many of each class as the largest has."""
    most = np.bincount(labels).max()
    index = np.concatenate([rng.choice(np.flatnonzero(labels == c), most) for c in np.unique(labels)])
    return z[index], labels[index]


def gaussians(**settings):
    return lambda z, labels, rng: tuple(ClassGaussians(seed=0, **settings).fit_resample(z, labels))


ARMS = {
    "noisy": lambda z, labels, rng: (z, labels),
    "drawn again": balanced,
    "Gaussians": gaussians(outliers=0.0, heads=0),
    "no outliers": gaussians(heads=0),
    "borrowed": gaussians(outliers=0.0),
    "calibrated": gaussians(),
}
TUNED = {
    "tuned": {"distance": 0.0, "mixup": 0.0},
    "distance": {"mixup": 0.0},
    "mixup": {"distance": 0.0},
    "individual": {},
    "whole": {},
}
RATES = (1e-4, 3e-4, 1e-3)


def tuned_accuracy(encoder, arm, train, test, lr, seed):
    """Accuracy on ``test`` after tuning a copy of the encoder on ``train``: (rows, images, labels) each."""
    z, images, labels = train
    samples = ClassGaussians(seed=0).fit_resample(z, labels) if arm == "whole" else None
    given = {} if samples is None else {"samples": samples.z.astype(np.float32), "sample_labels": samples.labels}
    made = tune_calibrated(deepcopy(encoder), images, labels, **given, **TUNED[arm], lr=lr, seed=seed)
    return float((made.scores(test[1]).argmax(axis=1) == test[2]).mean())


def measured(seed, share, ratio):
    rng, data = np.random.default_rng(seed), load("digits")
    counts = (LARGEST * ratio ** (-np.arange(10) / 9)).round().astype(int)
    data = at_most(data, counts, rng)
    data = replace(data, train=replace(data.train, labels=flipped(data.train.labels, share, rng)))
    run = trained(seed, data=data, loss={"name": "infonce"}, **SETTINGS)
    z, labels, test, test_labels = labelled_rows(run.method.encoder, data)
    held = rng.random(len(z)) < 0.2
    judged = balanced(z[held], labels[held], rng)
    found = {}
    for name, made in ARMS.items():
        inner = made(z[~held], labels[~held], rng)
        penalty = max(PENALTIES, key=lambda l2, inner=inner: linear_probe(*inner, *judged, l2=l2))
        found[name] = linear_probe(*made(z, labels, rng), test, test_labels, l2=penalty)
    images, encoder = data.train.images, run.method.encoder
    inner, whole = (z[~held], images[~held], labels[~held]), (z, images, labels)
    copies = balanced(np.flatnonzero(held)[:, None], labels[held], rng)[0][:, 0]
    for arm in TUNED:
        check = (None, images[copies], labels[copies])
        lr = max(RATES, key=lambda lr, arm=arm, check=check: tuned_accuracy(encoder, arm, inner, check, lr, seed))
        found[arm] = tuned_accuracy(encoder, arm, whole, (None, data.test.images, test_labels), lr, seed)
    return found


def measure(seed):
    arms = {name: {} for name in (*ARMS, *TUNED)}
    for regime, own in REGIMES.items():
        for name, accuracy in measured(seed, *own).items():
            arms[name][regime] = accuracy
    return arms


CLAIM = Claim(
    paper="039",
    says="noisy labels of unequal classes teach better by calibrated samples, and near rows learnt without labels",
    measure=measure,
    expects=(
        *(higher(regime, "calibrated", "noisy", by=0.02) for regime in REGIMES),
        *(higher(regime, "calibrated", "drawn again", by=0.02) for regime in REGIMES),
        *(higher(regime, "calibrated", "Gaussians") for regime in REGIMES),
        *(higher(regime, "individual", "tuned", by=0.02) for regime in REGIMES),
        *(higher(regime, "whole", "individual") for regime in REGIMES),
    ),
    designs=2,
)
