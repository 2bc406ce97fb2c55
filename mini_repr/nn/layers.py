"""The small layers: linear, norms, embedding, dropout, a chain of layers, and activations by name."""

from contextlib import contextmanager

import numpy as np

from mini_repr.autograd import Tensor, batch_norm, gelu, layer_norm, linear, primitive, relu, tanh
from mini_repr.backend import backend_of
from mini_repr.nn.init import truncated_normal, xavier_uniform
from mini_repr.nn.module import Module

ACTIVATIONS = {"gelu": gelu, "relu": relu, "tanh": tanh}


def activation_named(name):
    """The activation primitive of that name; ValueError for an unknown one."""
    if name not in ACTIVATIONS:
        raise ValueError(f"activation: got {name!r}, expected {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


class Linear(Module):
    """x (..., inputs) @ weight (inputs, outputs) + bias (outputs,). The bias starts at zero.

    Args:
        init: function of ``nn.init`` for the weight.
    """

    def __init__(self, inputs, outputs, rng, *, bias=True, init=xavier_uniform, dtype=np.float32):
        self.weight = Tensor(init(rng, (at_least_one("inputs", inputs), at_least_one("outputs", outputs)), dtype), True)
        self.bias = Tensor(np.zeros(outputs, dtype), True) if bias else None

    def forward(self, x):
        return linear(self.checked(x), self.weight, self.bias)

    def checked(self, x):
        """x itself, if it has the inputs along its last axis."""
        if x.shape[-1] != self.weight.shape[0]:
            raise ValueError(f"Linear: x: got shape {x.shape}, expected {self.weight.shape[0]} along the last axis")
        return x


class LayerNorm(Module):
    """Each row (last axis) to mean 0 and variance 1, then * gain + bias. Ba et al. 2016, arXiv 1607.06450."""

    def __init__(self, width, *, eps=1e-6, dtype=np.float32):
        self.gain = Tensor(np.ones(at_least_one("width", width), dtype), True)
        self.bias = Tensor(np.zeros(width, dtype), True)
        self.eps = eps

    def forward(self, x):
        return layer_norm(x, self.gain, self.bias, eps=self.eps)


# What normalises a batch in training, and how many equal shares of the batch it takes its statistics over.
_statistics = (batch_norm, 1)


@contextmanager
def batch_statistics(normalise, shares):
    """Within this block batch norms in training use another form of ``batch_norm``, whose rows are one share of many.

    Args:
        normalise: called as ``batch_norm`` is. shares: how many equal shares its statistics are taken over.
    """
    global _statistics
    before, _statistics = _statistics, (normalise, shares)
    try:
        yield
    finally:
        _statistics = before


class BatchNorm(Module):
    """Each column of x (N, D) to mean 0 and variance 1, then * gain + bias. Ioffe, Szegedy 2015, arXiv 1502.03167.

    In training: statistics of the batch, and ``running_mean``, ``running_variance`` move towards them by ``momentum``
    of the way. In evaluation: the running statistics. As in PyTorch the batch is normalised by its population variance
    (divided by N), while the running one averages unbiased variances (divided by N - 1).

    Args:
        affine: whether there are a gain and a bias.
    Raises:
        ValueError: x is no (N, width), or N < 2 in training.
    """

    def __init__(self, width, *, affine=True, momentum=0.1, eps=1e-5, dtype=np.float32):
        self.gain = Tensor(np.ones(at_least_one("width", width), dtype), True) if affine else None
        self.bias = Tensor(np.zeros(width, dtype), True) if affine else None
        self.register_buffer("running_mean", np.zeros(width, dtype))
        self.register_buffer("running_variance", np.ones(width, dtype))
        self._momentum, self._eps = momentum, eps

    def forward(self, x):
        if x.ndim != 2 or x.shape[1] != len(self.running_mean):
            raise ValueError(f"BatchNorm: x: got shape {x.shape}, expected (N, {len(self.running_mean)})")
        gain, bias = (1.0, 0.0) if self.gain is None else (self.gain, self.bias)
        if not self.training:
            xp = backend_of(self.running_mean).xp
            scale = gain * (1 / xp.sqrt(self.running_variance + self._eps))
            return x * scale + (bias - scale * self.running_mean)
        normalise, shares = _statistics
        rows = len(x) * shares
        if rows < 2:
            raise ValueError(f"BatchNorm: x: got {rows} row(s), expected two or more in training")
        output, mean, variance = normalise(x, gain, bias, eps=self._eps)
        for running, now in (
            (self.running_mean, mean.data),
            (self.running_variance, variance.data * (rows / (rows - 1))),
        ):
            running *= 1 - self._momentum
            running += now * self._momentum
        return output


class Embedding(Module):
    """Rows of a table (count, width) picked by integers of any shape: (...) to (..., width).

    Integers on the host are checked there, without waiting for a GPU on which the table may lie.
    """

    def __init__(self, count, width, rng, *, init=truncated_normal, dtype=np.float32):
        self.weight = Tensor(init(rng, (at_least_one("count", count), at_least_one("width", width)), dtype), True)

    def forward(self, ids):
        if ids.dtype.kind not in "iu":
            raise ValueError(f"Embedding: ids: got dtype {ids.dtype}, expected integers")
        count = len(self.weight)
        low, high = backend_of(ids).extremes(ids) if ids.size else (0, 0)
        if low < 0 or high >= count:
            raise ValueError(f"Embedding: ids: got {low} to {high}, expected 0 to {count - 1}")
        ids = backend_of(self.weight.data).asarray(ids)
        return self.weight[ids.reshape(-1)].reshape(*ids.shape, self.weight.shape[1])


class Dropout(Module):
    """In training each element is zeroed with probability ``rate`` and the rest divided by 1 - rate.

    Srivastava et al. 2014, in the inverted form. It draws on the host from its own generator, a child of ``rng`` (which
    it does not advance): ``random_state()`` of any module that holds it saves where it stands.
    """

    def __init__(self, rate, rng):
        if not 0 <= rate < 1:
            raise ValueError(f"Dropout: rate: got {rate}, expected 0 <= rate < 1")
        self.rate = rate
        self._rng = rng.spawn(1)[0]

    def forward(self, x):
        if not self.training or self.rate == 0:
            return x
        kept = self._rng.random(x.shape, dtype=np.float32) >= self.rate
        return _times_constant(x, backend_of(x.data if isinstance(x, Tensor) else x).asarray(kept), 1 / (1 - self.rate))


@primitive
def _times_constant(x, /, kept, scale):
    """x * kept * scale with boolean ``kept``."""

    def scaled(x):
        output = x * kept
        output *= scale
        return output

    return scaled(x), scaled


class Sequential(Module):
    """Layers one after another; a layer is a module or a plain function of tensors."""

    def __init__(self, *layers):
        self.layers = list(layers)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def at_least_one(name, value):
    """``value`` if it is a whole number >= 1, else a ValueError that names the argument."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name}: got {value!r}, expected a whole number >= 1")
    return int(value)
