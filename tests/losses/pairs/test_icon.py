from math import exp, log, log1p, sqrt

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.special import softmax, xlogy

from mini_repr.kernels.supervision import gaussian_neighbours, same_group
from mini_repr.losses.labels.supcon import supcon
from mini_repr.losses.pairs.icon import icon
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.losses.scores.cross_entropy import cross_entropy


def loops(a, b, targets, kernel, temperature, over, exclude_self, alpha, learned_alpha, entropy, reduction):
    """The divergence of two distributions, one pair at a time."""
    rows, columns, t = len(a), len(b), float(temperature)

    def soft(x):
        powers = [exp(float(c) / t) for c in x]
        return [p / sum(powers) for p in powers]

    def affinity(i, j):
        x, y = [float(c) for c in a[i]], [float(c) for c in b[j]]
        product = sum(p * q for p, q in zip(x, y, strict=True))
        square = sum((p - q) ** 2 for p, q in zip(x, y, strict=True))
        if kernel == "cosine":
            return product / sqrt(sum(p * p for p in x) * sum(q * q for q in y)) / t
        if kernel == "clusters":
            sizes = [sum(soft(row)[c] for row in b) for c in range(len(x))]
            return log(sum(p * q / size for p, q, size in zip(soft(x), soft(y), sizes, strict=True)))
        return {"dot": product / t, "gaussian": -square / (2 * t), "student_t": -log1p(square / t)}[kernel]

    candidates = {i: [j for j in range(columns) if not (exclude_self and i == j)] for i in range(rows)}
    marks = {(i, j): float(i == j if targets is None else targets[i][j]) for i in range(rows) for j in candidates[i]}
    powers = {pair: exp(affinity(*pair)) for pair in marks}
    anchors = [i for i in range(rows) if over == "pairs" or any(marks[i, j] for j in candidates[i])]
    per_row = [0.0] * rows
    for i in anchors:
        places = list(marks) if over == "pairs" else [(i, j) for j in candidates[i]]
        times = rows if over == "pairs" else 1
        for j in candidates[i]:
            equal = 1 / len(candidates[i])
            p = (1 - alpha) * times * marks[i, j] / sum(marks[place] for place in places) + alpha * equal
            q = (1 - learned_alpha) * times * powers[i, j] / sum(powers[place] for place in places)
            q += learned_alpha * equal
            if p > 0:
                per_row[i] += p * ((log(p) if entropy else 0.0) - log(q))
    return {"mean": sum(per_row) / len(anchors), "sum": sum(per_row), "none": np.asarray(per_row)}[reduction]


def test_partners_as_targets_are_infonce_in_one_direction():
    a, b = np.random.default_rng(0).standard_normal((2, 7, 4))
    value, gradients = icon.value_and_grad(a, b, temperature=0.3)
    other, theirs = infonce.value_and_grad(a, b, temperature=0.3, symmetric=False)
    assert float(value) == pytest.approx(float(other), rel=1e-13)
    for name in theirs:
        np.testing.assert_allclose(gradients[name], theirs[name], atol=1e-13)


def test_two_views_stacked_are_nt_xent():
    a, b = np.random.default_rng(1).standard_normal((2, 5, 4))
    z = np.concatenate([a, b])
    same_sample = same_group(np.tile(np.arange(5), 2), dtype=np.float64)
    value, gradients = icon.value_and_grad(z, z, same_sample, exclude_self=True)
    other, theirs = infonce.value_and_grad(a, b, negatives="views")
    assert float(value) == pytest.approx(float(other), rel=1e-13)
    np.testing.assert_allclose(gradients["a"] + gradients["b"], np.concatenate([theirs["a"], theirs["b"]]), atol=1e-13)


def test_labels_as_targets_are_supcon():
    """The cross-entropy is SupCon; the divergence lies below it by the mean log |P(i)|. One row is alone."""
    z = np.random.default_rng(2).standard_normal((8, 4))
    labels = np.array([0, 1, 0, 1, 1, 2, 0, 0])
    same_class = same_group(labels, dtype=np.float64)
    value, gradients = icon.value_and_grad(z, z, same_class, exclude_self=True, entropy=False)
    other, theirs = supcon.value_and_grad(z, labels)
    assert float(value) == pytest.approx(float(other), rel=1e-13)
    np.testing.assert_allclose(gradients["a"] + gradients["b"], theirs["z"], atol=1e-13)
    assert float(gradients["temperature"]) == pytest.approx(float(theirs["temperature"]), rel=1e-12)
    divergence = float(icon(z, z, same_class, exclude_self=True).data)
    assert divergence == pytest.approx(float(other) - (4 * log(3) + 3 * log(2)) / 7, rel=1e-12)


def test_one_hot_targets_of_class_weights_are_cross_entropy():
    rng = np.random.default_rng(3)
    x, weights, labels = rng.standard_normal((6, 5)), rng.standard_normal((4, 5)), np.array([0, 3, 1, 1, 2, 0])
    one_hot = same_group(labels, np.arange(4), dtype=np.float64)
    value, gradients = icon.value_and_grad(x, weights, one_hot, kernel="dot", temperature=1.0)
    other, theirs = cross_entropy.value_and_grad(x @ weights.T, labels)
    assert float(value) == pytest.approx(float(other), rel=1e-13)
    np.testing.assert_allclose(gradients["a"], theirs["scores"] @ weights, atol=1e-14)
    np.testing.assert_allclose(gradients["b"], theirs["scores"].T @ x, atol=1e-14)


def sne(y, p):
    """Hinton, Roweis 2002: sum_i KL(p_i | q_i), and its gradient 2 sum_j (y_i - y_j)(p_ij - q_ij + p_ji - q_ji)."""
    squares = cdist(y, y, "sqeuclidean")
    np.fill_diagonal(squares, np.inf)
    q = softmax(-squares, axis=1)
    value = (xlogy(p, p) - xlogy(p, np.where(p > 0, q, 1))).sum()
    pull = p - q + (p - q).T
    return value, 2 * (pull[:, :, None] * (y[:, None] - y[None])).sum(axis=1)


def t_sne(y, p):
    """van der Maaten, Hinton 2008: KL(P | Q) over pairs, and its gradient 4 sum_j (p_ij - q_ij)(y_i - y_j) w_ij."""
    w = 1 / (1 + cdist(y, y, "sqeuclidean"))
    np.fill_diagonal(w, 0)
    q = w / w.sum()
    value = (xlogy(p, p) - xlogy(p, np.where(p > 0, q, 1))).sum()
    return value, 4 * (((p - q) * w)[:, :, None] * (y[:, None] - y[None])).sum(axis=1)


def test_gaussian_neighbours_of_distances_are_sne():
    rng = np.random.default_rng(4)
    p = gaussian_neighbours(rng.standard_normal((12, 6)), perplexity=4.0)
    y = rng.standard_normal((12, 2))
    settings = {"kernel": "gaussian", "temperature": 0.5, "exclude_self": True, "reduction": "sum"}
    value, gradients = icon.value_and_grad(y, y, p, **settings)
    expected, gradient = sne(y, p)
    assert float(value) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(gradients["a"] + gradients["b"], gradient, atol=1e-12)


def test_symmetric_neighbours_and_student_t_over_pairs_are_t_sne():
    rng = np.random.default_rng(5)
    targets = gaussian_neighbours(rng.standard_normal((12, 6)), perplexity=4.0, symmetric=True)
    y = rng.standard_normal((12, 2))
    settings = {"kernel": "student_t", "temperature": 1.0, "exclude_self": True, "over": "pairs"}
    value, gradients = icon.value_and_grad(y, y, targets, **settings)
    expected, gradient = t_sne(y, targets / targets.sum())
    assert float(value) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(gradients["a"] + gradients["b"], gradient, atol=1e-12)


def test_clusters_as_targets_of_fixed_rows_are_k_means():
    """sum of squares within clusters / (N t), less mean log of the cluster sizes, and a constant of the rows alone."""
    rng = np.random.default_rng(6)
    x, t = rng.standard_normal((12, 3)), 0.7
    constant = np.log(np.exp(-cdist(x, x, "sqeuclidean") / (2 * t)).sum(axis=1)).mean()
    for _ in range(4):
        clusters = rng.permutation(np.arange(12) % 3)
        clusters[:2] = 0
        members = [x[clusters == c] for c in range(3)]
        inertia = sum(((m - m.mean(axis=0)) ** 2).sum() for m in members)
        sizes = sum(len(m) * log(len(m)) for m in members) / 12
        value = icon(x, x, same_group(clusters, dtype=np.float64), kernel="gaussian", temperature=t).data
        assert float(value) == pytest.approx(inertia / (12 * t) - sizes + constant, rel=1e-12)


def test_hard_clusters_hold_their_neighbours_at_the_cost_of_their_size():
    """q is 1 / |cluster| within a cluster: partners there cost its log; those outside cost much, but are finite."""
    clusters = np.array([0, 0, 0, 1, 1])
    scores = 1000 * np.eye(2)[clusters]
    partner = np.array([1, 2, 0, 4, 3])
    inside = np.eye(5)[partner]
    value = icon(scores, scores, inside, kernel="clusters", temperature=1.0).data
    assert float(value) == pytest.approx((3 * log(3) + 2 * log(2)) / 5, rel=1e-12)
    value, gradients = icon.value_and_grad(scores, scores, np.eye(5)[::-1].copy(), kernel="clusters", temperature=1.0)
    assert 100 < float(value) < 1000
    assert all(np.isfinite(g).all() for g in gradients.values())


@pytest.mark.parametrize("over", ["candidates", "pairs"])
@pytest.mark.parametrize("exclude_self", [True, False])
def test_debiased_targets_are_the_mixture(over, exclude_self):
    """alpha mixes p with equal candidates: the same as mixed targets without alpha."""
    rng = np.random.default_rng(7)
    a, b, targets = rng.standard_normal((6, 4)), rng.standard_normal((6, 4)), rng.uniform(0.1, 1, (6, 6))
    off = ~np.eye(6, dtype=bool) if exclude_self else np.ones((6, 6), dtype=bool)
    p = targets * off
    p = p / (p.sum() if over == "pairs" else p.sum(axis=1, keepdims=True))
    mixed = 0.7 * p + 0.3 * off / (off.sum() if over == "pairs" else off.sum(axis=1, keepdims=True))
    settings = {"over": over, "exclude_self": exclude_self}
    value, gradients = icon.value_and_grad(a, b, targets, alpha=0.3, **settings)
    expected, theirs = icon.value_and_grad(a, b, mixed, **settings)
    assert float(value) == pytest.approx(float(expected), rel=1e-12)
    for name in theirs:
        np.testing.assert_allclose(gradients[name], theirs[name], atol=1e-12)


def test_a_mixed_q_bounds_what_a_pair_can_cost():
    a = np.eye(3)
    wrong = np.roll(np.eye(3), 1, axis=0)
    plain = float(icon(a, a, wrong, temperature=0.01).data)
    mixed = float(icon(a, a, wrong, temperature=0.01, learned_alpha=0.1).data)
    assert plain > 50
    assert mixed == pytest.approx(log(30), rel=1e-6)


def test_equal_distributions_have_no_divergence_and_no_gradient():
    x = np.random.default_rng(8).standard_normal((6, 3))
    u = x / np.linalg.norm(x, axis=1, keepdims=True)
    q = softmax(u @ u.T / 0.4, axis=1)
    value, gradients = icon.value_and_grad(x, x, q, temperature=0.4)
    assert float(value) == pytest.approx(0, abs=1e-14)
    assert all(np.abs(g).max() < 1e-13 for g in gradients.values())


def test_huge_affinities_keep_their_digits_in_float32():
    a, b = (1000 * np.random.default_rng(9).standard_normal((2, 6, 4))).astype(np.float32)
    for kernel in ("dot", "gaussian"):
        _, gradients = icon.value_and_grad(a, b, kernel=kernel, temperature=1.0)
        _, exact = icon.value_and_grad(a.astype(np.float64), b.astype(np.float64), kernel=kernel, temperature=1.0)
        assert all(np.isfinite(g).all() for g in gradients.values())
        np.testing.assert_allclose(gradients["a"], exact["a"], atol=1e-3 * np.abs(exact["a"]).max())


def test_zero_row_has_zero_gradient():
    a, b = np.random.default_rng(10).standard_normal((2, 5, 3))
    a[1] = 0
    value, gradients = icon.value_and_grad(a, b)
    assert np.isfinite(value) and not gradients["a"][1].any() and np.isfinite(gradients["b"]).all()


@pytest.mark.parametrize(
    "rows, settings, message",
    [
        (4, {}, r"b: got 4 rows, expected 3 as in a"),
        (4, {"targets": np.ones((3, 4)), "exclude_self": True}, r"b: got 4 rows, expected 3 as in a"),
        (3, {"exclude_self": True}, r"targets: got none besides the rows themselves, .* expected some"),
        (
            3,
            {"targets": np.eye(3), "exclude_self": True},
            r"targets: got none besides the rows themselves, .* expected",
        ),
        (3, {"targets": -np.ones((3, 3))}, r"targets: got a negative number, expected numbers >= 0"),
    ],
)
def test_misuse_is_refused(rows, settings, message):
    with pytest.raises(ValueError, match=f"^icon: {message}"):
        icon(np.ones((3, 2)), np.ones((rows, 2)), **settings)


@pytest.mark.parametrize("dtype, lead", [(np.float32, 89), (np.float64, 714)])
def test_all_but_empty_clusters_are_finite(dtype, lead):
    """All rows of b are in one cluster of four; the sizes of the others are at the dtype's smallest normal number."""
    rng = np.random.default_rng(11)
    for _ in range(20):
        a, b = rng.standard_normal((2, 5, 4)).astype(dtype)
        b[:, 0] += lead
        value, gradients = icon.value_and_grad(a, b, kernel="clusters", temperature=1.0)
        assert np.isfinite(value) and all(np.isfinite(g).all() for g in gradients.values())


@pytest.mark.crosscheck
@pytest.mark.parametrize("kernel", ["cosine", "dot", "gaussian", "student_t", "clusters"])
@pytest.mark.parametrize("over", ["candidates", "pairs"])
def test_against_torch_kl_div(kernel, over):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    rng = np.random.default_rng(11)
    a, b, targets = rng.standard_normal((6, 4)), rng.standard_normal((5, 4)), rng.uniform(0.1, 1, (6, 5))
    ta, tb, tt = (torch.tensor(x, requires_grad=True) for x in (a, b, np.array(0.6)))
    if kernel == "cosine":
        logits = functional.cosine_similarity(ta[:, None], tb[None], dim=2) / tt
    elif kernel == "dot":
        logits = ta @ tb.T / tt
    elif kernel == "clusters":
        x, y = (ta / tt).softmax(1), (tb / tt).softmax(1)
        logits = (x @ (y / y.sum(0)).T).log()
    else:
        squares = torch.cdist(ta, tb) ** 2
        logits = -squares / (2 * tt) if kernel == "gaussian" else -(1 + squares / tt).log()
    p = torch.tensor(targets)
    if over == "pairs":
        log_q, p = logits.flatten().log_softmax(0), (p / p.sum()).flatten()
        expected = functional.kl_div(log_q, p, reduction="sum")
    else:
        expected = functional.kl_div(logits.log_softmax(1), p / p.sum(1, keepdim=True), reduction="batchmean")
    expected.backward()
    value, gradients = icon.value_and_grad(a, b, targets, kernel=kernel, temperature=0.6, over=over)
    assert float(value) == pytest.approx(expected.item(), rel=1e-11)
    for name, tensor in (("a", ta), ("b", tb), ("temperature", tt)):
        np.testing.assert_allclose(gradients[name], tensor.grad.numpy(), atol=1e-11)
