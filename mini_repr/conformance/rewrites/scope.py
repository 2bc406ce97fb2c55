"""Where a rewrite happens: what names mean there, and new parts made from templates."""

import ast
import copy
import functools
from typing import NamedTuple

import numpy as np

from mini_repr import autograd
from mini_repr.conformance.rewrites.kinds import kind_of

REDUCTIONS = ("sum", "mean", "max", "min", "logsumexp")


class Change(NamedTuple):
    """``rule``: what is done, in words that several places can share; ``node`` takes the place of the old part."""

    rule: str
    node: ast.expr


class Scope:
    """The names of one function of a formula, with their kinds, and the engine's operations under names that are free.

    Args:
        function: the tree of the definition or of a helper in it. names: the formula's globals, which are completed.
        settings: names of the page's settings that are numbers.
    """

    def __init__(self, function, names, settings=()):
        self.kinds = {}
        local = {a.arg for a in function.args.args}
        for node in ast.walk(function):
            if isinstance(node, ast.Name):
                if isinstance(node.ctx, ast.Store):
                    local.add(node.id)
                elif kind_of(node).counts:
                    self.kinds.setdefault(node.id, kind_of(node))
        self.settings = [n for n in settings if n in self.kinds]
        self.taken = local
        self.names = names
        self.names.update(engine=autograd, np=np)

    def made(self, template, **parts):
        """The expression of a template such as ``"X / sqrt(X)"``; capital letters stand for the ``parts``."""
        return _Filled(self, parts).visit(copy.deepcopy(_parsed(template)))

    def operation(self, name):
        """A node for an operation of the engine."""
        own = getattr(autograd, name)
        if name not in self.taken and self.names.setdefault(name, own) is own:
            return ast.Name(name, ast.Load())
        return ast.Attribute(ast.Name("engine", ast.Load()), name, ast.Load())

    def call(self, name, node, rest=(), keywords=()):
        return ast.Call(self.operation(name), [node, *rest], list(keywords))


class _Filled(ast.NodeTransformer):
    def __init__(self, scope, parts):
        self.scope = scope
        self.parts = parts

    def visit_Name(self, node):
        if node.id in self.parts:
            return self.parts[node.id]
        if node.id in ("np", "len") or not hasattr(autograd, node.id):
            return node
        return self.scope.operation(node.id)


@functools.cache
def _parsed(template):
    return ast.parse(template, mode="eval").body


def function_name(node):
    """``f`` of a call ``f(x)`` or ``module.f(x)``; None for a method or another expression."""
    if not isinstance(node, ast.Call):
        return None
    if isinstance(node.func, ast.Name):
        return node.func.id
    module = isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name)
    return node.func.attr if module and node.func.value.id in ("xp", "engine", "np", "math") else None


def method_name(node):
    """``f`` of a call ``x.f()`` of something that one can compute with."""
    method = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and kind_of(node.func.value).counts
    return node.func.attr if method else None


def reduction_of(node):
    """(name, what is reduced, keywords) of ``x.sum(axis=1)`` or ``logsumexp(x, axis=1)``, or None."""
    if method_name(node) in REDUCTIONS:
        return node.func.attr, node.func.value, node.keywords
    if function_name(node) in REDUCTIONS and len(node.args) == 1 and kind_of(node.args[0]).shape:
        return function_name(node), node.args[0], node.keywords
    return None


def reduced_by(scope, name, node, keywords):
    """The reduction ``name`` of a node."""
    if name == "logsumexp":
        return scope.call(name, node, keywords=keywords)
    return ast.Call(ast.Attribute(node, name, ast.Load()), [], list(keywords))


def with_keywords(scope, template, keywords, **parts):
    """As ``Scope.made`` of a template in which reductions are written ``x.sum(KEYWORDS)``."""
    new = scope.made(template.replace("KEYWORDS", "axis=None"), **parts)
    old = {id(k) for part in parts.values() for n in ast.walk(part) if isinstance(n, ast.Call) for k in n.keywords}
    for call in [n for n in ast.walk(new) if isinstance(n, ast.Call) and n.keywords]:
        if call.keywords[0].arg == "axis" and id(call.keywords[0]) not in old:
            call.keywords = list(keywords)
    return new


def axis_of(keywords):
    """The axis among keywords as a whole number, or None."""
    found = next((k.value for k in keywords if k.arg == "axis"), None)
    try:
        return ast.literal_eval(found) if found is not None else None
    except ValueError:
        return None


def text_of(node, longest=40):
    """A part in code, shortened in the middle."""
    text = ast.unparse(node)
    return text if len(text) <= longest else f"{text[: longest - 12]} ... {text[-7:]}"
