"""Contrastive sparse representation: frozen rows as few active units of many, instead of as few columns.

A frozen row v (D,) becomes a code z (H,) of at most k positive numbers, and is rebuilt from it by the same matrix W:

    p = (v - b) W + c,    z_k = relu(top_k(p)),    v_k = z_k Wᵀ + b           (top_k keeps the k largest, others are 0)

    L = mse(v_k, v) + 1/8 mse(v_4k, v) + 1/32 aux + γ NT-Xent(z_k, z_k)

aux revives units that were in no row's z_4k for ``dead_after`` steps, nor are in a z_k now: z_a takes the ``aux``
largest p among these alone, and z_a Wᵀ + b is compared with what is left over, v - v_k + b, as a constant: mse divided
by the mse of its mean over the batch. In NT-Xent each code's partner is itself, at similarity 1: it only pushes codes
of different rows apart. Gradient: with M the mask of the selected units and dV the gradient of v_k,
dp = M [p > 0] (dV W + dz), dW = (v - b)ᵀ dp + dVᵀ z, W being in both maps.

Source: Wen et al. 2025, arXiv 2503.01776; github.com/neilwen987/CSR_Adaptive_Rep, Vision/main_visual.py and
model_zoo.py, whose loss and gradients were compared with these on random rows and equal them to round-off. There: H =
4 D, k = 8, aux 512, γ = 0.1, Adam at 4e-4 with eps 6.25e-10, batches of 4096, 10 epochs, dead after 30 counts, of which
each step makes one per forward pass, two or three. Here: defaults for small sets.
"""

import numpy as np

from mini_repr.autograd import Tensor, relu
from mini_repr.data import Batches
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.optim import AdamW
from mini_repr.pages.arguments import Count, NonNegative, Positive
from mini_repr.posthoc.estimator import Estimator, estimator, rows_of
from mini_repr.posthoc.manners import Transformer

EPS = 6.25e-10
TEMPERATURE = 0.2
ACTIVE = 1e-5  # above it a unit counts as used


@estimator("csr", paper="030")
class CSR(Transformer, Estimator):
    """Rows (N, D) as sparse codes (N, hidden) of at most k positive numbers: ``CSR(8).fit(z).transform(z)``.

    After ``fit``: ``weight_`` (D, H), ``bias_`` b (D,), ``threshold_`` c (H,), ``dead_`` the share of units that no row
    of the last epoch used. A code of fewer active units needs no other fit: ``transform(z, k)``.

    Args:
        k: active units of a row, 4 k at most H. hidden: H; None is 4 D. aux: dead units to revive at once.
        contrast: γ. dead_after: steps. epochs, batch_size, lr: of the training. seed: of weights and order.
    """

    def __init__(
        self,
        k: Count() = 8,
        *,
        hidden: Count(choose="4 times the columns") = None,
        aux: Count() = 64,
        contrast: NonNegative = 0.1,
        dead_after: Count() = 30,
        epochs: Count() = 60,
        batch_size: Count(least=2) = 256,
        lr: Positive = 0.004,
        seed: Count(least=0) = 0,
    ):
        self.k, self.hidden, self.aux, self.contrast, self.dead_after = k, hidden, aux, contrast, dead_after
        self.epochs, self.batch_size, self.lr, self.seed = epochs, batch_size, lr, seed

    def fit(self, z, y=None):
        """Learn the code; returns the object. ``y`` is not read: it is there for pipelines.

        Raises:
            ValueError: rows that are none, settings that do not fit them, or a training that does not stay finite.
        """
        settings = self.checked_settings()
        rows = rows_of("csr", "z", z).astype(np.float32)
        width = rows.shape[1]
        hidden, k = settings["hidden"] or 4 * width, settings["k"]
        if 4 * k > hidden:
            raise ValueError(f"csr: k: got {k}, expected at most {hidden // 4}, a quarter of the {hidden} hidden units")
        rng = np.random.default_rng(settings["seed"])
        reach = 1 / np.sqrt(width)
        parameters = {
            "weight": Tensor(rng.uniform(-reach, reach, (width, hidden)).astype(np.float32), True),
            "bias": Tensor(np.zeros(width, np.float32), True),
            "threshold": Tensor(np.zeros(hidden, np.float32), True),
        }
        optimizer = AdamW(parameters, settings["lr"], eps=EPS, weight_decay=0.0)
        batches = Batches(len(rows), min(settings["batch_size"], len(rows)), settings["seed"])
        unused = np.zeros(hidden, int)  # steps since each unit was last used
        for _ in range(settings["epochs"] * batches.per_epoch):
            v = rows[next(batches)]
            optimizer.zero_grad()
            dead = unused > settings["dead_after"]
            loss, active = csr_loss(*parameters.values(), v, k, settings["aux"], dead, settings["contrast"])
            loss.backward()
            optimizer.step()
            unused = np.where(active, 0, unused) + 1
        if not all(np.isfinite(p.data).all() for p in parameters.values()):
            raise ValueError(f"csr: lr: got {settings['lr']}, which leaves the finite numbers, expected a lower one")
        self.weight_, self.bias_, self.threshold_ = (p.data for p in parameters.values())
        self.dead_ = float((unused > batches.per_epoch).mean())
        return self

    def transform(self, z, k=None):
        """Codes (M, H) float32 of rows (M, D), with ``k`` active units at most; by default as many as fitted."""
        self._require_fitted()
        rows = rows_of("csr", "z", z, len(self.bias_)).astype(np.float32)
        p = (rows - self.bias_) @ self.weight_ + self.threshold_
        return np.maximum(np.where(largest(p, self.k if k is None else k), p, 0), 0)

    def inverse_transform(self, codes):
        """The rows (M, D) that codes (M, H) stand for."""
        self._require_fitted()
        return codes @ self.weight_.T + self.bias_


def csr_loss(weight, bias, threshold, v, k, aux, dead, contrast):
    """(L as a tensor, (H,) bool: units that are in some row's z_4k) of a batch v (B, D).

    Args:
        weight, bias, threshold: tensors W (D, H), b (D,), c (H,). dead: (H,) bool, units unused so far.
    """
    p = (v - bias) @ weight + threshold

    def code(selected):
        return relu(p * selected.astype(v.dtype))

    def rebuilt(z):
        return z @ weight.T + bias

    z, wide = code(largest(p.data, k)), code(largest(p.data, 4 * k))
    v_k = rebuilt(z)
    loss = ((v_k - v) ** 2).mean() + ((rebuilt(wide) - v) ** 2).mean() / 8
    dead = dead & ~(z.data > ACTIVE).any(axis=0)
    # Of units that are not dead p counts as 0, so that of few dead units only the positive ones are taken.
    revived = rebuilt(code(largest(np.where(dead, p.data, 0), aux) & dead))
    rest = v - v_k.data + bias.data
    scale = float(((rest - rest.mean(axis=0)) ** 2).mean())
    if scale > 0:
        loss = loss + ((revived - rest) ** 2).mean() / (32 * scale)
    if contrast:
        loss = loss + infonce(z, z, temperature=TEMPERATURE, negatives="views") * contrast
    return loss, (wide.data > ACTIVE).any(axis=0)


def largest(p, k):
    """(B, H) bool: the k largest of each row, of ties any."""
    selected = np.zeros(p.shape, bool)
    k = min(k, p.shape[1])
    np.put_along_axis(selected, np.argpartition(-p, k - 1, axis=1)[:, :k], True, axis=1)
    return selected
