from math import sqrt

import numpy as np
import pytest

from mini_repr.autograd import unit_rows
from mini_repr.losses.pairs.tico import tico
from mini_repr.methods.state import updated_covariance


def loops(a, b, covariance, covariance_weight, decay, through_covariance, centre, offset, reduction):
    """The equations, one entry of C at a time. (What is cut from the gradient does not show in the value.)"""
    rows, width = len(a), len(a[0])

    def unit(x):
        means = [sum(float(row[k]) for row in x) / rows if centre else 0.0 for k in range(width)]
        moved = [[float(c) - mean for c, mean in zip(row, means, strict=True)] for row in x]
        return [[c / sqrt(sum(e * e for e in row)) for c in row] for row in moved]

    u, v = unit(a), unit(b)

    def entry(k, m):
        before = 0.0 if covariance is None else float(covariance[k][m])
        return decay * before + (1 - decay) * sum(row[k] * row[m] for row in u) / rows

    moment = [[entry(k, m) for m in range(width)] for k in range(width)]
    per_row = []
    for x, y in zip(u, v, strict=True):
        overlap = sum(x[k] * moment[k][m] * x[m] for k in range(width) for m in range(width))
        per_row.append(offset - sum(p * q for p, q in zip(x, y, strict=True)) + covariance_weight * overlap)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](per_row)


def test_terms_add_up():
    a, b = np.random.default_rng(0).standard_normal((2, 6, 4))
    output = tico(a, b, offset=1.0)
    assert float(output.data) == pytest.approx(1 + sum(float(x) for x in output.terms.values()), rel=1e-14)


def test_the_covariance_term_is_the_mean_squared_similarity_to_the_past():
    """Batches of the past with their decays, without any matrix: decay^age (1 - decay) mean (u_i·u)²."""
    rng = np.random.default_rng(1)
    batches = unit_rows.on_arrays(rng.standard_normal((5, 8, 4)))[0]
    covariance = None
    for batch in batches[:-1]:
        covariance = updated_covariance(covariance, 3 * batch, decay=0.7)
    u = batches[-1]
    squares = [((u @ batch.T) ** 2).mean() for batch in batches]
    expected = 8 * sum(0.3 * 0.7**age * square for age, square in enumerate(reversed(squares)))
    assert float(tico(u, u, covariance, decay=0.7).terms["covariance"]) == pytest.approx(expected, rel=1e-12)


def test_the_updated_covariance_is_the_one_the_loss_used():
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((2, 6, 4))
    before = np.eye(4) / 4
    kept = before.copy()
    after = updated_covariance(before, a)
    u = unit_rows.on_arrays(a)[0]
    assert float(tico(a, b, before).terms["covariance"]) == pytest.approx(8 * ((u @ after) * u).sum() / 6, rel=1e-13)
    np.testing.assert_array_equal(before, kept)
    assert np.trace(after) == pytest.approx(1)  # unit rows keep the trace of 1


def test_white_embeddings_cost_the_least():
    """With unit rows trace C = 1, and mean uᵀ C u = |C|² is least for C = I / D: 1 / D."""
    white = np.concatenate([np.eye(4), -np.eye(4)])
    lean = np.random.default_rng(3).standard_normal((8, 4)) + 2
    terms = [float(tico(x, x, decay=0.0).terms["covariance"]) for x in (white, lean)]
    assert terms[0] == pytest.approx(8 / 4)
    assert terms[1] > terms[0]


def test_zero_rows_have_zero_gradients():
    a, b = np.random.default_rng(4).standard_normal((2, 5, 3))
    a[1] = 0
    for through in (True, False):
        value, gradients = tico.value_and_grad(a, b, np.eye(3), through_covariance=through)
        assert np.isfinite(value) and not gradients["a"][1].any() and np.isfinite(gradients["b"]).all()
    one = a[:1]
    value, gradients = tico.value_and_grad(one, b[:1], centre=True)  # a single row lies at the mean
    assert float(value) == 0 and not gradients["a"].any() and not gradients["b"].any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_rows_are_at_their_mean_however_it_rounds(dtype):
    rows = np.tile(np.linspace(0.1, 1, 40), (3, 1)).astype(dtype)
    assert (rows != rows.mean(axis=0)).any()
    value, gradients = tico.value_and_grad(rows, rows, centre=True)
    assert value == 0 and not gradients["a"].any() and not gradients["b"].any()


@pytest.mark.crosscheck
@pytest.mark.parametrize("through", [True, False])
@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("memory", [True, False])
def test_against_torch(through, centre, memory):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal((2, 7, 4))
    past = rng.standard_normal((4, 4)) if memory else None
    ta, tb = (torch.tensor(x, requires_grad=True) for x in (a, b))
    u, v = (torch.nn.functional.normalize(x - x.mean(0) * centre, dim=1) for x in (ta, tb))
    batch = torch.einsum("ni,nj->ij", u, u) / 7
    moment = 0.1 * (batch if through else batch.detach())
    if memory:
        moment = moment + 0.9 * torch.tensor(past)
    expected = 1 - (u * v).sum(1).mean() + 20 * torch.einsum("ni,ij,nj->n", u, moment, u).mean()
    expected.backward()
    settings = {"through_covariance": through, "centre": centre, "offset": 1.0, "covariance_weight": 20.0}
    value, gradients = tico.value_and_grad(a, b, past, **settings)
    assert float(value) == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(gradients["a"], ta.grad.numpy(), atol=1e-12)
    np.testing.assert_allclose(gradients["b"], tb.grad.numpy(), atol=1e-12)
