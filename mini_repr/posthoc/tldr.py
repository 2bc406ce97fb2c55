"""TLDR for plain rows: learn a linear map from some, apply it to any."""

import math

import numpy as np

from mini_repr.backend import backend_of, is_array, single_threaded_products
from mini_repr.data import Batches
from mini_repr.losses.pairs.barlow_twins import barlow_twins
from mini_repr.methods.method import Batch, Parts
from mini_repr.methods.neighbours import Neighbours
from mini_repr.methods.objective import Objective
from mini_repr.nn import Heads, LinearEncoder
from mini_repr.optim import AdamW, cosine_with_warmup
from mini_repr.pages.arguments import Count, NonNegative, Positive
from mini_repr.posthoc.estimator import Estimator, estimator
from mini_repr.posthoc.manners import Transformer


@estimator("tldr", paper="077")
class TLDR(Transformer, Estimator):
    """Rows (N, D) to (N, dimensions) by a matrix that keeps neighbours together: ``TLDR(8).fit(x).transform(y)``.

    The matrix and a projector behind it are trained by the method ``Neighbours`` with ``barlow_twins``; the projector
    is thrown away. Rows are first centred by the mean of the fitted ones and divided by one number, the root of their
    mean variance. The loss does not see a shift of the output, so that the map needs no bias: fitted rows come out with
    mean 0, as principal components do. After ``fit``: ``matrix_`` (D, dimensions), ``mean_`` (D,) and ``scale_``.

    Source: Kalantidis et al. 2021, arXiv 2110.09455; github.com/naver/tldr. There: rows as they are and a bias; LARS at
    a rate of 0.2 for 256 rows, 100 epochs of batches of 1024, a tenth of them warm-up, weight decay 1e-6; k = 5, a
    projector of width 2048, redundancy weight 0.0039. Here: AdamW without decay, defaults for small sets.

    Args:
        dimensions: columns of the result. neighbours: k, fewer than the fitted rows.
        hidden, projected: widths inside the projector and of its output. layers: linear layers that it has.
        redundancy_weight: of ``barlow_twins``. epochs, batch_size, lr: of the training; no batch exceeds the rows.
        seed: of weights, order and partners: the same seed gives the same map.
    """

    def __init__(
        self,
        dimensions: Count() = 32,
        *,
        neighbours: Count() = 3,
        hidden: Count() = 256,
        projected: Count() = 64,
        layers: Count() = 2,
        redundancy_weight: NonNegative = 0.0051,
        epochs: Count() = 100,
        batch_size: Count(least=2) = 256,
        lr: Positive = 0.01,
        seed: Count(least=0) = 0,
    ):
        self.dimensions, self.neighbours = dimensions, neighbours
        self.hidden, self.projected, self.layers = hidden, projected, layers
        self.redundancy_weight, self.epochs, self.batch_size = redundancy_weight, epochs, batch_size
        self.lr, self.seed = lr, seed

    def fit(self, z, y=None):
        """Learn the map from rows z (N, D), on their device; returns the object itself.

        Args:
            y: nothing is learnt from it: pipelines give one.
        Raises:
            ValueError: a setting out of its range, no float32 or float64 rows, values that are not finite, rows that
                are all the same, not more rows than neighbours, or a training that does not stay finite.
        """
        self.checked_settings()
        _check_rows(z)
        backend = backend_of(z)
        if len(z) <= self.neighbours:
            raise ValueError(
                f"tldr: z: got {len(z)} rows, expected more rows than the {self.neighbours} neighbours of each"
            )
        mean = z.mean(axis=0)
        scale = float(backend.xp.sqrt(((z - mean) ** 2).mean()))
        if not 0 < scale < math.inf:
            raise ValueError(f"tldr: z: got a standard deviation of {scale}, expected rows that differ")

        batches = Batches(len(z), min(self.batch_size, len(z)), self.seed)
        rng = np.random.default_rng(self.seed)
        encoder = LinearEncoder(z.shape[1:], rng, width=self.dimensions, bias=False)
        heads = Heads(hidden=self.hidden, dimensions=self.projected, layers=self.layers, batch_norm=True)
        objective = Objective(barlow_twins, {"redundancy_weight": self.redundancy_weight})
        method = Neighbours(Parts(encoder, objective, rng, heads), neighbours=self.neighbours).to(backend)
        inputs = method.pair_within(_standard(z, mean, scale))
        optimizer = AdamW(method.trained_parameters(), self.lr, weight_decay=0.0)
        steps = self.epochs * batches.per_epoch
        with single_threaded_products:  # the step's own threads have the cores
            for step in range(steps):
                index = backend.asarray(next(batches))
                optimizer.zero_grad()
                method.step(Batch(tuple(x[index] for x in inputs), None, index), rng).total.backward()
                optimizer.step(cosine_with_warmup(step, steps, steps // 10, self.lr))
        if not bool(backend.xp.isfinite(encoder.linear.weight.data).all()):
            raise ValueError(f"tldr: lr: got {self.lr}, which leaves the finite numbers, expected a lower one")
        self.matrix_, self.mean_, self.scale_ = encoder.linear.weight.data, mean, scale
        return self

    def transform(self, z):
        """The map of rows z (M, D), on the device of the fitted ones: float32 (M, dimensions).

        Raises:
            ValueError: nothing fitted yet, another width, or rows as ``fit`` refuses them.
        """
        self._require_fitted()
        _check_rows(z)
        if z.shape[1:] != self.mean_.shape:
            raise ValueError(f"tldr: z: got shape {z.shape}, expected (M, {len(self.mean_)})")
        return _standard(z, self.mean_, self.scale_) @ self.matrix_


def _standard(z, mean, scale):
    return ((z - mean) / scale).astype("float32")


def _check_rows(z):
    """Raise ValueError unless ``z`` is (N, D), floating-point and finite. It stays on its device."""
    if not is_array(z) or z.ndim != 2 or z.dtype not in ("float32", "float64") or not z.size:
        got = f"{z.dtype} of shape {z.shape}" if is_array(z) else type(z).__name__
        raise ValueError(f"tldr: z: got {got}, expected float32 or float64 (N, D)")
    if not bool(backend_of(z).xp.isfinite(z).all()):
        raise ValueError("tldr: z: got NaN or infinity, expected finite numbers")
