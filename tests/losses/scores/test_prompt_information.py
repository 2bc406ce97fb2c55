from math import exp, log

import numpy as np
import pytest

from mini_repr.losses.scores.prompt_information import prompt_information


def loops(positives, negatives, mask, ceiling, reduction):
    per_row = []
    for i, own in enumerate(positives):
        others = [f for k, f in enumerate(negatives[i]) if mask is None or mask[i, k]]
        value = -log(exp(own) / (exp(own) + sum(map(exp, others))))
        per_row.append(value if ceiling is None else min(value, ceiling))
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](per_row)


def test_padding_has_no_part_and_large_scores_are_finite():
    positives, negatives = np.array([1e4, -1e4, 0.5]), np.array([[1.0, -1e4], [1e4, 3.0], [0.5, 9.0]])
    mask = np.array([[True, True], [True, True], [False, False]])
    value, gradients = prompt_information.value_and_grad(positives, negatives, mask)
    assert np.isfinite(value) and not gradients["negatives"][2].any() and gradients["positives"][2] == 0
    np.testing.assert_allclose(gradients["positives"] + gradients["negatives"].sum(axis=1), 0, atol=1e-15)


@pytest.mark.crosscheck
def test_equals_the_official_code():
    """The lines of JoshuaWu1997/infoprompt, model/RoBertaPrompt.py, bottleneck_nce."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    arrays = rng.standard_normal(5), rng.standard_normal((5, 7))
    positives, negatives = (torch.tensor(x, requires_grad=True) for x in arrays)
    logits = torch.cat([positives[:, None], negatives], -1)
    theirs = (-torch.log_softmax(logits, -1)[:, 0].clamp(min=-2)).mean()
    theirs.backward()
    value, gradients = prompt_information.value_and_grad(*arrays, ceiling=2.0)
    assert float(value) == pytest.approx(theirs.item(), rel=1e-13)
    assert float(prompt_information(*arrays).data) > 1.1 * theirs.item()  # the clamp acts
    np.testing.assert_allclose(gradients["negatives"], negatives.grad.numpy(), atol=1e-15)
    np.testing.assert_allclose(gradients["positives"], positives.grad.numpy(), atol=1e-15)
