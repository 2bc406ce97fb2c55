import tracemalloc
from math import exp, log, sqrt

import numpy as np
import pytest

from mini_repr.autograd import Tensor, unit_rows
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.losses.pairs.unime import unime


def loops(a, b, temperature, hardest, margin, short, reduction):
    """The equation, one anchor at a time: sort what passed the threshold, take k."""

    def cosine(x, y):
        norms = sqrt(sum(float(p) ** 2 for p in x)) * sqrt(sum(float(p) ** 2 for p in y))
        return sum(float(p) * float(q) for p, q in zip(x, y, strict=True)) / norms

    per_pair = []
    for i in range(len(a)):
        own = cosine(a[i], b[i])
        left = sorted((cosine(a[i], b[j]) for j in range(len(b)) if j != i), reverse=True)
        left = [s for s in left if not s > own + margin]
        terms = left[:hardest]
        if short == "repeat" and left:
            terms = [left[m % min(len(left), hardest)] for m in range(hardest)]
        total = exp(own / temperature) + sum(exp(s / temperature) for s in terms)
        per_pair.append(-log(exp(own / temperature) / total))
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](per_pair)


def test_all_negatives_and_no_threshold_is_one_direction_of_infonce():
    a, b = np.random.default_rng(0).standard_normal((2, 7, 4))
    value, gradients = unime.value_and_grad(a, b, temperature=0.2, hardest=50, margin=2.0, short="fewer")
    expected, others = infonce.value_and_grad(a, b, temperature=0.2, symmetric=False)
    assert float(value) == pytest.approx(float(expected), rel=1e-13)
    for name, gradient in others.items():
        np.testing.assert_allclose(gradients[name], gradient, rtol=1e-11, atol=1e-13)


def test_a_duplicate_of_the_partner_counts_and_a_better_match_does_not():
    a = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    b = np.array([[0.8, 0.6], [1.0, 0.0], [0.8, 0.6]])  # for anchor 0: its partner, a better match, a duplicate
    rows = unime(a, b, temperature=1.0, hardest=1, margin=0.1, reduction="none").data
    assert rows[0] == pytest.approx(log(2), rel=1e-14)
    rows = unime(a, b, temperature=1.0, hardest=1, margin=0.3, reduction="none").data
    assert rows[0] == pytest.approx(log(1 + exp(0.2)), rel=1e-14)


def test_a_row_that_was_left_out_gets_no_gradient():
    rng = np.random.default_rng(5)
    a = rng.standard_normal((8, 4))
    b = a + 1.5 * rng.standard_normal((8, 4))
    u, v = unit_rows.on_arrays(a)[0], unit_rows.on_arrays(b)[0]
    s = u @ v.T
    false = s > s.diagonal()[:, None] + 0.1
    anchor = int(np.argmax(false.sum(axis=1) * (false.sum(axis=1) < 6)))
    assert false[anchor].any()
    candidates = Tensor(b, requires_grad=True)
    unime(a, candidates, temperature=0.5, hardest=7, reduction="none").backward(np.eye(8)[anchor])
    np.testing.assert_array_equal(candidates.grad.any(axis=1), ~false[anchor])


def test_small_temperature_is_finite_in_float32():
    a, b = np.random.default_rng(1).standard_normal((2, 32, 8))
    exact, exact_gradients = unime.value_and_grad(a, b, temperature=0.002, margin=2.0)
    value, gradients = unime.value_and_grad(a.astype(np.float32), b.astype(np.float32), temperature=0.002, margin=2.0)
    assert float(value) == pytest.approx(float(exact), rel=1e-4)
    np.testing.assert_allclose(gradients["a"], exact_gradients["a"], atol=1e-3 * np.abs(exact_gradients["a"]).max())


def test_memory_is_that_of_tiles():
    a, b = np.random.default_rng(2).standard_normal((2, 1500, 4))
    tracemalloc.start()
    unime.value_and_grad(a, b, tile=32)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.2 * 1500 * 1500 * 8


def test_zero_row_has_zero_gradient():
    a, b = np.random.default_rng(3).standard_normal((2, 5, 3))
    a[1] = 0
    value, gradients = unime.value_and_grad(a, b)
    assert np.isfinite(value) and not gradients["a"][1].any() and np.isfinite(gradients["b"]).all()


@pytest.mark.crosscheck
def test_against_torch():
    """More than k remain for every anchor: there the authors' code and the paper agree."""
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    rng = np.random.default_rng(4)
    a = rng.standard_normal((12, 5))
    b = a + 0.8 * rng.standard_normal((12, 5))
    ta, tb, tt = (torch.tensor(x, requires_grad=True) for x in (a, b, np.array(0.1)))
    s = functional.normalize(ta) @ functional.normalize(tb).T
    own = s.diagonal()[:, None]
    dropped = torch.eye(12, dtype=torch.bool) | (s > own + 0.1)
    assert (~dropped).sum(1).min() >= 3
    hard = s.masked_fill(dropped, -torch.inf).topk(3, dim=1).values
    logits = torch.cat([own, hard], dim=1) / tt
    expected = functional.cross_entropy(logits, torch.zeros(12, dtype=torch.long))
    expected.backward()
    value, gradients = unime.value_and_grad(a, b, temperature=0.1, hardest=3)
    assert float(value) == pytest.approx(expected.item(), rel=1e-12)
    for name, tensor in (("a", ta), ("b", tb), ("temperature", tt)):
        np.testing.assert_allclose(gradients[name], tensor.grad.numpy(), rtol=1e-10, atol=1e-12)
