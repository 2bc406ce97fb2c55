"""What token_relations alone promises: naive loops, values with themselves, rotations, one-sided gradients."""

import math

import numpy as np
import pytest

from mini_repr.autograd import Tensor
from mini_repr.losses.teachers.token_relations import token_relations


def loops(query, key, teacher_query, teacher_key):
    def relation(q, k, i):
        scores = [math.fsum(a * b for a, b in zip(q[i], row, strict=True)) / math.sqrt(len(row)) for row in k]
        top = max(scores)
        total = math.fsum(math.exp(s - top) for s in scores)
        return [math.exp(s - top) / total for s in scores], [s - top - math.log(total) for s in scores]

    value, rows = 0.0, 0
    arrays = (x.tolist() for x in (query, key, teacher_query, teacher_key))
    for q, k, tq, tk in zip(*arrays, strict=True):
        for i in range(len(q)):
            goal, log_goal = relation(tq, tk, i)
            _, log_r = relation(q, k, i)
            value += math.fsum(g * (a - b) for g, a, b in zip(goal, log_goal, log_r, strict=True))
            rows += 1
    return value / rows


def drawn(seed=0):
    rng = np.random.default_rng(seed)
    return (*rng.standard_normal((2, 4, 5, 3)), *rng.standard_normal((2, 4, 5, 6)))


def test_values_with_themselves_receive_both_gradients_and_know_no_rotation():
    v, _, tv, _ = drawn()
    tensor = Tensor(v, True)
    loss = token_relations(tensor, tensor, tv, tv)
    loss.backward()
    value, gradients = token_relations.value_and_grad(v, v, tv, tv)
    np.testing.assert_allclose(tensor.grad, gradients["query"] + gradients["key"], rtol=1e-12)
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    assert token_relations.value_and_grad(v @ turn, v @ turn, tv, tv)[0] == pytest.approx(float(value), rel=1e-12)


def test_a_common_vector_of_all_keys_changes_nothing():
    q, k, tq, tk = drawn()
    value = token_relations.value_and_grad(q, k, tq, tk)[0]
    assert token_relations.value_and_grad(q, k + 3.0, tq, tk)[0] == pytest.approx(float(value), rel=1e-10)


def test_it_is_a_mean_over_heads_and_images():
    q, k, tq, tk = drawn()
    value = token_relations.value_and_grad(q, k, tq, tk)[0]
    each = [token_relations.value_and_grad(*(x[b : b + 1] for x in (q, k, tq, tk)))[0] for b in range(4)]
    assert float(value) == pytest.approx(np.mean(each), rel=1e-12)
