"""From one value a row to the value of the loss, for pages (arrays) and for definitions (tensors)."""

from mini_repr.backend import backend_of


def reduce_rows(per_row, reduction):
    """Mean, sum or the rows themselves.

    Args:
        per_row: (N,) array.
    Returns:
        (value, spread): ``spread(g)`` is the gradient of the value with respect to ``per_row``, a view of shape (N,).
    """
    xp = backend_of(per_row).xp
    if reduction == "mean":
        return per_row.mean(), lambda g: xp.broadcast_to(g / len(per_row), per_row.shape)
    if reduction == "sum":
        return per_row.sum(), lambda g: xp.broadcast_to(g, per_row.shape)
    return per_row, lambda g: g


def reduced(per_row, reduction):
    """The same on a tensor (N,), for definitions."""
    return {"mean": per_row.mean, "sum": per_row.sum, "none": lambda: per_row}[reduction]()
