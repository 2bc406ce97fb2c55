"""Compare a gradient with central differences along random directions."""

import numpy as np

from mini_repr.backend import backend_of


def directional_difference(value_at, arrays, directions, step=1e-5):
    """(f(x + h d) - f(x - h d)) / 2h with Richardson's correction, where ``value_at(*arrays)`` returns a number.

    The step is relative to each array's largest element. The fourth-order combination of h and h/2 leaves an error
    near 1e-10 for smooth functions of order one in float64.
    """
    scale = [max(float(abs(a).max()), 1e-3) if a.size else 1.0 for a in arrays]

    def difference(h):
        up = value_at(*(a + h * s * d for a, s, d in zip(arrays, scale, directions, strict=True)))
        down = value_at(*(a - h * s * d for a, s, d in zip(arrays, scale, directions, strict=True)))
        return (float(up) - float(down)) / (2 * h)

    coarse, fine = difference(step), difference(step / 2)
    return (4 * fine - coarse) / 3, scale


def gradcheck(value_at, arrays, gradients, rng, directions=3, step=1e-4, tolerance=1e-7):
    """Check ``gradients`` of the scalar ``value_at(*arrays)`` along several random directions in float64.

    Args:
        value_at: function from arrays to a number.
        arrays, gradients: sequences of float64 arrays; ``None`` as gradient means constant, and is checked to be zero.
        rng: NumPy generator that draws the directions.
    Raises:
        AssertionError: naming the direction, the expected and the found derivative. A single direction can miss a
            sparse error, therefore several, dense and one-array-only ones.
    """
    xp = backend_of(*arrays).xp
    masks = [[True] * len(arrays)] * directions + [[i == k for i in range(len(arrays))] for k in range(len(arrays))]
    for number, mask in enumerate(masks):
        drawn = [
            xp.asarray(rng.standard_normal(a.shape)) if keep else xp.zeros(a.shape)
            for a, keep in zip(arrays, mask, strict=True)
        ]
        numeric, scale = directional_difference(value_at, arrays, drawn, step)
        exact = 0.0
        size = 0.0
        for d, s, g in zip(drawn, scale, gradients, strict=True):
            if g is not None:
                exact += s * float((d * g).sum())
                size += s * float(abs(d * g).sum())
        bound = tolerance * max(1.0, size)
        if not np.isfinite(exact) or abs(numeric - exact) > bound:
            raise AssertionError(
                f"gradcheck: direction {number} (of {len(masks)}): central difference {numeric:.12g}, "
                f"gradient {exact:.12g}, allowed difference {bound:.3g}"
            )
