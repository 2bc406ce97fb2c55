"""By what factor each common scheme of distributed training is off, computed on W virtual ranks in one process.

A batch of rows is dealt to W ranks in order. What is wanted is the gradient of the whole batch's loss. On a real
cluster each rank backpropagates a loss of its own into its own rows, and the parameters' gradients are then averaged
(PyTorch's DDP) or summed over ranks. All ranks have the same parameters, so these receive what they would from one
process whose rows had received what the ranks left on theirs, divided by W where the average is taken: the *effective*
gradient. It is a multiple of the wanted one, by the scheme's factor, or no multiple at all.

What a rank leaves on its rows, with J[s, r] the gradient of rank s's loss for rank r's rows:

    gather without gradient    J[r, r]                  rows of other ranks are constants; its own are put back
    gather with gradient       sum over s of J[s, r]    the backward of all-gather adds up what other ranks send
"""

from typing import NamedTuple

import numpy as np

from mini_repr.autograd import Tensor
from mini_repr.conformance.cases import needs_of
from mini_repr.conformance.check import resolve_settings
from mini_repr.conformance.compare import expected_outcome
from mini_repr.pages.names import find_loss
from mini_repr.pages.samples import sample_inputs
from mini_repr.pages.tables import table

CLOSE = 1e-9
ROWS_PER_RANK = 3


class Scheme(NamedTuple):
    """How a rank's loss is made and how gradients travel.

    ``rank_loss``: "anchors" (mean over the rank's own rows as anchors, against all gathered rows), "whole" (every rank
    computes the loss of the whole gathered batch) or "alone" (the loss of its own rows, no gather).
    """

    name: str
    description: str
    rank_loss: str
    gather_gradient: bool
    average: bool = True
    divided: bool = False  # the loss is divided by the number of ranks besides


SCHEMES = [
    Scheme("local_gather_grad", "own anchors, gather with gradient, averaged", "anchors", True),
    Scheme("local_gather_grad_sum", "own anchors, gather with gradient, summed", "anchors", True, average=False),
    Scheme("local_gather", "own anchors, gather without gradient, averaged", "anchors", False),
    Scheme("local_gather_sum", "own anchors, gather without gradient, summed", "anchors", False, average=False),
    Scheme("local_divided", "own anchors, gather with gradient, loss / W, averaged", "anchors", True, divided=True),
    Scheme("whole_gather_grad", "whole loss on every rank, gather with gradient, averaged", "whole", True),
    Scheme("whole_gather_grad_sum", "whole loss on every rank, gather with gradient, summed", "whole", True, False),
    Scheme("whole_gather", "whole loss on every rank, gather without gradient, averaged", "whole", False),
    Scheme("whole_gather_sum", "whole loss on every rank, gather without gradient, summed", "whole", False, False),
    Scheme("alone", "each rank's loss of its own rows, no gather, averaged", "alone", False),
]


class Fit(NamedTuple):
    """How an effective gradient fits the wanted one: the best factor, and what it leaves over (0: a multiple)."""

    factor: float
    left_over: float

    @property
    def exact(self):
        return self.left_over <= CLOSE

    @property
    def is_equal(self):
        return self.exact and abs(self.factor - 1) <= CLOSE

    def text(self, world):
        if not self.exact:
            return f"no multiple of the whole batch's gradient ({100 * self.left_over:.2g} % of it is something else)"
        names = {1.0: "equal", float(world): f"W times (W = {world})", 1 / world: f"1/W (W = {world})"}
        return next((t for f, t in names.items() if abs(self.factor - f) <= CLOSE * f), f"{self.factor:.9g} times")


def sharded(loss, arguments):
    """Names of the arrays that are dealt out: those with the first array's rows."""
    rows = loss.arrays[0].annotation.letters[0]
    return [p.name for p in loss.arrays if p.annotation.letters[0] == rows and arguments.get(p.name) is not None]


def shards(rows, world):
    """[slice of the rows of rank 0, 1, ...]; ValueError where they do not divide."""
    if rows % world or rows < world:
        raise ValueError(f"ranks: got {rows} rows for {world} ranks, expected a multiple")
    return [slice(r * rows // world, (r + 1) * rows // world) for r in range(world)]


def gives_rows(loss):
    """Whether the loss can return one value per row."""
    parameter = loss.parameters.get("reduction")
    return parameter is not None and "none" in parameter.annotation.options


def cross_gradients(loss, arguments, world, rank_loss="anchors"):
    """Each rank's loss and its gradient for the rows of all ranks.

    Args:
        arguments: complete host arguments of the whole batch, B rows. rank_loss: see Scheme.
    Returns:
        (values (W,), {name: (W, B, ...)}): the first axis is the rank whose loss it is.
    Raises:
        ValueError: rows that do not divide; "anchors" for a loss that has no value for each row.
    """
    dealt = sharded(loss, arguments)
    parts = shards(len(arguments[dealt[0]]), world)
    if rank_loss == "anchors" and not gives_rows(loss):
        raise ValueError(f"{loss.name}: has no value for each row, so a rank has no anchors of its own")
    names = [n for n in loss.differentiable if n in dealt]
    values, gradients = [], {n: np.zeros((world, *arguments[n].shape)) for n in names}
    for rank, rows in enumerate(parts):
        given = dict(arguments)
        if rank_loss == "alone":
            given.update({n: arguments[n][rows] for n in dealt})
        elif rank_loss == "anchors":
            given["reduction"] = "none"
        tensors = {n: Tensor(given[n], requires_grad=True) for n in names}
        output = loss(**{**given, **tensors})
        if rank_loss == "anchors":
            output = output[rows].mean()
        output.backward()
        values.append(float(output.data))
        for n, t in tensors.items():
            gradients[n][rank][rows if rank_loss == "alone" else slice(None)] = t.grad
    return np.array(values), gradients


def effective(gradients, parts, gather_gradient, average=True, divided=False):
    """{name: (B, ...)} as it arrives at the parameters, from {name: (W, B, ...)} of ``cross_gradients``."""
    world = len(parts)
    share = 1 / (world if average else 1) / (world if divided else 1)
    if gather_gradient:
        return {n: g.sum(axis=0) * share for n, g in gradients.items()}
    return {n: np.concatenate([g[rank][rows] for rank, rows in enumerate(parts)]) * share for n, g in gradients.items()}


def fit(found, true):
    """The Fit of one {name: gradient} to another, all inputs together."""
    x = np.concatenate([np.ravel(true[n]) for n in found])
    y = np.concatenate([np.ravel(g) for g in found.values()])
    factor = float(x @ y / (x @ x))
    return Fit(factor, float(np.linalg.norm(y - factor * x) / (np.linalg.norm(y) or 1.0)))


def scheme_fits(loss, arguments, world):
    """[(Scheme, Fit)] of every scheme that this loss allows, at the whole batch ``arguments``."""
    arguments = loss.complete(arguments)
    true = expected_outcome(loss, arguments).gradients
    parts = shards(len(arguments[loss.arrays[0].name]), world)
    fits = []
    for scheme in SCHEMES:
        if scheme.rank_loss == "anchors" and not gives_rows(loss):
            continue
        try:
            _, gradients = cross_gradients(loss, arguments, world, scheme.rank_loss)
        except ValueError:
            if scheme.rank_loss != "alone":
                raise
            continue  # among a rank's few rows there may be no pair of one class
        found = effective(gradients, parts, scheme.gather_gradient, scheme.average, scheme.divided)
        fits.append((scheme, fit(found, true)))
    return fits


def factor_table(against, world, variant=None, settings=None):
    """Text: what each common scheme does to the gradient of a loss on ``world`` ranks."""
    loss = find_loss(against)
    settings, _ = resolve_settings(loss, variant, settings)
    arguments = batch_of(loss, world, settings, needs_of(loss, variant) or ())
    fits = scheme_fits(loss, arguments, world)
    title = f"{loss.name} on W = {world} ranks: the gradient that arrives, against the whole batch's"
    return table(title, [(scheme.description, found.text(world)) for scheme, found in fits])


def batch_of(loss, world, settings, needs):
    """Complete arguments with rows for every rank."""
    rng = np.random.default_rng(7)
    rows = loss.arrays[0].annotation.letters[0]
    drawn = sample_inputs(loss, rng, needs, {rows: ROWS_PER_RANK * world})
    return loss.complete({**drawn, **settings})
