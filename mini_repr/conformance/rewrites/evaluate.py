"""Value and gradients of a formula, whatever a rewrite has made of it."""

import ast

import numpy as np

from mini_repr.autograd import Tensor, no_grad
from mini_repr.conformance.adapters import Outcome


def compiled(formula):
    """The function of a formula's tree; None where it is no program."""
    try:
        code = compile(ast.Module([formula.function], []), "rewritten", "exec")
        found = dict(formula.names)
        exec(code, found)
    except (SyntaxError, ValueError, TypeError, RecursionError):
        return None
    return found[formula.function.name]


def as_tensors(page, arguments, wanted=()):
    """Complete arguments as a definition takes them, those ``wanted`` with a gradient."""
    given = {}
    for name, value in arguments.items():
        array = isinstance(value, np.ndarray)
        if name in wanted:
            value = Tensor(np.asarray(value, dtype=np.float64), requires_grad=True)
        elif array and page.parameters[name].annotation.differentiable:
            value = Tensor(value.astype(np.float64, copy=False))
        if name != "tile":
            given[name] = value
    return given


def value_at(call, page, arguments):
    """One finite number, or None: rewritten code may do anything that code can do wrong."""
    try:
        with no_grad(), np.errstate(all="ignore"):
            value = _number(call(**as_tensors(page, arguments)))
    except Exception:
        return None
    return None if value is None else float(value.reshape(()))


def outcome_at(call, page, arguments, wanted):
    """Outcome with the gradients of the ``wanted`` arguments; None where there is no finite value."""
    given = as_tensors(page, arguments, wanted)
    try:
        with np.errstate(all="ignore"):
            output = call(**given)
            value = _number(output)
            if value is None:
                return None
            if output.requires_grad:
                output.backward(np.ones_like(value))
    except Exception:
        return None
    gradients = {n: np.zeros(np.shape(arguments[n])) if given[n].grad is None else given[n].grad for n in wanted}
    return Outcome(float(value.reshape(())), gradients, np.dtype("float64"))


def _number(tensor):
    """The array of a tensor that is one finite real number; else None."""
    value = np.asarray(tensor.data)
    usable = value.size == 1 and value.dtype.kind in "fiu" and np.isfinite(value).all()
    return value if usable else None
