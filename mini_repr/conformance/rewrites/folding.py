"""The formula of a page under fixed settings, as a syntax tree.

Words, flags and arrays that are left out are put in, branches that are never taken are cut, choices from a dictionary
are made, comprehensions over a few names are written out, and helpers are opened: ``reduced(x, "mean")`` becomes
``x.mean()``. What remains is what these settings compute, so that every change of it is a change of the loss.
"""

import ast
import builtins
import copy
import inspect
import itertools
import textwrap
import types
from typing import NamedTuple

WORDS = str | bool | None


class Formula(NamedTuple):
    """``function``: the tree of a function of the page's arguments; ``names``: what it finds among its globals.

    ``is_definition``: or else it is the page's loss as public code writes it.
    """

    page: object
    function: ast.FunctionDef
    names: dict
    is_definition: bool = True

    @property
    def called(self):
        """Names of what it calls."""
        calls = (n.func for n in ast.walk(self.function) if isinstance(n, ast.Call))
        return {f.id for f in calls if isinstance(f, ast.Name)}


def formula_of(page, arguments, opened=False, written=None):
    """The formula of a page at complete ``arguments`` {name: value}.

    Args:
        written: another function that is the page's loss, see ``as_written``; by default its definition.
        opened: every call of a helper has its own copy of the helper's lines; else helpers stay functions, and a
            change of one shows wherever it is called.
    Raises:
        TypeError: the page has no definition.
    """
    if page.literal is None:
        raise TypeError(f"{page.name}: the page has no definition")
    literal = written or page.literal
    names = dict(literal.__globals__)
    tree = _tree_of(literal)
    words = {n: ast.Constant(v) for n, v in arguments.items() if isinstance(v, WORDS) and n != "tile"}
    helpers = {n: h for n, h in names.items() if _is_helper(h, literal)}
    folder = _Folder(names, {n: _tree_of(h) for n, h in helpers.items()}, opened)
    folder.taken.update(p.arg for p in tree.args.args)
    counts = {n: v for n, v in arguments.items() if isinstance(v, int) and not isinstance(v, bool)}
    body = folder.block(tree.body, _Known(words, {}, {}, counts, {}))
    tree.body = [*folder.kept.values(), *body]
    tree.body = _without_unused(tree.body)
    # Read again from its text: no part stands at two places, and all have a line.
    return Formula(page, ast.parse(ast.unparse(ast.fix_missing_locations(tree))).body[0], names, written is None)


def _tree_of(function):
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    tree.decorator_list = []
    return tree


def _is_helper(thing, literal):
    """A function in plain Python that stands beside the formula, or reduces its rows."""
    own = isinstance(thing, types.FunctionType) and thing.__module__ in (literal.__module__, "mini_repr.pages.rows")
    return own and thing is not literal and not hasattr(thing, "on_arrays")


def _without_unused(body):
    """The lines without helpers that are not called and names that are not read any more."""
    loaded = {n.id for s in body for n in ast.walk(s) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    used = []
    for statement in body:
        if isinstance(statement, ast.FunctionDef):
            statement.body = _without_unused_names(statement.body, loaded)
        used += [statement] if not isinstance(statement, ast.FunctionDef) or statement.name in loaded else []
    return _without_unused_names(used, loaded)


def _without_unused_names(body, loaded):
    def unused(statement):
        target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        return isinstance(target, ast.Name) and target.id not in loaded

    return [s for s in body if not unused(s)]


class _Known(NamedTuple):
    """What is known of names at one place."""

    words: dict  # {name: Constant}: strings, flags, None
    literals: dict  # {name: List or Tuple written out}
    functions: dict  # {name: FunctionDef of a local helper}
    counts: dict  # {name: int}: settings that are whole numbers, which decide branches
    perhaps_none: dict  # {name: True}: arguments of helpers that stay functions

    def inner(self, forgotten=()):
        """A copy for a block of its own."""
        inner = _Known(*(dict(table) for table in self))
        inner.forget(forgotten)
        return inner

    def forget(self, names):
        for name in names:
            for table in self:
                table.pop(name, None)


class _Folder(ast.NodeTransformer):
    """Folds blocks of statements; lines of opened helpers wait in ``pending`` for the statement that needs them."""

    def __init__(self, names, helpers, opened):
        self.names = names
        self.helpers = helpers
        self.opened = opened
        self.taken = set()  # names in use, for fresh ones
        self.kept = {}  # helpers of the module that stay functions
        self.known = None
        self.pending = []
        self.conditional = 0  # depth of expressions that may not run, out of which no line can be moved

    # Statements.

    def block(self, statements, known):
        """The folded statements, up to the first return."""
        outer, self.known = self.known, known
        found = []
        for statement in statements:
            found += self._statement(statement)
            if found and isinstance(found[-1], ast.Return):
                break
        self.known = outer
        return found

    def _statement(self, statement):
        if isinstance(statement, ast.If):
            return self._if(statement)
        if isinstance(statement, ast.FunctionDef):
            return self._helper(statement)
        if isinstance(statement, ast.For):
            statement.iter = self._expression(statement.iter)
            lines = self._flush()
            statement.body = self._nested(statement.body)
            return [*lines, statement]
        if isinstance(statement, ast.AugAssign):
            load = ast.Name(statement.target.id, ast.Load())
            statement = ast.Assign([statement.target], ast.BinOp(load, statement.op, statement.value))
        if isinstance(statement, ast.Assign):
            value = self._expression(statement.value)
            lines = self._flush()
            for target, part in _split(statement.targets[0], value):
                lines += self._assign(target, part)
            return lines
        if isinstance(statement, ast.Expr):
            if isinstance(statement.value, ast.Constant):
                return []  # a docstring
            return self._append(statement)
        if isinstance(statement, ast.Return):
            statement.value = self._expression(statement.value)
            return [*self._flush(), statement]
        return [statement]

    def _nested(self, statements):
        """A block that runs more than once, or not at all: nothing it assigns is known."""
        self.known.forget({n for s in statements for n in _assigned(s)})
        return self.block(statements, self.known.inner())

    def _if(self, statement):
        test = self._decided(self._expression(statement.test))
        lines = self._flush()
        if isinstance(test, ast.Constant):
            for one in statement.body if test.value else statement.orelse:
                lines += self._statement(one)
            return lines
        body, orelse = self._nested(statement.body), self._nested(statement.orelse)
        return [*lines, ast.If(test, body, orelse)]

    def _helper(self, statement):
        self.known.functions[statement.name] = copy.deepcopy(statement)
        self.taken.add(statement.name)
        parameters = [a.arg for a in statement.args.args]
        inner = self.known.inner(parameters)
        inner.perhaps_none.update(dict.fromkeys(parameters, True))
        taken, self.taken = self.taken, set(self.taken)
        pending, self.pending = self.pending, []
        statement.body = self.block(statement.body, inner)
        self.pending, self.taken = pending, taken
        return [statement]

    def _append(self, statement):
        """``rows.append(x)`` on a list that is written out."""
        call = statement.value
        literal = (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr == "append"
            and self._literal(call.func.value)
        )
        if not literal:
            statement.value = self._expression(call)
            return [*self._flush(), statement]
        name = call.func.value.id
        longer = ast.List([*literal.elts, self._expression(call.args[0])], ast.Load())
        return [*self._flush(), *self._assign(ast.Name(name, ast.Store()), longer)]

    def _assign(self, target, value):
        if isinstance(target, ast.Name) and isinstance(value, ast.Name) and target.id == value.id:
            return []
        self.known.forget(_assigned(target))
        if isinstance(target, ast.Name):
            self.taken.add(target.id)
            if isinstance(value, ast.Constant) and isinstance(value.value, WORDS):
                self.known.words[target.id] = value
                return []
            if isinstance(value, ast.List | ast.Tuple):
                self.known.literals[target.id] = value
        return [ast.Assign([target], value)]

    def _flush(self):
        lines, self.pending = self.pending, []
        return lines

    # Expressions.

    def _expression(self, node):
        return self.visit(node)

    def visit_Name(self, node):
        return copy.deepcopy(self.known.words.get(node.id, node)) if isinstance(node.ctx, ast.Load) else node

    def visit_Lambda(self, node):
        self.conditional += 1
        node = self.generic_visit(node)
        self.conditional -= 1
        return node

    def visit_IfExp(self, node):
        test = self._decided(self.visit(node.test))
        if isinstance(test, ast.Constant):
            return self.visit(node.body if test.value else node.orelse)
        self.conditional += 1
        node = ast.IfExp(test, self.visit(node.body), self.visit(node.orelse))
        self.conditional -= 1
        return node

    def _decided(self, test):
        """A whole number that is a condition by itself."""
        count = self.known.counts.get(test.id) if isinstance(test, ast.Name) else None
        return test if count is None else ast.Constant(bool(count))

    def visit_Compare(self, node):
        node = self.generic_visit(node)
        if len(node.comparators) > 1:
            return node
        left, (right,) = node.left, node.comparators
        nothing = isinstance(right, ast.Constant) and right.value is None
        unsure = isinstance(left, ast.Constant) or (isinstance(left, ast.Name) and left.id in self.known.perhaps_none)
        if nothing and not unsure:  # all else that is None is known
            return ast.Constant(isinstance(node.ops[0], ast.IsNot))
        if all(isinstance(x, ast.Constant) and isinstance(x.value, WORDS) for x in (left, right)):
            same = left.value == right.value
            return ast.Constant(same if isinstance(node.ops[0], ast.Eq | ast.Is) else not same)
        return node

    def visit_BoolOp(self, node):
        stops = isinstance(node.op, ast.Or)  # the value that decides
        values = []
        for value in map(self.visit, node.values):
            if not isinstance(value, ast.Constant):
                values.append(value)
            elif bool(value.value) == stops:
                values.append(value)
                break
        if not values:
            return ast.Constant(not stops)
        return values[0] if len(values) == 1 else ast.BoolOp(node.op, values)

    def visit_UnaryOp(self, node):
        node = self.generic_visit(node)
        if isinstance(node.op, ast.Not) and isinstance(node.operand, ast.Constant):
            return ast.Constant(not node.operand.value)
        return node

    def visit_BinOp(self, node):
        """A flag in a sum counts as 0 or 1: ``rows - unbiased``."""
        node = self.generic_visit(node)
        if isinstance(node.right, ast.Constant) and isinstance(node.right.value, bool):
            return ast.BinOp(node.left, node.op, ast.Constant(1)) if node.right.value else node.left
        return node

    def visit_Subscript(self, node):
        if isinstance(node.value, ast.Dict):
            key = self.visit(node.slice)
            keys = [k.value for k in node.value.keys if isinstance(k, ast.Constant)]
            if isinstance(key, ast.Constant) and key.value in keys:
                return self.visit(node.value.values[keys.index(key.value)])
        node = self.generic_visit(node)
        table = self.names.get(node.value.id) if isinstance(node.value, ast.Name) else None
        if isinstance(table, dict) and isinstance(node.slice, ast.Constant) and callable(table.get(node.slice.value)):
            function = table[node.slice.value]
            self.names.setdefault(function.__name__, function)
            return ast.Name(function.__name__, ast.Load())
        literal = self._literal(node.value)
        if literal and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, int):
            return copy.deepcopy(literal.elts[node.slice.value])
        return node

    def visit_List(self, node):
        node = self.generic_visit(node)
        node.elts = self._spread(node.elts)
        return node

    visit_Tuple = visit_List

    def _spread(self, elements):
        """The elements, those after a star written out where they are known."""
        found = []
        for one in elements:
            literal = self._literal(one.value) if isinstance(one, ast.Starred) else None
            found += copy.deepcopy(literal.elts) if literal else [one]
        return found

    def visit_GeneratorExp(self, node):
        first = node.generators[0]
        first.iter = self.visit(first.iter)
        over = self._literal(first.iter)
        if not over or first.ifs or len(node.generators) > 1:
            self.conditional += 1
            node.elt = self.visit(node.elt)
            first.ifs = [self.visit(test) for test in first.ifs]
            self.conditional -= 1
            return node
        written = [self.visit(_substituted(node.elt, dict(_split_names(first.target, x)))) for x in over.elts]
        return ast.List(written, ast.Load()) if isinstance(node, ast.ListComp) else ast.Tuple(written, ast.Load())

    visit_ListComp = visit_GeneratorExp

    def visit_Call(self, node):
        node = self.generic_visit(node)
        node.args = self._spread(node.args)
        if isinstance(node.func, ast.Lambda) and not node.func.args.args:
            return self.visit(node.func.body)
        if isinstance(node.func, ast.Lambda):
            bound = dict(zip((a.arg for a in node.func.args.args), node.args, strict=True))
            return self.visit(_substituted(node.func.body, bound))
        return self._builtin(node) or self._opened_call(node) or node

    def _builtin(self, node):
        """``sum``, ``len`` and ``map`` of what is written out."""
        name = node.func.id if isinstance(node.func, ast.Name) else None
        if self.names.get(name, getattr(builtins, name or "", None)) is not getattr(builtins, name or "", self):
            return None
        literal = self._literal(node.args[-1]) if node.args else None
        if not literal or not literal.elts or (name not in ("sum", "len", "map")):
            return None
        if name == "len":
            return ast.Constant(len(literal.elts))
        if name == "map":
            calls = [ast.Call(copy.deepcopy(node.args[0]), [copy.deepcopy(x)], []) for x in literal.elts]
            return ast.Tuple([self._opened_call(c) or c for c in calls], ast.Load())
        total, *rest = copy.deepcopy(literal.elts)
        for one in rest:
            total = ast.BinOp(total, ast.Add(), one)
        return total

    def _opened_call(self, node):
        """The value of a helper's call, its lines put before this statement; None where the call stays."""
        name = node.func.id if isinstance(node.func, ast.Name) else None
        helper = self.known.functions.get(name)
        if helper is None and name in self.helpers and name not in self.known.words:
            helper = self.helpers[name]
            self._keep(name)
        if helper is None or not all(
            isinstance(s, ast.Assign | ast.AugAssign | ast.If | ast.Return) for s in _lines(helper)
        ):
            return None
        settled = any(isinstance(a, ast.Constant) and isinstance(a.value, WORDS) for a in node.args)
        if not (self.opened or settled) or len(node.args) != len(helper.args.args) or node.keywords:
            return None
        helper = copy.deepcopy(helper)
        before = len(self.pending)
        fresh = {n: self._fresh(n) for n in _locals(helper)}
        known = self.known.inner()
        renamed = {}
        for parameter, value in zip((a.arg for a in helper.args.args), node.args, strict=True):
            if isinstance(value, ast.Name | ast.Constant) and parameter not in fresh:
                renamed[parameter] = value
            else:
                new = fresh.get(parameter) or self._fresh(parameter)
                renamed[parameter] = ast.Name(new, ast.Load())
                if isinstance(value, ast.List | ast.Tuple):
                    known.literals[new] = value
                self.pending.append(ast.Assign([ast.Name(new, ast.Store())], value))
        renamed |= {n: ast.Name(new, ast.Load()) for n, new in fresh.items()}
        pending, self.pending = self.pending, []
        lines = self.block([_substituted(s, renamed) for s in _lines(helper)], known)
        self.pending = pending
        *lines, last = lines
        if not isinstance(last, ast.Return) or not all(isinstance(s, ast.Assign) for s in lines):
            del self.pending[before:]
            return None
        if self.conditional and (lines or len(self.pending) > before):
            del self.pending[before:]
            return None
        self.pending += lines
        return last.value

    def _keep(self, name):
        """A helper of the module that may stay a function stands before the rest, folded as far as it can be."""
        if name not in self.kept:
            tree = copy.deepcopy(self.helpers[name])
            self.kept[name] = tree
            pending, self.pending = self.pending, []
            perhaps_none = {a.arg: True for a in tree.args.args}
            tree.body = self.block(_lines(tree), _Known({}, {}, {}, {}, perhaps_none))
            self.pending = pending

    def _fresh(self, name):
        free = next(
            n for n in itertools.chain([name], (f"{name}_{k}" for k in itertools.count(2))) if n not in self.taken
        )
        self.taken.add(free)
        return free

    def _literal(self, node):
        """The list or tuple that a node is, or that its name stands for."""
        if isinstance(node, ast.List | ast.Tuple):
            return node
        return self.known.literals.get(node.id) if isinstance(node, ast.Name) else None


def _lines(helper):
    first = helper.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return helper.body[1:] if documented else helper.body


def _assigned(node):
    """Names that are given a value in ``node``, or made longer."""
    stored = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    attributes = [n for n in ast.walk(node) if isinstance(n, ast.Attribute) and n.attr == "append"]
    return stored | {n.value.id for n in attributes if isinstance(n.value, ast.Name)}


def _locals(helper):
    return {n for s in helper.body for n in _assigned(s)}


def _split(target, value):
    """(target, value) pairs of an assignment of several; as one where a value needs what was there before."""
    if not (isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts)):
        return [(target, value)]
    stored = _assigned(target)
    if any(isinstance(n, ast.Name) and n.id in stored for v in value.elts for n in ast.walk(v)):
        return [(target, value)]
    return [pair for t, v in zip(target.elts, value.elts, strict=True) for pair in _split(t, v)]


def _split_names(target, value):
    """(name, value) pairs of a comprehension's target."""
    if isinstance(target, ast.Name):
        return [(target.id, value)]
    return [pair for t, v in zip(target.elts, value.elts, strict=True) for pair in _split_names(t, v)]


class _Substitution(ast.NodeTransformer):
    def __init__(self, values):
        self.values = values

    def visit_Name(self, node):
        value = self.values.get(node.id)
        if value is None:
            return node
        return copy.deepcopy(value) if isinstance(node.ctx, ast.Load) else ast.Name(value.id, ast.Store())


def _substituted(node, values):
    """A copy of ``node`` with the values in place of names."""
    return _Substitution(values).visit(copy.deepcopy(node))
