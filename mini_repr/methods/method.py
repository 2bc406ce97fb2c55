"""What all methods share: an encoder, heads, views and an objective become one step."""

from typing import NamedTuple

from mini_repr.autograd import Tensor
from mini_repr.nn import Module


class Step(NamedTuple):
    """What a step gives: the total loss (with ``.terms``), and rows (B, D) on which collapse would show."""

    total: Tensor
    embeddings: object


class Method(Module):
    """Base of the methods.

    ``folders``: the losses, by what they compare, that it can train. ``keeps_queue``: whether it has negatives of
    earlier steps to give.

    Args:
        encoder: module from images (B, C, H, W) to an object with ``.pooled`` (B, D).
        objective: what is minimised. views: augmentation ``views(images, rng)``.
    """

    folders = ()
    keeps_queue = False

    def __init__(self, encoder, objective, views):
        super().__init__()
        if objective.settings.get("negatives") == "queue" and not self.keeps_queue:
            raise ValueError(
                f"method {type(self).__name__.lower()}: keeps no queue for {objective.loss.name} with "
                "negatives='queue', expected --method momentum"
            )
        self.encoder = encoder
        self.objective = objective
        self.views = views

    def step(self, images, labels, rng):
        """One forward pass over a batch: a ``Step``.

        Args:
            images: (B, C, H, W) array on the method's device. labels: (B,) integers there, or None.
            rng: host generator for views and masks.
        """
        raise NotImplementedError

    def after_step(self, step, total_steps):
        """Update what no gradient moves (teachers); called after the optimiser, with the number of steps done."""

    def trained_parameters(self):
        """{name: tensor} of all that the optimiser moves."""
        return {name: tensor for name, tensor in self.named_parameters().items() if tensor.requires_grad}
