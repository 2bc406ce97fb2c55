"""Statistics along another axis: an array transposed, or as one long row, in every use within an expression.

One line seldom holds a statistic whole (a mean here, the mean square of what is centred there), so the names of a line
are put in first, until only the formula's arguments are left.
"""

import ast
import copy

from mini_repr.conformance.rewrites.kinds import kind_of
from mini_repr.conformance.rewrites.scope import Change, reduction_of


def other_axes(node):
    """The changes of an expression of one array only, in which other rows are reduced."""
    kind = kind_of(node)
    if kind.what != "tensor" or not isinstance(node, ast.BinOp | ast.Call) or not _has_statistics(node):
        return
    names = {n.id: n for n in ast.walk(node) if isinstance(n, ast.Name) and kind_of(n).shape}
    if len(names) != 1:
        return
    ((name, array),) = names.items()
    shape = kind_of(array).shape
    if kind_of(array).what != "tensor" or len(shape) < 2:
        return
    name = ast.Name(name, ast.Load())
    if len(shape) == 2 and shape[0] != shape[1]:
        turned = ast.Attribute(name, "T", ast.Load())
        counts = {shape[k]: ast.parse(f"{name.id}.shape[{1 - k}]", mode="eval").body for k in (0, 1)}
        new = _Exchanged(name.id, turned, counts).visit(copy.deepcopy(node))
        yield Change("rows for columns", ast.Attribute(new, "T", ast.Load()) if kind.shape == shape else new)
    if kind.shape == shape:
        for words, layout, reduced in (("row", "(1, -1)", shape[-1]), ("column", "(-1, 1)", shape[0])):
            flat = ast.parse(f"{name.id}.reshape{layout}", mode="eval").body
            counts = {reduced: ast.parse(f"{name.id}.size", mode="eval").body}
            new = _Exchanged(name.id, flat, counts).visit(copy.deepcopy(node))
            back = ast.parse(f"f.reshape(*{name.id}.shape)", mode="eval").body
            back.func.value = new
            yield Change(f"all elements as one {words}", back)


def _has_statistics(node):
    """Whether rows are reduced or multiplied with each other anywhere in it."""
    parts = list(ast.walk(node))
    return any(reduction_of(n) or (isinstance(n, ast.BinOp) and isinstance(n.op, ast.MatMult)) for n in parts)


class _Exchanged(ast.NodeTransformer):
    """``array`` takes the place of a name; ``counts`` {number: expression} that of the counts of its rows."""

    def __init__(self, name, array, counts):
        self.name = name
        self.array = array
        self.counts = counts

    def visit_Name(self, node):
        if node.id == self.name:
            return copy.deepcopy(self.array)
        return self._count(node)

    def visit_Subscript(self, node):
        return self._count(node) if kind_of(node).what == "number" else self.generic_visit(node)

    def _count(self, node):
        count = kind_of(node).value
        return copy.deepcopy(self.counts.get(count, node)) if isinstance(count, int) else node
