"""All single rewrites of a page's formula, the most plausible first.

A rewrite changes one place, or the same thing everywhere: in a line, in a helper, in the whole formula. Three trees are
searched: the formula as written, in which a change of a helper shows at all its calls; the formula with helpers opened,
in which one call has a change of its own; and one use of a name with the name's line put in, so that one use of a
shared value can change: a diagonal that stays in the denominator but not in the sum.
"""

import ast
import copy
import itertools
from collections import Counter, defaultdict
from contextlib import contextmanager
from typing import NamedTuple

from mini_repr.conformance.rewrites.as_written import forms_of
from mini_repr.conformance.rewrites.exchanged import exchanged
from mini_repr.conformance.rewrites.folding import formula_of
from mini_repr.conformance.rewrites.kinds import kind_of, observe
from mini_repr.conformance.rewrites.left_out import left_out
from mini_repr.conformance.rewrites.masks import mask_changes
from mini_repr.conformance.rewrites.moved import moved
from mini_repr.conformance.rewrites.put_in import put_in
from mini_repr.conformance.rewrites.scope import Scope, text_of
from mini_repr.conformance.rewrites.transposed import other_axes

# What was left out is likelier than what was exchanged, and that than what was put in.
LIKELIHOOD = ((0, left_out), (1, exchanged), (1, mask_changes), (1, moved), (2, put_in))
LARGEST_USE, LARGEST_LINE = 120, 400  # nodes of one use of a name, or of a line, with its own names put in


class Edit(NamedTuple):
    """``new`` takes the place of a field of ``parent`` (of an element of it where there is an ``index``)."""

    parent: ast.AST
    field: str
    index: int | None
    new: ast.AST

    def put(self, node):
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node

    @property
    def old(self):
        field = getattr(self.parent, self.field)
        return field if self.index is None else field[self.index]


class Rewrite(NamedTuple):
    """Edits of one formula that belong together. ``words`` say what is done; the smallest ``rank`` is likeliest."""

    formula: object
    words: str
    rank: tuple
    edits: tuple
    lines: tuple  # the statements that change

    @property
    def likelihood(self):
        """0: something is left out; 1: exchanged; 2: put in."""
        return self.rank[0]

    @contextmanager
    def applied(self):
        """Within this block the formula's tree is the rewritten one."""
        undo = []
        try:
            for edit in self.edits:
                undo.append((edit, edit.old))
                edit.put(edit.new)
            yield self.formula.function
        finally:
            for edit, old in reversed(undo):
                edit.put(old)

    def diff(self):
        """[(line of the definition, the line that takes its place)]."""
        before = [ast.unparse(line) for line in self.lines]
        with self.applied():
            after = [ast.unparse(line) for line in self.lines]
        return [(b, a) for b, a in zip(before, after, strict=True) if a != b]


def rewrites_of(page, arguments):
    """All single rewrites of a page at complete ``arguments``, of all its forms, the likeliest first.

    Raises:
        TypeError: the page has no definition.
    """
    forms = (None, *forms_of(page, arguments))
    return sorted((r for form in forms for r in _of_form(page, arguments, form)), key=lambda r: r.rank)


def _of_form(page, arguments, form):
    """``form``: a function that is the page's loss (``as_written``), or None for the definition."""
    settings = [n for n, v in arguments.items() if isinstance(v, float | int) and not isinstance(v, bool)]
    written, opened = (formula_of(page, arguments, o, form) for o in (False, True))
    found = []
    for formula in (written, opened):
        observe(formula, arguments)
    known = {ast.unparse(line) for line in written.function.body}
    new_lines = [line for line in opened.function.body if ast.unparse(line) not in known]
    found += _of_tree(written, written.function.body, settings, 0)
    found += _of_tree(opened, new_lines, settings, 1)
    helpers = [s for s in written.function.body if isinstance(s, ast.FunctionDef)]
    for function in (written.function, *helpers):
        found += _of_uses(written, function, function.body, settings)
    return found + [*_of_uses(opened, opened.function, new_lines, settings)]


class _Site(NamedTuple):
    """One change at one place."""

    rule: str
    rank: int
    edit: Edit
    line: ast.stmt
    function: ast.AST


def _of_tree(formula, lines, settings, tree):
    sites = []
    for line in lines:
        for function, statement in _statements(formula.function, line):
            scope = Scope(function, formula.names, settings)
            sites += _sites(statement, scope, function)
    return [*_grouped(formula, sites, tree), *_swaps(formula, lines, tree), *_of_axes(formula, lines, tree)]


def _of_axes(formula, lines, tree):
    """Statistics along another axis, in a line with the lines of its names put in."""
    values = _values(formula.function)
    for line in lines:
        if not isinstance(line, ast.Assign | ast.Return):
            continue
        for value in _put_in(line.value, values, LARGEST_LINE):
            holder = ast.Expr(value)
            sites = [
                _Site(change.rule, 1, Edit(parent, field, index, _located(change.node)), line, formula.function)
                for parent, field, index, node in _places(holder)
                for change in other_axes(node)
            ]
            whole = Edit(line, "value", None, value)
            for rewrite in _grouped(formula, sites, tree):
                rewrite = rewrite._replace(words=rewrite.words.partition(", at ")[0])
                if any(e.parent is holder for e in rewrite.edits):
                    yield rewrite._replace(edits=(whole._replace(new=rewrite.edits[0].new),))
                else:
                    yield rewrite._replace(edits=(whole, *rewrite.edits))


def _values(function):
    """{name: expression} of the names that a function assigns once."""
    stored = Counter(a.arg for a in function.args.args)
    names = (n for s in function.body for n in ast.walk(s) if isinstance(n, ast.Name))
    stored.update(n.id for n in names if isinstance(n.ctx, ast.Store))
    return {
        s.targets[0].id: s.value
        for s in function.body
        if isinstance(s, ast.Assign) and isinstance(s.targets[0], ast.Name) and stored[s.targets[0].id] == 1
    }


def _statements(function, line):
    """(the function it belongs to, a statement without statements inside)."""
    if isinstance(line, ast.FunctionDef):
        for inner in line.body:
            yield from _statements(line, inner)
    elif isinstance(line, ast.For | ast.If):
        for inner in (*line.body, *line.orelse):
            yield from _statements(function, inner)
    else:
        yield function, line


def _sites(statement, scope, function):
    """Every change of every expression of a statement."""
    for parent, field, index, node in _places(statement):
        for rank, rule in LIKELIHOOD:
            for change in rule(node, scope):
                yield _Site(change.rule, rank, Edit(parent, field, index, _located(change.node)), statement, function)


def _places(root):
    """(parent, field, index, expression) of all expressions below ``root`` that are read."""
    for parent in ast.walk(root):
        for field, value in ast.iter_fields(parent):
            for index, node in enumerate(value) if isinstance(value, list) else ((None, value),):
                called = isinstance(parent, ast.Call) and field == "func"
                if isinstance(node, ast.expr) and isinstance(getattr(node, "ctx", ast.Load()), ast.Load) and not called:
                    yield parent, field, index, node


def _located(node):
    return ast.fix_missing_locations(ast.copy_location(node, ast.Constant(0, lineno=1, col_offset=0)))


def _grouped(formula, sites, tree):
    """Each site alone, and the sites of one rule together: in a line, in a function, everywhere."""
    for site in sites:
        yield _rewrite(formula, [site], tree)
    groups = defaultdict(list)
    for site in sites:
        for where in (site.line, site.function, None):
            groups[site.rule, site.rank, where].append(site)
    seen = set()
    for group in groups.values():
        places = frozenset(id(s.edit.new) for s in group)
        if len(group) > 1 and places not in seen:
            seen.add(places)
            yield _rewrite(formula, group, tree)


def _rewrite(formula, sites, tree):
    first = sites[0]
    words = first.rule if len(sites) == 1 else f"{first.rule}, at {len(sites)} places"
    lines = tuple(dict.fromkeys(s.line for s in sites))
    size = len(ast.unparse(first.edit.new))
    return Rewrite(formula, words, (first.rank, tree, len(sites), size), tuple(s.edit for s in sites), lines)


def _swaps(formula, lines, tree):
    """Two names of one shape exchanged, in a statement or (the page's arguments) everywhere."""
    statements = [statement for line in lines for _, statement in _statements(formula.function, line)]
    arguments = {a.arg for a in formula.function.args.args}
    everywhere = defaultdict(list)
    for statement in statements:
        uses = defaultdict(list)
        for parent, field, index, node in _places(statement):
            if isinstance(node, ast.Name) and kind_of(node).shape:
                uses[node.id, kind_of(node).shape].append((parent, field, index))
        yield from _exchanges(formula, uses, (statement,), tree)
        for (name, shape), places in uses.items():
            everywhere[name, shape] += places if name in arguments else []
    yield from _exchanges(formula, everywhere, tuple(statements), tree)


def _exchanges(formula, uses, lines, tree):
    """``uses``: {(name, shape): [(parent, field, index)]}."""
    for (one, shape), (other, its) in itertools.combinations(uses, 2):
        if shape == its:
            edits = [Edit(*place, _located(ast.Name(other, ast.Load()))) for place in uses[one, shape]]
            edits += [Edit(*place, _located(ast.Name(one, ast.Load()))) for place in uses[other, its]]
            if edits:
                yield Rewrite(formula, f"{one} and {other} exchanged", (1, tree, len(edits), 1), tuple(edits), lines)


def _of_uses(formula, function, lines, settings):
    """Rewrites of one use of a name that is used more than once, the name's own line put in there."""
    lines = [s for s in lines if not isinstance(s, ast.FunctionDef | ast.For | ast.If)]
    names = (n for s in function.body for n in ast.walk(s) if isinstance(n, ast.Name))
    read = Counter(n.id for n in names if isinstance(n.ctx, ast.Load))
    values = _values(function)
    scope = Scope(function, formula.names, settings)
    for line in lines:
        for parent, field, index, node in list(_places(line)):
            shared = isinstance(node, ast.Name) and node.id in values and read[node.id] > 1 and kind_of(node).counts
            if not shared:
                continue
            for depth, value in enumerate(_put_in(values[node.id], values)):
                holder = ast.Expr(value)
                sites = [
                    s
                    for s in _sites(holder, scope, function)
                    if s.rank < 2 and (depth == 0 or getattr(s.edit.old, "deep", False))
                ]
                use = Edit(parent, field, index, value)
                for rewrite in _grouped(formula, sites, 2):
                    # The whole of the name's line may be what changes.
                    whole = any(e.parent is holder for e in rewrite.edits)
                    edits = (use._replace(new=rewrite.edits[0].new),) if whole else (use, *rewrite.edits)
                    if whole and len(rewrite.edits) > 1:
                        continue
                    words = f"{rewrite.words}, in one use of {node.id}"
                    yield rewrite._replace(words=words, edits=edits, lines=(line,))


def _put_in(value, values, most=LARGEST_USE):
    """The line of a name, and the same with the lines of its names put in, those marked ``deep``."""
    yield _located(copy.deepcopy(value))
    deep = _PutIn(values).visit(copy.deepcopy(value))
    if any(getattr(n, "deep", False) for n in ast.walk(deep)) and sum(1 for _ in ast.walk(deep)) <= most:
        yield _located(deep)


class _PutIn(ast.NodeTransformer):
    def __init__(self, values):
        self.values = values

    def visit_Name(self, node):
        value = self.values.get(node.id)
        if value is None or not kind_of(node).shape or isinstance(value, ast.List | ast.Tuple):
            return node
        inner = self.visit(copy.deepcopy(value))
        for n in ast.walk(inner):
            n.deep = True
        return inner


def place_of(rewrite):
    """The names that the changed lines give."""
    targets = [text_of(line.targets[0]) if isinstance(line, ast.Assign) else "the result" for line in rewrite.lines]
    return ", ".join(dict.fromkeys(targets))
