"""The package's own code as HTML: highlighted, and every name that can be resolved a link to where it is defined.

Names are resolved by reading the files, not by running them: through imports, re-exports and the scopes of functions.
What only a run can tell, such as the class of ``self.encoder``, stays without a link.
"""

import ast
import re
from functools import cache
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup
from pygments.lexers import PythonLexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String

PACKAGE = Path(str(resources.files("mini_repr")))
# Classes of the style sheet for what is highlighted; everything else is plain.
CLASSES = ((String, "s"), (Comment, "c"), (Keyword, "k"), (Operator.Word, "k"), (Number, "m"))
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Definition(NamedTuple):
    """Where something is defined: its module, and its name there (``Class.method`` of a method, "" of a module)."""

    module: str
    name: str = ""


class Module:
    """One file: its text, its syntax tree, what it defines and what it imports."""

    def __init__(self, name, path):
        self.name = name
        self.text = path.read_text(encoding="utf-8")
        self.is_package = path.name == "__init__.py"
        self.lines = self.text.splitlines(keepends=True)
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line))
        self.tree = ast.parse(self.text)
        self.defined = dict(_defined(self.tree))  # {name: its node}
        self.imported = _imports(self.tree.body, name, self.is_package)  # {name: Definition}

    def place(self, line, column):
        """The number of the character at a line and a column in bytes, as ``ast`` counts."""
        return self.starts[line - 1] + len(self.lines[line - 1].encode()[:column].decode())

    def span(self, name):
        """First and last line of a definition, decorators included."""
        node = self.defined[name]
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        return first, node.end_lineno


@cache
def modules():
    """{dotted name: Module} of the whole package."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = ["mini_repr", *path.relative_to(PACKAGE).with_suffix("").parts]
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = Module(name, path)
    return found


def resolve(module, name):
    """The ``Definition`` that a name at the top of a module means, or None where it is not of this package."""
    for _ in range(10):  # re-exports lead on
        known = modules().get(module)
        if known is None:
            return None
        if name == "":
            return Definition(module)
        if name in known.defined:
            return Definition(module, name)
        if name not in known.imported and "__getattr__" in known.defined:  # a folder that finds its files by name
            module = next((m for m in modules() if m.startswith(f"{module}.") and m.endswith(f".{name}")), module)
            return Definition(module, name) if name in modules()[module].defined else None
        if name not in known.imported:
            return Definition(f"{module}.{name}") if f"{module}.{name}" in modules() else None
        module, name = known.imported[name]
    return None


@cache
def references(module):
    """[(place, length, Definition, the definition of this module that it stands in)] of every name that resolves."""
    found = _Names(modules()[module])
    found.visit(found.module.tree)
    return found.links


@cache
def users():
    """{Definition: where it is used, as Definitions at the top of their modules}; not within its own module."""
    used = {}
    for name in modules():
        for _, _, target, within in references(name):
            if target.module != name:
                used.setdefault(target, {})[Definition(name, within)] = None
    return {target: list(found) for target, found in used.items()}


def highlighted(module, href, name=""):
    """A file, or one definition of it, as HTML.

    Args:
        href: ``href(definition)`` gives the address of a definition, "" where it has no page.
    """
    code = modules()[module]
    first, last = code.span(name) if name else (1, len(code.lines))
    start, end = code.starts[first - 1], code.starts[last]
    links = {place: (length, target) for place, length, target, _ in references(module)}
    anchors = {} if name else {_name_place(code, node): anchor for anchor, node in code.defined.items()}
    inside = (piece for piece in _tokens(module) if start <= piece[0] < end)
    pieces, runs = [], groupby(inside, key=lambda piece: piece[1])
    for css, run in runs:
        shown = "".join(_shown(place, text, links, anchors, href) for place, _, text in run)
        pieces.append(f'<span class="{css}">{shown}</span>' if css else shown)
    return Markup('<pre class="code"><code>{}</code></pre>').format(Markup("".join(pieces).rstrip("\n")))


@cache
def _tokens(module):
    """[(place, class of the style sheet or "", text)] of a file; spaces between two pieces of a class are of it too."""
    css, found = "", []
    for place, token, piece in PythonLexer().get_tokens_unprocessed(modules()[module].text):
        css = css if piece.isspace() else _class_of(token)
        if token in Name.Decorator:  # the highlighter takes "@module.name" for one piece
            found += [(place + word.start(), css, word[0]) for word in re.finditer(r"\w+|\W", piece)]
        else:
            found.append((place, css, piece))
    return found


@cache
def _class_of(token):
    return next((css for tokens, css in CLASSES if token in tokens), "")


def _shown(place, text, links, anchors, href):
    """One piece as HTML: an anchor, a link, or the text, in which quotes may stand as they are."""
    if place in anchors:
        return f'<b id="{anchors[place]}">{text}</b>'
    length, target = links.get(place, (0, None))
    address = href(target) if length == len(text) else ""
    if address:
        return f'<a href="{address}">{text}</a>'
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _name_place(code, node):
    """Where the name of a definition stands."""
    if not isinstance(node, DEFINITIONS):
        return code.place(node.lineno, node.col_offset)
    word = "class " if isinstance(node, ast.ClassDef) else "def "
    start = code.place(node.lineno, node.col_offset)
    return code.text.index(word, start) + len(word)


def _defined(tree):
    """(name, node) of functions, classes, methods and constants."""
    for node in tree.body:
        if isinstance(node, DEFINITIONS):
            yield node.name, node
        if isinstance(node, ast.ClassDef):
            yield from ((f"{node.name}.{one.name}", one) for one in node.body if isinstance(one, FUNCTIONS))
        if isinstance(node, ast.Assign):
            yield from ((one.id, node) for one in node.targets if isinstance(one, ast.Name))


def _imports(body, module, is_package):
    """{name: Definition} of the imports from this package among statements."""
    found = {}
    for node in body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "mini_repr":
            for alias in node.names:
                found[alias.asname or alias.name] = Definition(node.module, alias.name)
    return found


class _Names(ast.NodeVisitor):
    """Collects the names of a module that mean something of this package; local names hide those of the module."""

    def __init__(self, module):
        self.module = module
        self.scopes = []  # of the functions around: {local name: Definition that it was imported as, or None}
        self.within = ""
        self.links = []

    def visit_FunctionDef(self, node):
        for one in [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]:
            self.visit(one)
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        arguments += filter(None, (node.args.vararg, node.args.kwarg))
        for one in arguments:
            if one.annotation:
                self.visit(one.annotation)
        outermost = not self.within
        self.within = self.within or node.name
        self.scopes.append({a.arg: None for a in arguments} | _local_names(node, self.module))
        for one in node.body:
            self.visit(one)
        self.scopes.pop()
        self.within = "" if outermost else self.within

    def visit_ClassDef(self, node):
        outermost = not self.within
        self.within = self.within or node.name
        self.generic_visit(node)
        self.within = "" if outermost else self.within

    def visit_Lambda(self, node):
        self.scopes.append({a.arg: None for a in [*node.args.args, *node.args.kwonlyargs]})
        self.generic_visit(node)
        self.scopes.pop()

    def visit_ImportFrom(self, node):
        for alias in node.names:
            if (node.module or "").split(".")[0] == "mini_repr":
                self._add(alias.lineno, alias.col_offset, alias.name, resolve(node.module, alias.name))

    def visit_Name(self, node):
        self._add(node.lineno, node.col_offset, node.id, self._meant(node.id))

    def visit_Attribute(self, node):
        self.visit(node.value)
        if isinstance(node.value, ast.Name):
            owner = self._meant(node.value.id)
            target = owner and resolve(owner.module, f"{owner.name}.{node.attr}" if owner.name else node.attr)
            self._add(node.end_lineno, node.end_col_offset - len(node.attr.encode()), node.attr, target)

    def _meant(self, name):
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name] and resolve(*scope[name])
        return resolve(self.module.name, name)

    def _add(self, line, column, name, target):
        if target is not None:
            self.links.append((self.module.place(line, column), len(name), target, self.within))


def _local_names(function, module):
    """{name: None, or what it was imported as} of what a function assigns, defines or imports."""
    names, stack = {}, list(function.body)
    while stack:
        node = stack.pop()
        if isinstance(node, DEFINITIONS):
            names[node.name] = None
            continue
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names[node.id] = None
        names |= _imports([node], module.name, module.is_package)
        stack.extend(ast.iter_child_nodes(node))
    return names
