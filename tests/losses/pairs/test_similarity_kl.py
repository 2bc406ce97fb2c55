import tracemalloc
from math import exp, log, sqrt

import numpy as np
import pytest

from mini_repr.autograd import Tensor
from mini_repr.losses.pairs.similarity_kl import similarity_kl


def loops(a, b, teacher_a, teacher_b, temperature, symmetric, diagonal, rescale, reduction):
    """The equation, one entry of the two distributions at a time."""

    def cosine(x, y):
        norms = sqrt(sum(float(p) ** 2 for p in x)) * sqrt(sum(float(p) ** 2 for p in y))
        return sum(float(p) * float(q) for p, q in zip(x, y, strict=True)) / norms

    def distribution(anchors, others, i):
        terms = {j: exp(cosine(anchors[i], others[j]) / temperature) for j in range(len(others)) if diagonal or j != i}
        total = sum(terms.values())
        return {j: term / total for j, term in terms.items()}

    per_row = []
    for i in range(len(a)):
        directions = [((a, b), (teacher_a, teacher_b)), ((b, a), (teacher_b, teacher_a))][: 2 if symmetric else 1]
        sums = []
        for student, teacher in directions:
            p, t = distribution(*student, i), distribution(*teacher, i)
            sums.append(sum(t[j] * log(t[j] / p[j]) for j in t))
        per_row.append(sum(sums) / len(sums) * (temperature**2 if rescale else 1))
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](per_row)


def four(seed, rows=6):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((rows, width)) for width in (5, 5, 7, 7)]


def test_one_set_of_rows_is_given_twice_and_its_gradients_add_up():
    z, _, teacher, _ = four(0)
    tensor = Tensor(z, requires_grad=True)
    similarity_kl(tensor, tensor, teacher, teacher, temperature=0.3).backward()
    _, gradients = similarity_kl.value_and_grad(z, z, teacher, teacher, temperature=0.3)
    np.testing.assert_allclose(tensor.grad, gradients["a"] + gradients["b"], rtol=1e-12)


def test_a_student_of_fewer_columns_meets_the_whole_rows():
    _, _, a, b = four(1)
    assert float(similarity_kl(a, b, a, b).data) == pytest.approx(0.0, abs=1e-13)
    value, gradients = similarity_kl.value_and_grad(a[:, :3], b[:, :3], a, b)
    assert value > 0 and gradients["a"].shape == (6, 3)


def test_a_certain_teacher_makes_it_cross_entropy():
    a, b, _, _ = four(2)
    s = (a / np.linalg.norm(a, axis=1)[:, None]) @ (b / np.linalg.norm(b, axis=1)[:, None]).T / 0.02
    s -= s.max(axis=1, keepdims=True)
    expected = (np.log(np.exp(s).sum(axis=1)) - s.diagonal()).mean()
    assert float(similarity_kl(a, b, np.eye(6), np.eye(6)).data) == pytest.approx(expected, rel=1e-12)


def test_rescaled_gradient_tends_to_that_of_the_squared_difference():
    """Hinton et al. 2015, section 2.1: for large t, t² dKL/ds -> (s - teacher's s, both centred) / B."""
    a, b, teacher_a, teacher_b = four(3)
    _, gradients = similarity_kl.value_and_grad(a, b, teacher_a, teacher_b, temperature=1e4, rescale=True)

    def unit(x):
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    u, v = unit(a), unit(b)
    s, t = u @ v.T, unit(teacher_a) @ unit(teacher_b).T
    g = (s - s.mean(axis=1, keepdims=True) - t + t.mean(axis=1, keepdims=True)) / 6 / 6
    g_u = g @ v
    expected = (g_u - u * (u * g_u).sum(axis=1, keepdims=True)) / np.linalg.norm(a, axis=1, keepdims=True)
    np.testing.assert_allclose(gradients["a"], expected, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("diagonal", [True, False])
def test_small_temperature_is_finite_in_float32(diagonal):
    arrays = four(4, rows=32)
    settings = {"temperature": 0.002, "diagonal": diagonal}
    exact, exact_gradients = similarity_kl.value_and_grad(*arrays, **settings)
    value, gradients = similarity_kl.value_and_grad(*(x.astype(np.float32) for x in arrays), **settings)
    assert float(value) == pytest.approx(float(exact), rel=1e-4)
    np.testing.assert_allclose(gradients["a"], exact_gradients["a"], atol=1e-3 * np.abs(exact_gradients["a"]).max())


def test_two_rows_without_partners_have_nothing_to_compare():
    value, gradients = similarity_kl.value_and_grad(*four(5, rows=2), diagonal=False)
    assert float(value) == 0.0 and not gradients["a"].any() and not gradients["b"].any()


def test_memory_is_that_of_tiles():
    arrays = four(6, rows=1500)
    tracemalloc.start()
    similarity_kl.value_and_grad(*arrays, tile=16)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.2 * 1500 * 1500 * 8


def test_zero_rows_get_no_gradient():
    a, b, teacher_a, teacher_b = four(7)
    a[1] = teacher_b[2] = 0
    value, gradients = similarity_kl.value_and_grad(a, b, teacher_a, teacher_b)
    assert np.isfinite(value) and not gradients["a"][1].any() and np.isfinite(gradients["b"]).all()


@pytest.mark.crosscheck
@pytest.mark.parametrize("symmetric", [True, False])
def test_against_torch(symmetric):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    arrays = four(8)
    a, b, teacher_a, teacher_b = (torch.tensor(x, requires_grad=k < 2) for k, x in enumerate(arrays))
    student = functional.normalize(a) @ functional.normalize(b).T / 0.2
    teacher = functional.normalize(teacher_a) @ functional.normalize(teacher_b).T / 0.2

    def divergence(s, t):
        return functional.kl_div(s.log_softmax(1), t.log_softmax(1), log_target=True, reduction="batchmean")

    expected = divergence(student, teacher)
    if symmetric:
        expected = (expected + divergence(student.T, teacher.T)) / 2
    expected.backward()
    value, gradients = similarity_kl.value_and_grad(*arrays, temperature=0.2, symmetric=symmetric)
    assert float(value) == pytest.approx(expected.item(), rel=1e-11)
    np.testing.assert_allclose(gradients["a"], a.grad.numpy(), rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(gradients["b"], b.grad.numpy(), rtol=1e-10, atol=1e-13)
