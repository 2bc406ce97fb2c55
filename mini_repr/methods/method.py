"""What all methods share: an encoder, heads, views and an objective become one step."""

from typing import NamedTuple

from mini_repr.autograd import Tensor, concatenate, split, value_of
from mini_repr.backend import backend_of
from mini_repr.nn import Heads, Module
from mini_repr.optim import update_ema


class Batch(NamedTuple):
    """Some rows of the training set.

    inputs: arrays (B, ...), as the method's ``load`` makes them. labels: (B,) integers on the host, or None: to
    check and count them no GPU is waited for. index: (B,) integers on the method's device, their row numbers in the
    training set, by which state per row is found.
    """

    inputs: tuple
    labels: object = None
    index: object = None


class Step(NamedTuple):
    """What a step gives: the total loss (with ``.terms``), and rows (B, D) on which collapse would show."""

    total: Tensor
    embeddings: object


class Parts(NamedTuple):
    """What a run builds from its settings and hands to a method.

    encoder: module from inputs, images (B, C, H, W) or tokens, to an object with ``.pooled`` (B, D). objective: what is
    minimised. rng: generator of all further weights. heads: makes projectors and predictors. views: augmentation
    ``views(images, rng)``. data: the data set. encoder_of: from the path of a run's folder to its trained encoder.
    """

    encoder: Module
    objective: Module
    rng: object
    heads: Heads = Heads()
    views: object = None
    data: object = None
    encoder_of: object = None


class Method(Module):
    """Base of the methods. The arguments of a method beyond its parts are the settings ``method.*``.

    ``compares``: the kinds of losses that it can train. ``takes``: "images", "texts" (pairs of them), "sentences"
    (texts one by one), "captions" (images with a text each) or "tables". ``heads``: the defaults of its settings
    ``heads.*``, None if it has no heads.
    ``needs_labels``: whether it hands labels to its losses. ``keeps_queue``: whether it has negatives of earlier steps
    to give.
    ``parts_batch``: whether ``compare`` takes a batch apart, so that all its rows must come to it.
    ``sample_asks_network``: whether ``sample`` looks at what training changes, so that it cannot be called ahead.
    ``one_process``: whether its backward pass compares gradients of the whole batch, which several ranks do not have.
    ``default_loss``, ``default_encoder``, ``default_views``: what a run of this method takes unless told otherwise,
    where that is not what other runs take.
    """

    compares = ()
    takes = "images"
    heads = None
    needs_labels = False
    keeps_queue = False
    parts_batch = False
    sample_asks_network = False
    one_process = False
    default_loss = default_encoder = default_views = None

    def __init__(self, parts):
        loss, settings = parts.objective.loss, parts.objective.settings
        self.takes_queue = needs_queue(loss, settings)
        if self.takes_queue and not self.keeps_queue:
            chosen = " with negatives='queue'" if "negatives" in settings else ""
            raise ValueError(f"{self.page.title}: keeps no queue for {loss.name}{chosen}, expected --method momentum")
        if self.needs_labels and parts.data.train.labels is None:
            raise ValueError(f"{self.page.title}: loss {loss.name} needs labels, and the data has none")
        self.encoder = parts.encoder
        self.objective = parts.objective
        self.views = parts.views
        self.loss_states = []

    @classmethod
    def fits(cls, loss):
        """Whether it can train a loss, by what the loss compares."""
        return loss.compares in cls.compares

    def load(self, part, backend):
        """The arrays (N, ...) that a step draws its batches from, of a part of a data set.

        Images lie on the device, words and their masks on the host.
        """
        if self.takes == "sentences":
            return self.encoder.tokenise(part.texts)
        return (backend.asarray(part.rows if self.takes == "tables" else part.images),)

    def step(self, batch, rng):
        """One forward pass over a ``Batch``: a ``Step``.

        It has four parts. ``sample``, ``embed`` and ``targets`` treat each row independently (but for batch norm), so
        that a batch can be embedded in chunks or on several ranks; only ``compare`` needs all rows at once.

        Args:
            rng: host generator for views and masks.
        """
        inputs = self.sample(*batch.inputs, rng)
        return self.compare(self.embed(*inputs), self.targets(*inputs), batch, self.objective)

    def sample(self, images, rng):
        """All that is random, from a batch's inputs and ``rng``: arrays (B, ...) for ``embed`` and ``targets``."""
        return tuple(self.views(images, rng) for _ in range(self.objective.loss.views))

    def embed(self, *inputs):
        """The rows that gradients reach: a tuple of tensors (B, ...)."""
        raise NotImplementedError

    def targets(self, *inputs):
        """The rows that no gradient reaches: a tuple of arrays (B, ...)."""
        return ()

    def compare(self, rows, targets, batch, objective):
        """The loss of a whole batch, a ``Step``, from what ``embed`` and ``targets`` gave; called once per step.

        Args:
            objective: called as the method's own ``objective`` is; the step has bound to it what only it knows.
        """
        raise NotImplementedError

    def compared_parameters(self):
        """The parameters that ``compare`` uses: of these each rank has the whole gradient, and not its rows' part."""
        return self.objective.parameters()

    def after_step(self, step, total_steps):
        """Update what is not trained by gradient (teachers), given the number of steps done."""

    def move_teachers(self, momentum):
        """Move each ``teacher_X`` towards ``X``, of which it is the moving average; one that is None does not exist."""
        for name, teacher in vars(self).items():
            if name.startswith("teacher_") and teacher is not None:
                student = getattr(self, name.removeprefix("teacher_"))
                update_ema(teacher.named_parameters(), student.named_parameters(), momentum)

    def encode_views(self, *views):
        """Pooled rows of each view. The encoder sees all of them in one batch."""
        together = backend_of(views[0]).xp.concatenate(views)
        return split(self.encoder(together).pooled, tuple(len(images) for images in views))

    def compare_two(self, a, b, batch, objective, embeddings):
        """The objective of two sets of rows (B, D), b a plain array for targets, with all that the state supplies.

        A loss of embeddings sees both sets as one.
        """
        if self.objective.loss.compares == "embeddings":
            return objective(concatenate(a, b), embeddings=embeddings)
        plain = (value_of(a), value_of(b), batch)
        supplied = {}
        for state in self.loss_states:
            supplied |= state.arrays(*plain)
        total = objective(a, b, embeddings=embeddings, **supplied)
        for state in self.loss_states:
            state.update(*plain)
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
    return "queue" in loss.required or ("queue" in loss.parameters and settings.get("negatives") == "queue")


def predicts_views(loss):
    """Whether a loss of teachers compares a prediction p1, p2, ... of each view with targets z1, z2, ... of views."""
    return loss.required[:2] == ["p1", "p2"]
