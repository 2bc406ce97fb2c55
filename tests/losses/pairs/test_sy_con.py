from math import exp, log, sqrt

import numpy as np
import pytest

from mini_repr.losses.pairs.infonce import infonce
from mini_repr.losses.pairs.sy_con import sy_con

NAMES = ("a", "b", "past_a", "past_b", "predicted_a", "predicted_b")


def loops(a, b, past_a, past_b, predicted_a, predicted_b, temperature, negatives, decoupled_stability, reduction):
    def unit(x):
        norm = sqrt(sum(float(c) ** 2 for c in x))
        return [float(c) / norm for c in x]

    def e(x, y):
        return exp(sum(s * t for s, t in zip(x, y, strict=True)) / temperature)

    count = len(a)
    z = [unit(x) for rows in (a, b) for x in rows]
    f = None if past_a is None else [unit(x) for rows in (past_a, past_b) for x in rows]
    p = z if predicted_a is None else [unit(x) for rows in (predicted_a, predicted_b) for x in rows]
    cost = []
    for j in range(2 * count):
        others = [k for k in range(2 * count) if k != j]
        total = sum(e(z[j], z[k]) for k in others)
        if f is not None and negatives == "both":
            total += sum(e(z[j], f[k]) for k in others)
        one = log(total / e(z[j], z[(j + count) % (2 * count)]))
        if f is not None:
            total = sum(e(p[j], f[k]) for k in others)
            if not decoupled_stability:
                total += e(p[j], f[j])
            if negatives == "both":
                total += sum(e(p[j], z[k]) for k in others)
            one += log(total / e(p[j], f[j]))
        cost.append(one)
    per_pair = [(cost[i] + cost[i + count]) / 2 for i in range(count)]
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](per_pair)


def rows_of(names=NAMES, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal((5, 4)) for name in names}


def test_first_task_is_nt_xent():
    rows = rows_of(("a", "b"))
    value, gradients = sy_con.value_and_grad(**rows)
    expected, others = infonce.value_and_grad(**rows, temperature=0.2, negatives="views")
    assert float(value) == pytest.approx(float(expected), rel=1e-13)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, others[name], atol=1e-13)


def test_own_negatives_are_nt_xent_and_a_distillation():
    rows = rows_of()
    joined = [np.concatenate([rows[f"{kind}_a"], rows[f"{kind}_b"]]) for kind in ("predicted", "past")]
    terms = sy_con(**rows, negatives="own").terms
    assert float(terms["stability"]) == pytest.approx(
        float(infonce(*joined, temperature=0.2, symmetric=False).data), rel=1e-13
    )
    alone = infonce(rows["a"], rows["b"], temperature=0.2, negatives="views").data
    assert float(terms["plasticity"]) == pytest.approx(float(alone), rel=1e-13)


def test_more_negatives_cost_more_in_each_term():
    own, both = (sy_con(**rows_of(), negatives=kind).terms for kind in ("own", "both"))
    assert all(both[name] > own[name] for name in ("plasticity", "stability"))


def test_rows_of_pairs_average_to_the_loss_and_terms_add_up():
    rows = sy_con(**rows_of(), reduction="none").data
    loss = sy_con(**rows_of())
    assert rows.shape == (5,) and float(loss.data) == pytest.approx(rows.mean(), rel=1e-14)
    assert float(loss.data) == pytest.approx(float(sum(loss.terms.values())), rel=1e-14)


def test_small_temperature_is_finite_in_float32():
    rows = rows_of()
    exact, exact_gradients = sy_con.value_and_grad(**rows, temperature=2e-3)
    single = {name: x.astype(np.float32) for name, x in rows.items()}
    value, gradients = sy_con.value_and_grad(**single, temperature=2e-3)
    assert float(value) == pytest.approx(float(exact), rel=1e-4)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, exact_gradients[name], atol=2e-3 * np.abs(exact_gradients[name]).max())


def test_zero_rows_have_zero_gradients():
    rows = rows_of()
    for x in rows.values():
        x[1] = 0
    value, gradients = sy_con.value_and_grad(**rows)
    assert np.isfinite(value)
    assert all(np.isfinite(g).all() and not (g.ndim and g[1].any()) for g in gradients.values())


@pytest.mark.parametrize(
    "names, argument",
    [
        (("a", "b", "past_a"), "past_b"),
        (("a", "b", "past_b"), "past_b"),
        (("a", "b", "past_a", "past_b", "predicted_a"), "predicted_b"),
        (("a", "b", "predicted_a", "predicted_b"), "predicted_a"),
    ],
)
def test_what_belongs_together_comes_together(names, argument):
    with pytest.raises(ValueError, match=rf"^sy_con: {argument}: got .+, expected .+"):
        sy_con(**rows_of(names))


@pytest.mark.crosscheck
@pytest.mark.parametrize("decoupled", [False, True])
def test_equals_torch(decoupled):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    ours, gradients = sy_con.value_and_grad(**rows_of(), decoupled_stability=decoupled)
    given = {name: torch.tensor(x, requires_grad=True) for name, x in rows_of().items()}
    z, f, p = (
        functional.normalize(torch.cat([given[first], given[second]]), dim=1)
        for first, second in zip(NAMES[::2], NAMES[1::2], strict=True)
    )
    f = f.detach()
    own = torch.eye(10, dtype=torch.bool)
    logits = torch.cat([(z @ z.T).masked_fill(own, -torch.inf), (z @ f.T).masked_fill(own, -torch.inf)], 1) / 0.2
    value = functional.cross_entropy(logits, torch.arange(10).roll(5))
    logits = torch.cat([p @ f.T, (p @ z.T).masked_fill(own, -torch.inf)], 1) / 0.2
    partner = logits.diagonal()
    if decoupled:
        logits = logits.masked_fill(torch.cat([own, own], 1), -torch.inf)
    value = value + (logits.logsumexp(1) - partner).mean()
    value.backward()
    assert float(ours) == pytest.approx(value.item(), rel=1e-12)
    for name, gradient in gradients.items():
        if name != "temperature":
            np.testing.assert_allclose(gradient, given[name].grad.numpy(), atol=1e-12)
