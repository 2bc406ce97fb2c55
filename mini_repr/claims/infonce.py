"""InfoNCE's temperature: the lower, the more uniform and the less tolerant the rows; a moderate one classifies best.

Wang, Liu 2021, arXiv 2012.09740: the gradient goes to the nearest negatives as the temperature falls; rows spread more
evenly then, and rows of one class lie less close; between the two, a moderate temperature is best. Here: an MLP on
digits, 20 epochs at the paper's range of temperatures, from 0.07 to 1, each step of which is judged, and at 0.03 below
it. All measures are of the rows that the loss compares (the projector's), of test images: uniformity (lower is more
even); tolerance, the mean similarity within classes; kNN accuracy; and, not judged, as softmax has it so by itself, the
*hardest tenth*: the share of the gradient on negatives that the nearest tenth of an anchor's negatives gets. Single
pairs of temperatures, the best ones of the sweep, were judged at first.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from mini_repr.autograd import Tensor, no_grad, unit_rows
from mini_repr.claims.bench.claim import Claim, higher, lower
from mini_repr.claims.bench.trained import SMALL, rows_of, trained
from mini_repr.data import DEFAULT_VIEWS, parse_views
from mini_repr.metrics import knn_accuracy, tolerance, uniformity
from mini_repr.training.config import merge

TEMPERATURES = (0.03, 0.07, 0.2, 0.5, 1.0)
STEPS = [tuple(f"t = {t}" for t in pair) for pair in pairwise(TEMPERATURES[1:])]


def projected(run, part):
    with no_grad():
        return run.method.projector(Tensor(rows_of(run, part))).data


def share_of_hardest(a, b, temperature):
    """The gradient of anchor a_i on negative b_j has the length of its softmax, over the temperature."""
    u, v = unit_rows.on_arrays(a)[0], unit_rows.on_arrays(b)[0]
    similarity = (u @ v.T)[~np.eye(len(u), dtype=bool)].reshape(len(u), -1)
    pull = np.sort(np.exp((similarity - similarity.max(axis=1, keepdims=True)) / temperature), axis=1)
    return float((pull[:, -pull.shape[1] // 10 :].sum(axis=1) / pull.sum(axis=1)).mean())


def measure(seed):
    arms, view = {}, parse_views(DEFAULT_VIEWS)
    for temperature in TEMPERATURES:
        run = trained(seed, **merge(SMALL, {"loss": {"name": "infonce", "temperature": temperature}}))
        train, test = run.data.train, run.data.test
        z, rng = projected(run, test), np.random.default_rng(seed)
        views = [projected(run, replace(test, images=view(test.images, rng))) for _ in range(2)]
        arms[f"t = {temperature}"] = {
            "hardest tenth": share_of_hardest(*views, temperature),
            "uniformity": uniformity(z),
            "tolerance": tolerance(z, test.labels),
            "kNN": knn_accuracy(projected(run, train), train.labels, z, test.labels),
        }
    return arms


CLAIM = Claim(
    paper="092",
    says="a lower temperature: more uniform rows, less tolerant; a moderate one classifies best",
    measure=measure,
    expects=(
        *(lower("uniformity", *step) for step in STEPS),
        *(lower("tolerance", *step) for step in STEPS),
        higher("kNN", "t = 0.2", "t = 0.03"),
        higher("kNN", "t = 0.2", "t = 1.0"),
    ),
    seeds=5,
    designs=2,
)
