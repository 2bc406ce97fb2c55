"""Orbit distance: a network that brings inputs to a learnt frame answers moved ones best; the frame is in the group.

Nguyen et al. 2023, arXiv 2311.07143. *so2*: digits as 64 vectors, each pixel's place seen from the middle times its
brightness; training rows stand upright, test rows are turned by any angle. *lorentz*: four particles and their matrix
element, sign(y) log(1 + 4 |y|), standardised, from 2,000 rows; test rows are seen by other observers (rapidity up to
1). Arms: an MLP (*plain*), the same on rows moved at random in each step, by 16 elements (*augmented*), the symmetrised
MLP with λ = 1 (*orbit*) and λ = 0 (*no distance*), and of lorentz an MLP of the products of all vectors, which no move
changes (*invariants*). Of moved test rows *accuracy* (so2) and *error*, the mean square (lorentz); *changed*: the share
of answers that a move changes, of numbers how far; *distance*: the orbit distance, for a frame of zeros 0.75 and 0.25.
600 and 2,000 steps. Learning rate: for each arm the best of three (1e-3, 3e-3, 1e-2) on moved held-out rows, on a seed
beyond those counted. The start of the generator is the best of three sizes on particles of another seed, for both λ.
"""

from functools import partial

import numpy as np

from mini_repr.autograd import Tensor, no_grad
from mini_repr.claims.bench.claim import Claim, below, higher, lower
from mini_repr.claims.bench.fitting import fit
from mini_repr.data import load
from mini_repr.data.generated.lorentz_pairs import METRIC, lorentz_pairs, random_observer
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.nn import MLP
from mini_repr.posthoc.orbit import OrbitSymmetrised

ARMS = ("plain", "augmented", "no distance", "orbit", "invariants")
DRAWN = 16  # elements of the group in a training step
STEPS = {"so2": 600, "lorentz": 2000}
METRICS = {"so2": np.eye(2), "lorentz": METRIC}
RATES = {
    "so2": {"plain": 1e-2, "augmented": 3e-3, "no distance": 1e-2, "orbit": 1e-2},
    "lorentz": dict.fromkeys(ARMS, 1e-2),
}


def turns(count, rng):
    angles = rng.uniform(0, 2 * np.pi, count)
    return np.stack([np.cos(angles), -np.sin(angles), np.sin(angles), np.cos(angles)], axis=1).reshape(-1, 2, 2)


def observers(count, rng):
    return np.stack([random_observer(rng) for _ in range(count)])


MOVES = {"so2": turns, "lorentz": observers}


def moved(x, group, rng, kinds=None):
    """Rows (N, n d), each moved by an element of the group of its own; or by one of ``kinds`` elements."""
    h = np.resize(MOVES[group](kinds or len(x), rng), (len(x), *METRICS[group].shape))
    return (x.reshape(len(x), -1, h.shape[1]) @ h.transpose(0, 2, 1)).reshape(x.shape)


def digits(part):
    """(rows (N, 128), labels)."""
    places = np.mgrid[:8, :8].reshape(2, 64).T - 3.5
    return (part.images.reshape(len(part), 64, 1) * places).reshape(len(part), -1), part.labels


def particles(count, rng):
    """(rows (N, 16), targets)."""
    vectors, targets = lorentz_pairs(count, rng)
    return vectors.reshape(count, 16), np.sign(targets) * np.log1p(4 * np.abs(targets))


def products(x, metric):
    """Rows of the products of all pairs of vectors."""
    vectors = x.reshape(len(x), -1, len(metric))
    all_pairs = vectors @ metric @ vectors.transpose(0, 2, 1)
    upper = np.triu_indices(vectors.shape[1])
    return all_pairs[:, upper[0], upper[1]]


def mlp(x, targets, group, seed, lr, augment, made=lambda x: x):
    """``predict`` of an MLP trained on what ``made`` makes of rows, which ``augment`` moves anew in each step."""
    rng, whole = np.random.default_rng(seed), targets.dtype.kind == "i"
    rows = made(x)
    scale = np.sqrt((rows**2).mean())
    net = MLP((rows.shape[1], 64, 64, 10 if whole else 1), rng)
    wanted = targets if whole else targets.astype(np.float32)

    def answers(rows):
        return net(Tensor((made(rows) / scale).astype(np.float32)))

    def loss(i):
        found = answers(moved(x[i], group, rng, DRAWN) if augment else x[i])
        return cross_entropy(found, wanted[i]) if whole else ((found.reshape(len(i)) - wanted[i]) ** 2).mean()

    fit(net.named_parameters(), loss, len(x), rng, steps=STEPS[group], batch=128, lr=lr)

    def predict(rows):
        with no_grad():
            found = answers(rows).data
        return found if whole else found[:, 0]

    return predict


def measured(arm, group, train, test, seed, lr):
    """{measure: number} of an arm on test rows as they are and moved."""
    found = {}
    if arm in ("orbit", "no distance"):
        made = OrbitSymmetrised(group, orbit=float(arm == "orbit"), steps=STEPS[group], lr=lr, seed=seed).fit(*train)
        found["distance"], predict = made.distance_, made.predict
    else:
        own = {"made": partial(products, metric=METRICS[group])} if arm == "invariants" else {}
        predict = mlp(*train, group, seed, lr, arm == "augmented", **own)
    x, wanted = test
    rng = np.random.default_rng([seed, 3])
    still, there = predict(x), predict(moved(x, group, rng))
    if still.ndim == 2:
        still, there = still.argmax(axis=1), there.argmax(axis=1)
        return {**found, "accuracy": float((there == wanted).mean()), "changed": float((still != there).mean())}
    return {**found, "error": float(((there - wanted) ** 2).mean()), "changed": float(np.abs(still - there).mean())}


def data_of(group, seed):
    """(training rows, test rows), targets beside them."""
    if group == "so2":
        data = load("digits")
        return digits(data.train), digits(data.test)
    rng = np.random.default_rng([seed, 2])
    parts = [particles(2000, rng) for _ in range(2)]
    mean, spread = parts[0][1].mean(), parts[0][1].std()
    return [(x, (y - mean) / spread) for x, y in parts]


def measure(seed):
    arms = {arm: {} for arm in ARMS}
    for group in STEPS:
        train, test = data_of(group, seed)
        for arm, lr in RATES[group].items():
            found = measured(arm, group, train, test, seed, lr)
            arms[arm] |= {f"{name}, {group}": value for name, value in found.items()}
    return arms


CLAIM = Claim(
    paper="011",
    says="a network that brings inputs to a learnt frame answers moved ones best, and its frame is a group element",
    measure=measure,
    expects=(
        higher("accuracy, so2", "orbit", "plain", by=0.2),
        higher("accuracy, so2", "orbit", "augmented"),
        higher("accuracy, so2", "orbit", "no distance"),
        below("distance, so2", "orbit", 0.1),
        lower("error, lorentz", "orbit", "augmented"),
        lower("error, lorentz", "orbit", "no distance"),
        below("distance, lorentz", "orbit", 0.1),
    ),
    designs=2,
)
