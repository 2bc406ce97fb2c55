"""What most pages do first and last: rows of length 1, and from one value per row to the value of the loss."""

from mini_repr.autograd import unit_rows
from mini_repr.backend import backend_of


def rows_of(x, normalize):
    """x / |x| by rows where ``normalize``, else x as it is: (rows, backward)."""
    return unit_rows.on_arrays(x) if normalize else (x, lambda g: g)


def reduce_rows(per_row, reduction):
    """Mean, sum or the values themselves.

    Args:
        per_row: (N,) array.
    Returns:
        (value, backward): ``backward(g)`` is the gradient with respect to ``per_row``, a view of shape (N,).
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
