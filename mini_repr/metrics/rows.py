"""What every metric asks of its arguments, and the row tiles that keep quadratic metrics in linear memory."""

from mini_repr.backend import backend_of, is_array

# A tile of similarities holds about this many bytes: large enough for a full-speed matrix product.
TILE_BYTES = 16 * 1024 * 1024


def checked_rows(metric, argument, z):
    """``z`` itself, if it is a non-empty, finite float32 or float64 array (N, D).

    Raises:
        ValueError: anything else; names the metric and the argument.
    """
    if not is_array(z) or z.ndim != 2 or z.dtype not in ("float32", "float64"):
        got = f"{z.dtype} {z.shape}" if is_array(z) else type(z).__name__
        raise ValueError(f"{metric}: {argument} must be float32 or float64 rows (N, D), got {got}")
    if z.size == 0:
        raise ValueError(f"{metric}: {argument} is empty, shape {z.shape}")
    if not bool(backend_of(z).xp.isfinite(z).all()):
        raise ValueError(f"{metric}: {argument} has values that are not finite")
    return z


def unit_rows(metric, argument, z):
    """The rows of ``z`` (N, D) scaled to length 1, after ``checked_rows``; a zero row is a ValueError too."""
    xp = backend_of(checked_rows(metric, argument, z)).xp
    largest = xp.abs(z).max(axis=1, keepdims=True)
    if not bool((largest > 0.0).all()):
        raise ValueError(f"{metric}: {argument} has a zero row, which has no direction")
    unit = z / largest  # squares of what remains neither overflow nor vanish
    unit /= xp.linalg.norm(unit, axis=1, keepdims=True)
    return unit


def unit_pairs(metric, a, b):
    """Unit rows of two aligned sets a, b (N, D); a ValueError where their shapes differ."""
    a, b = unit_rows(metric, "a", a), unit_rows(metric, "b", b)
    if a.shape != b.shape:
        raise ValueError(f"{metric}: a and b must have the same shape, got {a.shape} and {b.shape}")
    return a, b


def checked_labels(metric, argument, labels, z):
    """``labels`` (N,), integers, on the device of their rows ``z`` (N, D); a ValueError otherwise."""
    if not is_array(labels) or labels.dtype.kind not in "iu" or labels.shape != z.shape[:1]:
        got = f"{labels.dtype} {labels.shape}" if is_array(labels) else type(labels).__name__
        raise ValueError(f"{metric}: {argument} must be {z.shape[0]} integer labels, one a row, got {got}")
    return labels


def row_tiles(rows, columns, itemsize):
    """Slices that cover ``range(rows)``, each so long that a tile (slice, columns) takes about ``TILE_BYTES``."""
    length = max(1, TILE_BYTES // (columns * itemsize))
    return [slice(start, min(start + length, rows)) for start in range(0, rows, length)]
