"""One training step on one screen: views, rows, loss, backward pass, clipping, update."""

import math
from functools import partial

from mini_repr.backend import backend_of
from mini_repr.optim import SAM, backward_in_chunks, clip_by_global_norm
from mini_repr.optim.clip import squared_norm
from mini_repr.optim.sam import passing_state


class Diverged(RuntimeError):
    """The loss or the gradient is no finite number."""


def training_step(method, optimizer, batch, rng, sharding, *, number, of, lr, clip_norm=0.0, chunk=0, drawn=None):
    """Train on one batch: (terms {name: number}, gradient norm before clipping, embeddings).

    Args:
        batch: this rank's rows, a ``Batch``. rng: generator of views and masks, in one state on all ranks.
        sharding: ``BatchSharding`` of the batch. number, of: which step it is, from 0, of how many.
        clip_norm: largest norm of the gradient, 0 for any. chunk: rows to encode at once, 0 for all.
        drawn: what ``method.sample`` gave for the batch; None asks it.
    Raises:
        Diverged: the loss or the gradient norm is NaN or infinite; parameters are those before the step.
    """
    passes = partial(forward_backward, method, batch, rng, sharding, number / of, chunk, drawn)
    sharpness_aware = isinstance(optimizer, SAM)
    before = passing_state(method, rng) if sharpness_aware else None

    optimizer.zero_grad()
    step = passes()
    if sharpness_aware:
        optimizer.second_pass(passes, method, rng, before)
    # All that the host must know, read at once: a GPU is waited for here and nowhere else.
    terms = {"loss": step.total.data, **step.total.terms}
    numbers = backend_of(step.total.data).read([*terms.values(), squared_norm(optimizer.parameters)])
    terms, norm = sharding.of_batch(dict(zip(terms, numbers[:-1], strict=True))), math.sqrt(numbers[-1])
    _require_finite(terms["loss"], "loss", method, number)
    _require_finite(norm, "gradient norm", method, number)
    clip_by_global_norm(optimizer.parameters, clip_norm or math.inf, norm)
    optimizer.step(lr)
    method.after_step(number + 1, of)
    return terms, norm, step.embeddings


def forward_backward(method, batch, rng, sharding, progress=0.0, chunk=0, drawn=None):
    """Leave the gradient of the whole batch's loss in the parameters; returns the ``Step``. Arguments as above."""
    objective = partial(method.objective, progress=progress, form_of=sharding.form_of)
    compare = partial(sharding.compare, method, objective, batch)
    views = method.sample(*batch.inputs, sharding.draws(rng)) if drawn is None else drawn
    with sharding.batch_statistics():
        if chunk:
            step = backward_in_chunks(method, views, method.embed, method.targets, compare, chunk)
        else:
            step = compare(method.embed(*views), method.targets(*views))
            step.total.backward()
    sharding.sum_gradients(method)
    return step


def _require_finite(value, what, method, number):
    if not math.isfinite(value):
        raise Diverged(
            f"step {number + 1}: the {what} of {method.objective.loss.name} is {value}. The last checkpoint is "
            "intact. Try a lower --lr, --set optimizer.clip_norm=1, a longer optimizer.warmup_steps or a higher "
            "temperature"
        )
