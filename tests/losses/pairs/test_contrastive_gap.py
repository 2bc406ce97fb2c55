from math import exp, log, sqrt

import numpy as np
import pytest

from mini_repr.losses.pairs.align_uniform import align_uniform
from mini_repr.losses.pairs.contrastive_gap import contrastive_gap
from mini_repr.losses.pairs.infonce import infonce


def loops(a, b, temperature, sharpness, clip_weight, uniformity_weight, alignment_weight, cross_uniformity_weight):
    """The equations, one pair at a time."""

    def row(x):
        norm = sqrt(sum(float(c) ** 2 for c in x))
        return [float(c) / norm for c in x]

    def similarity(x, y):
        return sum(p * q for p, q in zip(x, y, strict=True)) / temperature

    def square(x, y):
        return sum((p - q) ** 2 for p, q in zip(x, y, strict=True))

    u, v = [row(x) for x in a], [row(x) for x in b]
    rows = range(len(u))

    def spread(xs, ys):
        values = [exp(-sharpness * square(xs[i], ys[j])) for i in rows for j in rows if i != j]
        return log(sum(values) / len(values))

    clip = 0.0
    for i in rows:
        for own, other in ((u, v), (v, u)):
            clip += log(sum(exp(similarity(own[i], other[j])) for j in rows)) - similarity(own[i], other[i])
    clip /= 2 * len(u)
    alignment = sum(square(u[i], v[i]) for i in rows) / len(u)
    uniformity = (spread(u, u) + spread(v, v)) / 2
    terms = (clip, uniformity, alignment, spread(u, v))
    weights = (clip_weight, uniformity_weight, alignment_weight, cross_uniformity_weight)
    return sum(w * t for w, t in zip(weights, terms, strict=True))


def test_terms_are_infonce_align_uniform_and_the_rest():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 6, 4))
    output = contrastive_gap(a, b, temperature=0.2)
    assert float(output.data) == pytest.approx(sum(float(x) for x in output.terms.values()), rel=1e-14)
    assert float(output.terms["clip"]) == pytest.approx(float(infonce(a, b, temperature=0.2).data), rel=1e-13)
    parts = align_uniform(a, b).terms
    for name in ("alignment", "uniformity"):
        assert float(output.terms[name]) == pytest.approx(float(parts[name]), rel=1e-13)
    alone = contrastive_gap(a, b, temperature=0.2, **contrastive_gap.variants["clip"].settings)
    assert float(alone.data) == pytest.approx(float(output.terms["clip"]), rel=1e-14)


def test_a_gap_costs_nothing_in_clip_but_in_the_other_terms():
    """Two sets on parallel circles, partners nearest: moving the circles apart leaves CLIP's loss as it is."""
    angles = np.arange(8) * np.pi / 4
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)

    def terms(height):
        radius = sqrt(1 - height**2)
        up, down = (np.concatenate([radius * circle, np.full((8, 1), h)], axis=1) for h in (height, -height))
        return {n: float(t) for n, t in contrastive_gap(up, down, temperature=0.1 * radius**2).terms.items()}

    together, parted = terms(0.0), terms(0.6)
    assert parted["clip"] == pytest.approx(together["clip"], abs=1e-12)
    assert parted["alignment"] > together["alignment"] + 1
    assert parted["uniformity"] > together["uniformity"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_small_temperature_and_large_sharpness_stay_finite(dtype):
    a, b = np.random.default_rng(1).standard_normal((2, 9, 4)).astype(dtype)
    value, gradients = contrastive_gap.value_and_grad(a, b, temperature=1e-3, sharpness=200.0)
    assert np.isfinite(value) and all(np.isfinite(g).all() for g in gradients.values())


def test_zero_row_stays_at_the_origin_with_zero_gradient():
    a = np.array([[0.0, 0.0], [1.0, 0.0]])
    b = np.array([[0.0, 2.0], [3.0, 0.0]])
    output = contrastive_gap(a, b)
    crossed = log((exp(-2 * 1) + exp(-2 * 2)) / 2)  # |0 - v_1|² = 1, |u_1 - v_0|² = 2
    assert float(output.terms["cross_uniformity"]) == pytest.approx(crossed)
    _, gradients = contrastive_gap.value_and_grad(a, b)
    assert not gradients["a"][0].any() and np.isfinite(gradients["b"]).all()


@pytest.mark.crosscheck
def test_against_torch():
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((7, 5)), rng.standard_normal((7, 5))
    ta, tb, tt = (torch.tensor(x, requires_grad=True) for x in (a, b, np.array(0.3)))
    u, v = functional.normalize(ta), functional.normalize(tb)
    logits, target = u @ v.T / tt, torch.arange(7)
    clip = (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2
    spread = sum(torch.exp(-2 * functional.pdist(x) ** 2).mean().log() for x in (u, v)) / 2
    crossed = torch.exp(-2 * torch.cdist(u, v)[~torch.eye(7, dtype=torch.bool)] ** 2).mean().log()
    expected = clip + 0.5 * spread + ((u - v) ** 2).sum(1).mean() + 0.7 * crossed
    expected.backward()
    settings = {"temperature": 0.3, "uniformity_weight": 0.5, "cross_uniformity_weight": 0.7}
    value, gradients = contrastive_gap.value_and_grad(a, b, **settings)
    assert float(value) == pytest.approx(expected.item(), rel=1e-12)
    for name, tensor in (("a", ta), ("b", tb), ("temperature", tt)):
        np.testing.assert_allclose(gradients[name], tensor.grad.numpy(), atol=1e-11)
