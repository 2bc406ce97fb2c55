"""JAX's side of a row of ``scripts/bench.py`` computes what ours does."""

import numpy as np
import pytest
from scripts_folder import script

from mini_repr.nn import ImageMLP, ViT

jax = pytest.importorskip("jax")

pytestmark = pytest.mark.crosscheck

in_jax, ours = (script(f"bench_sides.{side}") for side in ("in_jax", "ours"))


@pytest.fixture(autouse=True)
def float64():
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


ENCODERS = {
    "vit": (
        lambda rng: ViT((1, 8, 8), rng, patch=4, width=16, depth=2, heads=2),
        lambda p, data: in_jax.vit_rows(p, data, patch=4, heads=2),
    ),
    "mlp": (lambda rng: ImageMLP((1, 8, 8), rng, width=16, hidden=24, depth=3, norm=None), in_jax.mlp_rows),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_a_step_on_views_has_one_loss_and_one_gradient(name):
    rng = np.random.default_rng(0)
    make, theirs = ENCODERS[name]
    module, data = ours.encoder_and_head(make), rng.random((6, 1, 8, 8))
    parameters = module.named_parameters()
    for parameter in parameters.values():
        parameter.data = parameter.data + 0.1 * rng.standard_normal(parameter.shape)
    given = {name: parameter.data for name, parameter in parameters.items()}
    value, gradients = jax.jit(jax.value_and_grad(lambda p: in_jax.views_loss(p, data, theirs)))(given)
    loss = ours.views_loss(module, data)
    loss.backward()
    assert float(loss.data) == pytest.approx(float(value), rel=1e-10)
    for name, parameter in parameters.items():
        np.testing.assert_allclose(parameter.grad, gradients[name], atol=1e-10, err_msg=name)


@pytest.mark.parametrize("name", in_jax.LOSSES)
def test_a_loss_has_one_value_and_one_gradient(name):
    a, b = np.random.default_rng(0).standard_normal((2, 24, 6))
    labels = np.arange(24) % 5
    value, (wanted_a, wanted_b) = jax.jit(jax.value_and_grad(in_jax.LOSSES[name], argnums=(0, 1)))(a, b, labels)
    own, gradients = ours.loss_value_and_grad(name, a, b, labels)
    assert float(own) == pytest.approx(float(value), rel=1e-10)
    np.testing.assert_allclose(gradients.get("z", gradients.get("a")), wanted_a, atol=1e-10)
    np.testing.assert_allclose(gradients.get("b", np.zeros_like(b)), wanted_b, atol=1e-10)


def test_adamw_is_ours():
    from mini_repr.autograd import Tensor
    from mini_repr.optim import AdamW

    rng = np.random.default_rng(0)
    start = {"weight": rng.standard_normal((3, 4)), "bias": rng.standard_normal(4)}
    own = {name: Tensor(value.copy(), requires_grad=True) for name, value in start.items()}
    optimizer = AdamW(own, 1e-3)
    state = [start, *({name: np.zeros_like(value) for name, value in start.items()} for _ in range(2)), 0]
    for _ in range(3):
        gradients = {name: rng.standard_normal(value.shape) for name, value in start.items()}
        for name, parameter in own.items():
            parameter.grad = gradients[name].copy()
        optimizer.step()
        parameters, first, second, count = state
        state = in_jax.adamw(parameters, gradients, first, second, count + 1)
    for name, parameter in own.items():
        np.testing.assert_allclose(parameter.data, state[0][name], atol=1e-12)
