"""TLDR for plain rows: learn a linear map from some, apply it to any."""

import math

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.backend import backend_of, is_array, single_threaded_products
from mini_repr.data import Batches
from mini_repr.losses.pairs.barlow_twins import barlow_twins
from mini_repr.methods.method import Batch, Parts
from mini_repr.methods.neighbours import Neighbours
from mini_repr.methods.objective import Objective
from mini_repr.nn import Heads, LinearEncoder
from mini_repr.optim import AdamW, cosine_with_warmup
from mini_repr.pages.arguments import Count, NonNegative, Positive
from mini_repr.pages.declare import part


@part("procedure", "tldr", paper="077")
class TLDR:
    """Rows (N, D) to (N, dimensions) by a matrix that keeps neighbours together: ``TLDR(8).fit(x).transform(y)``.

    The matrix and a projector behind it are trained by the method ``Neighbours`` with ``barlow_twins``; the projector
    is thrown away. Rows are first centred by the mean of the fitted ones and divided by one number, the root of their
    mean variance. The loss does not see a shift of the output, so that the map needs no bias: fitted rows come out with
    mean 0, as principal components do.

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
        self.dimensions = dimensions
        self._neighbours = neighbours
        self._heads = Heads(hidden=hidden, dimensions=projected, layers=layers, batch_norm=True)
        self._objective = Objective(barlow_twins, {"redundancy_weight": redundancy_weight})
        self._epochs, self._batch_size, self._lr, self._seed = epochs, batch_size, lr, seed
        self._encoder = None

    def fit(self, rows):
        """Learn the map from rows (N, D), on their device; returns the object itself.

        Raises:
            ValueError: no float32 or float64 rows, values that are not finite, rows that are all the same, not more
                rows than neighbours, or a training that does not stay finite.
        """
        _check_rows("fit", rows)
        backend = backend_of(rows)
        if len(rows) <= self._neighbours:
            expected = f"more rows than the {self._neighbours} neighbours of each"
            raise ValueError(f"TLDR.fit: rows: got {len(rows)}, expected {expected}")
        mean = rows.mean(axis=0)
        scale = float(backend.xp.sqrt(((rows - mean) ** 2).mean()))
        if not 0 < scale < math.inf:
            raise ValueError(f"TLDR.fit: rows: got a standard deviation of {scale}, expected rows that differ")
        self._mean, self._scale = mean, scale

        batches = Batches(len(rows), min(self._batch_size, len(rows)), self._seed)
        rng = np.random.default_rng(self._seed)
        encoder = LinearEncoder(rows.shape[1:], rng, width=self.dimensions, bias=False)
        parts = Parts(encoder, self._objective, rng, self._heads)
        method = Neighbours(parts, neighbours=self._neighbours).to(backend)
        inputs = method.pair_within(self._standard(rows))
        optimizer = AdamW(method.trained_parameters(), self._lr, weight_decay=0.0)
        steps = self._epochs * batches.per_epoch
        with single_threaded_products:  # the step's own threads have the cores
            for step in range(steps):
                index = backend.asarray(next(batches))
                optimizer.zero_grad()
                method.step(Batch(tuple(x[index] for x in inputs), None, index), rng).total.backward()
                optimizer.step(cosine_with_warmup(step, steps, steps // 10, self._lr))
        if not bool(backend.xp.isfinite(encoder.linear.weight.data).all()):
            raise ValueError(f"TLDR: lr: got {self._lr}, which leaves the finite numbers, expected a lower one")
        self._encoder = encoder
        return self

    def transform(self, rows):
        """The map of rows (M, D), on the device of the fitted ones: float32 (M, dimensions).

        Raises:
            ValueError: nothing fitted yet, another width, or rows as ``fit`` refuses them.
        """
        if self._encoder is None:
            raise ValueError("TLDR.transform: got rows before fit, expected fit first")
        _check_rows("transform", rows)
        if rows.shape[1:] != self._mean.shape:
            raise ValueError(f"TLDR.transform: rows: got shape {rows.shape}, expected (M, {len(self._mean)})")
        with no_grad():
            return self._encoder(self._standard(rows)).pooled.data

    def _standard(self, rows):
        return ((rows - self._mean) / self._scale).astype("float32")


def _check_rows(call, rows):
    """Raise ValueError unless ``rows`` are (N, D), floating-point and finite."""
    if not is_array(rows) or rows.ndim != 2 or rows.dtype not in ("float32", "float64") or not rows.size:
        got = f"{rows.dtype} of shape {rows.shape}" if is_array(rows) else type(rows).__name__
        raise ValueError(f"TLDR.{call}: rows: got {got}, expected float32 or float64 (N, D)")
    if not bool(backend_of(rows).xp.isfinite(rows).all()):
        raise ValueError(f"TLDR.{call}: rows: got NaN or infinity, expected finite numbers")
