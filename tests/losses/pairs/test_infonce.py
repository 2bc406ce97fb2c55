from math import exp, log, sqrt

import numpy as np
import pytest

from mini_repr.autograd import Tensor, unit_rows
from mini_repr.kernels import log_sum_exp
from mini_repr.losses.pairs.infonce import infonce


def loops(a, b, temperature, queue, hard_negatives, negatives, symmetric, decoupled, normalize, reduction):
    """The equation, one pair and one candidate at a time."""

    def row(x):
        norm = sqrt(sum(float(c) ** 2 for c in x)) if normalize else 1.0
        return [float(c) / norm for c in x]

    def logit(x, y):
        return sum(p * q for p, q in zip(x, y, strict=True)) / temperature

    views = [[row(x) for x in a], [row(x) for x in b]]
    keys, hard = ([] if rows is None else [row(x) for x in rows] for rows in (queue, hard_negatives))
    per_pair = []
    for i in range(len(a)):
        anchors = []
        for own, other in ((0, 1), (1, 0))[: 2 if symmetric else 1]:
            anchor = views[own][i]
            total = 0.0 if decoupled else exp(logit(anchor, views[other][i]))
            for j in range(len(a)):
                if j != i and negatives in ("batch", "views"):
                    total += exp(logit(anchor, views[other][j]))
                if j != i and negatives == "views":
                    total += exp(logit(anchor, views[own][j]))
            if negatives == "queue":
                total += sum(exp(logit(anchor, key)) for key in keys)
            if own == 0:
                total += sum(exp(logit(anchor, row)) for row in hard)
            anchors.append(log(total) - logit(anchor, views[other][i]))
        per_pair.append(sum(anchors) / len(anchors))
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](per_pair)


def test_partner_is_found_when_temperature_falls():
    a = np.eye(4)
    value, _ = infonce.value_and_grad(a, a.copy(), temperature=1e-3)
    assert float(value) == 0.0


def test_small_temperature_is_finite_in_float32():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 64, 8)).astype(np.float32)
    exact, exact_gradients = infonce.value_and_grad(a.astype(np.float64), b.astype(np.float64), temperature=1e-3)
    value, gradients = infonce.value_and_grad(a, b, temperature=1e-3)
    assert float(value) == pytest.approx(float(exact), rel=1e-4)
    np.testing.assert_allclose(gradients["a"], exact_gradients["a"], atol=1e-3 * np.abs(exact_gradients["a"]).max())


@pytest.mark.parametrize("temperature", [0.0205, 0.0255, 0.0265, 0.03])
def test_one_shift_and_a_shift_a_row_agree(temperature):
    """In float32 unit rows share one shift above t = 0.0253; both sides of it match float64."""
    rng = np.random.default_rng(5)
    a = rng.standard_normal((40, 8))
    b = a + 0.5 * rng.standard_normal((40, 8))
    exact, exact_gradients = infonce.value_and_grad(a, b, temperature=temperature)
    value, gradients = infonce.value_and_grad(a.astype(np.float32), b.astype(np.float32), temperature=temperature)
    assert float(value) == pytest.approx(float(exact), rel=1e-4)
    for name in ("a", "b"):
        largest = np.abs(exact_gradients[name]).max()
        np.testing.assert_allclose(gradients[name], exact_gradients[name], atol=1e-4 * largest)


@pytest.mark.parametrize("variant", ["default", "nt_xent", "decoupled", "one_direction"])
@pytest.mark.parametrize("tile", [1, 3, 7, None])
def test_blocks_of_columns_equal_whole_rows(monkeypatch, variant, tile):
    rng = np.random.default_rng(7)
    a, b = rng.standard_normal((2, 10, 4))
    settings = infonce.variants[variant].settings if variant != "default" else {}
    value, gradients = infonce.value_and_grad(a, b, **settings)
    monkeypatch.setattr(log_sum_exp, "COLUMNS", 3)
    blocked_value, blocked = infonce.value_and_grad(a, b, tile=tile, **settings)
    assert float(blocked_value) == pytest.approx(float(value), rel=1e-13)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(blocked[name], gradient, atol=1e-13)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("factor, offset", [(1024, 0), (1, 2.0**20)])
def test_huge_dot_products_keep_the_gradient_in_float32(symmetric, factor, offset):
    """Logits of 10^6 and more: e^(logit - log-sum-exp) has no digits left there, e^(logit - top) / total has."""
    rng = np.random.default_rng(6)
    a, b = (rng.standard_normal((2, 12, 4)) * factor + offset).astype(np.float32)
    arguments = {"normalize": False, "symmetric": symmetric}
    _, gradients = infonce.value_and_grad(a, b, **arguments)
    _, defined = infonce.definition_and_grad(a, b, **arguments)
    for name in ("a", "b"):
        largest = np.abs(defined[name]).max()
        assert np.isfinite(gradients[name]).all()
        if not offset:  # with the offset every float32 logit is rounded by more than their differences
            np.testing.assert_allclose(gradients[name], defined[name], atol=1e-4 * largest)


def test_rows_of_pairs_average_to_the_loss():
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, 5, 3))
    rows = infonce(a, b, reduction="none").data
    assert rows.shape == (5,)
    assert float(infonce(a, b).data) == pytest.approx(rows.mean(), rel=1e-14)


def test_zero_row_has_zero_gradient():
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((2, 5, 3))
    a[1] = 0
    value, gradients = infonce.value_and_grad(a, b)
    assert np.isfinite(value) and not gradients["a"][1].any() and np.isfinite(gradients["b"]).all()


@pytest.mark.parametrize("negatives, queue", [("queue", None), ("batch", np.eye(3))])
def test_queue_goes_with_its_negatives(negatives, queue):
    a = np.eye(3)
    with pytest.raises(ValueError, match=r"infonce: queue: got (no|a) queue, expected"):
        infonce(a, a, negatives=negatives, queue=queue)


def test_hard_negatives_take_the_gradient_as_temperature_falls():
    """Wang, Liu 2021, section 3.2: the hardest negative's share tends to 1 as t -> 0 and to equality as t grows."""
    rng = np.random.default_rng(3)
    a, b = unit_rows.on_arrays(rng.standard_normal((2, 8, 4)))[0]
    shares = []
    for t in (10.0, 1.0, 0.1, 0.01):
        candidates = Tensor(b, requires_grad=True)
        rows = infonce(a, candidates, temperature=t, symmetric=False, normalize=False, reduction="none")
        rows.backward(np.eye(8)[0])  # anchor 0 alone: the gradient of candidate j is P_0j a_0 / t
        pull = np.linalg.norm(candidates.grad[1:], axis=1)
        shares.append(pull.max() / pull.sum())
    assert shares == sorted(shares)
    assert shares[0] < 0.2
    assert shares[-1] > 0.99


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("negatives", ["batch", "views", "queue"])
def test_hard_negatives_beside_any_others(negatives, symmetric):
    rng = np.random.default_rng(8)
    arguments = {"a": rng.standard_normal((6, 5)), "b": rng.standard_normal((6, 5))}
    arguments |= {"negatives": negatives, "symmetric": symmetric, "hard_negatives": rng.standard_normal((9, 5))}
    if negatives == "queue":
        arguments["queue"] = rng.standard_normal((7, 5))
    value, gradients = infonce.value_and_grad(**arguments, tile=2)
    defined, expected = infonce.definition_and_grad(**arguments)
    assert float(value) == pytest.approx(float(defined), rel=1e-13)
    assert list(gradients) == ["a", "b", "temperature", "hard_negatives"]
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, expected[name], atol=1e-12, err_msg=name)


def test_hard_negatives_that_repeat_the_batch_count_its_rows_twice():
    rng = np.random.default_rng(9)
    a, b = rng.standard_normal((2, 6, 5))
    given = {"symmetric": False, "decoupled": True, "reduction": "none"}
    twice = infonce(a, b, hard_negatives=b[1:], **given).data[0]
    assert twice == pytest.approx(infonce(a, b, **given).data[0] + log(2), rel=1e-13)
    assert infonce(a, b, hard_negatives=-100 * a[:1], normalize=False, **given).data[0] == pytest.approx(
        infonce(a, b, normalize=False, **given).data[0], rel=1e-13
    )


@pytest.mark.crosscheck
@pytest.mark.parametrize("negatives", ["batch", "views", "queue"])
@pytest.mark.parametrize("symmetric", [True, False])
def test_against_torch_cross_entropy(negatives, symmetric):
    """The same logits, written down for torch's own cross-entropy: CLIP, SimCLR and MoCo as people write them."""
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    rng = np.random.default_rng(4)
    a, b, queue = rng.standard_normal((6, 5)), rng.standard_normal((6, 5)), rng.standard_normal((7, 5))
    ta, tb, tt = (torch.tensor(x, requires_grad=True) for x in (a, b, np.array(0.3)))
    u, v = functional.normalize(ta, dim=1), functional.normalize(tb, dim=1)
    keys = functional.normalize(torch.tensor(queue), dim=1)

    def direction(x, y):
        if negatives == "queue":
            logits = torch.cat([(x * y).sum(1, keepdim=True), x @ keys.T], dim=1) / tt
            return functional.cross_entropy(logits, torch.zeros(len(x), dtype=torch.long))
        logits = x @ y.T / tt
        if negatives == "views":
            logits = torch.cat([logits, (x @ x.T / tt).fill_diagonal_(-torch.inf)], dim=1)
        return functional.cross_entropy(logits, torch.arange(len(x)))

    expected = (direction(u, v) + direction(v, u)) / 2 if symmetric else direction(u, v)
    expected.backward()
    settings = {"negatives": negatives, "symmetric": symmetric, "queue": queue if negatives == "queue" else None}
    value, gradients = infonce.value_and_grad(a, b, temperature=0.3, **settings)
    assert float(value) == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(gradients["a"], ta.grad.numpy(), atol=1e-12)
    np.testing.assert_allclose(gradients["b"], tb.grad.numpy(), atol=1e-12)
    assert float(gradients["temperature"]) == pytest.approx(tt.grad.item(), rel=1e-10)


def test_decoupled_queue_in_one_direction_moves_the_partner_only():
    rng = np.random.default_rng(3)
    a, b, queue = (rng.standard_normal((rows, 5)) for rows in (6, 6, 7))
    settings = {"queue": queue, "negatives": "queue", "symmetric": False, "decoupled": True}
    value, gradients = infonce.value_and_grad(a, b, **settings)
    expected, definition = infonce.definition_and_grad(a, b, **settings)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, definition[name], rtol=1e-10, atol=1e-13)
