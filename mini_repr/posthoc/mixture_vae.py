"""A mixture of variational autoencoders with invertible charts: manifolds that no single chart covers, and ways down.

K charts of dimension d in R^D. Chart k has an invertible map T_k of R^D, and

    decoder D_k(z) = T_k(z, 0),    encoder E_k(x) = the first d numbers of T_k⁻¹(x),    so E_k(D_k(z)) = z exactly

T is a chain of affine couplings, each of which changes both halves in turn, b ← b e^{s(a)} + t(a) and a ← a e^{s(b)} +
t(b), with s = 1.4 tanh of a network of its own; then it is turned, stretched and moved, x ← c_k + r_k R_k x.
Negative evidence bound of a row by chart k, with ξ ~ N(0, I):

    l_k(x) = |x - D_k(E_k(x) + σ_z ξ)|² / (2 σ_x²) + energy(E_k(x) + σ_z ξ) - log α_k
    L = mean over x of sum_k β_k l_k,      β = softmax_k(-l_k), which takes a gradient too

The energy is that of a latent density that is flat on [-0.8, 0.8]^d, falls to a twentieth at ±1 and has steep walls
beyond. The charts begin at rows that lie far apart, as flat pieces: c_k, R_k and r_k are mean, principal directions and
extent of the rows near its own; networks start at 0. α is the mean of β after training.

Riemannian descent of a function F of x on the manifold: with J the Jacobian of D_k at E_k(x), where β_k > 1e-6,

    v_k = J (JᵀJ)⁻¹ Jᵀ ∇F(x),        x ← sum_k β_k D_k( E_k(x - τ v_k) )          v_k: ∇F projected on the tangent space

Codes are kept in [-1, 1], where the charts were taught. A step is taken where F does not rise by more than a
thousandth; then τ grows by half, otherwise it is halved, at most 20 times. v_k does not depend on how the chart is
parametrised; descent of F(D_k(z)) by its gradient in z does.

Source: Alberti, Hertrich, Santacesaria, Sciutto 2023, arXiv 2303.15244; github.com/johertrich/Manifold_Mixture_VAEs,
utils/left_invertible_vae.py, injective_generators.py and sampling.py (read): five couplings, 64 units, σ_z 0.01, this
energy, "full grad" for β. Left out: its flow of the latent density where d > 1, its Lipschitz term, and the last phase
that widens the charts' overlap. There s is 1.4 times an arctangent, T is not
turned, charts are fitted to their near rows first, and images pass convolutions.
"""

from typing import NamedTuple

import numpy as np

from mini_repr.autograd import Tensor, absolute, clip, concatenate, exp, log, no_grad, relu, softmax, stack, tanh
from mini_repr.nn import MLP, Module
from mini_repr.optim import AdamW
from mini_repr.optim.clip import clip_by_global_norm
from mini_repr.pages.arguments import Count, Positive
from mini_repr.posthoc.estimator import Estimator, estimator, rows_of

CLAMP, FLAT, EDGE, WALL = 1.4, 0.8, 0.05, 100.0
LARGEST_GRADIENT = 2.0
LEAST_SHARE = 1e-6
TRIES = 20


class Descent(NamedTuple):
    """x (D,), where the descent ended; values: F at the start and after each step."""

    x: np.ndarray
    values: np.ndarray


@estimator("mixture_vae", paper="072")
class MixtureVAE(Estimator):
    """Rows (N, D) near a manifold of few dimensions: ``MixtureVAE(2).fit(z).transform(z)`` lie on it.

    After ``fit``: ``weights_`` (P,), of all couplings; ``centres_`` (K, D), ``frames_`` (K, D, D), r R, in columns;
    ``shares_`` (K,), α; ``deviation_``, σ_x. ``descend`` goes down a function on the manifold.

    Args:
        charts: K. dimension: d. couplings, hidden: of T. noise: σ_x, as a share of the root of their
            total variance. code_noise: σ_z. steps, batch_size, lr, seed: of the training.
    """

    def __init__(
        self,
        charts: Count() = 2,
        *,
        dimension: Count() = 1,
        couplings: Count() = 3,
        hidden: Count() = 32,
        noise: Positive = 0.1,
        code_noise: Positive = 0.01,
        steps: Count() = 600,
        batch_size: Count() = 64,
        lr: Positive = 3e-3,
        seed: Count(least=0) = 0,
    ):
        self.charts, self.dimension, self.couplings, self.hidden = charts, dimension, couplings, hidden
        self.noise, self.code_noise, self.steps = noise, code_noise, steps
        self.batch_size, self.lr, self.seed = batch_size, lr, seed

    def fit(self, z, y=None):
        """Learn the charts; returns the object. ``y`` is not read: it is there for pipelines.

        Raises:
            ValueError: rows that are none, or of fewer columns than two or the dimension.
        """
        settings = self.checked_settings()
        rows = rows_of("mixture_vae", "z", z)
        if rows.shape[1] < max(2, settings["dimension"]):
            needed = max(2, settings["dimension"])
            raise ValueError(f"mixture_vae: z: got {rows.shape[1]} columns, expected {needed} or more")
        if len(rows) <= settings["charts"]:
            raise ValueError(f"mixture_vae: charts: got {settings['charts']}, expected fewer than the {len(rows)} rows")
        rng = np.random.default_rng(settings["seed"])
        self.shares_ = np.full(settings["charts"], 1 / settings["charts"])
        self.centres_, self.frames_ = flat_pieces(rows, settings["charts"], settings["dimension"], rng)
        self.deviation_ = float(np.sqrt(rows.var(axis=0).sum())) * settings["noise"]
        charts = self._charts(rng)
        self._train(charts, rows.astype(np.float32), settings["steps"], rng)
        self.weights_ = np.concatenate([p.data.reshape(-1) for chart in charts for p in chart.parameters()])
        self.shares_ = self.responsibilities(z).mean(axis=0)
        return self

    def responsibilities(self, z):
        """β (N, K) of rows, without noise in the codes."""
        return self._responsibilities(*self._opened(z))

    def transform(self, z):
        """The rows' places on the manifold, sum_k β_k D_k(E_k(x)) (N, D): float64."""
        charts, x = self._opened(z)
        codes = [chart.encode(x).data for chart in charts]
        return placed(charts, codes, self._responsibilities(charts, x)).astype(np.float64)

    def sample(self, count, rng):
        """``count`` rows (count, D) decoded from codes even on the flat part, charts drawn by their shares."""
        charts, _ = self._opened(self.centres_)
        chosen = rng.choice(len(charts), count, p=self.shares_ / self.shares_.sum())
        codes = rng.uniform(-FLAT, FLAT, (count, self.dimension)).astype(np.float32)
        with no_grad():
            decoded = np.stack([chart.decode(codes).data for chart in charts])
        return decoded[chosen, np.arange(count)].astype(np.float64)

    def descend(self, function, start, *, steps=100, step=0.1, riemannian=True):
        """A ``Descent`` of F on the manifold from a row ``start`` (D,).

        Args:
            function: from x (D,) to (F, its gradient (D,)). step: the first τ. riemannian: without, along the gradient
                in the codes, z ← z - τ Jᵀ∇F.
        """
        charts, _ = self._opened(self.centres_)
        x = self.transform(np.asarray(start, dtype=np.float64)[None]).astype(np.float32)
        value, slope = function(x[0].astype(np.float64))
        values = [value]
        for _ in range(steps):
            beta = self._responsibilities(charts, x)
            codes = [chart.encode(x).data for chart in charts]
            moves = []
            for chart, code in zip(charts, codes, strict=True):
                jacobian = chart.jacobian(code)
                down = jacobian.T @ slope
                moves.append(jacobian @ np.linalg.solve(jacobian.T @ jacobian, down) if riemannian else down)
            for _ in range(TRIES):
                if riemannian:
                    goals = [x - (step * move).astype(np.float32) for move in moves]
                    moved = [chart.encode(goal).data for chart, goal in zip(charts, goals, strict=True)]
                else:
                    moved = [code - (step * move).astype(np.float32) for code, move in zip(codes, moves, strict=True)]
                tried = placed(charts, moved, beta)
                found, slope_there = function(tried[0].astype(np.float64))
                if found <= 1.001 * value:
                    step *= 1.5
                    break
                step /= 2
            else:
                break
            x, value, slope = tried, found, slope_there
            values.append(value)
        return Descent(x[0].astype(np.float64), np.array(values))

    def _responsibilities(self, charts, x):
        with no_grad():
            return softmax(-self._bounds(charts, x, None)).data.astype(np.float64)

    def _bounds(self, charts, x, rng):
        """l (N, K) of rows, with noise in the codes where there is a generator."""
        each = []
        for chart, share in zip(charts, self.shares_, strict=True):
            code = chart.encode(x)
            if rng is not None:
                code = code + (self.code_noise * rng.standard_normal(code.shape)).astype(np.float32)
            error = ((x - chart.decode(code)) ** 2).sum(axis=1) * (1 / (2 * self.deviation_**2))
            each.append(error + energy(code) - float(np.log(max(share, 1e-12))))
        return stack(*each, axis=1)

    def _train(self, charts, x, steps, rng):
        parameters = {f"{k}.{n}": p for k, chart in enumerate(charts) for n, p in chart.named_parameters().items()}
        optimizer = AdamW(parameters, self.lr, weight_decay=0.0)
        for number in range(steps):
            bounds = self._bounds(charts, x[rng.choice(len(x), min(self.batch_size, len(x)), replace=False)], rng)
            loss = (softmax(-bounds) * bounds).sum(axis=1).mean()
            optimizer.zero_grad()
            loss.backward()
            clip_by_global_norm(parameters, LARGEST_GRADIENT)
            optimizer.step(lr=self.lr * (1 - number / steps))

    def _charts(self, rng):
        placed = zip(self.centres_, self.frames_, strict=True)
        return [Chart(*place, self.dimension, self.couplings, self.hidden, rng) for place in placed]

    def _opened(self, z):
        """(the charts as trained, rows (N, D) in float32)."""
        self._require_fitted()
        rows = rows_of("mixture_vae", "z", z, self.centres_.shape[1])
        charts, start = self._charts(np.random.default_rng(0)), 0
        for p in (p for chart in charts for p in chart.parameters()):
            p.data[...] = self.weights_[start : start + p.size].reshape(p.shape)
            start += p.size
        return charts, rows.astype(np.float32)


class Chart(Module):
    """D_k and E_k. centre: c (D,). frame: r R (D, D), orthogonal columns of one length."""

    def __init__(self, centre, frame, dimension, couplings, hidden, rng, dtype=np.float32):
        width = len(centre)
        self.dimension, self.cut = dimension, width // 2
        self.centre, self.frame = centre.astype(dtype), frame.T.astype(dtype)
        self.inverse = (frame / (frame[:, 0] ** 2).sum()).astype(dtype)
        sizes = ((self.cut, width - self.cut), (width - self.cut, self.cut))
        self.nets = [[MLP((a, hidden, hidden, 2 * b), rng, dtype=dtype) for a, b in sizes] for _ in range(couplings)]
        for net in (net for pair in self.nets for net in pair):
            net.linears[-1].weight.data[...] = 0

    def decode(self, z):
        """D_k: codes (N, d) to rows (N, D)."""
        z = z if isinstance(z, Tensor) else Tensor(z)
        x = concatenate(z, np.zeros((len(z), len(self.centre) - self.dimension), z.dtype), axis=1)
        a, b = x[:, : self.cut], x[:, self.cut :]
        for first, second in self.nets:
            scale, shift = self._scale_and_shift(first(a))
            b = b * exp(scale) + shift
            scale, shift = self._scale_and_shift(second(b))
            a = a * exp(scale) + shift
        return concatenate(a, b, axis=1) @ self.frame + self.centre

    def encode(self, x):
        """E_k: rows (N, D) to codes (N, d)."""
        x = (x - self.centre) @ self.inverse
        x = x if isinstance(x, Tensor) else Tensor(x)
        a, b = x[:, : self.cut], x[:, self.cut :]
        for first, second in reversed(self.nets):
            scale, shift = self._scale_and_shift(second(b))
            a = (a - shift) * exp(-scale)
            scale, shift = self._scale_and_shift(first(a))
            b = (b - shift) * exp(-scale)
        return concatenate(a, b, axis=1)[:, : self.dimension]

    def jacobian(self, z):
        """J (D, d) of the decoder at a code (1, d)."""
        width = len(self.centre)
        codes = Tensor(np.repeat(z, width, axis=0), True)
        (self.decode(codes) * np.eye(width, dtype=z.dtype)).sum().backward()
        return codes.grad.astype(np.float64)

    def _scale_and_shift(self, both):
        half = both.shape[1] // 2
        return tanh(both[:, :half]) * CLAMP, both[:, half:]


def placed(charts, codes, beta):
    """sum_k β_k D_k(z_k) (N, D) of codes (N, d) for each chart, kept in [-1, 1]; β (N, K) below 1e-6 counts nothing."""
    beta = np.where(beta > LEAST_SHARE, beta, 0)
    beta = (beta / beta.sum(axis=1, keepdims=True)).astype(np.float32)
    with no_grad():
        decoded = [chart.decode(code.clip(-1, 1)).data for chart, code in zip(charts, codes, strict=True)]
    return np.einsum("nk,knd->nd", beta, np.stack(decoded))


def energy(z):
    """-log of the density of codes (N, d), up to a constant: flat, then falling to a twentieth, then steep walls."""
    far = absolute(z)
    falling = clip(far, FLAT, 1.0) - FLAT
    return (relu(far - 1.0) * WALL - log(1 - falling * ((1 - EDGE) / (1 - FLAT)))).sum(axis=1)


def flat_pieces(rows, count, dimension, rng):
    """Where charts start: (centres (K, D), frames (K, D, D)), of the rows near ``count`` rows that lie far apart.

    The first is drawn, each further one is the one farthest from those before it. A frame's columns are the principal
    directions of the rows nearest to one, as many as each chart's even share, times their extent along the first ones.
    """
    chosen = [int(rng.integers(len(rows)))]
    while len(chosen) < count:
        chosen.append(int(np.min([((rows - rows[k]) ** 2).sum(axis=1) for k in chosen], axis=0).argmax()))
    centres, frames = [], []
    for k in chosen:
        near = np.argsort(((rows - rows[k]) ** 2).sum(axis=1))[: max(2, len(rows) // count)]
        centre = rows[near].mean(axis=0)
        directions = np.linalg.svd(np.cov(rows[near], rowvar=False))[0]
        extent = np.abs((rows[near] - centre) @ directions[:, :dimension]).max() or 1.0
        centres.append(centre)
        frames.append(extent * directions)
    return np.array(centres), np.array(frames)
