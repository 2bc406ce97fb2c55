import numpy as np
import pytest

from mini_repr.metrics import dimension_std, effective_rank, rankme


def make_rows(n=30, d=6, seed=0, dtype="float64"):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(dtype)


@pytest.mark.parametrize("shape", [(30, 6), (6, 30), (5, 5), (1, 7)])
def test_follow_the_definition(shape):
    z = make_rows(*shape)
    assert effective_rank(z) == pytest.approx(effective_rank.definition(z), rel=1e-12)
    assert rankme(z) == pytest.approx(rankme.definition(z), rel=1e-12)


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
    assert dimension_std(np.concatenate([np.eye(4), -np.eye(4)])) == pytest.approx(1.0)
    assert dimension_std(np.tile([[0.6, 0.8]], (9, 1))) == pytest.approx(0.0, abs=1e-15)
    assert dimension_std(make_rows(5000, 32, dtype="float32")) == pytest.approx(1.0, abs=0.01)
    scale = np.random.default_rng(1).uniform(0.1, 9.0, size=(30, 1))
    assert dimension_std((z * scale)[::-1]) == pytest.approx(dimension_std(z), rel=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: effective_rank(np.zeros((3, 2))), "effective_rank: z: got zeros only"),
        (lambda: rankme(np.zeros((3, 2))), "rankme: z: got zeros only"),
        (lambda: rankme(make_rows(), eps=0.0), "rankme: eps: got 0, expected a number"),
        (lambda: effective_rank(np.ones((0, 2))), r"effective_rank: z: got shape \(0, 2\), which is empty"),
        (lambda: effective_rank(np.full((3, 2), np.inf)), "effective_rank: z: got a NaN or an infinity"),
        (lambda: dimension_std(np.ones(3)), r"dimension_std: z: got shape \(3,\), expected an array of shape \(N, D\)"),
        (lambda: dimension_std(np.eye(3) - np.eye(3)[0]), "dimension_std: z: got a row of zeros"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
