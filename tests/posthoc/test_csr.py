"""Sparse codes: few active units, the gradient of tied weights, dead units revived, exact cases."""

import math

import numpy as np
import pytest

from mini_repr.autograd import Tensor
from mini_repr.posthoc.csr import CSR, csr_loss, largest


def drawn(seed=0, batch=7, width=5, hidden=16):
    rng = np.random.default_rng(seed)
    arrays = [
        rng.normal(size=shape) * scale for shape, scale in (((width, hidden), 0.5), ((width,), 0.1), (hidden, 0.1))
    ]
    return arrays, rng.normal(size=(batch, width))


def evaluated(arrays, v, k=2, aux=3, dead=None, contrast=0.0):
    tensors = [Tensor(x, True) for x in arrays]
    loss, _ = csr_loss(*tensors, v, k, aux, np.zeros(16, bool) if dead is None else dead, contrast)
    loss.backward()
    return float(loss.data), [t.grad for t in tensors]


def by_hand(arrays, v, k, share):
    """share * mse(v_k, v) and its gradients, as the text has them."""
    (w, b, c), n = arrays, v.size
    p = (v - b) @ w + c
    mask = np.zeros(p.shape)
    for i, row in enumerate(p):
        mask[i, sorted(range(len(row)), key=lambda j, row=row: -row[j])[:k]] = 1
    z = mask * np.maximum(p, 0)
    dv = share * 2 * (z @ w.T + b - v) / n
    dp = mask * (p > 0) * (dv @ w)
    return share * ((z @ w.T + b - v) ** 2).mean(), [
        (v - b).T @ dp + dv.T @ z,
        dv.sum(axis=0) - (dp @ w.T).sum(axis=0),
        dp.sum(axis=0),
    ]


def test_both_widths_have_the_tied_gradient_of_the_text():
    arrays, v = drawn()
    value, gradients = evaluated(arrays, v)
    narrow, wide = by_hand(arrays, v, 2, 1.0), by_hand(arrays, v, 8, 1 / 8)
    rest = v - (v_rebuilt(arrays, v, 2)) + arrays[1]
    scale = ((rest - rest.mean(axis=0)) ** 2).mean()
    # Without dead units z_a is 0 and b alone is compared with the rest.
    aux = ((arrays[1] - rest) ** 2).mean() / (32 * scale)
    assert value == pytest.approx(narrow[0] + wide[0] + aux)
    np.testing.assert_allclose(gradients[0], narrow[1][0] + wide[1][0], atol=1e-13)
    np.testing.assert_allclose(gradients[2], narrow[1][2] + wide[1][2], atol=1e-13)
    d_aux = 2 * (arrays[1] - rest).sum(axis=0) / v.size / (32 * scale)
    np.testing.assert_allclose(gradients[1], narrow[1][1] + wide[1][1] + d_aux, atol=1e-13)


def v_rebuilt(arrays, v, k):
    w, b, c = arrays
    p = (v - b) @ w + c
    return np.maximum(np.where(largest(p, k), p, 0), 0) @ w.T + b


def test_only_dead_units_that_are_not_used_now_are_revived():
    arrays, v = drawn(1)
    w, b, c = arrays
    p = (v - b) @ w + c
    used = (largest(p, 2) & (p > 1e-5)).any(axis=0)
    assert 0 < used.sum() < 16
    _, none = evaluated(arrays, v)
    _, of_used = evaluated(arrays, v, dead=used)
    np.testing.assert_allclose(of_used[2], none[2], atol=1e-15)
    _, all_dead = evaluated(arrays, v, dead=np.ones(16, bool))
    changed = np.abs(all_dead[2] - none[2]) > 1e-12
    assert changed.any() and not changed[used].any()


def test_the_contrast_of_orthogonal_codes():
    """Each row has a unit of its own: similarities 0 to the 2 (N - 1) others."""
    v = 3 * np.eye(4)
    arrays = [np.eye(4, 16), np.zeros(4), np.zeros(16)]
    plain, _ = evaluated(arrays, v, k=1)
    pushed, _ = evaluated(arrays, v, k=1, contrast=0.5)
    assert pushed - plain == pytest.approx(0.5 * math.log(1 + 6 * math.exp(-1 / 0.2)))


def test_orthonormal_columns_and_all_units_rebuild_exactly():
    made = CSR(4)
    q = np.linalg.qr(np.random.default_rng(2).normal(size=(6, 6)))[0].astype(np.float32)
    made.weight_, made.bias_, made.threshold_ = np.concatenate([q, -q], axis=1), np.zeros(6, "f4"), np.zeros(12, "f4")
    z = np.random.default_rng(3).normal(size=(9, 6)).astype(np.float32)
    np.testing.assert_allclose(made.inverse_transform(made.transform(z, 12)), z, atol=1e-5)


def test_codes_are_sparse_positive_and_rebuild_what_they_learnt():
    rng = np.random.default_rng(4)
    atoms = rng.normal(size=(12, 8))
    z = sum(rng.exponential(size=(400, 1)) * atoms[rng.integers(12, size=400)] for _ in range(2))
    made = CSR(2, hidden=48, epochs=40, batch_size=100).fit(z)
    codes = made.transform(z)
    assert codes.shape == (400, 48) and codes.min() >= 0 and ((codes > 0).sum(axis=1) <= 2).all()
    assert ((made.transform(z, 5) > 0).sum(axis=1) > 2).any()
    rebuilt = made.inverse_transform(codes)
    assert ((rebuilt - z) ** 2).mean() < 0.35 * z.var()
    assert 0 <= made.dead_ < 0.9
    again = CSR(2, hidden=48, epochs=40, batch_size=100).fit(z)
    np.testing.assert_array_equal(again.weight_, made.weight_)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda z: CSR(6).fit(z), "csr: k: got 6, expected at most 5, a quarter of the 20 hidden units"),
        (lambda z: CSR(0).fit(z), "k: got 0"),
        (lambda z: CSR(1, epochs=3, lr=1e30).fit(z), "csr: lr: got 1e\\+30, which leaves the finite numbers"),
        (lambda z: CSR(1).transform(z), "csr: got rows before fit"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_mistakes_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make(np.random.default_rng(5).normal(size=(30, 5)))
