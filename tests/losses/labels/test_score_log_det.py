from math import log, sqrt

import numpy as np
import pytest

from mini_repr.losses.labels.score_log_det import score_log_det


def loops(z, labels, form, ridge, reduction):
    """Determinants by elimination, a pivot at a time."""
    rows = []
    for x in z:
        norm = sqrt(sum(float(c) ** 2 for c in x))
        rows.append([float(c) / norm for c in x])

    def f(members):
        a = [
            [sum(p * q for p, q in zip(rows[i], rows[j], strict=True)) + ridge * (i == j) for j in members]
            for i in members
        ]
        total = 0.0
        for k in range(len(a)):
            total += log(a[k][k])
            for i in range(k + 1, len(a)):
                factor = a[i][k] / a[k][k]
                a[i] = [x - factor * y for x, y in zip(a[i], a[k], strict=True)]
        return total

    everyone = range(len(rows))
    total = sum(f([i for i in everyone if labels[i] == k]) for k in set(np.asarray(labels).tolist()))
    if form == "correlation":
        total -= f(list(everyone))
    return total / (len(rows) if reduction == "mean" else 1)


def uneven(seed=0, rows=11, width=4):
    """Classes of 5, 3, 2 and 1 rows: some with more rows than columns, some with fewer."""
    labels = np.array([3, 8, 3, -2, 8, 3, 11, 3, 8, 3, 11])
    return np.random.default_rng(seed).standard_normal((rows, width)), labels


@pytest.mark.parametrize("form", ["correlation", "information"])
@pytest.mark.parametrize("width", [2, 4, 16])
def test_uneven_classes_from_the_smaller_matrix(form, width):
    z, labels = uneven(width=width)
    value, gradients = score_log_det.value_and_grad(z, labels, form=form, ridge=0.3)
    defined, engine = score_log_det.definition_and_grad(z, labels, form=form, ridge=0.3)
    assert float(value) == pytest.approx(loops(z, labels, form, 0.3, "sum"), rel=1e-11)
    assert float(value) == pytest.approx(float(defined), rel=1e-11)
    np.testing.assert_allclose(gradients["z"], engine["z"], atol=1e-11)


def test_correlation_is_zero_for_orthogonal_classes_only():
    """Fischer's inequality: log det of a matrix is at most that of its diagonal blocks."""
    z = np.array([[1.0, 2, 0, 0], [2, -1, 0, 0], [0, 0, 1, 3], [0, 0, 0, 1]])
    labels = np.array([0, 0, 1, 1])
    value, gradients = score_log_det.value_and_grad(z, labels)
    assert float(value) == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(gradients["z"], 0, atol=1e-12)
    z[0, 2] = 2.0
    assert float(score_log_det(z, labels).data) > 0.01


def test_named_parts_make_the_value():
    z, labels = uneven(1)
    tensor = score_log_det(z, labels, reduction="mean")
    assert float(tensor.terms["classes"] - tensor.terms["whole"]) == pytest.approx(float(tensor.data), rel=1e-12)
    assert set(score_log_det(z, labels, form="information").terms) == {"classes"}


def test_information_falls_as_a_class_draws_together():
    rng = np.random.default_rng(2)
    centre, spread, labels = rng.standard_normal(5), rng.standard_normal((6, 5)), np.zeros(6, dtype=int)
    volumes = [float(score_log_det(centre + w * spread, labels, form="information").data) for w in (1.0, 0.3, 0.1, 0.0)]
    assert volumes == sorted(volumes, reverse=True)


def test_zero_rows_duplicates_and_single_rows_are_finite():
    z, labels = uneven(3)
    z[0], z[1] = 0, z[4]
    value, gradients = score_log_det.value_and_grad(z.astype(np.float32), labels, ridge=1e-3)
    assert np.isfinite(value) and np.isfinite(gradients["z"]).all() and not gradients["z"][0].any()
    value, _ = score_log_det.value_and_grad(z[5:6], labels[5:6], form="information", ridge=0.5)
    assert float(value) == pytest.approx(log(1.5), rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("width", [3, 40])
def test_a_ridge_within_round_off_is_refused(dtype, width):
    z, labels = np.ones((6, width), dtype), np.array([0, 0, 1, 1, 2, 2])
    least = 6 * float(np.finfo(dtype).eps)
    with pytest.raises(ValueError, match=r"^score_log_det: ridge: got .*, expected at least .* for 6 rows of float"):
        score_log_det(z, labels, ridge=0.9 * least)
    value, gradients = score_log_det.value_and_grad(z, labels, ridge=1.1 * least)
    assert np.isfinite(value) and np.isfinite(gradients["z"]).all()


@pytest.mark.crosscheck
def test_against_torch():
    torch = pytest.importorskip("torch")
    z, labels = uneven(4)
    t = torch.tensor(z, requires_grad=True)
    u = torch.nn.functional.normalize(t, dim=1)
    ridge = 0.5 * torch.eye(11, dtype=torch.float64)
    value = -torch.logdet(u @ u.T + ridge)
    for k in np.unique(labels):
        own = u[labels == k]
        value = value + torch.logdet(own @ own.T + ridge[: len(own), : len(own)])
    value.backward()
    ours, gradients = score_log_det.value_and_grad(z, labels)
    assert float(ours) == pytest.approx(value.item(), rel=1e-11)
    np.testing.assert_allclose(gradients["z"], t.grad.numpy(), atol=1e-11)
