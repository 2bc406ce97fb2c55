"""The expected value and gradients of a case, how far off an implementation may be, and how far off it is.

Expected is what the page gives in float64. The tolerance is measured, not chosen: it is what the page's own literal
formula loses in the dtype of the case, on these very inputs and on the same inputs moved by one unit in the last place.
A formula loses digits where the case takes them away (a small temperature, rows that nearly coincide), and then so may
any faithful implementation. Eight times that is allowed, because sums may run in another order and equal forms round
differently, and never less than 32 units in the last place of the result.

What is off by up to a hundred times the tolerance, and by no more than 1e-3, has lost digits by cancellation and is
called imprecise, not wrong. In float64 that is 1e-12 for ordinary rows: a wrong factor or term is off by 1e-3
to 10, and an epsilon by 1e-10 to 1e-3.
"""

from typing import NamedTuple

import numpy as np

from mini_repr.conformance.adapters import Outcome

SAFETY = 8
LEAST_UNITS = 32
IMPRECISE, MOST_IMPRECISE = 100, 1e-3
MOVES = 4


class Comparison(NamedTuple):
    """How far an outcome is from the expected one, relative to its size, and whether each part is within tolerance.

    ``errors`` and ``allowed``: {"value": number, "grad NAME": number}; inf where the outcome is not finite.
    """

    errors: dict
    allowed: dict

    @property
    def agrees(self):
        return all(error <= self.allowed[part] for part, error in self.errors.items())

    @property
    def nearly_agrees(self):
        """Digits are lost where they need not be; nothing else is wrong."""
        return all(
            error <= max(self.allowed[part], min(IMPRECISE * self.allowed[part], MOST_IMPRECISE))
            for part, error in self.errors.items()
        )


def expected_outcome(loss, arguments):
    """The page's value and gradients in float64 at host ``arguments``."""
    exact = {n: _cast(v, np.float64) for n, v in arguments.items()}
    with np.errstate(all="ignore"):
        value, gradients = loss.value_and_grad(**exact)
    return Outcome(float(value), {n: np.asarray(g) for n, g in gradients.items()}, np.dtype("float64"))


def allowed_errors(loss, arguments, exact, dtype):
    """{"value" or "grad NAME": absolute error allowed}; see the module's text."""
    rng = np.random.default_rng(0)
    eps = float(np.finfo(dtype).eps)
    # A loss that goes through a logarithm or 1 - x rounds at the size of 1, however small it comes out.
    allowed = {"value": LEAST_UNITS * eps * max(1.0, abs(exact.value))}
    for name, gradient in exact.gradients.items():
        size, natural = _size(gradient), max(1.0, abs(exact.value)) / (_size(arguments[name]) or 1.0)
        # A gradient that vanishes by cancellation (unit rows of one column) is the rounding of its parts.
        allowed[f"grad {name}"] = LEAST_UNITS * eps * (natural if size <= 4 * eps * natural else size)
    for move in range(MOVES):
        moved = {n: _cast(v, dtype) if move == 0 else _nudged(_cast(v, dtype), rng, eps) for n, v in arguments.items()}
        with np.errstate(all="ignore"):
            value, gradients = loss.definition_and_grad(**moved)
        lost = {"value": abs(float(value) - exact.value)}
        lost.update({f"grad {n}": _size(np.asarray(g, np.float64) - exact.gradients[n]) for n, g in gradients.items()})
        for part, error in lost.items():
            if np.isfinite(error):  # where the literal formula overflows, other moves or the least must do
                allowed[part] = max(allowed[part], SAFETY * error)
    return allowed


def compare(exact, outcome, allowed, with_gradients=True):
    """Compare an outcome with the expected one.

    Args:
        exact: the expected outcome. outcome: what was found; gradients that it does not have are not compared.
        allowed: from ``allowed_errors``. with_gradients: False at a kink, where any subgradient will do.
    Returns:
        Comparison, in units of the expected size: the largest element of a gradient; 1 where that is 0, or no larger
        than its own rounding.
    """
    parts = {"value": (outcome.value, np.asarray(exact.value))}
    for name, gradient in (outcome.gradients or {}).items():
        if with_gradients or not np.isfinite(gradient).all():
            parts[f"grad {name}"] = (gradient, exact.gradients.get(name, np.zeros_like(gradient)))
    errors, relative = {}, {}
    for part, (found, expected) in parts.items():
        size = _size(expected)
        size = size if size > allowed.get(part, 0.0) else 1.0
        error = _size(np.asarray(found) - expected)
        errors[part] = error / size if np.isfinite(error) else np.inf
        relative[part] = allowed.get(part, 0.0) / size
    return Comparison(errors, relative)


def _cast(value, dtype):
    return value.astype(dtype) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value


def _nudged(value, rng, eps):
    """Every floating-point element moved down, up or not at all by about one unit in its last place."""
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        return value
    return value * (1 + eps * rng.integers(-1, 2, value.shape)).astype(value.dtype)


def _size(array):
    return float(np.max(np.abs(array), initial=0.0))
