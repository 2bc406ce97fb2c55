from math import exp, log1p, sqrt

import numpy as np
import pytest

from mini_repr.autograd import unit_rows
from mini_repr.losses.labels.triplet import triplet


def loops(z, labels, margin, mining, distance, penalty, normalize, reduction):
    """One triplet at a time."""
    rows = []
    for x in z:
        norm = sqrt(sum(float(c) ** 2 for c in x)) if normalize else 1.0
        rows.append([float(c) / norm for c in x])
    n = range(len(rows))

    def d(i, j):
        squared = sum((p - q) ** 2 for p, q in zip(rows[i], rows[j], strict=True))
        return squared if distance == "squared" else sqrt(squared)

    chosen = []
    for a in n:
        positives = [p for p in n if p != a and labels[p] == labels[a]]
        negatives = [k for k in n if labels[k] != labels[a]]
        if mining == "all":
            chosen += [(a, p, k) for p in positives for k in negatives]
        elif mining == "hard" and positives:
            chosen.append((a, max(positives, key=lambda p: d(a, p)), min(negatives, key=lambda k: d(a, k))))
        elif mining.startswith("semihard"):
            for p in positives:
                farther = [k for k in negatives if d(a, k) > d(a, p)]
                if farther:
                    chosen.append((a, p, min(farther, key=lambda k: d(a, k))))
                elif mining == "semihard_fallback":
                    chosen.append((a, p, max(negatives, key=lambda k: d(a, k))))
    costs = []
    for a, p, k in chosen:
        x = d(a, p) - d(a, k) + margin
        costs.append(max(0.0, x) if penalty == "hinge" else max(x, 0.0) + log1p(exp(-abs(x))))
    count = {"mean": len(costs), "mean_active": sum(c > 0 for c in costs), "sum": 1}[reduction]
    return sum(costs) / max(1, count)


def rows_with_singletons():
    """Classes of 3, 2, 1 and 1 rows."""
    return np.random.default_rng(0).standard_normal((7, 4)), np.array([3, 8, 3, -2, 8, 3, 11])


EVERY_MINING = pytest.mark.parametrize("mining", ["all", "hard", "semihard", "semihard_fallback"])


@EVERY_MINING
@pytest.mark.parametrize("distance", ["squared", "euclidean"])
@pytest.mark.parametrize("penalty", ["hinge", "softplus"])
@pytest.mark.parametrize("reduction", ["mean", "mean_active", "sum"])
def test_uneven_classes(mining, distance, penalty, reduction):
    z, labels = rows_with_singletons()
    settings = dict(mining=mining, distance=distance, penalty=penalty, reduction=reduction, margin=0.7)
    value, gradients = triplet.value_and_grad(z, labels, tile=3, **settings)
    defined, engine = triplet.definition_and_grad(z, labels, **settings)
    assert float(value) == pytest.approx(loops(z, labels, normalize=True, **settings), rel=1e-12)
    assert float(value) == pytest.approx(float(defined), rel=1e-12)
    np.testing.assert_allclose(gradients["z"], engine["z"], atol=1e-12)


@pytest.mark.parametrize("labels, came", [([0, 1, 2], "no two equal"), ([5, 5, 5], "all equal")])
def test_labels_without_a_triplet_are_refused(labels, came):
    with pytest.raises(ValueError, match=rf"^triplet: labels: got {came}, expected two equal and two different"):
        triplet(np.eye(3), np.array(labels))


@EVERY_MINING
@pytest.mark.parametrize("distance", ["squared", "euclidean"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_duplicates_are_finite_and_do_not_move_each_other(mining, distance, dtype):
    """Two equal rows of one class: their distance is 0, its gradient by convention too."""
    z, labels = np.random.default_rng(1).standard_normal((6, 3)), np.array([0, 0, 1, 1, 2, 2])
    z[1] = z[0]
    value, gradients = triplet.value_and_grad(z.astype(dtype), labels, margin=3.0, mining=mining, distance=distance)
    defined, engine = triplet.definition_and_grad(z, labels, margin=3.0, mining=mining, distance=distance)
    assert float(value) == pytest.approx(float(defined), rel=1e-5 if dtype == np.float32 else 1e-12)
    # Which of the two another anchor mines is left to round-off: only what both receive together is certain.
    together, expected = (np.concatenate([g["z"][:1] + g["z"][1:2], g["z"][2:]]) for g in (gradients, engine))
    np.testing.assert_allclose(together, expected, atol=1e-5 if dtype == np.float32 else 1e-12)


@EVERY_MINING
@pytest.mark.parametrize("distance", ["squared", "euclidean"])
def test_collapse_has_no_gradient(mining, distance):
    value, gradients = triplet.value_and_grad(
        np.ones((5, 3)) / 3, np.array([0, 0, 1, 1, 1]), mining=mining, distance=distance, normalize=False
    )
    assert float(value) == pytest.approx(0.0 if mining == "semihard" else 0.2, abs=1e-15)
    np.testing.assert_array_equal(gradients["z"], 0)


def test_at_the_kink_the_gradient_is_zero():
    """d_ap - d_an + margin = 0 exactly, for every triplet: the hinge's convention, in page and definition."""
    z = np.array([[0.0], [1.0], [2.0], [3.0]])
    settings = dict(margin=0.0, distance="euclidean", normalize=False, mining="hard", reduction="sum")
    labels = np.array([0, 0, 1, 1])  # row 1: positive at 1, nearest negative at 1; row 2 likewise
    value, gradients = triplet.value_and_grad(z, labels, **settings)
    _, engine = triplet.definition_and_grad(z, labels, **settings)
    assert float(value) == 0
    np.testing.assert_array_equal(gradients["z"], 0)
    np.testing.assert_array_equal(engine["z"], 0)


def test_of_equally_far_rows_the_first_is_chosen():
    z = np.array([[0.0, 0.0], [2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    labels = np.array([0, 0, 0, 1, 2])
    settings = dict(mining="hard", normalize=False, reduction="sum", margin=1.0)
    value, gradients = triplet.value_and_grad(z, labels, **settings)
    defined, engine = triplet.definition_and_grad(z, labels, **settings)
    assert float(value) == float(defined) == (4 - 1 + 1) + 2 * (16 - 5 + 1)
    np.testing.assert_array_equal(gradients["z"], engine["z"])


def test_separated_classes_cost_nothing():
    z = np.repeat(np.eye(3), 2, axis=0)
    for mining in ("all", "hard", "semihard"):
        for reduction in ("mean", "mean_active"):
            value, gradients = triplet.value_and_grad(z, np.repeat(np.arange(3), 2), mining=mining, reduction=reduction)
            assert float(value) == 0 and not gradients["z"].any()


def test_zero_row_has_zero_gradient():
    z, labels = rows_with_singletons()
    z[2] = 0
    value, gradients = triplet.value_and_grad(z, labels, margin=1.0)
    assert np.isfinite(value) and not gradients["z"][2].any() and np.isfinite(gradients["z"]).all()


def test_rows_far_from_the_origin_keep_their_digits():
    z, labels = rows_with_singletons()
    value, gradients = triplet.value_and_grad(z, labels, normalize=False)
    shifted, same = triplet.value_and_grad(z + 1e5, labels, normalize=False)
    assert float(shifted) == pytest.approx(float(value), rel=1e-9)
    np.testing.assert_allclose(same["z"], gradients["z"], atol=1e-8)


@pytest.mark.crosscheck
def test_all_triplets_equal_torch():
    torch = pytest.importorskip("torch")
    z, labels = rows_with_singletons()
    for distance, penalty in [("squared", "hinge"), ("euclidean", "softplus"), ("euclidean", "hinge")]:
        ours, gradients = triplet.value_and_grad(z, labels, margin=0.5, distance=distance, penalty=penalty)
        t = torch.tensor(z, requires_grad=True)
        u = torch.nn.functional.normalize(t, dim=1)
        costs = []
        for a in range(7):
            for p in range(7):
                for k in range(7):
                    if p != a and labels[p] == labels[a] != labels[k]:
                        gap = [(u[a] - u[j]).pow(2).sum() for j in (p, k)]
                        gap = [g.sqrt() for g in gap] if distance == "euclidean" else gap
                        x = gap[0] - gap[1] + 0.5
                        costs.append(torch.relu(x) if penalty == "hinge" else torch.nn.functional.softplus(x))
        value = torch.stack(costs).mean()
        value.backward()
        assert float(ours) == pytest.approx(value.item(), rel=1e-12)
        np.testing.assert_allclose(gradients["z"], t.grad.numpy(), atol=1e-12)


@pytest.mark.crosscheck
def test_batch_hard_equals_torch_triplet_margin_loss():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    z, labels = rng.standard_normal((12, 5)), np.arange(12) % 4
    ours, gradients = triplet.value_and_grad(
        z, labels, mining="hard", distance="euclidean", normalize=False, margin=1.0
    )
    t = torch.tensor(z, requires_grad=True)
    far = torch.cdist(t.detach(), t.detach())
    same = torch.tensor(labels)[:, None] == torch.tensor(labels)
    p, k = (far * same).argmax(1), far.masked_fill(same, torch.inf).argmin(1)
    value = torch.nn.functional.triplet_margin_loss(t, t[p], t[k], margin=1.0, eps=0)
    value.backward()
    assert float(ours) == pytest.approx(value.item(), rel=1e-12)
    np.testing.assert_allclose(gradients["z"], t.grad.numpy(), atol=1e-12)


def test_semihard_negative_is_the_nearest_beyond_the_positive():
    """FaceNet's eq. 4 by hand: on a line, anchor 0, positive at 2, negatives at 1, 3 and 4."""
    z = np.array([[0.0], [2.0], [1.0], [3.0], [4.0]])
    labels = np.array([0, 0, 1, 2, 3])
    value, gradients = triplet.value_and_grad(
        z, labels, mining="semihard", distance="euclidean", normalize=False, margin=1.5, reduction="sum"
    )
    # anchor 0 takes the negative at 3: 2 - 3 + 1.5; anchor 2 has negatives at distances 1, 1, 2, none beyond 2
    assert float(value) == pytest.approx(0.5, abs=1e-12)
    np.testing.assert_allclose(gradients["z"][:, 0], [0.0, 1.0, 0.0, -1.0, 0.0], atol=1e-12)
    fallback = triplet.value_and_grad(
        z, labels, mining="semihard_fallback", distance="euclidean", normalize=False, margin=1.5, reduction="sum"
    )
    # the anchor at 2 takes the farthest of the negatives at distances 1, 1 and 2 after all: 2 - 2 + 1.5
    assert float(fallback[0]) == pytest.approx(2.0, abs=1e-12)
    np.testing.assert_allclose(fallback[1]["z"][:, 0], [-1.0, 3.0, 0.0, -1.0, -1.0], atol=1e-12)


def test_unit_rows_lie_within_the_bounds_of_the_margin():
    """Antipodal positives and coinciding negatives: the largest loss there is, 4 + margin."""
    z = unit_rows.on_arrays(np.array([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]]))[0]
    assert float(triplet(z, np.array([0, 0, 1, 1]), mining="hard").data) == pytest.approx(4.2, rel=1e-12)
