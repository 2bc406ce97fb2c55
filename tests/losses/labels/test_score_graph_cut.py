from math import exp, log, sqrt

import numpy as np
import pytest

from mini_repr.autograd import unit_rows
from mini_repr.losses.labels.score_graph_cut import score_graph_cut
from mini_repr.losses.labels.supcon import supcon
from mini_repr.losses.pairs.infonce import infonce


def loops(z, labels, balance, form, push, average, temperature, normalize, reduction):
    """One row, then one other row at a time."""
    rows = []
    for x in z:
        norm = sqrt(sum(float(c) ** 2 for c in x)) if normalize else 1.0
        rows.append([float(c) / norm for c in x])

    def over(values):
        return sum(values) / (max(1, len(values)) if average else 1)

    per_row = []
    for i in range(len(rows)):
        near, far = [], []
        for j in range(len(rows)):
            s = sum(p * q for p, q in zip(rows[i], rows[j], strict=True)) / temperature
            if labels[i] != labels[j]:
                far.append(s)
            elif i != j:
                near.append(s)
        candidates = far + (near if push == "soft_all" else [])
        soft = log(sum(exp(s) for s in candidates)) if candidates else 0.0
        pushes = over(far) if push == "sum" else soft
        per_row.append(balance * pushes if form == "correlation" else pushes + (1 - balance) * over(near))
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](per_row)


def uneven(seed=0):
    """Classes of 3, 2, 1 and 1 rows."""
    return np.random.default_rng(seed).standard_normal((7, 4)), np.array([3, 8, 3, -2, 8, 3, 11])


def balanced(seed=0, members=3):
    return np.random.default_rng(seed).standard_normal((4 * members, 5)), np.arange(4 * members) % 4


@pytest.mark.parametrize("form", ["information", "correlation"])
@pytest.mark.parametrize("push", ["sum", "soft_negatives", "soft_all"])
@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_uneven_classes(form, push, average, reduction):
    z, labels = uneven()
    settings = dict(form=form, push=push, average=average, reduction=reduction, temperature=0.3, balance=1.7)
    value, gradients = score_graph_cut.value_and_grad(z, labels, tile=2, **settings)
    defined, engine = score_graph_cut.definition_and_grad(z, labels, **settings)
    assert float(value) == pytest.approx(loops(z, labels, normalize=True, **settings), rel=1e-12)
    assert float(value) == pytest.approx(float(defined), rel=1e-12)
    np.testing.assert_allclose(gradients["z"], engine["z"], atol=1e-11)


def test_forms_are_total_information_and_total_correlation():
    """Of f(A) = sum_{i in V, j in A} s_ij - balance sum_{i, j in A} s_ij, but for (1 - balance) s_ii a row."""
    z, labels = uneven(1)
    u = unit_rows.on_arrays(z)[0]
    s = u @ u.T

    def f(members):
        return s[:, members].sum() - 1.7 * s[members][:, members].sum()

    information = sum(f(np.flatnonzero(labels == k)) for k in np.unique(labels))
    value = score_graph_cut(z, labels, balance=1.7, reduction="sum").data
    assert float(value) == pytest.approx(information + 0.7 * 7, rel=1e-12)
    value = score_graph_cut(z, labels, balance=1.7, reduction="sum", form="correlation").data
    assert float(value) == pytest.approx(information - f(np.arange(7)), rel=1e-12)


def assert_same(one, other, constant=0.0):
    (value, gradients), (expected, expected_gradient) = one, other
    assert float(value) == pytest.approx(float(expected) + constant, rel=1e-12)
    np.testing.assert_allclose(gradients["z"], expected_gradient, atol=1e-12)


def test_supcon_is_an_instance():
    z, labels = balanced(2)
    expected, gradients = supcon.value_and_grad(z, labels, temperature=0.2)
    settings = score_graph_cut.variants["supcon"].settings | {"temperature": 0.2}
    assert_same(score_graph_cut.value_and_grad(z, labels, **settings), (expected, gradients["z"]))


def test_n_pairs_is_an_instance():
    z, labels = balanced(3, members=2)
    expected, pair = infonce.value_and_grad(z[:4], z[4:], temperature=1.0, negatives="views", normalize=False)
    settings = score_graph_cut.variants["n_pairs"].settings
    gradient = np.concatenate([pair["a"], pair["b"]])
    assert_same(score_graph_cut.value_and_grad(z, labels, **settings), (expected, gradient))


@pytest.mark.crosscheck
def test_orthogonal_projection_is_an_instance():
    """1 - (mean within) + |mean across|, for classes of one size and a mean across above 0."""
    torch = pytest.importorskip("torch")
    z, labels = balanced(4)
    z += 1.0
    t, same = torch.tensor(z, requires_grad=True), torch.tensor(labels[:, None] == labels)
    u = torch.nn.functional.normalize(t, dim=1)
    s = u @ u.T
    value = 1 - s[same & ~torch.eye(12, dtype=torch.bool)].mean() + s[~same].mean().abs()
    value.backward()
    settings = score_graph_cut.variants["orthogonal_projection"].settings
    assert_same(score_graph_cut.value_and_grad(z, labels, **settings), (value.item(), t.grad.numpy()), constant=-1.0)


@pytest.mark.crosscheck
def test_submodular_supcon_against_torch():
    torch = pytest.importorskip("torch")
    z, labels = uneven(5)
    t, same = torch.tensor(z, requires_grad=True), torch.tensor(labels[:, None] == labels)
    u = torch.nn.functional.normalize(t, dim=1)
    s = u @ u.T / 0.1
    pull = s.masked_fill(~same | torch.eye(7, dtype=torch.bool), 0).sum(1)
    value = (s.masked_fill(same, -torch.inf).logsumexp(1) - pull).mean()
    value.backward()
    settings = score_graph_cut.variants["submodular_supcon"].settings
    assert_same(score_graph_cut.value_and_grad(z, labels, **settings), (value.item(), t.grad.numpy()))


@pytest.mark.parametrize("push", ["sum", "soft_negatives", "soft_all"])
@pytest.mark.parametrize("average", [False, True])
def test_one_class_zero_row_and_duplicates_are_finite(push, average):
    z, labels = uneven(6)
    z[0], z[1] = 0, z[4]
    for given in (labels, labels * 0, np.arange(7)):
        value, gradients = score_graph_cut.value_and_grad(z.astype(np.float32), given, push=push, average=average)
        assert np.isfinite(value) and np.isfinite(gradients["z"]).all() and not gradients["z"][0].any()
    if push != "soft_all":
        assert float(score_graph_cut(z, labels * 0, push=push, form="correlation").data) == 0
