"""Gradient caching: the gradient of a large batch in the memory of a small one, for a loss that needs all rows."""

from mini_repr.autograd import Tensor, no_grad
from mini_repr.backend import backend_of
from mini_repr.pages.declare import procedure


@procedure(paper="082")
def backward_in_chunks(module, inputs, embed, targets, compare, chunk):
    """Forward and backward pass over a batch, at most ``chunk`` of whose rows are ever encoded with history.

    1. Embed chunk after chunk without history, and keep the rows.
    2. Compute the loss on all rows: its gradient with respect to each row is the cache.
    3. Embed each chunk once more, now with history, and go backward from its rows with their cached gradients.

    The chain rule gives the full batch's gradient exactly: only the order of additions differs. One more forward pass
    is the price. Step 3 repeats the random numbers of step 1 (dropout), from the module's generators. Batch norm has no
    place in it: statistics of a chunk are not those of the batch, see ``mini_repr.nn.BatchNorm``.

    Args:
        module: whose generators ``embed`` draws from.
        inputs: tuple of arrays (B, ...).
        embed: function of (the same rows of) the inputs to a tuple of tensors (B, ...), row by row.
        targets: likewise to a tuple of arrays (B, ...) that no gradient reaches.
        compare: ``compare(rows, targets)``, called once with all rows; returns an object with the loss as ``.total``.
        chunk: rows, at least 1.
    Returns:
        what ``compare`` returned; gradients are added to ``.grad`` of every parameter.

    Source: Gao, Zhang, Han, Callan 2021, arXiv 2101.06983, section 3.2.
    """
    count = len(inputs[0])
    chunks = [slice(start, start + chunk) for start in range(0, count, chunk)]
    before = module.random_state()
    embedded, aimed_at = [], []
    with no_grad():
        for some in chunks:
            part = [array[some] for array in inputs]
            embedded.append([z.data for z in embed(*part)])
            aimed_at.append(targets(*part))
    after = module.random_state()

    rows = [Tensor(joined, requires_grad=True) for joined in _join(embedded)]
    del embedded
    result = compare(rows, _join(aimed_at))
    result.total.backward()

    module.set_random_state(before)
    for some in chunks:
        again = embed(*(array[some] for array in inputs))
        # sum z·g has the gradient g with respect to z, and one backward pass serves all kinds of rows.
        products = [
            (z * all_z.grad[some]).sum() for z, all_z in zip(again, rows, strict=True) if all_z.grad is not None
        ]
        sum(products[1:], products[0]).backward()
    module.set_random_state(after)
    return result


def _join(parts):
    """Tuples of arrays, one a chunk, to a list of whole arrays."""
    return [backend_of(*column).xp.concatenate(column) for column in zip(*parts, strict=True)]
