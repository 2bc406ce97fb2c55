"""What each part of a formula is: seen by running it once with every expression watched."""

import ast
import copy
from typing import NamedTuple

import numpy as np

from mini_repr.autograd import Tensor, no_grad
from mini_repr.conformance.rewrites.evaluate import as_tensors, compiled


class Kind(NamedTuple):
    """``what``: tensor, mask, array, number or other; ``shape`` of arrays, () for numbers; ``value`` of a number."""

    what: str
    shape: tuple
    value: int | float | None = None

    @property
    def counts(self):
        """Whether one can compute with it."""
        return self.what != "other"

    @property
    def square(self):
        return len(self.shape) == 2 and self.shape[0] == self.shape[1] > 1


OTHER = Kind("other", ())


def kind_of(node):
    """The kind of an expression that ``observe`` has seen."""
    return getattr(node, "seen", OTHER)


def observe(formula, arguments):
    """Give every expression of the formula that runs at these complete arguments its kind.

    Raises:
        Exception: whatever the formula itself raises there.
    """
    seen = {}
    nodes = list(ast.walk(formula.function))
    for number, node in enumerate(nodes):
        node.number = number
    watched = _Watched().visit(copy.deepcopy(formula.function))

    def see(number, value):
        seen.setdefault(number, value)
        return value

    with no_grad():
        watched = formula._replace(function=ast.fix_missing_locations(watched), names={**formula.names, "_see": see})
        compiled(watched)(**as_tensors(formula.page, arguments))
    for number, value in seen.items():
        nodes[number].seen = _kind(value)


def _kind(value):
    if isinstance(value, Tensor):
        return Kind("tensor", value.shape)
    if isinstance(value, np.ndarray | np.generic) and np.ndim(value):
        return Kind("mask" if value.dtype == bool else "array", value.shape)
    if isinstance(value, int | float | np.number) and not isinstance(value, bool):
        return Kind("number", (), value)
    return OTHER


class _Watched(ast.NodeTransformer):
    """Every expression that is read becomes ``_see(its number, expression)``."""

    def generic_visit(self, node):
        watch = isinstance(node, ast.expr) and isinstance(getattr(node, "ctx", ast.Load()), ast.Load)
        watch = watch and not isinstance(node, ast.Starred | ast.Slice | ast.Lambda)
        return _watching(super().generic_visit(node)) if watch else super().generic_visit(node)

    def visit_Subscript(self, node):
        """What stands between the brackets may be no expression."""
        if isinstance(node.ctx, ast.Store):
            return node
        node.value = self.visit(node.value)
        if not any(isinstance(n, ast.Slice) for n in ast.walk(node.slice)):
            node.slice = self.visit(node.slice)
        return _watching(node)


def _watching(node):
    return ast.Call(ast.Name("_see", ast.Load()), [ast.Constant(node.number), node], [])
