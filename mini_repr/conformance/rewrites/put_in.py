"""What can be put in where the formula has nothing: a function, a stop-gradient, an epsilon, a setting."""

import ast

from mini_repr.conformance.rewrites.kinds import kind_of
from mini_repr.conformance.rewrites.scope import Change, function_name, text_of

EPSILONS = ("1e-12", "1e-10", "1e-9", "1e-8", "1e-7", "1e-6", "1e-5", "1e-4", "1e-3")
ON_ANY = {
    "a stop-gradient is put around {}": "stop_gradient(X)",
    "relu of {}": "relu(X)",
    "the square of {}": "X * X",
    # Where it is 0 the root has no gradient that a mask could take out again.
    "the root of {}": "where(X.data > 0, sqrt(where(X.data > 0, X, 1)), 0)",
    "exp of {}": "exp(X)",
    "log of {}": "log(X)",
    "the absolute value of {}": "absolute(X)",
    "the sign of {} changed": "-X",
}
ON_ROWS = {
    "unit rows of {}": "unit_rows(X)",
    "{} centred by columns": "X - X.mean(axis=0)",
    "softmax of {}": "softmax(X)",
    "log_softmax of {}": "log_softmax(X)",
}
ON_SQUARES = {
    "{} transposed": "X.T",
    "the diagonal of {} left out": "off_diagonal(X)",
}
ON_SETTINGS = {
    "the root of {}": "S**0.5",
    "the square of {}": "S * S",
    "one over {}": "1 / S",
    "twice {}": "2 * S",
    "half of {}": "S / 2",
}
ON_LENGTHS = {
    "{eps} is added to the lengths": "X / (sqrt((X * X).sum(axis=-1, keepdims=True)) + {eps})",
    "{eps} is added inside the root of the lengths": "X / sqrt((X * X).sum(axis=-1, keepdims=True) + {eps})",
}


def put_in(node, scope):
    """Changes that wrap an expression."""
    kind = kind_of(node)
    if isinstance(node, ast.Name) and node.id in scope.settings:
        for words, template in ON_SETTINGS.items():
            yield Change(words.format(node.id), scope.made(template, S=node))
    if kind.what != "tensor":
        return
    if not isinstance(node, ast.Constant):
        for words, template in ON_ANY.items():
            yield Change(words.format(text_of(node)), scope.made(template, X=node))
    if len(kind.shape) == 2:
        for words, template in (ON_ROWS | (ON_SQUARES if kind.square else {})).items():
            yield Change(words.format(text_of(node)), scope.made(template, X=node))
    for setting in scope.settings:
        for words, template in (("divided by", "X / S"), ("multiplied by", "X * S")):
            new = scope.made(template, X=node, S=ast.Name(setting, ast.Load()))
            yield Change(f"{text_of(node)} is {words} {setting}", new)
    name = function_name(node)
    if name == "unit_rows":
        for words, template in ON_LENGTHS.items():
            for eps in EPSILONS:
                yield Change(words.format(eps=eps), scope.made(template.format(eps=eps), X=node.args[0]))
    if name in ("sqrt", "log"):
        for eps in EPSILONS:
            new = scope.call(name, scope.made(f"X + {eps}", X=node.args[0]))
            yield Change(f"{eps} is added inside {name}", new)
            yield Change(f"{eps} is added to {name}", scope.made(f"X + {eps}", X=node))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and kind_of(node.right).what != "number":
        for eps in EPSILONS:
            yield Change(f"{eps} is added to the divisor", scope.made(f"X / (Y + {eps})", X=node.left, Y=node.right))
