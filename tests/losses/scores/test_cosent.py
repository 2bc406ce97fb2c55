from math import exp, log

import numpy as np
import pytest

from mini_repr.losses.scores.cosent import cosent


def loops(scores, similarity, temperature):
    total = 1.0
    for s_a, y_a in zip(scores, similarity, strict=True):
        for s_b, y_b in zip(scores, similarity, strict=True):
            if y_a > y_b:
                total += exp((s_b - s_a) / temperature)
    return log(total)


def test_only_the_order_of_similarities_counts():
    rng = np.random.default_rng(0)
    scores, similarity = rng.standard_normal((2, 9))
    first = cosent.value_and_grad(scores, similarity)
    other = cosent.value_and_grad(scores, np.exp(similarity) * 7)
    assert first[0] == other[0]
    np.testing.assert_array_equal(first[1]["scores"], other[1]["scores"])
    np.testing.assert_allclose(first[1]["scores"].sum(), 0, atol=1e-14)


def test_scores_of_any_size_are_finite():
    value, gradients = cosent.value_and_grad(np.array([-1e4, 1e4, 0.0]), np.array([2.0, 1.0, 0.0]))
    assert float(value) == pytest.approx(2e4 / 0.05) and np.isfinite(gradients["scores"]).all()


@pytest.mark.crosscheck
def test_equals_sentence_transformers():
    torch = pytest.importorskip("torch")
    losses = pytest.importorskip("sentence_transformers.losses")
    rng = np.random.default_rng(1)
    a, b, similarity = rng.standard_normal((7, 4)), rng.standard_normal((7, 4)), rng.integers(0, 4, 7) / 3
    rows = [torch.tensor(x, requires_grad=True) for x in (a, b)]
    theirs = losses.CoSENTLoss(model=None).compute_loss_from_embeddings(rows, torch.tensor(similarity))
    scores = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert float(cosent(scores, similarity).data) == pytest.approx(theirs.item(), rel=1e-12)
