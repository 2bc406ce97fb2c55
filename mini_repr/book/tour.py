"""Follow the gradient: eight stops from the command line to the last line of the backward pass."""

from typing import NamedTuple

from markupsafe import Markup

from mini_repr.book.source import highlighted


class Stop(NamedTuple):
    """A place in the code, and what happens there."""

    title: str
    module: str
    names: tuple
    text: str


STOPS = (
    Stop(
        "The command",
        "mini_repr.commands.train",
        ("_train_with_bar",),
        "mini-repr train --loss infonce has read its settings and made a run. An epoch at a time, the run trains.",
    ),
    Stop(
        "An epoch takes its steps",
        "mini_repr.training.run",
        ("Run.train_epoch", "Run._step"),
        "Batch by batch; the batch, the learning rate of this step and everything else goes to one function.",
    ),
    Stop(
        "One step on one screen",
        "mini_repr.training.step",
        ("forward_backward",),
        "Two views of every image are drawn, the network embeds them, the method compares the rows. What comes back is "
        "one number, a tensor that knows how it was made; .backward() on it starts the way back.",
    ),
    Stop(
        "The method: what is compared with what",
        "mini_repr.methods.simclr",
        ("SimCLR.compare",),
        "SimCLR hands the rows of both views to the loss of its choice. Another method would have a teacher, a mask or "
        "labels here.",
    ),
    Stop(
        "A loss is called with tensors",
        "mini_repr.pages.loss",
        ("Loss.__call__",),
        "The arguments are checked against their annotations, the page computes on plain arrays, and the engine "
        "records one thing: this backward function belongs to these inputs.",
    ),
    Stop(
        "The page: value, and gradient by hand",
        "mini_repr.losses.pairs.infonce",
        ("infonce",),
        "The formula of the page's text. backward(g) says how the value's gradient reaches a, b and the temperature.",
    ),
    Stop(
        "The costly sum, in tiles",
        "mini_repr.kernels.log_sum_exp",
        ("similarity_logsumexp",),
        "The log-sum-exp over all pairs, a few rows at once, so that the matrix of similarities is never held; its "
        "backward pass computes the same tiles again.",
    ),
    Stop(
        "The backward pass",
        "mini_repr.autograd.tensor",
        ("Tensor.backward", "_backpropagate", "Node.differentiate"),
        "From the loss to the parameters: the latest call first, each backward function is given the gradient of its "
        "output, and what it returns is added to the gradients of its inputs. From here AdamW takes over.",
    ),
)


def tour(book):
    """Sections of the page: a stop each."""
    shown = []
    for number, stop in enumerate(STOPS, 1):
        parts = [highlighted(stop.module, book.definition, name) for name in stop.names]
        shown.append((f"{number}. {stop.title}", Markup("<p>{}</p>").format(stop.text) + Markup().join(parts)))
    return shown
