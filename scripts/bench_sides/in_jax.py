"""JAX's side: plain functions, each step compiled as a whole. See ``ours`` for what a row is.

Parameters are a dictionary of arrays with our names in our layout, made by our modules.
"""

import math

import jax
import jax.numpy as jnp

from bench_sides import ours
from bench_sides.common import LABELS, images, rows


def product():
    x, y = map(jnp.asarray, rows(2048, 2048))
    multiplied = jax.jit(jnp.matmul)
    return lambda: jax.block_until_ready(multiplied(x, y))


# ---------------------------------------------------------------------------------------------------------------------
# Training steps.


def views_step(make_encoder, encoder):
    module, data = ours.encoder_and_head(make_encoder), jnp.asarray(images())
    parameters = {name: jnp.asarray(p.data) for name, p in module.named_parameters().items()}
    moments = [jax.tree.map(jnp.zeros_like, parameters) for _ in range(2)]
    state = [parameters, *moments, jnp.zeros(())]

    @jax.jit
    def stepped(state, data):
        parameters, first, second, count = state
        gradients = jax.grad(views_loss)(parameters, data, encoder)
        return adamw(parameters, gradients, first, second, count + 1)

    def step():
        state[:] = jax.block_until_ready(stepped(state, data))

    return step


def adamw(parameters, gradients, first, second, count, lr=1e-3, decay=0.05):
    """All of the state after an update."""
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradients)

    def updated(p, m, v):
        update = m / (1 - 0.9**count) / (jnp.sqrt(v / (1 - 0.999**count)) + 1e-8)
        return p - lr * (update + (decay * p if p.ndim > 1 else 0))

    return [jax.tree.map(updated, parameters, first, second), first, second, count]


def views_loss(parameters, data, encoder):
    x = encoder(_under(parameters, "layers.0."), data)
    head = _under(parameters, "layers.2.linears.")
    x = linear(head, "1", jax.nn.relu(linear(head, "0", x)))
    return infonce(*jnp.split(x, 2), 0.2)


def _under(parameters, prefix):
    return {name.removeprefix(prefix): p for name, p in parameters.items() if name.startswith(prefix)}


def linear(p, name, x):
    return x @ p[f"{name}.weight"] + p[f"{name}.bias"]


def mlp():
    from mini_repr.nn import ImageMLP

    return views_step(lambda rng: ImageMLP((1, 28, 28), rng, width=128, hidden=512, depth=3, norm=None), mlp_rows)


def mlp_rows(p, data):
    x = data.reshape(len(data), -1)
    for k in range(2):
        x = jax.nn.relu(linear(p, f"mlp.linears.{k}", x))
    return linear(p, "mlp.linears.2", x)


def vit():
    return views_step(ours.small_vit, lambda p, data: vit_rows(p, data, patch=4, heads=4))


def vit_rows(p, data, patch, heads):
    batch, _, height, width = data.shape
    grid = data.reshape(batch, height // patch, patch, width // patch, patch)
    x = linear(p, "embed", grid.swapaxes(2, 3).reshape(batch, -1, patch * patch)) + p["positions"]
    x = jnp.concatenate([jnp.broadcast_to(p["class_token"], (batch, 1, x.shape[2])), x], axis=1)
    for k in range(1 + max(int(name.split(".")[1]) for name in p if name.startswith("blocks."))):
        x = block(_under(p, f"blocks.{k}."), x, heads)
    return layer_norm(p, "norm", x)[:, 0]


def block(p, x, heads):
    batch, tokens, width = x.shape
    qkv = linear(p, "qkv", layer_norm(p, "norm1", x)).reshape(batch, tokens, 3, heads, width // heads)
    # Not ``jax.nn.dot_product_attention``, which rounds the logits of float64 to float32.
    query, key, value = qkv.transpose(2, 0, 3, 1, 4)
    weights = jax.nn.softmax(query @ key.swapaxes(2, 3) / math.sqrt(width / heads))
    mixed = (weights @ value).swapaxes(1, 2)
    x = x + linear(p, "out", mixed.reshape(batch, tokens, width))
    return x + linear(p, "contract", jax.nn.gelu(linear(p, "expand", layer_norm(p, "norm2", x)), approximate=True))


def layer_norm(p, name, x):
    return jax.nn.standardize(x, epsilon=1e-6) * p[f"{name}.gain"] + p[f"{name}.bias"]


# ---------------------------------------------------------------------------------------------------------------------
# Losses: value and gradient.


def loss(name):
    a, b = map(jnp.asarray, rows())
    labels = jnp.asarray(LABELS)
    graded = jax.jit(jax.value_and_grad(LOSSES[name], argnums=(0, 1)))
    return lambda: jax.block_until_ready(graded(a, b, labels))


def unit(x):
    return x / jnp.linalg.norm(x, axis=1, keepdims=True)


def infonce(a, b, temperature):
    logits = unit(a) @ unit(b).T / temperature
    over = jax.nn.logsumexp(logits, axis=1) + jax.nn.logsumexp(logits, axis=0)
    return (over / 2 - jnp.diagonal(logits)).mean()


def supcon(z, _, labels):
    u = unit(z)
    eye = jnp.eye(len(z), dtype=bool)
    logits = jnp.where(eye, -jnp.inf, u @ u.T / 0.1)
    positive = (labels[:, None] == labels) & ~eye
    log_p = logits - jax.nn.logsumexp(logits, axis=1, keepdims=True)
    return -(jnp.where(positive, log_p, 0).sum(1) / positive.sum(1)).mean()


def siglip(a, b, _):
    logits = 10 * unit(a) @ unit(b).T - 10
    return -jax.nn.log_sigmoid(logits * (2 * jnp.eye(len(a)) - 1)).sum() / len(a)


def barlow_twins(a, b, _):
    u, v = ((x - x.mean(0)) / jnp.sqrt(x.var(0) + 1e-5) for x in (a, b))
    c = u.T @ v / len(a)
    on = jnp.diagonal(c)
    return ((on - 1) ** 2).sum() + 0.0051 * ((c**2).sum() - (on**2).sum())


def vicreg(a, b, _):
    total = 25 * ((a - b) ** 2).mean()
    for x in (a, b):
        x = x - x.mean(0)
        c = x.T @ x / (len(x) - 1)
        spread = jnp.sqrt(jnp.diagonal(c) + 1e-4)
        total += 25 * jax.nn.relu(1 - spread).mean() + ((c**2).sum() - (jnp.diagonal(c) ** 2).sum()) / x.shape[1]
    return total


LOSSES = {
    "infonce": lambda a, b, _: infonce(a, b, 0.1),
    **{page.__name__: page for page in (supcon, siglip, barlow_twins, vicreg)},
}
