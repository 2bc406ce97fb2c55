"""Symmetrisation by orbit distance: any network becomes blind to a group, by learning to bring inputs to a fixed frame.

Rows are n vectors side by side, x = (x_1, ..., x_n) in R^{n d}; a group of d x d matrices h acts on all of them at
once, and leaves the products x_i · Q x_j of all pairs as they are:

    so2        rotations of the plane, d = 2, Q = I
    lorentz    changes of observer, d = 4, Q = diag(1, -1, -1, -1)

A generator makes a matrix g = q(x, ε) that turns with its input, q(h x, ε) = h q(x, ε): its columns are sums of mixed
inputs, whose coefficients see products of vectors and a noise ε alone:

    m_j = sum_i a_ji x_i (+ b_ji R x_i, R a quarter turn, of so2, which commutes with it)
    c = MLP( s(m_i · Q m_j), ε ),  s(v) = sign(v) log(1 + |v|),      column k of g = sum_j c_kj m_j
    φ(x) = E_ε f( g⁻¹ x_1, ..., g⁻¹ x_n ),                   g⁻¹ = Q gᵀ Q, ε uniform in [-noise, noise]

f is any network, here an MLP. φ(h x) = φ(x) for every h, whatever the weights: (h g)⁻¹ h x = Q gᵀ hᵀ Q h x = g⁻¹ x. But
g need not be in the group; what f sees is then no input that could occur. So training adds the distance of g from the
group, by complete invariants I, which agree on g and the identity e exactly where g is in the group, the orbit of e:

    L = task + λ mean |I(g) - I(e)| (+ sum over entries and mean over rows of relu(|g| - 10), for lorentz, unbounded)
    I = gᵀ Q g, all 16 entries, of lorentz;    |g_1|², |g_2|², g_1 · g_2 and det g of so2

Gradient of the distance of lorentz: with E = sign(gᵀ Q g - Q) / 16, dg = Q g (E + Eᵀ). No Gram-Schmidt step is taken,
which the indefinite Q would not allow.

Source: Nguyen et al. 2023, arXiv 2311.07143; github.com/tiendatnguyen-vision/Orbit-symmetrize, whose orbit distances,
bound and inverse were run beside these on random matrices and agree. There: for lorentz the square is the default in
place of the absolute value (``distance="square"``), polynomials of the products up to degree 4 enter the MLP, noise is
0.1 and λ 1; so2 acts on images through their 200 brightest pixels, and ε is vectors on a circle. The logarithm s and
the start of c, 0.3 times the usual one, are ours. A matrix of zeros has the distance 0.25 of lorentz and 0.75 of so2:
near these numbers g has vanished instead of coming into the group.
"""

from typing import NamedTuple

import numpy as np

from mini_repr.autograd import Tensor, absolute, concatenate, log1p, no_grad, relu
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.nn import MLP, Linear, Module
from mini_repr.optim import descended
from mini_repr.pages.arguments import Choice, Count, NonNegative, Positive
from mini_repr.posthoc.estimator import Estimator, estimator, rows_of

BOUND = 10.0
MIXED = 4  # vectors m
START = 0.3  # of the coefficients' last weight: products of many vectors are large at first, and g with them


class Group(NamedTuple):
    """What is used of a group.

    metric: Q (d, d). commuting: matrices (R, d, d) that commute with it, the identity first. compact: whether its
    matrices are bounded. oriented: whether det g is an invariant too.
    """

    metric: np.ndarray
    commuting: np.ndarray
    compact: bool
    oriented: bool


GROUPS = {
    "so2": Group(np.eye(2), np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, -1.0], [1.0, 0.0]]]), True, True),
    "lorentz": Group(np.diag([1.0, -1.0, -1.0, -1.0]), np.eye(4)[None], False, False),
}


@estimator("orbit", paper="011")
class OrbitSymmetrised(Estimator):
    """A network blind to a group, of rows of vectors: ``OrbitSymmetrised("lorentz").fit(z, targets).predict(z)``.

    After ``fit``: ``weights_`` (P,), of all parts; ``sizes_``: vectors per row and outputs; ``scale_``: what rows are
    divided by; ``centre_``, ``spread_``: of numeric targets; ``distance_``: the orbit distance of the training rows.

    Args:
        group: so2, rows of n vectors of 2 numbers; lorentz, of 4, time first. orbit: λ. noise: of ε.
        distance: of invariants, absolute or square. draws: of ε that a prediction is the mean of.
        hidden: width of both MLPs. steps, batch_size, lr: of AdamW. seed: of weights, order and ε.
    """

    def __init__(
        self,
        group: Choice(*GROUPS) = "so2",
        *,
        orbit: NonNegative = 1.0,
        noise: NonNegative = 0.1,
        distance: Choice("absolute", "square") = "absolute",
        draws: Count() = 10,
        hidden: Count() = 64,
        steps: Count() = 1000,
        batch_size: Count() = 128,
        lr: Positive = 3e-3,
        seed: Count(least=0) = 0,
    ):
        self.group, self.orbit, self.noise, self.distance, self.draws = group, orbit, noise, distance, draws
        self.hidden, self.steps, self.batch_size, self.lr, self.seed = hidden, steps, batch_size, lr, seed

    def fit(self, z, targets):
        """Learn generator and network; returns the object.

        Args:
            z: rows (N, n d). targets: (N,) numbers, for squared error; or whole numbers from 0, for cross-entropy.
        Raises:
            ValueError: rows that are no whole vectors, or targets that fit neither.
        """
        settings = self.checked_settings()
        rows = rows_of("orbit", "z", z)
        size = len(GROUPS[settings["group"]].metric)
        if rows.shape[1] % size:
            raise ValueError(f"orbit: z: got rows of {rows.shape[1]} numbers, expected vectors of {size} side by side")
        targets = np.asarray(targets)
        whole = targets.dtype.kind in "iu"
        usable = targets.shape == (len(rows),) and (targets.dtype.kind == "f" or (whole and targets.min() >= 0))
        if not usable or not np.isfinite(targets).all():
            got = f"{targets.dtype} of shape {targets.shape}"
            raise ValueError(f"orbit: targets: got {got}, expected ({len(rows)},) finite numbers or classes from 0")
        self.scale_ = float(np.sqrt((rows**2).mean())) or 1.0
        self.centre_, self.spread_ = (0.0, 1.0) if whole else (float(targets.mean()), float(targets.std()) or 1.0)
        self.sizes_ = np.array([rows.shape[1] // size, int(targets.max()) + 1 if whole else 1])
        x = self._vectors(rows)
        wanted = targets if whole else ((targets - self.centre_) / self.spread_).astype(np.float32)
        rng = np.random.default_rng(settings["seed"])
        net = self._network(rng)

        def loss():
            batch = rng.choice(len(x), min(settings["batch_size"], len(x)), replace=False)
            answers, g = net(x[batch], self._drawn(rng, len(batch)))
            if whole:
                task = cross_entropy(answers, wanted[batch])
            else:
                task = ((answers.reshape(len(batch)) - wanted[batch]) ** 2).mean()
            total = task + orbit_distance(g, settings["group"], settings["distance"]) * settings["orbit"]
            if not GROUPS[settings["group"]].compact:
                total = total + relu(absolute(g) - BOUND).sum() / len(batch)
            return total

        descended(net.named_parameters(), loss, steps=settings["steps"], lr=settings["lr"])
        self.weights_ = np.concatenate([p.data.reshape(-1) for p in net.parameters()])
        with no_grad():
            g = net.generator(Tensor(x), self._drawn(rng, len(x)))
            self.distance_ = float(orbit_distance(g, settings["group"], settings["distance"]).data)
        return self

    def predict(self, z):
        """Answers: numbers (M,), or of classes the scores (M, C), the mean over ``draws`` of the noise."""
        net, x = self._fitted_network(z)
        rng = np.random.default_rng(self.seed)
        with no_grad():
            answers = np.mean([net(x, self._drawn(rng, len(x)))[0].data for _ in range(self.draws)], axis=0)
        return answers if self.sizes_[1] > 1 else answers[:, 0] * self.spread_ + self.centre_

    def transform(self, z):
        """Rows (M, n d) in their own frames, g⁻¹ x at ε = 0: the same for x and h x. float32."""
        net, x = self._fitted_network(z)
        with no_grad():
            g = net.generator(Tensor(x), np.zeros((len(x), 1), np.float32))
            return moved_back(Tensor(x), g, self.group).data.reshape(len(x), -1) * np.float32(self.scale_)

    def _fitted_network(self, z):
        """(the network as trained, vectors (M, n, d))."""
        self._require_fitted()
        size = len(GROUPS[self.group].metric)
        rows = rows_of("orbit", "z", z, int(self.sizes_[0]) * size)
        net, start = self._network(np.random.default_rng(0)), 0
        for p in net.parameters():
            p.data[...] = self.weights_[start : start + p.size].reshape(p.shape)
            start += p.size
        return net, self._vectors(rows)

    def _vectors(self, rows):
        return (rows / self.scale_).astype(np.float32).reshape(len(rows), int(self.sizes_[0]), -1)

    def _network(self, rng):
        count, outputs = map(int, self.sizes_)
        return Symmetrised(self.group, count, outputs, self.hidden, rng)

    def _drawn(self, rng, count):
        return (self.noise * rng.uniform(-1, 1, size=(count, 1))).astype(np.float32)


class Symmetrised(Module):
    """``net(x, noise)``: (f(g⁻¹ x), g) of vectors x (B, n, d) and a draw of noise (B, 1)."""

    def __init__(self, group, count, outputs, hidden, rng, dtype=np.float32):
        size = len(GROUPS[group].metric)
        self.mix = Linear(count * len(GROUPS[group].commuting), MIXED, rng, bias=False, dtype=dtype)
        self.coefficients = MLP((MIXED * (MIXED + 1) // 2 + 1, hidden, hidden, size * MIXED), rng, dtype=dtype)
        self.coefficients.linears[-1].weight.data *= START
        self.net = MLP((count * size, hidden, hidden, outputs), rng, dtype=dtype)
        self.group = group

    def generator(self, x, noise):
        """g (B, d, d) of vectors (B, n, d)."""
        metric = GROUPS[self.group].metric.astype(x.dtype)
        turned = concatenate(*(x @ r.T.astype(x.dtype) for r in GROUPS[self.group].commuting), axis=1)
        mixed = self.mix(turned.transpose(0, 2, 1)).transpose(0, 2, 1)
        products = (mixed @ metric) @ mixed.transpose(0, 2, 1)
        upper = np.flatnonzero(np.triu(np.ones((MIXED, MIXED))))
        products = products.reshape(len(x), MIXED * MIXED)[:, upper]
        products = log1p(absolute(products)) * np.sign(products.data)
        columns = self.coefficients(concatenate(products, noise, axis=1)).reshape(len(x), len(metric), MIXED) @ mixed
        return columns.transpose(0, 2, 1)

    def forward(self, x, noise):
        x = Tensor(x)
        g = self.generator(x, noise)
        return self.net(moved_back(x, g, self.group).reshape(len(x), -1)), g


def moved_back(x, g, group):
    """g⁻¹ x_i of vectors x (B, n, d) by g (B, d, d), with Q gᵀ Q as the inverse."""
    metric = GROUPS[group].metric.astype(x.dtype)
    return x @ (metric @ g @ metric)


def orbit_distance(g, group, distance="absolute"):
    """The mean of |I(g) - I(e)|, or of its square, over matrices (B, d, d) and invariants."""
    metric, oriented = GROUPS[group].metric.astype(g.dtype), GROUPS[group].oriented
    apart = g.transpose(0, 2, 1) @ (metric @ g) - metric
    if oriented:  # d = 2
        determinant = g[:, 0, 0] * g[:, 1, 1] - g[:, 0, 1] * g[:, 1, 0]
        apart = concatenate(apart.reshape(len(g), 4)[:, [0, 1, 3]], (determinant - 1).reshape(len(g), 1), axis=1)
    return (absolute(apart) if distance == "absolute" else apart**2).mean()
