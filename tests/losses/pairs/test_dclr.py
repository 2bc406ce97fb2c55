import tracemalloc
from math import exp, log, sqrt

import numpy as np
import pytest

from mini_repr.autograd import unit_rows
from mini_repr.losses.pairs.dclr import dclr
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.methods.state import instance_weights, refine_noise


def loops(a, b, temperature, weights, noise, masking, form, reduction):
    """The equation, one anchor and one candidate at a time."""

    def cosine(x, y):
        norms = sqrt(sum(float(p) ** 2 for p in x)) * sqrt(sum(float(p) ** 2 for p in y))
        return sum(float(p) * float(q) for p, q in zip(x, y, strict=True)) / norms

    per_pair = []
    for i in range(len(a)):
        terms = []
        for j in range(len(b)):
            w = 1.0 if weights is None or i == j else float(weights[i][j])
            s = cosine(a[i], b[j]) / temperature
            terms.append(exp(w * s) if masking == "logits" else w * exp(s))
        terms += [exp(cosine(a[i], n) / temperature) for n in (() if noise is None else noise)]
        p = [term / sum(terms) for term in terms]
        cost = -log(p[i])
        if form == "binary":
            cost = (cost - sum(log(1 - q) for c, q in enumerate(p) if c != i)) / len(p)
        per_pair.append(cost)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](per_pair)


def test_without_weights_and_noise_it_is_one_direction_of_infonce():
    a, b = np.random.default_rng(0).standard_normal((2, 7, 4))
    value, gradients = dclr.value_and_grad(a, b, temperature=0.3)
    expected, others = infonce.value_and_grad(a, b, temperature=0.3, symmetric=False)
    assert float(value) == pytest.approx(float(expected), rel=1e-13)
    for name, gradient in others.items():
        np.testing.assert_allclose(gradients[name], gradient, rtol=1e-11, atol=1e-13)


def test_a_weight_of_zero_leaves_a_row_out_and_the_partner_stays():
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, 5, 3))
    weights = np.ones((5, 5))
    weights[:, 3] = 0  # no anchor but its own meets row 3, whose own weight counts as 1
    rows = dclr(a, b, weights=weights, reduction="none").data
    kept = [0, 1, 2, 4]
    alone = dclr(a[kept], b[kept], reduction="none").data
    np.testing.assert_allclose(rows[kept], alone, rtol=1e-12)
    assert rows[3] > 0


def test_a_false_negative_keeps_e_to_the_0_in_the_official_code():
    a = np.eye(2)
    b = np.array([[1.0, 0.0], [1.0, 0.0]])
    weights = np.array([[1.0, 0.0], [1.0, 1.0]])
    rows = dclr(a, b, temperature=1.0, weights=weights, masking="logits", reduction="none").data
    assert rows[0] == pytest.approx(log(1 + exp(-1)), rel=1e-14)
    assert dclr(a, b, temperature=1.0, weights=weights, reduction="none").data[0] == pytest.approx(0.0, abs=1e-15)


def test_a_negative_that_takes_all_is_finite_in_the_binary_form():
    a = np.eye(3, dtype=np.float32)
    value, gradients = dclr.value_and_grad(a, a[[1, 2, 0]], temperature=1e-3, form="binary")
    assert np.isfinite(value) and value > 100 / 3
    assert all(np.isfinite(g).all() for g in gradients.values())


def test_small_temperature_is_finite_in_float32():
    rng = np.random.default_rng(2)
    a, b, noise = (rng.standard_normal((n, 8)) for n in (32, 32, 16))
    exact, exact_gradients = dclr.value_and_grad(a, b, noise=noise, temperature=0.005)
    value, gradients = dclr.value_and_grad(*(x.astype(np.float32) for x in (a, b)), 0.005, noise=noise.astype("f4"))
    assert float(value) == pytest.approx(float(exact), rel=1e-4)
    np.testing.assert_allclose(gradients["a"], exact_gradients["a"], atol=1e-3 * np.abs(exact_gradients["a"]).max())


def test_memory_is_that_of_tiles():
    rng = np.random.default_rng(3)
    a, b, noise = rng.standard_normal((3, 1000, 4))
    tracemalloc.start()
    dclr.value_and_grad(a, b, noise=noise, tile=16)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.2 * 1000 * 2000 * 8


def test_zero_row_has_zero_gradient():
    a, b = np.random.default_rng(4).standard_normal((2, 5, 3))
    a[1] = 0
    value, gradients = dclr.value_and_grad(a, b, noise=np.zeros((2, 3)))
    assert np.isfinite(value) and not gradients["a"][1].any() and np.isfinite(gradients["b"]).all()


def test_instance_weights_mark_what_the_complementary_model_finds_too_similar():
    rows_a = np.array([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    rows_b = np.array([[1.0, 0.1], [1.0, 0.0], [-1.0, -1.0]])
    weights = instance_weights(rows_a, rows_b, threshold=0.7)
    np.testing.assert_array_equal(weights, [[1, 0, 1], [1, 1, 1], [0, 0, 1]])
    assert instance_weights(rows_a.astype(np.float32), rows_b.astype(np.float32)).dtype == np.float32


def test_refined_noise_is_a_harder_negative_and_the_given_one_stays():
    rng = np.random.default_rng(5)
    a, b, noise = rng.standard_normal((3, 8, 6))
    a[:, 0] += 3  # rows in a narrow cone
    b[:, 0] += 3
    before = noise.copy()
    refined = refine_noise(noise, a, b, temperature=0.5, steps=30, step_size=0.1)
    np.testing.assert_array_equal(noise, before)
    assert float(dclr(a, b, 0.5, noise=refined).data) > float(dclr(a, b, 0.5, noise=noise).data)
    assert unit_rows.on_arrays(refined)[0][:, 0].mean() > 0.5


def test_one_step_of_refinement_follows_the_slope():
    """Against differences of the loss itself: each vector moves by the step along its own gradient's direction."""
    rng = np.random.default_rng(6)
    a, b, noise = (rng.standard_normal((n, 4)) for n in (5, 5, 3))
    slope = np.zeros_like(noise)
    for place in np.ndindex(noise.shape):
        up, down = noise.copy(), noise.copy()
        up[place] += 1e-5
        down[place] -= 1e-5
        slope[place] = float(dclr(a, b, 0.3, noise=up).data) - float(dclr(a, b, 0.3, noise=down).data)
    expected = noise + 0.01 * slope / np.linalg.norm(slope, axis=1, keepdims=True)
    np.testing.assert_allclose(refine_noise(noise, a, b, 0.3, steps=1, step_size=0.01), expected, atol=1e-7)
    np.testing.assert_array_equal(refine_noise(noise * 0, a, b), noise * 0)


def test_the_binary_form_is_the_same_in_float32_where_a_negative_takes_nearly_all():
    a, b = np.eye(4), np.eye(4)[[1, 0, 2, 3]]
    settings = {"temperature": 0.02, "form": "binary"}  # for two anchors 1 - p is 3 e^-50 of a negative
    exact, slopes = dclr.value_and_grad(a, b, **settings)
    value, gradients = dclr.value_and_grad(a.astype(np.float32), b.astype(np.float32), **settings)
    assert float(exact) == pytest.approx(2 * (50 + 50 - log(3)) / 16, rel=1e-6)
    assert float(value) == pytest.approx(float(exact), rel=1e-6)
    np.testing.assert_allclose(gradients["a"], slopes["a"], rtol=1e-5, atol=1e-5)


@pytest.mark.crosscheck
@pytest.mark.parametrize("official", [True, False])
def test_against_torch(official):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    rng = np.random.default_rng(7)
    a, b, noise = (rng.standard_normal((n, 5)) for n in (6, 6, 4))
    weights = np.maximum(rng.random((6, 6)) > 0.4, np.eye(6)).astype(float)
    ta, tb, tt = (torch.tensor(x, requires_grad=True) for x in (a, b, np.array(0.2)))
    s = torch.cosine_similarity(ta[:, None], torch.cat([tb, torch.tensor(noise)])[None], dim=2) / tt
    kept = torch.cat([torch.tensor(weights), torch.ones(6, 4)], dim=1)
    if official:
        p, target = torch.softmax(s * kept, dim=1), torch.eye(6, 10, dtype=torch.float64)
        expected = functional.binary_cross_entropy(p, target)
    else:
        expected = functional.cross_entropy(s.masked_fill(kept == 0, -torch.inf), torch.arange(6))
    expected.backward()
    settings = {"masking": "logits", "form": "binary"} if official else {}
    value, gradients = dclr.value_and_grad(a, b, temperature=0.2, weights=weights, noise=noise, **settings)
    assert float(value) == pytest.approx(expected.item(), rel=1e-12)
    for name, tensor in (("a", ta), ("b", tb), ("temperature", tt)):
        np.testing.assert_allclose(gradients[name], tensor.grad.numpy(), rtol=1e-9, atol=1e-12)
