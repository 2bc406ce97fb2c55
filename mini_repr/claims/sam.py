"""SAM: labels that are wrong do less harm (Foret et al. 2020, arXiv 2010.01412, section 3.3).

A classifier of the digits of whose training labels two fifths are wrong, by SGD with momentum and by SAM on it, for as
many epochs (SAM takes two passes a step). As in the paper training goes on until SGD has fitted the wrong labels too:
60 epochs of the images as they are. "SAM, 0.05" has the paper's default radius. "tuned": SAM's radius, and SGD's weight
decay, the best of six values each on a fifth of the training rows, with their wrong labels, on a seed beyond those
counted. Sharpness, which SAM lowers by construction and which is not judged: the rise of the training loss within 0.05
along the gradient, on the true labels of 512 training rows. Images with random views, where the wrong labels are not
fitted, were tried first.
"""

import numpy as np

from mini_repr.backend import CPU
from mini_repr.claims.bench.altered import mislabelled
from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.trained import SMALL, trained
from mini_repr.data import load
from mini_repr.methods import Batch
from mini_repr.optim import SAM
from mini_repr.training.config import merge

SGD = {"lr": 0.05, "momentum": 0.9}
SETTINGS = {"method": {"views": "none"}, "train": {"epochs": 60}}
ARMS = {
    "SGD": {"name": "sgd"},
    "SGD, tuned": {"name": "sgd", "weight_decay": 0.1},
    "SAM, 0.05": {"name": "sam:sgd", "rho": 0.05},
    "SAM, tuned": {"name": "sam:sgd", "rho": 1.0},
}


def run_of(seed, data, optimizer):
    sections = {"loss": {"name": "cross_entropy"}, "optimizer": {**SGD, **optimizer}, **SETTINGS}
    return trained(seed, data=data, **merge(SMALL, sections))


def measure(seed):
    clean = load("digits")
    data, arms = mislabelled(clean, 0.4, np.random.default_rng(seed)), {}
    for name, optimizer in ARMS.items():
        run = run_of(seed, data, optimizer)
        arms[name] = {
            "accuracy": accuracy(run, clean.test),
            "fitted": accuracy(run, data.train),
            "sharpness": sharpness(run, clean.train),
        }
    return arms


def accuracy(run, part):
    method = run.method.eval()
    _, scores = method.embed(part.images)
    return float((scores.data.argmax(axis=1) == part.labels).mean())


def sharpness(run, part):
    """How much the loss rises at the point that SAM would climb to, without views, in evaluation mode."""
    method, optimizer = run.method.eval(), SAM(getattr(run.optimizer, "base", run.optimizer), rho=0.05)
    batch = Batch((part.images[:512],), part.labels[:512], np.arange(512))

    def loss():
        return method.compare(method.embed(*batch.inputs), (), batch, method.objective).total

    optimizer.zero_grad()
    before = loss()
    before.backward()
    weights = optimizer.ascend()
    after = loss()
    for parameter, weight in weights:
        parameter.data[...] = weight
    return float(CPU.to_numpy(after.data) - CPU.to_numpy(before.data))


CLAIM = Claim(
    paper="005",
    says="under wrong labels SAM classifies better than SGD",
    measure=measure,
    expects=(higher("accuracy", "SAM, 0.05", "SGD"), higher("accuracy", "SAM, tuned", "SGD, tuned", by=0.01)),
    seeds=5,
    designs=3,
)
