"""The sum over paths: probabilities of all texts, posteriors, shorter samples, and PyTorch's gradients."""

from itertools import product
from math import exp, log

import numpy as np
import pytest

from mini_repr.losses.scores.dag_likelihood import dag_likelihood


def loops(emissions, links, states, targets, reduction):
    """Brute force: every path, one by one."""
    costs = []
    for n in range(len(emissions)):
        last = emissions.shape[1] if states is None else states[n]
        words = emissions.shape[2] if targets is None else targets[n]

        def total(state, word, n=n, last=last, words=words):
            here = exp(emissions[n, state, word])
            if word == words - 1:
                return here if state == last - 1 else 0.0
            return here * sum(exp(links[n, state, v]) * total(v, word + 1) for v in range(state + 1, last))

        costs.append(-log(total(0, 0)) / words)
    return sum(costs) / (len(costs) if reduction == "mean" else 1)


def normalised(x, axis):
    return x - np.log(np.exp(x).sum(axis=axis, keepdims=True))


def graph(rng, states, count=1):
    """Links (count, U, U) whose later states have probabilities that sum to 1."""
    later = np.where(np.tri(states, k=-1, dtype=bool).T, rng.standard_normal((count, states, states)), -np.inf)
    return np.concatenate([normalised(later[:, :-1], 2), np.zeros((count, 1, states))], axis=1).clip(-50)


def test_probabilities_of_all_texts_sum_to_1():
    rng = np.random.default_rng(0)
    words = normalised(rng.standard_normal((4, 3)), 1)
    links, total = graph(rng, 4), 0.0
    for length in (2, 3, 4):
        for text in product(range(3), repeat=length):
            value, _ = dag_likelihood.value_and_grad(words[:, list(text)][None], links)
            total += np.exp(-length * float(value))
    assert total == pytest.approx(1, rel=1e-12)


def test_gradients_are_posteriors():
    rng = np.random.default_rng(1)
    emissions, links = rng.standard_normal((2, 6, 4)), graph(rng, 6, 2)
    _, gradients = dag_likelihood.value_and_grad(emissions, links, reduction="sum")
    visits, used = -4 * gradients["emissions"], -4 * gradients["links"]
    np.testing.assert_allclose(visits.sum(axis=1), 1, rtol=1e-12)  # one state emits each target
    np.testing.assert_allclose(used.sum(axis=(1, 2)), 3, rtol=1e-12)
    np.testing.assert_allclose(used.sum(axis=1)[:, 1:], visits.sum(axis=2)[:, 1:], rtol=1e-10)
    assert (visits[:, 0, 1:] == 0).all() and (visits[:, 4, 1] == 0).all()  # too late for two targets more
    assert not used[:, np.tri(6, dtype=bool)].any()


def test_what_lies_beyond_a_text_has_no_part():
    rng = np.random.default_rng(2)
    emissions, links = rng.standard_normal((2, 7, 4)), graph(rng, 7, 2)
    states, targets = np.array([5, 7]), np.array([3, 4], dtype=np.uint8)
    value, gradients = dag_likelihood.value_and_grad(emissions, links, states, targets)
    short, own = dag_likelihood.value_and_grad(emissions[:1, :5, :3], links[:1, :5, :5])
    whole, _ = dag_likelihood.value_and_grad(emissions[1:], links[1:])
    assert float(value) == pytest.approx((float(short) + float(whole)) / 2, rel=1e-13)
    np.testing.assert_allclose(2 * gradients["emissions"][0, :5, :3], own["emissions"][0], atol=1e-15)
    assert not gradients["emissions"][0, 5:].any() and not gradients["emissions"][0, :, 3:].any()
    assert not gradients["links"][0, 5:].any() and not gradients["links"][0, :, 5:].any()


def test_long_texts_stay_finite_in_single_precision():
    rng = np.random.default_rng(3)
    emissions = (100 * rng.standard_normal((1, 60, 30))).astype(np.float32)
    value, gradients = dag_likelihood.value_and_grad(emissions, graph(rng, 60).astype(np.float32))
    assert value.dtype == np.float32 and np.isfinite(value)
    np.testing.assert_allclose(-30 * gradients["emissions"].sum(axis=1), 1, rtol=1e-2)


@pytest.mark.parametrize(
    ("states", "targets", "message"),
    [
        ([3, 4], [4, 4], "emissions: got 3 states for 4 targets in text 0, expected no fewer states than targets"),
        ([4, 9], None, "states: got lengths from 4 to 9, expected 2 to 5"),
        (None, [1, 4], "targets: got lengths from 1 to 4, expected 2 to 4"),
    ],
)
def test_lengths_that_leave_no_path_are_refused(states, targets, message):
    lengths = [None if x is None else np.array(x) for x in (states, targets)]
    with pytest.raises(ValueError, match=f"dag_likelihood: {message}"):
        dag_likelihood.value_and_grad(np.zeros((2, 5, 4)), np.zeros((2, 5, 5)), *lengths)


@pytest.mark.crosscheck
def test_equals_torch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(4)
    emissions, links = rng.standard_normal((3, 8, 5)), graph(rng, 8, 3)
    e, a = (torch.tensor(x, requires_grad=True) for x in (emissions, links))
    later = a + torch.log(torch.triu(torch.ones(8, 8), 1).double())
    state = e[:, :, 0] + torch.log(torch.eye(8)[0].double())
    for i in range(1, 5):
        paths = state[:, :, None] + later  # torch's logsumexp has no gradient where nothing can be
        state = torch.where(torch.isinf(paths).all(1), -torch.inf, _logsumexp(torch, paths)) + e[:, :, i]
    (-state[:, -1] / 5).mean().backward()
    value, gradients = dag_likelihood.value_and_grad(emissions, links)
    assert float(value) == pytest.approx((-state[:, -1] / 5).mean().item(), rel=1e-13)
    np.testing.assert_allclose(gradients["emissions"], e.grad.numpy(), atol=1e-14)
    np.testing.assert_allclose(gradients["links"], a.grad.numpy(), atol=1e-14)


def _logsumexp(torch, x):
    return torch.logsumexp(torch.where(torch.isinf(x), torch.full_like(x, -1e30), x), dim=1)
