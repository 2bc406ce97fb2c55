"""SAM: flatter minima, and labels that are wrong do less harm (Foret et al. 2020, arXiv 2010.01412, sections 3.1, 3.3).

A classifier of the digits of whose training labels two fifths are wrong, by SGD with momentum and by SAM on it, for as
many epochs (SAM takes two passes a step). Sharpness: the rise of the training loss within rho = 0.05 along the
gradient, on the true labels of 512 training rows. Radius 0.05 is the paper's; nothing was tuned.
"""

import numpy as np

from mini_repr.backend import CPU
from mini_repr.claims.altered import mislabelled
from mini_repr.claims.claim import Claim, higher, lower
from mini_repr.claims.trained import SMALL, trained
from mini_repr.data import load
from mini_repr.methods import Batch
from mini_repr.optim import SAM
from mini_repr.training.config import merge

SGD = {"lr": 0.05, "momentum": 0.9}


def measure(seed):
    """{optimiser: {"accuracy", "sharpness"}}."""
    clean = load("digits")
    data = mislabelled(clean, 0.4, np.random.default_rng(seed))
    arms = {}
    for name in ("sgd", "sam:sgd"):
        sections = {"loss": {"name": "cross_entropy"}, "optimizer": {"name": name, **SGD}, "train": {"epochs": 30}}
        run = trained(seed, data=data, **merge(SMALL, sections))
        arms[name] = {"accuracy": accuracy(run, clean.test), "sharpness": sharpness(run, clean.train)}
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
        return method.compare(method.embed(*batch.inputs), (), batch).total

    optimizer.zero_grad()
    before = loss()
    before.backward()
    optimizer.ascend()
    after = loss()
    optimizer.step()
    return float(CPU.to_numpy(after.data) - CPU.to_numpy(before.data))


CLAIM = Claim(
    paper="005",
    says="under wrong labels SAM finds flatter minima than SGD, and classifies better",
    measure=measure,
    expects=(higher("accuracy", "sam:sgd", "sgd"), lower("sharpness", "sam:sgd", "sgd")),
)
