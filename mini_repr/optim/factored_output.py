"""An output layer of very many classes, trained exactly by SGD at a cost that does not depend on their number.

Vincent, de Brébisson, Bouthillier 2014, arXiv 1412.7091, and 2016, arXiv 1606.08061: a loss of the spherical family
sees the scores o = W h only through o_y, sum o and sum o². With W (C, D), Q = Wᵀ W (D, D) and w = Wᵀ 1 (D,) these are
W_y·h, w·h and h·Q h. Its gradient is dL/do = alpha 1 + beta o + gamma e_y, so that a step of SGD on a batch H (B, D),

    W <- W (I - lr Hᵀ diag(beta) H) - lr 1 (alphaᵀ H) - lr sum_i gamma_i e_{y_i} h_iᵀ,

multiplies W from the right, adds one row to all rows, and changes the B rows of the labels. Kept as W = V U + 1 omegaᵀ,
with U (D, D), it costs O(B D² + B² D): no array of C rows is read or written but for the rows y of V. (The state is
the one of the authors' code, pascal20100/factored_output_layer; the batch formulas are derived here.)

The loss is the ``z_loss`` of ``mini_repr.losses``, its mean over the batch.
"""

from mini_repr.autograd import softplus
from mini_repr.backend import backend_of
from mini_repr.losses.scores.z_loss import z_loss
from mini_repr.pages.arguments import Rows
from mini_repr.pages.declare import part
from mini_repr.pages.page import definition


@part("procedure", "factored_output", paper="063")
class FactoredOutput:
    """An output layer W = V U + 1 omegaᵀ, trained at a cost that does not depend on its rows.

    It starts as V = W, U = I, omega = 0.

    Args:
        weight: (C, D) array W, which is copied.
    """

    def __init__(self, weight: Rows("C D")):
        self._xp = backend_of(weight).xp
        self._take(weight.copy())

    def _take(self, weight):
        xp = self._xp
        self._v, self._omega = weight, xp.zeros_like(weight[0])
        self._u = xp.eye(weight.shape[1], dtype=weight.dtype)
        self._u_inverse = self._u.copy()
        self._gram, self._sum = weight.T @ weight, weight.sum(axis=0)

    @property
    def weight(self):
        """W (C, D), a new array: O(C D²), for evaluation."""
        return self._v @ self._u + self._omega

    def rows(self, labels):
        """The rows W_y, (B, D)."""
        return self._v[labels] @ self._u + self._omega

    def refresh(self):
        """Start anew from W: O(C D²). Call it now and then: steps let U's condition, and with it round-off, grow."""
        self._take(self.weight)

    def value_and_grad(self, hidden, labels, sharpness=1.0, threshold=0.0):
        """The Z-loss of the scores hidden @ Wᵀ, and what a step needs.

        Args:
            hidden: (B, D). labels: (B,) classes. sharpness, threshold: of the loss.
        Returns:
            (value, gradient of hidden (B, D), coefficients (alpha, beta, gamma), each (B,), for ``step``). A row whose
            scores have no deviation beyond round-off has z = 0 and no gradient.
        """
        xp = self._xp
        classes, batch = len(self._v), len(labels)
        own_rows, mapped = self.rows(labels), hidden @ self._gram
        own = (own_rows * hidden).sum(axis=1)
        mean = (hidden @ self._sum) / classes
        square = (mapped * hidden).sum(axis=1) / classes
        variance = square - mean * mean
        flat = variance <= 8 * xp.finfo(hidden.dtype).eps * square
        deviation = xp.sqrt(xp.where(flat, 1, variance))
        z = xp.where(flat, 0, own - mean) / deviation
        corner, to_short = softplus.on_arrays(sharpness * (threshold - z))
        gamma = xp.where(flat, 0, -to_short(xp.full_like(z, 1 / batch)) / deviation)
        beta = -gamma * z / (classes * deviation)
        alpha = -gamma / classes - beta * mean
        g_hidden = gamma[:, None] * own_rows
        g_hidden += beta[:, None] * mapped
        g_hidden += alpha[:, None] * self._sum
        return corner.mean() / sharpness, g_hidden, (alpha, beta, gamma)

    def step(self, hidden, labels, coefficients, learning_rate):
        """W <- W - learning_rate * dL/dW, in place, for the batch that gave ``coefficients``."""
        backend, xp = backend_of(hidden), self._xp
        alpha, beta, gamma = (learning_rate * c for c in coefficients)
        own_rows, classes = self.rows(labels), len(self._v)
        scaled = beta[:, None] * hidden  # the right factor is M = I - scaledᵀ hidden, symmetric
        shift, pushed = alpha @ hidden, gamma[:, None] * hidden  # W' = W M - 1 shiftᵀ - sum_i e_{y_i} pushed_iᵀ

        def times_m(x):
            return x - (x @ scaled.T) @ hidden

        sum_m, own_m = times_m(self._sum), times_m(own_rows)
        new_sum = sum_m - classes * shift - pushed.sum(axis=0)
        gram = times_m(times_m(self._gram).T)
        # -(W M)ᵀ (1 shiftᵀ + E) and its transpose, then (1 shiftᵀ + E)ᵀ (1 shiftᵀ + E), E = sum_i e_{y_i} pushed_iᵀ.
        crossed = xp.outer(sum_m, shift) + own_m.T @ pushed - xp.outer(shift, pushed.sum(axis=0))
        gram -= crossed
        gram -= crossed.T
        gram += classes * xp.outer(shift, shift)
        same = (labels[:, None] == labels).astype(hidden.dtype)
        gram += pushed.T @ (same @ pushed)

        self._u = times_m(self._u)
        self._omega = times_m(self._omega) - shift
        # M⁻¹ = I + scaledᵀ (I - hidden scaledᵀ)⁻¹ hidden.
        inner = xp.eye(len(labels), dtype=hidden.dtype) - hidden @ scaled.T
        with backend.singular_raises():
            self._u_inverse = self._u_inverse + scaled.T @ xp.linalg.solve(inner, hidden @ self._u_inverse)
        backend.scatter_add(self._v, labels, -(pushed @ self._u_inverse))
        self._gram, self._sum = gram, new_sum


@definition(FactoredOutput)
def factored_output_definition(weight, hidden, labels, learning_rate, **settings):
    """W after a dense step of SGD."""
    _, gradients = z_loss.definition_and_grad(hidden @ weight.T, labels, **settings)
    return weight - learning_rate * gradients["scores"].T @ hidden
