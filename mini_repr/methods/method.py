"""What all methods share: an encoder, heads, views and an objective become one step."""

from typing import NamedTuple

from mini_repr.autograd import Tensor, value_of
from mini_repr.nn import Module


class Batch(NamedTuple):
    """Some rows of the training set.

    inputs: arrays (B, ...) on the method's device, as its ``load`` makes them. labels: (B,) integers there, or None.
    index: (B,) integers there, their row numbers in the training set, by which a method keeps what belongs to a row.
    """

    inputs: tuple
    labels: object = None
    index: object = None


class Step(NamedTuple):
    """What a step gives: the total loss (with ``.terms``), and rows (B, D) on which collapse would show."""

    total: Tensor
    embeddings: object


class Method(Module):
    """Base of the methods.

    ``folders``: the losses, by what they compare, that it can train. ``takes``: "images" or "texts" (pairs of them).
    ``keeps_queue``: whether it has negatives of earlier steps to give.

    Args:
        encoder: module from inputs, images (B, C, H, W) or tokens, to an object with ``.pooled`` (B, D).
        objective: what is minimised. views: augmentation ``views(images, rng)``.
    """

    folders = ()
    takes = "images"
    keeps_queue = False

    def __init__(self, encoder, objective, views):
        super().__init__()
        self.takes_queue = needs_queue(objective.loss, objective.settings)
        if self.takes_queue and not self.keeps_queue:
            chosen = " with negatives='queue'" if "negatives" in objective.settings else ""
            raise ValueError(
                f"method {type(self).__name__.lower()}: keeps no queue for {objective.loss.name}{chosen}, "
                "expected --method momentum"
            )
        self.encoder = encoder
        self.objective = objective
        self.views = views
        self.keepers = []

    @classmethod
    def fits(cls, loss):
        """Whether it can train a loss, by what the loss compares."""
        return loss.compares in cls.folders

    def load(self, part, backend):
        """The arrays (N, ...) on the device that a step draws its batches from, of a part of a data set."""
        return (backend.asarray(part.images),)

    def step(self, batch, rng):
        """One forward pass over a ``Batch``: a ``Step``.

        It has four parts. ``draw``, ``embed`` and ``targets`` treat every row by itself (but for batch norm), so that a
        batch can be embedded in chunks or on several ranks; only ``compare`` needs all rows at once. A method that
        cannot be divided so writes ``step`` itself, and ``divisible`` is False.

        Args:
            rng: host generator for views and masks.
        """
        inputs = self.draw(*batch.inputs, rng)
        return self.compare(self.embed(*inputs), self.targets(*inputs), batch)

    @property
    def divisible(self):
        """Whether the method has the parts that ``step`` names."""
        return type(self).embed is not Method.embed

    def draw(self, *inputs_and_rng):
        """All that is random, from a batch's inputs and ``rng``: arrays (B, ...) for ``embed`` and ``targets``."""
        raise NotImplementedError

    def embed(self, *inputs):
        """The rows that gradients reach: a tuple of tensors (B, ...)."""
        raise NotImplementedError

    def targets(self, *inputs):
        """The rows that no gradient reaches: a tuple of arrays (B, ...)."""
        return ()

    def compare(self, rows, targets, batch):
        """The loss of a whole batch, a ``Step``, from what ``embed`` and ``targets`` gave; called once a step."""
        raise NotImplementedError

    def after_step(self, step, total_steps):
        """Update what no gradient moves (teachers); called after the optimiser, with the number of steps done."""

    def compare_pairs(self, a, b, batch, embeddings):
        """The objective of two sets of rows (B, D), b a plain array for targets, with all that its keepers supply."""
        plain = (value_of(a), value_of(b), batch)
        supplied = {}
        for keeper in self.keepers:
            supplied |= keeper.give(*plain)
        total = self.objective(a, b, embeddings=embeddings, **supplied)
        for keeper in self.keepers:
            keeper.learn(*plain)
        return total

    def start_from(self, state):
        """Take the weights of another run, its ``state_dict``: all of them where it has the same, or the encoder's.

        Then the heads keep their own start, and a teacher or a second tower begins as the encoder.

        Returns:
            what was taken, in a word.
        Raises:
            ValueError: the encoder has other weights.
        """
        own = self.state_dict()
        if state.keys() == own.keys():
            self.load_state_dict(state)
            return "weights"
        encoder = {name: array for name, array in state.items() if name.startswith("encoder.")}
        copies = {f"{copy}_{name}": array for copy in ("teacher", "other") for name, array in encoder.items()}
        self.load_state_dict(own | encoder | {name: array for name, array in copies.items() if name in own})
        return "encoder"

    def trained_parameters(self):
        """{name: tensor} of all that the optimiser moves."""
        return {name: tensor for name, tensor in self.named_parameters().items() if tensor.requires_grad}


def needs_queue(loss, settings):
    """Whether a loss with these settings compares with rows of earlier steps."""
    queue = loss.parameters.get("queue")
    return queue is not None and (not queue.annotation.optional or settings.get("negatives") == "queue")


def views_of(loss):
    """How many views of an image a loss compares: two, or as many as it takes predictions p1, p2, ..."""
    return max(2, sum(name[0] == "p" and name[1:].isdecimal() for name in loss.parameters))
