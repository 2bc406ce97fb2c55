from math import exp, log, sqrt

import numpy as np
import pytest

from mini_repr.losses.labels.score_facility_location import score_facility_location


def loops(z, labels, form, smoothing, reduction):
    """One row, one other class and one of its members at a time."""
    rows = []
    for x in z:
        norm = sqrt(sum(float(c) ** 2 for c in x))
        rows.append([float(c) / norm for c in x])
    per_row = []
    for i in range(len(rows)):
        total = 1.0 if form == "information" else 0.0
        for k in set(np.asarray(labels).tolist()) - {int(labels[i])}:
            members = [j for j in range(len(rows)) if labels[j] == k]
            s = [sum(p * q for p, q in zip(rows[i], rows[j], strict=True)) for j in members]
            total += smoothing * log(sum(exp(x / smoothing) for x in s)) if smoothing else max(s)
        per_row.append(total)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](per_row)


def uneven(seed=0):
    """Classes of 3, 2, 1 and 1 rows."""
    return np.random.default_rng(seed).standard_normal((7, 4)), np.array([3, 8, 3, -2, 8, 3, 11])


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("tile", [1, 2, None])
def test_uneven_classes(smoothing, reduction, tile):
    z, labels = uneven()
    settings = dict(smoothing=smoothing, reduction=reduction)
    value, gradients = score_facility_location.value_and_grad(z, labels, tile=tile, **settings)
    defined, engine = score_facility_location.definition_and_grad(z, labels, **settings)
    assert float(value) == pytest.approx(loops(z, labels, form="correlation", **settings), rel=1e-12)
    assert float(value) == pytest.approx(float(defined), rel=1e-12)
    np.testing.assert_allclose(gradients["z"], engine["z"], atol=1e-12)


def set_function(s, members):
    """Facility location: how well the members represent everyone."""
    return s[:, members].max(axis=1).sum()


def test_forms_are_total_information_and_total_correlation():
    z, labels = uneven(1)
    u = z / np.linalg.norm(z, axis=1, keepdims=True)
    s = u @ u.T
    information = sum(set_function(s, np.flatnonzero(labels == k)) for k in np.unique(labels))
    value = score_facility_location(z, labels, form="information", reduction="sum").data
    assert float(value) == pytest.approx(information, rel=1e-12)
    value = score_facility_location(z, labels, form="correlation", reduction="sum").data
    assert float(value) == pytest.approx(information - set_function(s, np.arange(7)), rel=1e-12)


def test_little_smoothing_tends_to_the_maximum():
    z, labels = uneven(2)
    hard = score_facility_location(z, labels).data
    soft = score_facility_location(z, labels, smoothing=1e-3).data
    assert float(soft) == pytest.approx(float(hard), abs=1e-3)


def test_ties_share_the_gradient_and_match_the_definition():
    z, labels = uneven(3)
    z[2] = z[0]
    _, gradients = score_facility_location.value_and_grad(z, labels)
    _, engine = score_facility_location.definition_and_grad(z, labels)
    np.testing.assert_allclose(gradients["z"], engine["z"], atol=1e-12)
    np.testing.assert_allclose(gradients["z"][0], gradients["z"][2], atol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.05])
def test_one_class_zero_rows_and_single_rows_are_finite(smoothing):
    z, labels = uneven(4)
    value, gradients = score_facility_location.value_and_grad(z, labels * 0, smoothing=smoothing)
    assert float(value) == 0 and not gradients["z"].any()
    z[0] = 0
    value, gradients = score_facility_location.value_and_grad(z.astype(np.float32), labels, smoothing=smoothing)
    assert np.isfinite(value) and np.isfinite(gradients["z"]).all() and not gradients["z"][0].any()
    value, _ = score_facility_location.value_and_grad(z[1:2], labels[1:2], smoothing=smoothing)
    assert float(value) == 0


@pytest.mark.crosscheck
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_against_torch(smoothing):
    torch = pytest.importorskip("torch")
    z, labels = uneven(5)
    t = torch.tensor(z, requires_grad=True)
    u = torch.nn.functional.normalize(t, dim=1)
    s, value = u @ u.T, 0
    for k in np.unique(labels):
        block = s[labels != k][:, labels == k]
        best = smoothing * (block / smoothing).logsumexp(1) if smoothing else block.amax(1)
        value = value + best.sum() / 7
    value.backward()
    ours, gradients = score_facility_location.value_and_grad(z, labels, smoothing=smoothing)
    assert float(ours) == pytest.approx(value.item(), rel=1e-12)
    np.testing.assert_allclose(gradients["z"], t.grad.numpy(), atol=1e-12)
