"""What can stand elsewhere, or be done in another order: a mean in a logarithm, a mask in a function, centring."""

import ast

from mini_repr.conformance.rewrites.kinds import kind_of
from mini_repr.conformance.rewrites.scope import Change, function_name, reduction_of, text_of, with_keywords

# f of what is masked is not what is masked of f: e^0 is 1.
ROW_FUNCTIONS = ("softmax", "log_softmax", "unit_rows")
FUNCTIONS = ("exp", "softplus", "sigmoid", "log1p", "relu", "absolute")


def moved(node, scope):
    """Changes of the order in which things are done, or of where something is done."""
    if kind_of(node).what != "tensor" and not isinstance(node, ast.BinOp):
        return
    if isinstance(node, ast.Call):
        yield from _of_sums(node, scope)
        yield from _of_mean(node, scope)
        yield from _of_filling(node, scope)
        if function_name(node) in FUNCTIONS and len(node.args) == 1 and kind_of(node.args[0]).shape:
            words = f"0 in place of {text_of(node.args[0])} in {function_name(node)}"
            yield Change(words, scope.call(function_name(node), scope.made("0 * X", X=node.args[0])))
        yield from _of_choice(node)
    if isinstance(node, ast.Subscript):
        yield from _of_index(node, scope)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        yield from _of_masks(node, scope)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div):
        yield from _of_brackets(node)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        yield from _of_counts(node, scope)
    if isinstance(node, ast.BinOp) and kind_of(node).what == "tensor":
        yield from _of_broadcast(node, scope)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        yield from _of_centring(node, scope)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
        yield from _of_signs(node, scope)


def _of_mean(node, scope):
    """The logarithm of a mean for the mean of logarithms; the mean over what is above 0 only."""
    found = reduction_of(node)
    if not found or found[0] != "mean":
        return
    _, over, keywords = found
    for words, template in {
        "the logarithm of the mean of exponentials in place of the mean": "log(exp(X).mean(KEYWORDS))",
        "the mean inside the logarithm: -log mean exp(-x) in place of the mean": "-log(exp(-X).mean(KEYWORDS))",
    }.items():
        yield Change(words, with_keywords(scope, template, keywords, X=over))
    if not keywords:
        above = "X.sum() / np.maximum((X.data > 0).sum(), 1)"
        yield Change("the mean over what is above 0 only", scope.made(above, X=over))


def _of_filling(node, scope):
    """What a mask excludes counts as 0, or as a large negative number, and not as minus infinity."""
    if function_name(node) != "where" or len(node.args) != 3 or kind_of(node.args[0]).what != "mask":
        return
    mask, kept, filling = node.args
    for one, other, condition in ((kept, filling, "M"), (filling, kept, "~M")):
        if kind_of(one).what == "tensor" and kind_of(other).what == "number":
            words = f"what is outside {text_of(mask) if condition == 'M' else '~' + text_of(mask)} counts as 0"
            yield Change(words, scope.made(f"X * ({condition})", X=one, M=mask))


def _of_masks(node, scope):
    """The mask inside the function; a mask of 1 and -1 for one of 1 and 0."""
    for one, mask in ((node.left, node.right), (node.right, node.left)):
        if kind_of(mask).what != "mask" or kind_of(one).what != "tensor":
            continue
        name = function_name(one)
        if name and len(one.args) == 1:
            words = f"{text_of(mask)} inside {name}, not outside"
            yield Change(words, scope.call(name, scope.made("X * M", X=one.args[0], M=mask)))
        squared = isinstance(one, ast.BinOp) and isinstance(one.op, ast.Pow)
        if squared:
            yield Change(
                f"{text_of(mask)} inside the power, not outside",
                ast.BinOp(scope.made("X * M", X=one.left, M=mask), one.op, one.right),
            )
        yield Change(f"{text_of(mask)} counts as 1 and -1, not 1 and 0", scope.made("X * (2 * M - 1)", X=one, M=mask))


def _of_counts(node, scope):
    """The mean over all for a sum over a count."""
    found = reduction_of(node.left)
    if found and found[0] == "sum" and kind_of(node).what == "tensor":
        mean = with_keywords(scope, "X.mean(KEYWORDS)", found[2], X=found[1])
        yield Change("the mean over all in place of sum / count", mean)


def _of_centring(node, scope):
    """A second moment for a covariance: columns centred in X.T @ Y, and divided by N - 1."""
    left, right = node.left, node.right
    if not (isinstance(left, ast.Attribute) and left.attr == "T" and len(kind_of(right).shape) == 2):
        return
    sides = {"X": left.value, "Y": right}
    if kind_of(node).what != "tensor":
        return
    centred = "(X - X.mean(axis=0)).T @ (Y - Y.mean(axis=0))"
    yield Change("both factors centred by columns", scope.made(centred, **sides))
    unbiased = f"{centred} * (X.shape[0] / (X.shape[0] - 1))"
    yield Change("both factors centred by columns and N - 1 for N", scope.made(unbiased, **sides))
    rows = "(X - X.mean(axis=1, keepdims=True)).T @ (Y - Y.mean(axis=1, keepdims=True))"
    yield Change("both factors centred by rows", scope.made(rows, **sides))


def _of_sums(node, scope):
    """A function of both terms added, not of their sum; a distance for a product of rows, and the reverse."""
    name = function_name(node)
    inner = node.args[0] if name in FUNCTIONS and len(node.args) == 1 else None
    if isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Add | ast.Sub):
        parts = [scope.call(name, part) for part in (inner.left, inner.right)]
        yield Change(f"{name} of each term, not of both", ast.BinOp(parts[0], inner.op, parts[1]))
    found = reduction_of(node)
    if not found or found[0] != "sum" or not isinstance(found[1], ast.BinOp):
        return
    over = found[1]
    if isinstance(over.op, ast.Pow) and isinstance(over.left, ast.BinOp) and isinstance(over.left.op, ast.Sub):
        sides = {"X": over.left.left, "Y": over.left.right}
        product = with_keywords(scope, "-(X * Y).sum(KEYWORDS)", found[2], **sides)
        yield Change("minus the product in place of the squared distance", product)
    if isinstance(over.op, ast.Mult):
        sides = {"X": over.left, "Y": over.right}
        for side in "XY":
            square = with_keywords(scope, f"({side} * {side}).sum(KEYWORDS)", found[2], **sides)
            yield Change(f"the square of {text_of(sides[side])} in place of the product", square)


def _of_choice(node):
    """A function of rows before some of their columns are chosen, not after."""
    name, chosen = function_name(node), node.args[0] if node.args else None
    if name in ROW_FUNCTIONS and isinstance(chosen, ast.Subscript) and kind_of(chosen.value).what == "tensor":
        whole = ast.Call(node.func, [chosen.value], node.keywords)
        yield Change(f"{name} before the choice of columns, not after", ast.Subscript(whole, chosen.slice, chosen.ctx))


def _of_index(node, scope):
    """Number 0 of each row, whatever the index says."""
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    for place, part in enumerate(parts):
        if isinstance(part, ast.Name) and kind_of(part).what == "array":
            index = [*parts[:place], scope.made("0 * X", X=part), *parts[place + 1 :]]
            slices = ast.Tuple(index, ast.Load()) if isinstance(node.slice, ast.Tuple) else index[0]
            where = f" at place {place + 1} of the index" if len(parts) > 1 else ""
            yield Change(f"0 in place of {part.id}{where}", ast.Subscript(node.value, slices, node.ctx))


def _of_brackets(node):
    """A factor or divisor of one term only, where the formula has it over both."""
    sides = [(node.left, node.right, False)]
    if isinstance(node.op, ast.Mult):
        sides.append((node.right, node.left, True))
    for both, factor, first in sides:
        if not (isinstance(both, ast.BinOp) and isinstance(both.op, ast.Add | ast.Sub)):
            continue
        for kept, own in ((both.left, both.right), (both.right, both.left)):
            scaled = ast.BinOp(factor, node.op, own) if first else ast.BinOp(own, node.op, factor)
            pair = (kept, scaled) if kept is both.left else (scaled, kept)
            yield Change(f"{text_of(factor)} not over {text_of(kept)}", ast.BinOp(pair[0], both.op, pair[1]))


def _of_broadcast(node, scope):
    """Two columns of numbers, of which one lies across: each is taken with each."""
    kinds = kind_of(node.left), kind_of(node.right)
    if all(k.what == "tensor" and len(k.shape) == 1 for k in kinds) and kinds[0].shape == kinds[1].shape:
        upright = scope.made("X.reshape(-1, 1)", X=node.left)
        yield Change("each row with each, by broadcasting", ast.BinOp(upright, node.op, node.right))


def _of_signs(node, scope):
    """2 M - 1 is 1 and -1; the mask alone is 1 and 0."""
    one = isinstance(node.right, ast.Constant) and node.right.value == 1
    twice = isinstance(node.left, ast.BinOp) and isinstance(node.left.op, ast.Mult)
    if one and twice and isinstance(node.left.left, ast.Constant) and node.left.left.value == 2:
        mask = node.left.right
        if kind_of(mask).what in ("mask", "array"):
            yield Change(f"{text_of(mask)} counts as 1 and 0, not 1 and -1", scope.made("1.0 * M", M=mask))
