"""What most pages do first and last: rows of length 1, and from one value per row to the value of the loss."""

from mini_repr.autograd import unit_rows
from mini_repr.backend import CPU, backend_of


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


def lengths_of(loss, count, given, least=1):
    """How much of each sample counts, as (N,) int64 arrays: lengths that came, or everything where none did.

    Those on the host are checked there, without waiting for a GPU; where one of them lies on a device, all do.

    Args:
        count: N, samples. given: {argument: (its lengths (N,) or None, the largest that fits)}.
    Raises:
        ValueError: a length outside ``least`` to the largest.
    """
    homes = [backend_of(lengths) for lengths, _ in given.values() if lengths is not None]
    home = next((one for one in homes if one is not CPU), CPU)
    found = []
    for name, (lengths, most) in given.items():
        if lengths is None:
            found.append(home.xp.full(count, most, dtype="int64"))
            continue
        lengths = home.asarray(lengths)
        low, high = int(lengths.min()), int(lengths.max())
        if low < least or high > most:
            raise ValueError(f"{loss}: {name}: got lengths from {low} to {high}, expected {least} to {most}")
        found.append(lengths.astype("int64"))  # unsigned ones would not subtract
    return found
