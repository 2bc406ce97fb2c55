"""What can be left out of a formula: a call, a side of an operator, a sign, a transposition, one of several parts."""

import ast

from mini_repr.conformance.rewrites.kinds import kind_of
from mini_repr.conformance.rewrites.scope import Change, function_name, text_of

WORDS = {
    ast.Add: "the term",
    ast.Sub: "the term",
    ast.Mult: "the factor",
    ast.Div: "the division by",
    ast.Pow: "the power",
    ast.BitAnd: "the condition",
    ast.BitOr: "the condition",
    ast.FloorDiv: "the division by",
}


def left_out(node, scope):
    """Changes that leave something out of an expression."""
    if isinstance(node, ast.Call):
        yield from _of_call(node)
    if isinstance(node, ast.Subscript) and kind_of(node).counts:
        yield from _on_arrays(node)
    if isinstance(node, ast.UnaryOp) and kind_of(node).counts:
        yield Change("the sign is left out" if isinstance(node.op, ast.USub) else "~ is left out", node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in WORDS and kind_of(node).counts:
        yield from _of_operator(node)
    if isinstance(node, ast.Attribute) and node.attr == "T" and kind_of(node).square:
        yield Change(f"the transposition of {text_of(node.value)} is left out", node.value)


def _of_call(node):
    name = function_name(node)
    if name is None or not node.args:
        return
    parts = [a for a in node.args if kind_of(a).counts]
    if name in ("concatenate", "stack"):
        for k, part in enumerate(parts if len(parts) > 1 else ()):
            kept = [a for a in node.args if a is not node.args[k]]
            yield Change(f"{text_of(part)} is left out", ast.Call(node.func, kept, node.keywords))
    elif name == "where" and len(node.args) == 3:
        yield Change("where is left out", node.args[1])
    elif name in ("maximum", "minimum", "max", "min") and len(parts) == 2:
        for part in parts:
            rest = next((p for p in parts if p is not part), part)
            yield Change(f"{text_of(part)} alone, {name} with {text_of(rest)} left out", part)
    elif len(parts) == 1 and kind_of(node).counts and (kind_of(node).shape or not kind_of(parts[0]).shape):
        yield Change(f"{name} is left out", parts[0])


def _on_arrays(node):
    """``f.on_arrays(x)[0]``: an operation of the engine on what is no tensor."""
    call = node.value
    on_arrays = isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "on_arrays"
    if on_arrays and isinstance(call.func.value, ast.Name):
        yield Change(f"{call.func.value.id} is left out", call.args[0])


def _of_operator(node):
    words = WORDS[type(node.op)]
    yield Change(f"{words} {text_of(node.right)} is left out", node.left)
    if isinstance(node.op, ast.Sub):
        yield Change(f"{words} {text_of(node.left)} is left out", ast.UnaryOp(ast.USub(), node.right))
    if isinstance(node.op, ast.Add | ast.Sub | ast.Mult | ast.BitAnd | ast.BitOr):
        yield Change(f"{words} {text_of(node.left)} is left out", node.right)
