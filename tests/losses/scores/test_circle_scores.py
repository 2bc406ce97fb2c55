from math import exp, log, sqrt

import numpy as np
import pytest

from mini_repr.autograd import unit_rows
from mini_repr.losses.scores.circle_scores import circle_scores
from mini_repr.losses.scores.cross_entropy import cross_entropy


def loops(x, w, labels, margin, scale, weighted, reduction):
    """One row, then one class at a time."""

    def cosine(a, b):
        dot = sum(float(p) * float(q) for p, q in zip(a, b, strict=True))
        return dot / sqrt(sum(float(p) ** 2 for p in a) * sum(float(q) ** 2 for q in b))

    costs = []
    for row, label in zip(x, labels, strict=True):
        exponents = []
        own = cosine(row, w[label])
        for k in range(len(w)):
            if k != label:
                s = cosine(row, w[k])
                exponents.append(scale * (max(s + margin, 0.0) if weighted else 1.0) * (s - margin))
        pull = -scale * (max(1 + margin - own, 0.0) if weighted else 1.0) * (own - 1 + margin)
        top = max(0.0, *(e + pull for e in exponents))
        costs.append(top + log(exp(-top) + sum(exp(e + pull - top) for e in exponents)))
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](costs)


def drawn(seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((6, 4)), rng.standard_normal((3, 4)), np.array([0, 1, 2, 2, 0, 1])


@pytest.mark.parametrize("margin", [0.5, 0.325])
def test_unit_weights_are_am_softmax(margin):
    """Cross-entropy of scaled cosines, 1 - 2 margin taken from the right class's; margin 1/2 is NormFace."""
    x, w, labels = drawn()
    cosines = unit_rows.on_arrays(x)[0] @ unit_rows.on_arrays(w)[0].T
    cosines[np.arange(6), labels] -= 1 - 2 * margin
    value = circle_scores(x, w, labels, margin=margin, scale=30.0, weighted=False).data
    assert float(value) == pytest.approx(float(cross_entropy(30 * cosines, labels).data), rel=1e-12)


def test_decision_boundary_is_a_circle():
    """Sun et al. 2020, section 3.3: with one other class the two logits are equal where s_n² + (1 - s_p)² = 2 m²."""
    margin = 0.3
    for turn in (0.1, 0.8, 1.4):
        s_n, s_p = sqrt(2) * margin * np.cos(turn), 1 - sqrt(2) * margin * np.sin(turn)
        x, w = np.array([[1.0, 0, 0]]), np.array([[s_p, sqrt(1 - s_p**2), 0], [s_n, 0, sqrt(1 - s_n**2)]])
        value = circle_scores(x, w, np.array([0]), margin=margin).data
        assert float(value) == pytest.approx(log(2), rel=1e-9)


def test_right_class_far_ahead_costs_and_pulls_nothing():
    x = np.array([[1.0, 0.0]])
    value, gradients = circle_scores.value_and_grad(x, np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([0]))
    assert 0 <= float(value) < 1e-6 and np.abs(gradients["w"]).max() < 1e-6


def test_zero_row_and_zero_class_vector_have_no_gradient():
    x, w, labels = drawn(1)
    x[2], w[1] = 0, 0
    value, gradients = circle_scores.value_and_grad(x.astype(np.float32), w.astype(np.float32), labels)
    assert np.isfinite(value) and np.isfinite(gradients["x"]).all() and np.isfinite(gradients["w"]).all()
    assert not gradients["x"][2].any() and not gradients["w"][1].any()


@pytest.mark.crosscheck
def test_against_torch():
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    x, w, labels = drawn(2)
    tx, tw, tl = torch.tensor(x, requires_grad=True), torch.tensor(w, requires_grad=True), torch.tensor(labels)
    s = functional.normalize(tx, dim=1) @ functional.normalize(tw, dim=1).T
    own = functional.one_hot(tl, 3).bool()
    weight = torch.where(own, 1.25 - s, s + 0.25).detach().clamp_min(0)
    value = functional.cross_entropy(256 * weight * torch.where(own, s - 0.75, s - 0.25), tl)
    value.backward()
    ours, gradients = circle_scores.value_and_grad(x, w, labels)
    assert float(ours) == pytest.approx(value.item(), rel=1e-12)
    np.testing.assert_allclose(gradients["x"], tx.grad.numpy(), atol=1e-11)
    np.testing.assert_allclose(gradients["w"], tw.grad.numpy(), atol=1e-11)
