"""Statistics of rows for those of columns: a name transposed in every use, with the two counts exchanged."""

import ast
import copy

from mini_repr.conformance.rewrites.kinds import kind_of
from mini_repr.conformance.rewrites.scope import Change, reduction_of


def transposed(node, scope):
    """The change of an expression of one array only, in which rows and columns are exchanged."""
    kind = kind_of(node)
    if kind.what != "tensor" or not isinstance(node, ast.BinOp | ast.Call) or not _has_statistics(node):
        return
    names = {n.id: n for n in ast.walk(node) if isinstance(n, ast.Name) and kind_of(n).shape}
    if len(names) != 1:
        return
    ((name, array),) = names.items()
    shape = kind_of(array).shape
    if kind_of(array).what != "tensor" or len(shape) != 2 or shape[0] == shape[1]:
        return
    new = _Exchanged(name, shape).visit(copy.deepcopy(node))
    if kind.shape == shape:
        new = ast.Attribute(new, "T", ast.Load())
    yield Change(f"rows for columns of {name}", new)


def _has_statistics(node):
    """Whether rows are reduced or multiplied with each other anywhere in it."""
    parts = list(ast.walk(node))
    return any(reduction_of(n) or (isinstance(n, ast.BinOp) and isinstance(n.op, ast.MatMult)) for n in parts)


class _Exchanged(ast.NodeTransformer):
    def __init__(self, name, shape):
        self.name = name
        self.shape = shape

    def visit_Name(self, node):
        array = ast.Name(self.name, ast.Load())
        if node.id == self.name:
            return ast.Attribute(array, "T", ast.Load())
        count = kind_of(node).value
        if isinstance(count, int) and count in self.shape:
            axis = 1 - self.shape.index(count)
            return ast.Subscript(ast.Attribute(array, "shape", ast.Load()), ast.Constant(axis), ast.Load())
        return node
