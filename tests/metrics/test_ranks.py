import math

import numpy as np
import pytest

from mini_repr.metrics import dimension_std, effective_rank, rankme


def make_rows(n=30, d=6, seed=0, dtype="float64"):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(dtype)


def naive(z, eps):
    p = np.linalg.svd(z)[1]
    p = p / p.sum() + eps
    return math.exp(-sum(x * math.log(x) for x in p.tolist() if x > 0))


@pytest.mark.parametrize("shape", [(30, 6), (6, 30), (5, 5), (1, 7)])
def test_follow_the_definition(shape):
    z = make_rows(*shape)
    assert effective_rank(z) == pytest.approx(naive(z, 0.0), rel=1e-12)
    assert rankme(z) == pytest.approx(naive(z, 1e-7), rel=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exact_values(dtype):
    orthonormal = np.linalg.qr(make_rows(8, 5))[0].astype(dtype)
    identical = np.tile(make_rows(1, 5), (8, 1)).astype(dtype)
    assert effective_rank(orthonormal) == pytest.approx(5.0, rel=1e-5)
    assert effective_rank(np.eye(8, dtype=dtype)) == pytest.approx(8.0, rel=1e-6)
    assert effective_rank(identical) == pytest.approx(1.0, abs=1e-4)
    assert rankme(orthonormal) == pytest.approx(5.0, rel=1e-5)
    assert rankme(identical) == pytest.approx(1.0, abs=1e-4)
    p = np.array([0.5, 0.25, 0.25])
    assert effective_rank(np.diag(p).astype(dtype)) == pytest.approx(2**1.5, rel=1e-6)


@pytest.mark.parametrize("metric", [effective_rank, rankme])
def test_ranks_are_blind_to_scale_order_and_rotation(metric):
    z = make_rows()
    order = np.random.default_rng(1).permutation(len(z))
    rotation = np.linalg.qr(make_rows(6, 6, seed=2))[0]
    assert metric(1e200 * (z @ rotation)[order]) == pytest.approx(metric(z), rel=1e-12)


def test_dimension_std():
    z = make_rows()
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    expected = np.mean([np.std(column) for column in unit.T]) * math.sqrt(6)
    assert dimension_std(z) == pytest.approx(expected, rel=1e-12)
    assert dimension_std(np.concatenate([np.eye(4), -np.eye(4)])) == pytest.approx(1.0)
    assert dimension_std(np.tile([[0.6, 0.8]], (9, 1))) == pytest.approx(0.0, abs=1e-15)
    assert dimension_std(make_rows(5000, 32, dtype="float32")) == pytest.approx(1.0, abs=0.01)
    scale = np.random.default_rng(1).uniform(0.1, 9.0, size=(30, 1))
    assert dimension_std((z * scale)[::-1]) == pytest.approx(dimension_std(z), rel=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: effective_rank(np.zeros((3, 2))), "effective_rank: z is all zeros"),
        (lambda: rankme(np.zeros((3, 2))), "rankme: z is all zeros"),
        (lambda: rankme(make_rows(), eps=0.0), "rankme: eps must be above 0, got 0.0"),
        (lambda: effective_rank(np.ones((0, 2))), "effective_rank: z is empty"),
        (lambda: effective_rank(np.full((3, 2), np.inf)), "effective_rank: z has values that are not finite"),
        (lambda: dimension_std(np.ones(3)), "dimension_std: z must be float32 or float64 rows"),
        (lambda: dimension_std(np.eye(3) - np.eye(3)[0]), "dimension_std: z has a zero row"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
