"""Sharpness-aware minimisation: descend by the gradient at the worst point nearby, on any base optimiser.

    e = rho g / |g|,   g the gradient at w, |.| over all parameters together      (Foret et al. 2020, eq. 2)
    step the base optimiser at w with the gradient taken at w + e

``adaptive``: e = rho T^2 g / |T g| with T = |w| + 0.01, whose neighbourhood scales with each weight (ASAM).

A step is two passes over the same batch. After the first, ``second_pass`` moves the parameters to w + e, takes the
gradient there and puts w back, bit for bit, from a copy; then the base optimiser steps. A gradient of 0, or one that
is not finite, moves nothing.

Source: Foret, Kleiner, Mobahi, Neyshabur 2020, arXiv 2010.01412, algorithm 1 with p = 2; adaptive: Kwon et al. 2021,
arXiv 2102.11600. Buffers (batch norm's running statistics, queues) and random states are those after the first pass.
"""

import math

from mini_repr.backend import backend_of
from mini_repr.optim.clip import global_norm
from mini_repr.pages.arguments import Flag, Positive
from mini_repr.pages.declare import part
from mini_repr.pages.page import definition


@part("procedure", "sam", paper="005")
class SAM:
    """A base optimiser that also climbs; all but the two methods below is the base's.

    Args:
        base: an ``Optimizer``. rho: radius of the neighbourhood. adaptive: ASAM.
    """

    def __init__(self, base, rho: Positive = 0.05, adaptive: Flag = False):
        self.base, self.rho, self.adaptive = base, rho, adaptive

    def __getattr__(self, name):
        return getattr(self.base, name)  # parameters, step, state: between steps there is nothing but the base's

    def second_pass(self, passes, module, rng, before):
        """Replace the gradients at w by those at w + e, under the same views, masks, dropout, queues and statistics.

        Args:
            passes: runs forward and backward pass. module: the network. rng: host generator of views and masks.
            before: their ``passing_state`` before the first pass.
        """
        after = passing_state(module, rng)
        restore(module, rng, before)
        weights = self.ascend()
        passes()
        for parameter, weight in weights:
            parameter.data[...] = weight
        restore(module, rng, after)

    def ascend(self):
        """Move every parameter that has a gradient to w + e and forget the gradients; returns [(parameter, w)]."""
        moved = {name: p for name, p in self.parameters.items() if p.grad is not None}
        weights = [(p, p.data.copy()) for p in moved.values()]
        self._scale(moved)
        norm = global_norm(moved)
        self._scale(moved)
        for p in moved.values():
            if 0 < norm < math.inf:
                p.grad *= self.rho / norm
                p.data += p.grad
        self.zero_grad()
        return weights

    def _scale(self, moved):
        """Gradients times T, in place: they are forgotten after the ascent."""
        if self.adaptive:
            for p in moved.values():
                p.grad *= backend_of(p.data).xp.abs(p.data) + 0.01


def passing_state(module, rng):
    """What a pass moves besides gradients: buffers, random states of the module, and the views' generator."""
    buffers = {name: array.copy() for name, array in module.named_buffers().items()}
    return buffers, module.random_state(), rng.bit_generator.state


def restore(module, rng, state):
    """Put a ``passing_state`` back."""
    buffers, random, rng.bit_generator.state = state
    for name, array in module.named_buffers().items():
        array[...] = buffers[name]
    module.set_random_state(random)


@definition(SAM)
def sam_definition(weights, gradients, rho, adaptive):
    """w + e for lists of numbers w and g."""
    scales = [abs(w) + 0.01 if adaptive else 1.0 for w in weights]
    norm = math.sqrt(sum((t * g) ** 2 for t, g in zip(scales, gradients, strict=True)))
    return [w + rho * t * t * g / norm for w, t, g in zip(weights, scales, gradients, strict=True)]
