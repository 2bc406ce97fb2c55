"""One training step's forward and backward pass: whole or in chunks, on one rank or several."""

from mini_repr.optim import backward_in_chunks


def backward(method, batch, rng, spread, chunk=0):
    """Leave the gradient of the whole batch's loss in the parameters; returns the ``Step``.

    Args:
        batch: the own rows of it, a ``Batch``. rng: generator of views and masks, in one state on all ranks.
        spread: ``Spread`` of the batch. chunk: rows to encode at once, 0 for all.
    """
    if not method.divisible:
        step = method.step(batch, rng)
        step.total.backward()
        return step
    inputs = method.draw(*batch.inputs, spread.draws(rng))

    def compare(rows, targets):
        return spread.compare(method, rows, targets, batch)

    if chunk:
        step = backward_in_chunks(method, inputs, method.embed, method.targets, compare, chunk)
    else:
        step = compare(method.embed(*inputs), method.targets(*inputs))
        step.total.backward()
    spread.collect(method)
    return step
