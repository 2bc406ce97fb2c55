"""A program for tests/distributed: every rank asks everything of its ``World``, with host arrays and with the device
double, and holds the answers against what it can compute alone. A wrong one is an AssertionError on that rank.
"""

import numpy as np
from device_double import DOUBLE

from mini_repr.autograd import Tensor
from mini_repr.backend import CPU
from mini_repr.pages.registry import all_losses
from mini_repr.training.distributed import joined
from mini_repr.training.distributed.ring_infonce import ring_infonce
from mini_repr.training.distributed.sharding import gather_rows

INFONCE = all_losses()["infonce"]


def check_messages(world, backend):
    ranks = np.arange(world.size)
    own = backend.asarray(np.full((2, 3), world.rank, dtype=np.float32))

    def same(array, expected):
        assert backend.to_numpy(array).dtype == expected.dtype
        np.testing.assert_array_equal(backend.to_numpy(array), expected)

    everyone = np.repeat(ranks, 2)[:, None] * np.ones(3, np.int64)
    same(world.gather(own), everyone.astype(np.float32))
    same(world.gather(own > 0), everyone > 0)
    turned = world.gather(own.T)  # not contiguous
    same(turned, np.repeat(ranks, 3)[:, None].astype(np.float32) * np.ones(2, np.float32))
    total = world.sum(own)
    same(total, np.full((2, 3), ranks.sum(), np.float32))
    same(own, np.full((2, 3), world.rank, np.float32))  # untouched

    sizes = [(700, 1000), (), (5,), (900, 1000), (0, 4)]  # three buckets
    arrays = [backend.asarray(np.full(size, world.rank + k, dtype=np.float32)) for k, size in enumerate(sizes)]
    world.sum_in_place(arrays)
    for k, (array, size) in enumerate(zip(arrays, sizes, strict=True)):
        same(array, np.full(size, ranks.sum() + k * world.size, np.float32))

    before = (world.rank - 1) % world.size
    first, second = world.pass_on([own, own[0] * 10])
    same(first, np.full((2, 3), before, np.float32))
    same(second, np.full(3, before * 10, np.float32))


def check_near(world):
    alone = world.near(1)
    assert (alone.size, alone.rank) == (1, 0)
    np.testing.assert_array_equal(alone.gather(np.array([world.rank])), [world.rank])
    assert world.near(world.size) is world


def check_ring(world, backend, **settings):
    """Value and gradients of the ring against the page on all rows; ragged tiles, a learned temperature."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 5 * world.size, 4))
    own = slice(world.rank * 5, (world.rank + 1) * 5)
    expected, gradients = INFONCE.value_and_grad(a, b, temperature=0.3, **settings)
    ta, tb, t = (Tensor(backend.asarray(x), requires_grad=True) for x in (a[own], b[own], np.array(0.3)))
    total = ring_infonce(ta, tb, world=world, temperature=t, **settings, tile=3)
    (total * 2).backward()
    np.testing.assert_allclose(backend.to_numpy(total.data), expected, rtol=1e-14)
    for tensor, name in ((ta, "a"), (tb, "b")):
        round_off = 1e-14 * np.abs(gradients[name]).max()
        np.testing.assert_allclose(backend.to_numpy(tensor.grad), 2 * gradients[name][own], rtol=0, atol=round_off)
    np.testing.assert_allclose(backend.to_numpy(t.grad), 2 * gradients["temperature"], rtol=1e-12)


def check_one_row_a_rank(world):
    """Without partner or self there is nothing on the own block: its sum is empty, and no NaN comes of it."""
    a, b = np.random.default_rng(0).standard_normal((2, world.size, 4))
    for settings in ({"decoupled": True}, {"negatives": "views"}):
        expected, gradients = INFONCE.value_and_grad(a, b, **settings)
        own = slice(world.rank, world.rank + 1)
        ta, tb = Tensor(a[own], requires_grad=True), Tensor(b[own], requires_grad=True)
        total = ring_infonce(ta, tb, world=world, **settings)
        total.backward()
        np.testing.assert_allclose(total.data, expected, rtol=1e-14)
        np.testing.assert_allclose(ta.grad, gradients["a"][own], rtol=0, atol=1e-14)


def check_gather_rows(world, backend):
    z = Tensor(backend.asarray(np.full((2, 3), world.rank + 1.0)), requires_grad=True)
    (gather_rows(z, world=world) ** 2).sum().backward()
    np.testing.assert_array_equal(backend.to_numpy(z.grad), np.full((2, 3), 2 * (world.rank + 1.0)))


with joined() as world:
    assert world.from_first(f"said by {world.rank}") == "said by 0"
    check_near(world)
    check_one_row_a_rank(world)
    for backend in (CPU, DOUBLE):
        check_messages(world, backend)
        check_gather_rows(world, backend)
        for settings in (
            {},
            {"symmetric": False},
            {"negatives": "views"},
            {"negatives": "views", "symmetric": False, "decoupled": True},
            {"decoupled": True, "reduction": "sum", "normalize": False},
        ):
            check_ring(world, backend, **settings)
