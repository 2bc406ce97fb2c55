"""What can be taken for something else: a function for its kin, an axis, an operator, an order, a name, a number."""

import ast

from mini_repr.conformance.rewrites.kinds import kind_of
from mini_repr.conformance.rewrites.scope import (
    REDUCTIONS,
    Change,
    axis_of,
    function_name,
    reduced_by,
    reduction_of,
    text_of,
)

# A function, and what is written in its place; X is what it is applied to.
KIN = {
    "softmax": {
        "log_softmax": "log_softmax(X)",
        "sigmoid": "sigmoid(X)",
        "softmax along the other axis": "softmax(X.T).T",
    },
    "log_softmax": {
        "softmax": "softmax(X)",
        "log_softmax after softmax": "log_softmax(softmax(X))",
        "the logarithm of a sigmoid": "-softplus(-X)",
        "log_softmax along the other axis": "log_softmax(X.T).T",
    },
    "relu": {"softplus": "softplus(X)", "a square of the hinge": "relu(X) ** 2", "absolute": "absolute(X)"},
    "softplus": {
        "relu": "relu(X)",
        "exp": "exp(X)",
        "sigmoid": "sigmoid(X)",
        "softplus of the negative": "softplus(-X)",
    },
    "sigmoid": {"softplus": "softplus(X)", "tanh": "tanh(X)"},
    "absolute": {"the square": "X * X", "relu": "relu(X)"},
    "sqrt": {"the square": "X * X"},
    "log": {"log1p": "log1p(X)", "the logarithm to base 2": "log(X) / np.log(2)"},
    "log1p": {"log": "log(X)"},
    "exp": {"softplus": "softplus(X)", "the square": "X * X"},
    "cholesky": {
        "the symmetric root (ZCA)": "(eigh(X)[1] * sqrt(eigh(X)[0])) @ eigh(X)[1].T",
        "the eigenvectors and roots of eigenvalues (PCA)": "eigh(X)[1] * sqrt(eigh(X)[0])",
    },
    "off_diagonal": {"diagonal": "diagonal(X)"},
    "unit_rows": {
        "division of columns by their lengths": "X / sqrt((X * X).sum(axis=0, keepdims=True))",
        "division by the length of the whole matrix": "X / sqrt((X * X).sum())",
        "division by the sum of absolute values": "X / absolute(X).sum(axis=-1, keepdims=True)",
        "division by the squared length": "X / (X * X).sum(axis=-1, keepdims=True)",
        "unit_rows of centred rows": "unit_rows(X - X.mean(axis=-1, keepdims=True))",
        "softmax": "softmax(X)",
        "division by lengths that receive no gradient": "X / stop_gradient(sqrt((X * X).sum(axis=-1, keepdims=True)))",
    },
}
OPERATORS = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div, ast.Add),
    ast.Div: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
}
SYMBOLS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.BitAnd: "&", ast.BitOr: "|"}
COMPARISONS = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq, ast.Lt),
}
COMPARISON_SYMBOLS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
ELEMENTWISE = ("exp", "log", "sqrt", "relu", "softplus", "absolute", "sigmoid", "log1p")


def exchanged(node, scope):
    """Changes that put something of the same sort in the place of an expression or of a part of it."""
    if isinstance(node, ast.Call):
        yield from _kin(node, scope)
        yield from _reductions(node, scope)
        yield from _choices(node)
    if isinstance(node, ast.BinOp) and kind_of(node).counts:
        yield from _operators(node, scope)
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARISONS:
        for other in COMPARISONS[type(node.ops[0])]:
            symbols = COMPARISON_SYMBOLS[other], COMPARISON_SYMBOLS[type(node.ops[0])]
            yield Change(f"{symbols[0]} in place of {symbols[1]}", ast.Compare(node.left, [other()], node.comparators))
    if isinstance(node, ast.Name):
        yield from _names(node, scope)
    if isinstance(node, ast.Constant) and kind_of(node).what == "number":
        yield from _constants(node)
    elif kind_of(node).what == "number":
        for change in ("X - 1", "X + 1"):
            rule = f"{change.replace('X', text_of(node))} in place of {text_of(node)}"
            yield Change(rule, scope.made(change, X=node))


def _kin(node, scope):
    name = function_name(node)
    if kind_of(node).what == "tensor" and len(node.args) == 1:
        for words, template in KIN.get(name, {}).items():
            yield Change(f"{words} in place of {name}", scope.made(template, X=node.args[0]))
    if name in ("maximum", "minimum"):
        other = "minimum" if name == "maximum" else "maximum"
        yield Change(f"{other} in place of {name}", ast.Call(scope.operation(other), node.args, node.keywords))
    if name in ELEMENTWISE and len(node.args) == 1:
        yield from _other_order(node, scope)


def _other_order(node, scope):
    """The function of a reduction for the reduction of the function; a term moved out of the function."""
    name, inner = function_name(node), node.args[0]
    found = reduction_of(inner)
    if found:
        reduction, over, keywords = found
        new = reduced_by(scope, reduction, scope.call(name, over), keywords)
        yield Change(f"{name} before {reduction}, not after", new)
    if isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Add | ast.Sub):
        for moved, kept in ((inner.right, inner.left), (inner.left, inner.right)):
            new = ast.BinOp(scope.call(name, kept), inner.op, moved)
            yield Change(f"{text_of(moved)} outside {name}, not inside", new)


def _reductions(node, scope):
    found = reduction_of(node)
    if not found or kind_of(node).what not in ("tensor", "array"):
        return
    name, over, keywords = found
    tensor = kind_of(node).what == "tensor"
    for other in REDUCTIONS:
        if other != name and (tensor or other != "logsumexp"):
            yield Change(f"{other} in place of {name}", reduced_by(scope, other, over, keywords))
    shape = kind_of(over).shape
    axis = axis_of(keywords)
    rest = [k for k in keywords if k.arg != "axis"]
    for other in (None, *range(len(shape))):
        if other != axis and not (isinstance(axis, int) and other == axis % len(shape)):
            keyword = [] if other is None else [ast.keyword("axis", ast.Constant(other))]
            where = "all elements" if other is None else f"axis {other}"
            yield Change(f"{name} over {where}", reduced_by(scope, name, over, [*keyword, *rest]))
    if name == "mean" and tensor:
        count = f"X.shape[{axis}]" if isinstance(axis, int) else "X.size"
        total = reduced_by(scope, "sum", over, keywords)
        yield Change("the mean divides by N - 1", scope.made(f"T / ({count} - 1)", T=total, X=over))
    if name == "logsumexp":
        yield Change("logsumexp of the mean, not the sum", scope.made(f"Y - np.log({_count(axis)})", Y=node, X=over))
    if name in ("logsumexp", "max", "min") and axis is None and len(shape) == 2:
        by_rows = reduced_by(scope, name, over, [ast.keyword("axis", ast.Constant(1))])
        yield Change(f"{name} by rows, then their mean", scope.made("Y.mean()", Y=by_rows))
    inner = function_name(over)
    if inner in ELEMENTWISE and tensor:
        new = scope.call(inner, reduced_by(scope, name, over.args[0], keywords))
        yield Change(f"{inner} after {name}, not before", new)


def _count(axis):
    return f"X.shape[{axis}]" if isinstance(axis, int) else "X.size"


def _choices(node):
    """The farthest for the nearest, with the filling that goes with it."""
    name = function_name(node)
    if name not in ("argmax", "argmin") or function_name(node.args[0]) != "where":
        return
    inner = node.args[0]
    other, filling = ("argmin", "np.inf") if name == "argmax" else ("argmax", "-np.inf")
    filled = ast.Call(inner.func, [*inner.args[:2], ast.parse(filling, mode="eval").body], inner.keywords)
    function = ast.Attribute(node.func.value, other, ast.Load())
    yield Change(f"{other} in place of {name}", ast.Call(function, [filled, *node.args[1:]], node.keywords))


def _operators(node, scope):
    for other in OPERATORS.get(type(node.op), ()):
        yield Change(
            f"{SYMBOLS[other]} in place of {SYMBOLS[type(node.op)]}", ast.BinOp(node.left, other(), node.right)
        )
    if isinstance(node.op, ast.Sub | ast.Div | ast.MatMult):
        yield Change("the two sides exchanged", ast.BinOp(node.right, node.op, node.left))
    if isinstance(node.op, ast.MatMult):
        yield from _products(node, scope)
    squared = ast.unparse(node.left) == ast.unparse(node.right) if isinstance(node.op, ast.Mult) else False
    if isinstance(node.op, ast.Pow) and isinstance(node.right, ast.Constant):
        squared = node.right.value == 2
    if squared and kind_of(node).what == "tensor":
        yield Change("the absolute value in place of the square", scope.made("absolute(X)", X=node.left))
    if isinstance(node.op, ast.Add | ast.Sub):
        yield from _brackets(node, scope)


def _products(node, scope):
    """Products of transposed sides: rows for columns."""
    left, right = node.left, node.right
    sides = {"X": left, "Y": right}
    for template in ("X.T @ Y", "X @ Y.T", "X.T @ Y.T"):
        yield Change("another side transposed", scope.made(template, **sides))
    if isinstance(left, ast.Attribute) and left.attr == "T":
        yield Change("rows for columns in the product", scope.made("X @ Y.T", X=left.value, Y=right))
    if isinstance(right, ast.Attribute) and right.attr == "T":
        yield Change("columns for rows in the product", scope.made("X.T @ Y", X=left, Y=right.value))
        if len(kind_of(left).shape) == 2:
            distances = "((X[:, None, :] - Y[None, :, :]) ** 2).sum(axis=2)"
            yield Change("squared distances in place of the product", scope.made(distances, X=left, Y=right.value))
            yield Change(
                "minus squared distances in place of the product", scope.made(f"-{distances}", X=left, Y=right.value)
            )


def _brackets(node, scope):
    """A factor or divisor of one term over both."""
    for own, other in ((node.left, node.right), (node.right, node.left)):
        if isinstance(own, ast.BinOp) and isinstance(own.op, ast.Mult | ast.Div) and kind_of(own).what == "tensor":
            inner = (own.left, other) if own is node.left else (other, own.left)
            both = ast.BinOp(inner[0], node.op, inner[1])
            yield Change(f"{text_of(own.right)} over both terms", ast.BinOp(both, own.op, own.right))
            if isinstance(own.op, ast.Mult):
                inner = (own.right, other) if own is node.left else (other, own.right)
                both = ast.BinOp(inner[0], node.op, inner[1])
                yield Change(f"{text_of(own.left)} over both terms", ast.BinOp(own.left, own.op, both))


def _names(node, scope):
    kind = kind_of(node)
    if not kind.counts:
        return
    for other, its in scope.kinds.items():
        alike = its.shape == kind.shape and (its.what == kind.what or "number" not in (its.what, kind.what))
        if other != node.id and alike:
            yield Change(f"{other} in place of {node.id}", ast.Name(other, ast.Load()))


def _constants(node):
    value = node.value
    others = (
        {value + 1, value - 1, -value, 2 * value, value / 2}
        if isinstance(value, int)
        else {2 * value, value / 2, -value}
    )
    for other in sorted(others - {value}):
        yield Change(f"{other:g} in place of {value:g}", ast.Constant(other))
