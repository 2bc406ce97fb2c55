from math import exp, log, sqrt

import numpy as np
import pytest

from mini_repr.losses.labels.supcon import supcon
from mini_repr.losses.pairs.infonce import infonce


def loops(z, labels, temperature, form, normalize, base_temperature, mean_over, reduction):
    """Equations 2 and 3, one anchor and one other row at a time."""
    rows = []
    for x in z:
        norm = sqrt(sum(float(c) ** 2 for c in x)) if normalize else 1.0
        rows.append([float(c) / norm for c in x])
    per_row, anchors = [], 0
    for i, anchor in enumerate(rows):
        logits = {j: sum(p * q for p, q in zip(anchor, rows[j], strict=True)) / temperature for j in range(len(rows))}
        total = sum(exp(logits[a]) for a in logits if a != i)
        shares = [exp(logits[p]) / total for p in logits if p != i and labels[p] == labels[i]]
        value = 0.0
        if shares:
            anchors += 1
            if form == "out":
                value = -sum(log(share) for share in shares) / len(shares)
            else:
                value = -log(sum(shares) / len(shares))
        per_row.append(value if base_temperature is None else value * temperature / base_temperature)
    if reduction == "none":
        return np.asarray(per_row)
    divisor = {"sum": 1, "mean": anchors if mean_over == "anchors" else len(rows)}[reduction]
    return sum(per_row) / divisor


def rows_with_singletons(seed=0):
    """Classes of 3, 2, 1 and 1 rows."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((7, 4)), np.array([3, 8, 3, -2, 8, 3, 11])


@pytest.mark.parametrize("form", ["out", "in"])
def test_one_positive_each_is_nt_xent(form):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 5, 3))
    labels = np.tile(np.arange(5), 2)
    value, gradients = supcon.value_and_grad(np.concatenate([a, b]), labels, temperature=0.3, form=form)
    expected, pair = infonce.value_and_grad(a, b, temperature=0.3, negatives="views")
    assert float(value) == pytest.approx(float(expected), rel=1e-13)
    np.testing.assert_allclose(gradients["z"], np.concatenate([pair["a"], pair["b"]]), atol=1e-13)
    assert float(gradients["temperature"]) == pytest.approx(float(pair["temperature"]), rel=1e-11)


def test_inside_is_at_most_outside():
    for seed in range(5):
        z, labels = rows_with_singletons(seed)
        inside, outside = (supcon(z, labels, form=form, reduction="none").data for form in ("in", "out"))
        assert (inside <= outside + 1e-12).all()
        assert (inside[[0, 2, 5]] < outside[[0, 2, 5]]).all(), "strictly, with more than one positive"


@pytest.mark.parametrize("form", ["out", "in"])
@pytest.mark.parametrize("settings", [{}, {"mean_over": "rows"}, {"reduction": "sum"}, {"base_temperature": 0.07}])
def test_singletons_are_negatives_only(form, settings):
    z, labels = rows_with_singletons()
    value, gradients = supcon.value_and_grad(z, labels, form=form, **settings)
    defined, engine = supcon.definition_and_grad(z, labels, form=form, **settings)
    assert float(value) == pytest.approx(float(defined), rel=1e-12)
    np.testing.assert_allclose(gradients["z"], engine["z"], atol=1e-11)
    np.testing.assert_allclose(gradients["temperature"], engine["temperature"], rtol=1e-10)
    assert gradients["z"][3].any(), "a row alone in its class is still pushed away by the others"
    rows = supcon(z, labels, form=form, reduction="none").data
    assert rows[3] == rows[6] == 0
    mean = float(supcon(z, labels, form=form).data)
    assert mean == pytest.approx(rows.sum() / 5, rel=1e-13)
    assert float(supcon(z, labels, form=form, mean_over="rows").data) == pytest.approx(rows.sum() / 7, rel=1e-13)


def test_no_positive_at_all_is_refused():
    with pytest.raises(ValueError, match=r"^supcon: labels: got 3 different ones, expected two that are equal"):
        supcon(np.eye(3), np.arange(3))


@pytest.mark.parametrize("form", ["out", "in"])
def test_one_class_only_has_no_negatives_and_is_defined(form):
    z = np.random.default_rng(1).standard_normal((4, 3))
    value, gradients = supcon.value_and_grad(z, np.zeros(4, dtype=int), form=form)
    assert np.isfinite(value) and np.isfinite(gradients["z"]).all()
    if form == "in":
        assert float(value) == pytest.approx(log(3), rel=1e-12)
        np.testing.assert_allclose(gradients["z"], 0, atol=1e-12)


@pytest.mark.parametrize("form", ["out", "in"])
def test_zero_row_has_zero_gradient(form):
    z, labels = rows_with_singletons()
    z[2] = 0
    value, gradients = supcon.value_and_grad(z, labels, form=form)
    assert np.isfinite(value) and not gradients["z"][2].any() and np.isfinite(gradients["z"]).all()


@pytest.mark.parametrize("form", ["out", "in"])
def test_small_temperature_is_finite_in_float32(form):
    rng = np.random.default_rng(2)
    z, labels = rng.standard_normal((64, 8)), np.arange(64) % 9
    exact, _ = supcon.value_and_grad(z, labels, temperature=1e-3, form=form)
    value, gradients = supcon.value_and_grad(z.astype(np.float32), labels, temperature=1e-3, form=form)
    assert float(value) == pytest.approx(float(exact), rel=1e-4)
    assert np.isfinite(gradients["z"]).all()


@pytest.mark.crosscheck
@pytest.mark.parametrize("form", ["out", "in"])
def test_equals_torch(form):
    torch = pytest.importorskip("torch")
    z, labels = rows_with_singletons()
    ours, gradients = supcon.value_and_grad(z, labels, temperature=0.2, form=form, base_temperature=0.07)

    t, s = torch.tensor(z, requires_grad=True), torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    u = torch.nn.functional.normalize(t, dim=1)
    own = torch.eye(7, dtype=torch.bool)
    logits = (u @ u.T / s).masked_fill(own, -torch.inf)
    mask = (torch.tensor(labels)[:, None] == torch.tensor(labels)) & ~own
    anchors = mask.any(1)
    log_p, mask = torch.log_softmax(logits, 1)[anchors], mask[anchors]
    if form == "out":
        rows = torch.stack([-row[keep].mean() for row, keep in zip(log_p, mask, strict=True)])
    else:
        rows = torch.stack([-row[keep].exp().mean().log() for row, keep in zip(log_p, mask, strict=True)])
    value = rows.mean() * s / 0.07
    value.backward()
    assert float(ours) == pytest.approx(value.item(), rel=1e-12)
    np.testing.assert_allclose(gradients["z"], t.grad.numpy(), atol=1e-12)
    np.testing.assert_allclose(gradients["temperature"], s.grad.numpy(), rtol=1e-10)
