from math import exp, log, log1p

import numpy as np
import pytest

from mini_repr.losses.pairs.mrl_kl import FLOOR, document_vectors, mrl_kl, query_vectors


def gaussian(row, variance, beta):
    """(means, variances) of one row."""
    width = len(row) // 2
    raw = [float(x) for x in row[width:]]
    v = [exp(x) if variance == "exp" else log1p(exp(beta * x)) / beta for x in raw]
    return [float(x) for x in row[:width]], [max(x, FLOOR) for x in v]


def divergence(query, document):
    """KL(Q || D), one dimension at a time."""
    total = 0.0
    for mq, vq, md, vd in zip(*query, *document, strict=True):
        total += (log(vd) - log(vq) - 1 + vq / vd + (mq - md) ** 2 / vd) / 2
    return total


def loops(a, b, targets, temperature, target_temperature, variance, beta, symmetric, reduction):
    queries = [gaussian(row, variance, beta) for row in a]
    documents = [gaussian(row, variance, beta) for row in b]
    logits = [[-divergence(q, d) / temperature for d in documents] for q in queries]

    def log_total(values):
        return log(sum(exp(x) for x in values))

    rows = []
    for i in range(len(a)):
        row = log_total(logits[i])
        if targets is None:
            value = row - logits[i][i]
            if symmetric:
                value = (value + log_total([logits[j][i] for j in range(len(a))]) - logits[i][i]) / 2
        else:
            wanted = [float(x) / target_temperature for x in targets[i]]
            shares = [exp(x - log_total(wanted)) for x in wanted]
            value = sum(p * (log(p) - (s - row)) for p, s in zip(shares, logits[i], strict=True))
        rows.append(value)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](rows)


@pytest.mark.parametrize("settings", [{}, {"beta": 1.0}, {"variance": "exp"}])
def test_dot_product_is_the_score_and_ranks_as_it(settings):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((5, 8)), rng.standard_normal((9, 8))
    given = {"variance": "softplus", "beta": 2.5, **settings}
    queries, documents = ([gaussian(row, **given) for row in rows] for rows in (a, b))
    scores = np.array([[-divergence(q, d) for d in documents] for q in queries])
    found = query_vectors(a, **settings) @ document_vectors(b, **settings).T
    np.testing.assert_allclose(found, scores, rtol=1e-12)
    np.testing.assert_array_equal(found.argsort(axis=1), scores.argsort(axis=1))


def test_the_published_product_ranks_otherwise():
    """The trace as a product of variances instead of a sum is another score: why the page does not have it."""
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((20, 8)), rng.standard_normal((30, 8))
    vq, vd = (np.array([gaussian(row, "softplus", 2.5)[1] for row in rows]) for rows in (a, b))
    wrong = vq.prod(axis=1)[:, None] / vd.prod(axis=1) - (vq[:, None] / vd).sum(axis=2)
    right = query_vectors(a) @ document_vectors(b).T
    assert ((right - wrong / 2).argmax(axis=1) != right.argmax(axis=1)).any()


def test_equal_variances_give_infonce_of_distances():
    rng = np.random.default_rng(2)
    means = rng.standard_normal((2, 6, 3))
    a, b = (np.concatenate([x, np.zeros_like(x)], axis=1) for x in means)
    logits = -((means[0][:, None] - means[1]) ** 2).sum(axis=2) / 2
    expected = (np.log(np.exp(logits).sum(axis=1)) - np.diag(logits)).mean()
    assert float(mrl_kl(a, b, variance="exp").data) == pytest.approx(expected, rel=1e-13)


def test_targets_that_name_the_partner_give_infonce():
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((2, 6, 4))
    value, gradients = mrl_kl.value_and_grad(a, b)
    distilled, same = mrl_kl.value_and_grad(a, b, targets=1e3 * np.eye(6))
    assert float(distilled) == pytest.approx(float(value), rel=1e-13)
    for name in ("a", "b"):
        np.testing.assert_allclose(same[name], gradients[name], atol=1e-14)


def test_the_teachers_own_scores_give_no_gradient():
    rng = np.random.default_rng(4)
    a, b = rng.standard_normal((2, 6, 4))
    targets = query_vectors(a) @ document_vectors(b).T
    value, gradients = mrl_kl.value_and_grad(a, b, targets=targets)
    assert float(value) == pytest.approx(0, abs=1e-13)
    assert np.abs(gradients["a"]).max() < 1e-12 and np.abs(gradients["b"]).max() < 1e-12


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("settings", [{}, {"variance": "exp"}])
def test_variances_that_vanish_stop_at_the_floor(dtype, settings):
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal((2, 5, 4)).astype(dtype)
    a[1, 2:], b[2, 2:] = -500, -500
    value, gradients = mrl_kl.value_and_grad(a, b, **settings)
    assert np.isfinite(value) and all(np.isfinite(g).all() for g in gradients.values())
    assert not gradients["a"][1, 2:].any() and not gradients["b"][2, 2:].any()


def test_means_far_from_the_origin_keep_their_digits():
    rng = np.random.default_rng(6)
    a = rng.standard_normal((8, 6))
    b = a + 0.1 * rng.standard_normal((8, 6))
    expected, _ = mrl_kl.value_and_grad(a, b)
    a[:, :3] += 512
    b[:, :3] += 512
    value, _ = mrl_kl.value_and_grad(a.astype(np.float32), b.astype(np.float32))
    assert float(value) == pytest.approx(float(expected), rel=2e-3)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"a": np.ones((3, 5)), "b": np.ones((3, 5))}, r"mrl_kl: a: got shape \(3, 5\), expected an even number"),
        ({"targets": np.ones((3, 3)), "symmetric": True}, "mrl_kl: symmetric: got True with targets, expected False"),
        ({"targets": np.ones((3, 2))}, r"mrl_kl: targets: got shape \(3, 2\), expected shape"),
        ({"b": 90 * np.ones((3, 4)), "variance": "exp"}, "mrl_kl: b: got a raw variance of 90, expected at most 80"),
    ],
)
def test_bad_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        mrl_kl(**{"a": np.ones((3, 4)), "b": np.ones((3, 4)), **change})


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("raw", [0.0, -3.0, -6.0])
def test_small_variances_keep_the_partner_s_digits_in_float32(raw, symmetric):
    """At raw -6, md²/vd is of the size 1e10: a score by the dot product alone would be off by hundreds."""
    rng = np.random.default_rng(8)
    means, noise = rng.standard_normal((2, 16, 8)).astype(np.float32)
    a = np.concatenate([means, raw + 0 * noise], axis=1)
    b = np.concatenate([means + np.float32(0.01 * np.exp(raw)) * noise, raw + 0.1 * noise], axis=1)
    value, gradients = mrl_kl.value_and_grad(a, b, symmetric=symmetric)
    exact, _ = mrl_kl.value_and_grad(a.astype(float), b.astype(float), symmetric=symmetric)
    assert 0 <= float(exact) == pytest.approx(float(value), rel=1e-3, abs=1e-6) and float(value) >= 0
    assert all(np.isfinite(g).all() for g in gradients.values())


@pytest.mark.crosscheck
@pytest.mark.parametrize("listwise", [False, True])
def test_against_torch_distributions(listwise):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    rng = np.random.default_rng(7)
    a, b, targets = rng.standard_normal((5, 6)), rng.standard_normal((5, 6)), rng.standard_normal((5, 5))
    ta, tb, tt = (torch.tensor(x, requires_grad=True) for x in (a, b, np.array(0.7)))

    def normal(rows):
        return torch.distributions.Normal(rows[..., :3], functional.softplus(rows[..., 3:], beta=2.5).sqrt())

    scores = -torch.distributions.kl_divergence(normal(ta[:, None]), normal(tb[None])).sum(2) / tt
    if listwise:
        wanted = torch.softmax(torch.tensor(targets) / 2, dim=1)
        expected = functional.kl_div(torch.log_softmax(scores, dim=1), wanted, reduction="batchmean")
    else:
        expected = functional.cross_entropy(scores, torch.arange(5))
    expected.backward()
    settings = {"targets": targets, "target_temperature": 2.0} if listwise else {}
    value, gradients = mrl_kl.value_and_grad(a, b, temperature=0.7, **settings)
    assert float(value) == pytest.approx(expected.item(), rel=1e-12)
    for name, tensor in (("a", ta), ("b", tb), ("temperature", tt)):
        np.testing.assert_allclose(gradients[name], tensor.grad.numpy(), atol=1e-11)
