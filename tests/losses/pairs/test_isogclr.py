from math import exp, log, sqrt

import numpy as np
import pytest

from mini_repr.losses.pairs.infonce import infonce
from mini_repr.losses.pairs.isogclr import isogclr
from mini_repr.methods.state import updated_state


def loops(
    a,
    b,
    temperatures,
    estimates,
    temperature,
    estimate_rate,
    radius,
    estimate_of,
    negatives,
    symmetric,
    value,
    reduction,
):
    """The equations, one anchor and one negative at a time."""
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](
        [
            np.mean([part[value] for part in parts])
            for parts in anchors(
                a, b, temperatures, estimates, temperature, estimate_rate, radius, estimate_of, negatives, symmetric
            )
        ]
    )


def anchors(a, b, temperatures, estimates, temperature, estimate_rate, radius, estimate_of, negatives, symmetric):
    """[for each sample [for each view {"objective", "surrogate", "slope" of the temperature, "estimate" m'}]]."""

    def unit(x):
        return [float(c) / sqrt(sum(float(e) ** 2 for e in x)) for c in x]

    def cosine(x, y):
        return sum(p * q for p, q in zip(x, y, strict=True))

    views = [[unit(x) for x in a], [unit(x) for x in b]]
    found = []
    for i in range(len(a)):
        t = temperature if temperatures is None else float(temperatures[i])
        parts = []
        for own, other in ((0, 1), (1, 0))[: 2 if symmetric else 1]:
            anchor = views[own][i]
            positive = cosine(anchor, views[other][i])
            rows = [views[other][j] for j in range(len(a)) if j != i]
            if negatives == "views":
                rows += [views[own][j] for j in range(len(a)) if j != i]
            off = positive if estimate_of == "differences" else 0.0
            h = [cosine(anchor, row) - off for row in rows]
            m = sum(exp(x / t) for x in h) / len(h)
            if estimates is not None and estimates[i] != -np.inf:
                m = (1 - estimate_rate) * exp(estimates[i]) + estimate_rate * m
            weighted = sum(exp(x / t) * x for x in h) / (len(h) * m)
            left = positive - off
            parts.append(
                {
                    "objective": t * log(m) + t * radius - left,
                    "surrogate": weighted - left,
                    "slope": log(m) + radius - weighted / t,
                    "estimate": m,
                }
            )
        found.append(parts)
    return found


@pytest.mark.parametrize("estimate_of", ["differences", "similarities"])
def test_equal_temperatures_without_memory_are_the_global_form(estimate_of):
    """t (decoupled InfoNCE over both views - log(2B - 2)) + t radius, value and gradients."""
    a, b = np.random.default_rng(0).standard_normal((2, 6, 4))
    value, gradients = isogclr.value_and_grad(
        a, b, temperatures=np.full(6, 0.2), radius=0.3, estimate_of=estimate_of, estimates=None
    )
    other, theirs = infonce.value_and_grad(a, b, temperature=0.2, negatives="views", decoupled=True)
    assert float(value) == pytest.approx(0.2 * (float(other) - log(10) + 0.3), rel=1e-12)
    for name in "ab":
        np.testing.assert_allclose(gradients[name], 0.2 * theirs[name], atol=1e-14)


@pytest.mark.parametrize("settings", [{"estimate_rate": 1.0}, {"estimates": np.full(6, -np.inf)}])
def test_estimates_that_say_nothing_change_nothing(settings):
    a, b = np.random.default_rng(1).standard_normal((2, 6, 4))
    given = {"estimates": np.zeros(6), **settings}
    np.testing.assert_allclose(isogclr.value_and_grad(a, b, **given)[0], isogclr(a, b).data, rtol=1e-13)
    for wrong in (np.inf, np.nan):
        with pytest.raises(ValueError, match="estimates: got a NaN or an infinity"):
            isogclr.value_and_grad(a, b, estimates=np.array([0.0, -np.inf, wrong, 0.0, 0.0, 0.0]))


def test_the_surrogate_has_the_objective_s_gradient():
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((2, 6, 4))
    state = {"temperatures": rng.uniform(0.1, 1, 6), "estimates": rng.standard_normal(6)}
    value, gradients = isogclr.value_and_grad(a, b, **state)
    other, theirs = isogclr.value_and_grad(a, b, value="surrogate", **state)
    assert float(value) != pytest.approx(float(other), abs=1e-3)
    for name in "ab":
        np.testing.assert_array_equal(gradients[name], theirs[name])


@pytest.mark.parametrize("estimate_of", ["differences", "similarities"])
@pytest.mark.parametrize("negatives, symmetric", [("views", True), ("batch", False)])
def test_updated_state_is_what_the_official_code_does(estimate_of, negatives, symmetric):
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((2, 5, 4))
    temperatures, momenta = rng.uniform(0.1, 1, 5), rng.standard_normal(5)
    estimates = np.append(rng.standard_normal(4), -np.inf)
    given = {"estimate_of": estimate_of, "negatives": negatives, "symmetric": symmetric}
    kept = [x.copy() for x in (temperatures, estimates, momenta)]
    found = updated_state(a, b, temperatures, estimates, momenta, clip=0.5, bounds=(0.2, 0.9), **given)

    parts = anchors(a, b, temperatures, estimates, 0.1, 0.8, 0.4, **given)
    slopes = np.clip([np.mean([p["slope"] for p in sample]) for sample in parts], -0.5, 0.5)
    moved = 0.5 * momenta + 0.5 * slopes
    expected = (
        np.clip(temperatures - 0.03 * moved, 0.2, 0.9),
        np.log([np.mean([p["estimate"] for p in sample]) for sample in parts]),
        moved,
    )
    for one, other, before, now in zip(found, expected, kept, (temperatures, estimates, momenta), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
        np.testing.assert_array_equal(before, now)


def test_temperatures_settle_where_the_weights_are_at_the_radius():
    """At the best temperature the weights' KL distance to equal ones is the radius, as in the constrained problem."""
    a, b = np.random.default_rng(4).standard_normal((2, 12, 8))
    state = np.full(12, 0.5), np.full(12, -np.inf), np.zeros(12)
    for _ in range(3000):
        state = updated_state(a, b, *state, estimate_rate=1.0, negatives="batch", symmetric=False, bounds=(1e-3, 10.0))
    u, v = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    for i, t in enumerate(state[0]):
        weights = np.exp(np.delete(u[i] @ v.T, i) / t)
        weights /= weights.sum()
        assert (weights * np.log(11 * weights)).sum() == pytest.approx(0.4, abs=1e-6)


def test_close_negatives_earn_a_larger_temperature():
    """A sample among many like it (frequent semantics) against one that stands apart."""
    rng = np.random.default_rng(5)
    crowd = np.eye(8)[0] + 0.1 * rng.standard_normal((12, 8))
    apart = np.concatenate([crowd, rng.standard_normal((4, 8))])
    state = np.full(16, 0.1), np.full(16, -np.inf), np.zeros(16)
    for _ in range(300):
        state = updated_state(apart, apart, *state, radius=0.2)
    assert state[0][:12].min() > state[0][12:].max()


def test_tiny_temperatures_stay_finite_in_float32():
    rng = np.random.default_rng(6)
    a, b = rng.standard_normal((2, 8, 4)).astype(np.float32)
    state = np.full(8, 0.005, np.float32), np.full(8, -np.inf, np.float32), np.zeros(8, np.float32)
    for _ in range(3):
        state = updated_state(a, b, *state, bounds=(0.005, 0.05))
        assert all(x.dtype == np.float32 and np.isfinite(x).all() for x in state)
    value, gradients = isogclr.value_and_grad(a, b, *state[:2])
    assert np.isfinite(value) and all(np.isfinite(g).all() for g in gradients.values())


def test_zero_row_has_zero_gradient():
    a, b = np.random.default_rng(7).standard_normal((2, 5, 3))
    a[1] = 0
    value, gradients = isogclr.value_and_grad(a, b)
    assert np.isfinite(value) and not gradients["a"][1].any() and np.isfinite(gradients["b"]).all()


def test_temperatures_are_above_0():
    a = np.eye(3)
    with pytest.raises(
        ValueError, match=r"^isogclr: temperatures: got a number that is not above 0, expected numbers > 0"
    ):
        isogclr(a, a, temperatures=np.array([0.1, 0.0, 0.1]))


@pytest.mark.crosscheck
def test_against_torch_as_the_official_unimodal_code_has_it():
    """One similarity matrix of both views with a mask; weights detached; the two views added."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(8)
    a, b = rng.standard_normal((2, 6, 4))
    temperatures, estimates = rng.uniform(0.1, 1, 6), rng.standard_normal(6)
    ta, tb = (torch.tensor(x, requires_grad=True) for x in (a, b))
    z = torch.nn.functional.normalize(torch.cat([ta, tb]), dim=1)
    t, s = torch.tensor(temperatures).repeat(2), torch.tensor(np.exp(estimates)).repeat(2)
    similarity = z @ z.T
    mask = 1 - torch.eye(6, dtype=z.dtype).repeat(2, 2)
    terms = (similarity / t[:, None]).exp().detach() * mask
    level = 0.2 * s + 0.8 * terms.sum(1) / 10
    weighted = (terms / level[:, None] * similarity).sum(1) / 10
    expected = 2 * (weighted - similarity.diagonal(6).repeat(2)).mean()
    expected.backward()
    settings = isogclr.variants["official_code"].settings
    value, gradients = isogclr.value_and_grad(a, b, temperatures, estimates, **settings)
    assert 2 * float(value) == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(2 * gradients["a"], ta.grad.numpy(), atol=1e-12)
    np.testing.assert_allclose(2 * gradients["b"], tb.grad.numpy(), atol=1e-12)
