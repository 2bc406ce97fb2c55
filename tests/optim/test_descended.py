"""The plain loop: where it ends, and that each step draws its own loss."""

import numpy as np

from mini_repr.autograd import Tensor
from mini_repr.optim import AdamW, descended


def test_it_is_adamw_without_decay_step_by_step():
    x, y = (Tensor(np.array([3.0, -2.0]), requires_grad=True) for _ in range(2))
    draws = np.random.default_rng(0).random((5, 2))
    left = iter(draws)
    descended({"x": x}, lambda: ((x - next(left)) ** 2).sum(), steps=5, lr=0.1)
    optimizer = AdamW({"y": y}, 0.1, weight_decay=0.0)
    for draw in draws:
        y.grad = 2 * (y.data - draw)
        optimizer.step()
    np.testing.assert_allclose(x.data, y.data, rtol=1e-12)
    assert next(left, None) is None


def test_what_is_not_named_stays():
    x, other = (Tensor(np.ones(2), requires_grad=True) for _ in range(2))
    descended({"x": x}, lambda: ((x * other) ** 2).sum(), steps=3, lr=0.1)
    assert (x.data != 1).all() and (other.data == 1).all()
