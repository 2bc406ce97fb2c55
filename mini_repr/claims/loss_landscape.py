"""Loss landscape: with skip connections the loss around deep networks' weights is flatter and more nearly convex.

Li et al. 2017, arXiv 1712.09913, sections 5 and 6. Digits, a ReLU network without norms, 16 hidden layers of 32; plain,
or each layer added to what goes in (x + 0.3 relu(x W + b)). AdamW, 1,500 steps of 64; the learning rate is for each the
best of three on a fifth of the training rows. Along filter-normalised directions: *rise* of the training loss (512
rows) at ±0.25, mean over 10 directions; *non-convex*: share of a 15 by 15 grid within ±0.5 where the surface curves
down; *error* on test rows. Batches of 16 and of 512 on a network of 2 hidden layers of 64, each trained until the mean
training loss of 50 steps is below 0.05: the paper finds small batches' minima wider.
"""

import numpy as np

from mini_repr.autograd import no_grad, relu
from mini_repr.claims.bench.altered import held_out
from mini_repr.claims.bench.claim import Claim, lower
from mini_repr.data import load
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.nn import Linear, Module
from mini_repr.optim import AdamW
from mini_repr.posthoc.loss_landscape import curve, filter_normalised, non_convex_share, surface

RATES, STEPS, BATCH, ENOUGH = (3e-4, 1e-3, 3e-3), 1500, 64, 0.05
DIRECTIONS, NEAR, GRID = 10, 0.25, np.linspace(-0.5, 0.5, 15)


class Deep(Module):
    """``depth`` hidden layers of one width, plain or with skip connections."""

    def __init__(self, inputs, width, depth, skips, rng):
        self.first, self.last = Linear(inputs, width, rng), Linear(width, 10, rng)
        self.hidden = [Linear(width, width, rng) for _ in range(depth - 1)]
        self.skips = skips

    def forward(self, x):
        x = relu(self.first(x))
        for layer in self.hidden:
            x = x + 0.3 * relu(layer(x)) if self.skips else relu(layer(x))
        return self.last(x)


def fitted(data, seed, lr, *, width=32, depth=16, skips=False, batch=BATCH, steps=STEPS, until=None):
    """A network after ``steps`` steps, or once the mean loss of 50 steps is below ``until``."""
    rng = np.random.default_rng(seed)
    x, labels = flat(data.train), data.train.labels
    net = Deep(x.shape[1], width, depth, skips, rng)
    optimizer, losses = AdamW(net.named_parameters(), lr, weight_decay=0.0), []
    for _ in range(steps):
        index = rng.choice(len(x), batch, replace=False)
        optimizer.zero_grad()
        loss = cross_entropy(net(x[index]), labels[index])
        loss.backward()
        optimizer.step()
        losses.append(float(loss.data))
        if until and len(losses) >= 50 and np.mean(losses[-50:]) < until:
            break
    return net


def flat(part):
    return part.images.reshape(len(part), -1)


def loss_of(net, part, rows=512):
    with no_grad():
        return float(cross_entropy(net(flat(part)[:rows]), part.labels[:rows]).data)


def error(net, part):
    with no_grad():
        return float((net(flat(part)).data.argmax(axis=1) != part.labels).mean())


def judged(net, data, seed):
    parameters, rng = net.named_parameters(), np.random.default_rng(seed)

    def loss():
        return loss_of(net, data.train)

    rises = []
    for _ in range(DIRECTIONS):
        found = curve(loss, parameters, filter_normalised(parameters, rng), (-NEAR, 0.0, NEAR))
        rises.append((found[0] + found[2]) / 2 - found[1])
    first, second = (filter_normalised(parameters, rng) for _ in range(2))
    grid = surface(loss, parameters, first, second, GRID, GRID)
    return {"rise": float(np.mean(rises)), "non-convex": non_convex_share(grid), "error": error(net, data.test)}


def measure(seed):
    data, arms = load("digits"), {}
    inner = held_out(data)
    for name, skips in (("plain", False), ("skips", True)):

        def chosen_by(lr, skips=skips):
            return error(fitted(inner, seed, lr, skips=skips), inner.test)

        arms[name] = judged(fitted(data, seed, min(RATES, key=chosen_by), skips=skips), data, seed)
    for batch in (16, 512):
        net = fitted(data, seed, 1e-3, width=64, depth=2, batch=batch, steps=6000, until=ENOUGH)
        arms[f"batch {batch}"] = judged(net, data, seed)
    return arms


CLAIM = Claim(
    paper="023",
    says="with skip connections the loss around a deep network's weights is flatter and more nearly convex",
    measure=measure,
    expects=(
        lower("rise", "skips", "plain"),
        lower("non-convex", "skips", "plain", by=0.05),
        lower("error", "skips", "plain"),
        lower("rise", "batch 16", "batch 512"),
    ),
)
