from itertools import combinations
from math import sqrt

import numpy as np
import pytest

from mini_repr.kernels.whitening import whitened
from mini_repr.losses.pairs.wmse import _sub_batches, wmse


def loops(a, b, order, size, eps, normalize, reduction):
    """Gram-Schmidt in plain lists: each column less its regression on those before it, in covariances shrunk by eps."""
    rows, width = len(a), len(a[0])
    order = list(range(rows)) if order is None else [int(i) for i in order]
    count = 1 if size is None else max(1, rows // size)
    parts = [order[i * rows // count : (i + 1) * rows // count] for i in range(count)]

    def white(x):
        result = {}
        for part in parts:
            means = [sum(float(x[i][k]) for i in part) / len(part) for k in range(width)]
            left = {i: [float(x[i][k]) - means[k] for k in range(width)] for i in part}
            covariance = [
                [sum(left[i][k] * left[i][m] for i in part) / (len(part) - 1) for m in range(width)]
                for k in range(width)
            ]
            covariance = [
                [(1 - eps) * c + eps * (k == m) for m, c in enumerate(row)] for k, row in enumerate(covariance)
            ]
            for k in range(width):  # elimination: what the other columns have in common with column k goes
                spread = sqrt(covariance[k][k])
                for i in part:
                    left[i][k] /= spread
                shares = [covariance[m][k] / spread for m in range(width)]
                for m in range(k + 1, width):
                    for i in part:
                        left[i][m] -= shares[m] * left[i][k]
                    for other in range(k + 1, width):
                        covariance[m][other] -= shares[m] * shares[other]
            result.update(left)
        return [result[i] for i in range(rows)]

    def unit(x):
        return [c / sqrt(sum(e * e for e in x)) for c in x]

    per_row = []
    for x, y in zip(white(a), white(b), strict=True):
        if normalize:
            x, y = unit(x), unit(y)
        per_row.append(sum((p - q) ** 2 for p, q in zip(x, y, strict=True)) / (1 if normalize else width))
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](per_row)


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 1e-4)])
def test_whitened_rows_are_white(dtype, tolerance):
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((200, 6)) @ rng.standard_normal((6, 6)) + 3).astype(dtype)
    z, _ = whitened.on_arrays(x)
    assert z.dtype == dtype
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=tolerance)
    np.testing.assert_allclose(np.cov(z.T), np.eye(6), atol=10 * tolerance)


def test_shrinking_everything_leaves_centred_rows():
    x = np.random.default_rng(1).standard_normal((5, 8))
    np.testing.assert_allclose(whitened.on_arrays(x, eps=1.0)[0], x - x.mean(axis=0), atol=1e-14)


def test_each_sub_batch_is_white_by_itself():
    """Sub-batches of the order given: moving one sub-batch's rows by a linear map changes nothing."""
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((2, 12, 3))
    order = rng.permutation(12)
    before = wmse(a, b, order=order, size=4, reduction="none").data
    moved = a.copy()
    moved[order[4:8]] = 7 * a[order[4:8]] + 1
    np.testing.assert_allclose(wmse(moved, b, order=order, size=4, reduction="none").data, before, atol=1e-12)
    assert np.abs(wmse(moved, b, reduction="none").data - before).max() > 0.1


def test_orders_within_a_sub_batch_do_not_matter():
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((2, 8, 3))
    plain = wmse(a, b, size=4).data
    order = np.concatenate([4 + rng.permutation(4), rng.permutation(4)])
    assert float(wmse(a, b, order=order, size=4).data) == pytest.approx(float(plain), rel=1e-12)


@pytest.mark.parametrize("rows, size, lengths", [(9, 4, [4, 5]), (12, 4, [4, 4, 4]), (7, 8, [7]), (9, None, [9])])
def test_every_row_is_in_one_sub_batch_of_its_size_or_more(rows, size, lengths):
    parts = _sub_batches(rows, size)
    assert [part.stop - part.start for part in parts] == lengths
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(rows))


def test_several_positives_are_the_mean_over_pairs_of_views():
    """2 / (d (d - 1)) times the sum over pairs, each view whitened once: as the official code adds them up."""
    views = np.random.default_rng(4).standard_normal((4, 10, 3))
    white = [whitened.on_arrays(x)[0] for x in views]
    units = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in white]
    expected = sum(((u - v) ** 2).sum(axis=1).mean() for u, v in combinations(units, 2)) * 2 / (4 * 3)
    mean = np.mean([float(wmse(a, b).data) for a, b in combinations(views, 2)])
    assert mean == pytest.approx(expected, rel=1e-12)


def test_a_row_at_the_mean_has_cosine_0_and_finite_gradients():
    a = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1], [0, 0]])
    b = np.random.default_rng(5).standard_normal((5, 2))
    assert float(wmse(a, b, reduction="none").data[4]) == 2
    _, gradients = wmse.value_and_grad(a, b)
    assert all(np.isfinite(g).all() for g in gradients.values())


def _columns(*columns):
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "what",
    ["rows", "constant", "copy", "sum"],
    ids=["too few rows", "constant column", "copied column", "summed column"],
)
def test_a_singular_covariance_is_refused_unless_shrunk(what, dtype):
    rng = np.random.default_rng(6)
    x, y = rng.standard_normal((2, 20))
    bad = {
        "rows": rng.standard_normal((3, 3)),
        "constant": _columns(x, np.full(20, 0.3), y),
        "copy": _columns(x, y, x),
        "sum": _columns(x, y, x + y),
    }[what].astype(dtype)
    good = rng.standard_normal(bad.shape).astype(dtype)
    good = good if what != "rows" else bad
    with pytest.raises(ValueError, match=r"^wmse: a: got \d+ rows with a singular covariance of 3 columns, expected"):
        wmse(bad, good)
    value, gradients = wmse.value_and_grad(bad, good, eps=1e-2)
    assert np.isfinite(value) and all(np.isfinite(g).all() for g in gradients.values())


def test_order_is_a_permutation():
    a = np.random.default_rng(7).standard_normal((6, 2))
    with pytest.raises(ValueError, match=r"^wmse: order: got a number twice, expected each of 0 to 5 once"):
        wmse(a, a, order=np.array([0, 1, 2, 3, 4, 4]))
    with pytest.raises(ValueError, match=r"^wmse: order: got labels from 0 to 6, expected 0 to 5"):
        wmse(a, a, order=np.array([0, 1, 2, 3, 4, 6]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_collapsed_rows_are_at_their_mean_however_it_rounds(dtype):
    rows = np.tile(np.linspace(0.1, 1, 40), (3, 1)).astype(dtype)
    assert (rows != rows.mean(axis=0)).any()
    value, gradients = wmse.value_and_grad(rows, rows, eps=0.1)
    assert value == 2 and not gradients["a"].any() and not gradients["b"].any()


@pytest.mark.crosscheck
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("size, eps", [(None, 0.0), (6, 0.0), (6, 0.05)])
def test_against_torch(normalize, size, eps):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(8)
    a, b = rng.standard_normal((2, 12, 4))
    order = rng.permutation(12)
    ta, tb = (torch.tensor(x, requires_grad=True) for x in (a, b))

    def white(x):
        result = torch.empty_like(x)
        for part in torch.tensor(order).view(-1, size or 12):
            centred = x[part] - x[part].mean(0)
            covariance = (1 - eps) * torch.cov(x[part].T) + eps * torch.eye(4, dtype=x.dtype)
            result[part] = torch.linalg.solve_triangular(torch.linalg.cholesky(covariance), centred.T, upper=False).T
        return result

    u, v = white(ta), white(tb)
    if normalize:
        expected = 2 - 2 * torch.nn.functional.cosine_similarity(u, v).mean()
    else:
        expected = torch.nn.functional.mse_loss(u, v)
    expected.backward()
    value, gradients = wmse.value_and_grad(a, b, order=order, size=size, eps=eps, normalize=normalize)
    assert float(value) == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(gradients["a"], ta.grad.numpy(), atol=1e-11)
    np.testing.assert_allclose(gradients["b"], tb.grad.numpy(), atol=1e-11)
