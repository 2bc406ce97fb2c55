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

        It has four parts. ``draw``, ``embed`` and ``targets`` treat every row by itself (but for batch norm), so that a
        batch can be embedded in chunks or on several ranks; only ``compare`` needs all rows at once. A method that
        cannot be divided so writes ``step`` itself, and ``divisible`` is False.

        Args:
            images: (B, C, H, W) array on the method's device. labels: (B,) integers there, or None.
            rng: host generator for views and masks.
        """
        inputs = self.draw(images, rng)
        return self.compare(self.embed(*inputs), self.targets(*inputs), labels)

    @property
    def divisible(self):
        """Whether the method has the parts that ``step`` names."""
        return type(self).embed is not Method.embed

    def draw(self, images, rng):
        """All that is random: a tuple of arrays (B, ...), the inputs of ``embed`` and ``targets``."""
        raise NotImplementedError

    def embed(self, *inputs):
        """The rows that gradients reach: a tuple of tensors (B, ...)."""
        raise NotImplementedError

    def targets(self, *inputs):
        """The rows that no gradient reaches: a tuple of arrays (B, ...)."""
        return ()

    def compare(self, rows, targets, labels):
        """The loss of a whole batch, a ``Step``, from what ``embed`` and ``targets`` gave; called once a step."""
        raise NotImplementedError

    def after_step(self, step, total_steps):
        """Update what no gradient moves (teachers); called after the optimiser, with the number of steps done."""

    def trained_parameters(self):
        """{name: tensor} of all that the optimiser moves."""
        return {name: tensor for name, tensor in self.named_parameters().items() if tensor.requires_grad}
