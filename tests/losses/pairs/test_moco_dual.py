from math import ceil, exp, log, sqrt

import numpy as np
import pytest

from mini_repr.autograd import Tensor
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.losses.pairs.moco_dual import moco_dual


def loops(a, b, queue, query_queue, temperature, hardest, ceiling, key_weight, reduction):
    def unit(x):
        norm = sqrt(sum(float(c) ** 2 for c in x))
        return [float(c) / norm for c in x]

    def dot(x, y):
        return sum(s * t for s, t in zip(x, y, strict=True))

    def direction(x, y, past):
        similar = [dot(x, n) for n in past]
        similar = sorted((s for s in similar if ceiling is None or s <= ceiling), reverse=True)
        similar = similar[: ceil(hardest * len(past))]
        partner = exp(dot(x, y) / temperature)
        return log((partner + sum(exp(s / temperature) for s in similar)) / partner)

    keys = [unit(x) for x in queue]
    queries = keys if query_queue is None else [unit(x) for x in query_queue]
    per_pair = []
    for x, y in zip(map(unit, a), map(unit, b), strict=True):
        per_pair.append((1 - key_weight) * direction(x, y, keys) + key_weight * direction(y, x, queries))
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](per_pair)


def rows_of(queue=9, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((5, 4)), rng.standard_normal((5, 4)), rng.standard_normal((queue, 4))


@pytest.mark.parametrize("key_weight", [0.0, 0.5])
def test_unfiltered_is_infonce_with_a_queue(key_weight):
    """One direction is MoCo; both directions against the same queue are the symmetric form."""
    a, b, queue = rows_of()
    value, gradients = moco_dual.value_and_grad(a, b, queue, hardest=1.0, key_weight=key_weight)
    expected, others = infonce.value_and_grad(
        a, b, temperature=0.07, queue=queue, negatives="queue", symmetric=key_weight > 0
    )
    assert float(value) == pytest.approx(float(expected), rel=1e-12)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, others[name], atol=1e-11)


def test_filtered_rows_are_as_if_they_were_not_there():
    a, b, queue = rows_of()
    a, b = a[:1], b[:1]
    cosine = queue @ a[0] / np.linalg.norm(queue, axis=1) / np.linalg.norm(a[0])
    order = np.argsort(-cosine)
    ceiling = (cosine[order[1]] + cosine[order[2]]) / 2
    settings = {"key_weight": 0.0, "temperature": 0.5}
    filtered = moco_dual(a, b, queue, hardest=3 / 9, ceiling=ceiling, **settings).data
    chosen = moco_dual(a, b, queue[order[2:5]], hardest=1.0, **settings).data
    assert float(filtered) == pytest.approx(float(chosen), rel=1e-13)


def test_key_that_takes_no_gradient_still_moves_its_query():
    a, b, queue = rows_of()
    query, key = Tensor(a, requires_grad=True), Tensor(b, requires_grad=True)
    moco_dual(query, b, queue, key_weight=1.0).backward()
    moco_dual(a, key, queue, key_weight=1.0).backward()
    assert np.abs(query.grad).max() > 0.01 and np.abs(key.grad).max() > 0.01


def test_zero_rows_have_zero_gradients():
    a, b, queue = rows_of()
    a[1] = b[2] = queue[3] = 0
    value, gradients = moco_dual.value_and_grad(a, b, queue)
    assert np.isfinite(value) and all(np.isfinite(g).all() for g in gradients.values())
    assert not gradients["a"][1].any() and not gradients["b"][2].any()


def test_no_negative_left_costs_nothing():
    a, b, queue = rows_of()
    value, gradients = moco_dual.value_and_grad(a, b, queue, ceiling=-1.0)
    assert float(value) == 0.0 and not any(g.any() for g in gradients.values())


def test_terms_are_the_two_directions():
    a, b, queue = rows_of()
    loss = moco_dual(a, b, queue, key_weight=0.3)
    assert float(loss.data) == pytest.approx(0.7 * float(loss.terms["query"]) + 0.3 * float(loss.terms["key"]))


@pytest.mark.parametrize("bad", [{"hardest": 0.0}, {"hardest": 1.1}, {"ceiling": 1.5}, {"ceiling": "high"}])
def test_shares_and_cosines_outside_their_range_are_refused(bad):
    with pytest.raises(ValueError, match=rf"^moco_dual: {next(iter(bad))}: got .+, expected a number"):
        moco_dual(*rows_of(), **bad)


@pytest.mark.crosscheck
def test_equals_torch():
    torch = pytest.importorskip("torch")
    n = torch.nn.functional.normalize
    a, b, queue = rows_of()
    _, _, past_queries = rows_of(8, seed=1)
    ours, gradients = moco_dual.value_and_grad(a, b, queue, past_queries, temperature=0.2, ceiling=0.6)
    ta, tb = (torch.tensor(x, requires_grad=True) for x in (a, b))

    def direction(x, y, past):
        cosines = x @ n(torch.tensor(past)).T
        cosines = cosines.masked_fill(cosines > 0.6, -torch.inf)
        kept = cosines.topk(-(-len(past) // 2), dim=1).values
        logits = torch.cat([(x * y).sum(1, keepdim=True), kept], 1) / 0.2
        return torch.nn.functional.cross_entropy(logits, torch.zeros(len(x), dtype=torch.long))

    value = (direction(n(ta), n(tb), queue) + direction(n(tb), n(ta), past_queries)) / 2
    value.backward()
    assert float(ours) == pytest.approx(value.item(), rel=1e-12)
    np.testing.assert_allclose(gradients["a"], ta.grad.numpy(), atol=1e-12)
    np.testing.assert_allclose(gradients["b"], tb.grad.numpy(), atol=1e-12)
