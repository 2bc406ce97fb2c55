from math import sqrt

import numpy as np
import pytest

from mini_repr.losses.labels.gfss_triplet import gfss_triplet
from mini_repr.losses.labels.triplet import triplet


def loops(z, labels, base_classes, margin, negatives, mining, distance, normalize, reduction):
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
        if labels[a] < base_classes:
            continue
        near = [p for p in n if p != a and labels[p] == labels[a]]
        far = [k for k in n if labels[k] != labels[a] and (negatives == "others" or labels[k] < base_classes)]
        if mining == "all":
            chosen += [(a, p, k) for p in near for k in far]
        elif near and far:
            chosen.append((a, max(near, key=lambda p: d(a, p)), min(far, key=lambda k: d(a, k))))
    costs = [max(0.0, d(a, p) - d(a, k) + margin) for a, p, k in chosen]
    count = {"mean": len(costs), "mean_active": sum(c > 0 for c in costs), "sum": 1}[reduction]
    return sum(costs) / max(1, count)


def scene(seed=0):
    """Base classes 0 and 1, novel classes 2 (three rows), 3 (two) and 4 (one)."""
    return np.random.default_rng(seed).standard_normal((10, 4)), np.array([0, 2, 1, 3, 0, 2, 4, 3, 1, 2])


@pytest.mark.parametrize("negatives", ["base", "others"])
@pytest.mark.parametrize("mining", ["all", "hard"])
@pytest.mark.parametrize("distance", ["squared", "euclidean"])
@pytest.mark.parametrize("tile", [1, 3, None])
def test_several_base_and_novel_classes(negatives, mining, distance, tile):
    z, labels = scene()
    settings = dict(negatives=negatives, mining=mining, distance=distance, base_classes=2, margin=0.5)
    value, gradients = gfss_triplet.value_and_grad(z, labels, tile=tile, **settings)
    defined, engine = gfss_triplet.definition_and_grad(z, labels, **settings)
    assert float(value) == pytest.approx(loops(z, labels, normalize=True, reduction="mean", **settings), rel=1e-12)
    assert float(value) == pytest.approx(float(defined), rel=1e-12)
    np.testing.assert_allclose(gradients["z"], engine["z"], atol=1e-12)
    assert negatives == "others" or not gradients["z"][6].any(), "alone in a novel class: a negative at most"


def test_with_every_class_novel_it_is_triplet():
    z, labels = scene(1)
    value, gradients = gfss_triplet.value_and_grad(z, labels + 1, negatives="others", margin=0.5)
    expected, of_triplet = triplet.value_and_grad(z, labels, margin=0.5)
    assert float(value) == pytest.approx(float(expected), rel=1e-13)
    np.testing.assert_allclose(gradients["z"], of_triplet["z"], atol=1e-13)


@pytest.mark.parametrize("labels", [[0, 0, 1], [5, 5, 6], [0, 5, 6], [5, 5, 5]])
@pytest.mark.parametrize("mining", ["all", "hard"])
def test_without_a_triplet_it_is_zero(labels, mining):
    value, gradients = gfss_triplet.value_and_grad(np.eye(3), np.array(labels), base_classes=2, mining=mining)
    assert float(value) == 0 and not gradients["z"].any()


def test_base_rows_are_pushed_only_by_novel_anchors():
    z, labels = scene(2)
    _, gradients = gfss_triplet.value_and_grad(z, labels, base_classes=2, margin=4.0)
    moved = gradients["z"].any(axis=1)
    assert moved[labels < 4].all() and not moved[labels == 4].any()


def test_zero_row_and_duplicates_are_finite_in_float32():
    z, labels = scene(3)
    z[1], z[9] = 0, z[5]
    for distance in ("squared", "euclidean"):
        value, gradients = gfss_triplet.value_and_grad(
            z.astype(np.float32), labels, base_classes=2, margin=2.0, distance=distance
        )
        assert np.isfinite(value) and np.isfinite(gradients["z"]).all() and not gradients["z"][1].any()


@pytest.mark.crosscheck
def test_against_torch_triplet_margin_loss():
    torch = pytest.importorskip("torch")
    z, labels = scene(4)
    t = torch.tensor(z, requires_grad=True)
    u = torch.nn.functional.normalize(t, dim=1)
    chosen = [
        (a, p, n)
        for a in np.flatnonzero(labels >= 2)
        for p in np.flatnonzero(labels == labels[a])
        for n in np.flatnonzero(labels < 2)
        if a != p
    ]
    a, p, n = np.array(chosen).T
    value = torch.nn.functional.triplet_margin_loss(u[a], u[p], u[n], margin=0.5, eps=0.0)
    value.backward()
    ours, gradients = gfss_triplet.value_and_grad(z, labels, base_classes=2, margin=0.5, distance="euclidean")
    assert float(ours) == pytest.approx(value.item(), rel=1e-12)
    np.testing.assert_allclose(gradients["z"], t.grad.numpy(), atol=1e-12)
