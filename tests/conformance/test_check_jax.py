"""`check` on JAX functions, where JAX is installed."""

import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402  (after the skip)
from jax.scipy.special import logsumexp  # noqa: E402

from mini_repr.conformance.check import check  # noqa: E402
from mini_repr.conformance.user_code import Unusable  # noqa: E402


def unit(x):
    square = (x * x).sum(axis=1, keepdims=True)
    return jnp.where(square > 0, x / jnp.sqrt(jnp.where(square > 0, square, 1)), 0)


def clip(a, b, temperature):
    logits = unit(a) @ unit(b).T / temperature
    return (logsumexp(logits, axis=1) + logsumexp(logits, axis=0) - 2 * jnp.diag(logits)).mean() / 2


def keys_detached(a, b, temperature):
    logits = unit(a) @ jax.lax.stop_gradient(unit(b)).T / temperature
    return (logsumexp(logits, axis=1) - jnp.diag(logits)).mean()


def test_a_faithful_function_passes_with_gradients():
    report = check(clip, "infonce")
    assert report.framework == "jax" and report.exit_code == 0, report.text()
    ordinary = next(row for row in report.rows if row.case.id == "ordinary")
    assert set(ordinary.comparison.errors) == {"value", "grad a", "grad b", "grad temperature"}
    assert max(ordinary.comparison.errors.values()) < 1e-13, "computed in 64 bits"


def test_a_slip_is_named():
    report = check(keys_detached, "infonce", variant="one_direction")
    assert report.exit_code == 1 and "no gradient reaches b" in report.verdict


def test_a_temperature_taken_as_a_number_is_passed_as_one():
    report = check(jax.jit(clip, static_argnums=2), "infonce")
    assert report.exit_code == 0, report.text()


def test_unusable():
    with pytest.raises(Unusable, match=r"of shape \(6, 5\), expected one number"):
        check(lambda a, b: jnp.exp(a), "infonce")
    with pytest.raises(Unusable, match="returned a float, expected a JAX array"):
        check(lambda a, b: 1.0, "infonce", framework="jax")
