"""Imports point down: no file imports from a room above its own."""

import ast
from pathlib import Path

import pytest

import mini_repr

PACKAGE = Path(mini_repr.__file__).parent
# From the bottom up. A room may import from itself and from those before it.
ROOMS = (
    "fused",
    "backend",
    "catalogue",
    "autograd",
    "data",
    "kernels",
    "pages",
    "losses",
    "nn",
    "optim",
    "metrics",
    "masking",
    "tokens",
    "methods",
    "posthoc",
    "training",
    "standins",
    "claims",
    "conformance",
    "book",
    "commands",
    "cli",
)


def room_of(module):
    return module.split(".")[1] if "." in module else ""


def imports_of(path):
    """Modules of this package that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "mini_repr":
            yield from [f"{node.module}.{a.name}" for a in node.names] if node.module == "mini_repr" else [node.module]
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] == "mini_repr")


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    own = path.relative_to(PACKAGE).with_suffix("").parts[0]
    if own == "__init__":
        return
    above = {m for m in imports_of(path) if room_of(m) and ROOMS.index(room_of(m)) > ROOMS.index(own)}
    assert above == set(), f"{own} imports from a room above it"


@pytest.mark.parametrize("path", [p for p in FILES if p.name == "__init__.py"], ids=lambda p: str(p.parent.name))
def test_no_code_in_init_files(path):
    """An ``__init__.py`` holds a docstring and re-exports, perhaps found when asked for; the package's its version."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        names = isinstance(node, ast.Assign) and node.targets[0].id in ("__all__", "__version__")
        names |= isinstance(node, ast.FunctionDef) and node.name in ("__getattr__", "__dir__")
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":  # what those find, for type checkers
            names |= all(isinstance(line, ast.ImportFrom) for line in node.body)
        assert docstring or names or isinstance(node, ast.Import | ast.ImportFrom), ast.unparse(node)[:60]
