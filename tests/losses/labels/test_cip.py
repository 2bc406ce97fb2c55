from math import exp, log1p

import numpy as np
import pytest

from mini_repr.losses.labels.cip import cip


def loops(z, labels, ortho_weight, margin, penalty, signed):
    """One ordered pair at a time."""
    within, across = [], []
    for i in range(len(z)):
        for j in range(len(z)):
            s = sum(float(p) * float(q) for p, q in zip(z[i], z[j], strict=True))
            if labels[i] != labels[j]:
                across.append(max(s, 0.0))
            elif i != j:
                x = margin - (s if signed else abs(s))
                within.append(max(x, 0.0) if penalty == "hinge" else max(x, 0.0) + log1p(exp(-abs(x))))
    return sum(within) / max(1, len(within)) + ortho_weight * sum(across) / max(1, len(across))


def uneven(seed=0):
    """Classes of 3, 2, 1 and 1 rows."""
    return np.random.default_rng(seed).standard_normal((7, 4)), np.array([3, 8, 3, -2, 8, 3, 11])


@pytest.mark.parametrize("penalty", ["softplus", "hinge"])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("tile", [1, 3, None])
def test_uneven_classes(penalty, signed, tile):
    z, labels = uneven()
    settings = dict(penalty=penalty, signed=signed, margin=0.8, ortho_weight=0.7)
    value, gradients = cip.value_and_grad(z, labels, tile=tile, **settings)
    defined, engine = cip.definition_and_grad(z, labels, **settings)
    assert float(value) == pytest.approx(loops(z, labels, **settings), rel=1e-12)
    assert float(value) == pytest.approx(float(defined), rel=1e-12)
    np.testing.assert_allclose(gradients["z"], engine["z"], atol=1e-12)


def test_named_parts_make_the_value():
    z, labels = uneven(1)
    tensor = cip(z, labels, ortho_weight=0.3)
    parts = tensor.terms
    assert float(parts["cluster"] + 0.3 * parts["ortho"]) == pytest.approx(float(tensor.data), rel=1e-13)
    assert float(cip(z, labels, ortho_weight=0.0).data) == float(parts["cluster"])


def test_descent_makes_classes_orthogonal_at_least():
    z, labels = np.random.default_rng(2).standard_normal((12, 4)) * 0.3, np.arange(12) % 4
    for _ in range(400):
        z = z - 0.5 * cip.value_and_grad(z, labels)[1]["z"]
    u = z / np.linalg.norm(z, axis=1, keepdims=True)
    cosines, same = u @ u.T, labels[:, None] == labels
    assert cosines[same].min() > 0.95
    assert cosines[~same].max() < 0.05


def test_obtuse_classes_cost_nothing():
    z, labels = np.array([[5.0, 0.0], [-5.0, 1.0]]), np.array([0, 1])
    value, gradients = cip.value_and_grad(z, labels)
    assert float(value) == 0 and not gradients["z"].any()


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2]])
def test_parts_without_pairs_and_zero_rows(labels):
    z = np.zeros((3, 2), dtype=np.float32)
    value, gradients = cip.value_and_grad(z, np.array(labels))
    assert float(value) == pytest.approx(np.log(2) if labels[1] == 0 else 0, rel=1e-6)
    assert not gradients["z"].any()
    assert float(cip(z[:1], np.array([4])).data) == 0


def test_large_products_are_finite_in_float32():
    z, labels = uneven(3)
    value, gradients = cip.value_and_grad((1e4 * z).astype(np.float32), labels)
    assert np.isfinite(value) and np.isfinite(gradients["z"]).all()


@pytest.mark.crosscheck
def test_against_torch():
    torch = pytest.importorskip("torch")
    z, labels = uneven(4)
    t, same = torch.tensor(z, requires_grad=True), torch.tensor(labels[:, None] == labels)
    s = t @ t.T
    within = torch.nn.functional.softplus(-s[same & ~torch.eye(7, dtype=torch.bool)]).mean()
    value = within + s[~same].relu().mean()
    value.backward()
    ours, gradients = cip.value_and_grad(z, labels)
    assert float(ours) == pytest.approx(value.item(), rel=1e-12)
    np.testing.assert_allclose(gradients["z"], t.grad.numpy(), atol=1e-12)
