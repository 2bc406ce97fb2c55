"""Write what type checkers and editors read of the losses and metrics: their signatures, from the declarations.

    python scripts/stubs.py

Losses and metrics are made by decorators, and losses are found when they are asked for, which no type checker follows:
``losses/__init__.pyi`` and ``metrics/__init__.pyi`` say the same in its words. A test holds them in step.
"""

import inspect
from functools import singledispatch
from pathlib import Path

import mini_repr
from mini_repr import metrics
from mini_repr.pages.arguments import Choice, Count, Optional, Scalar, TrueOrFalse, WithGradient
from mini_repr.pages.declare import Function
from mini_repr.pages.registry import all_losses

PACKAGE = Path(mini_repr.__file__).parent
PROTOCOL = """class SupportsDLPack(Protocol):
    def __dlpack__(self, *args: Any, **params: Any) -> Any: ...

"""
METRICS = f"""# Written by scripts/stubs.py from the declarations.
from typing import Any, Literal, Protocol, TypeAlias

{PROTOCOL}Array: TypeAlias = SupportsDLPack

"""
LOSSES = f"""# Written by scripts/stubs.py from the declarations.
from collections.abc import Callable
from typing import Any, Generic, Literal, ParamSpec, Protocol, TypeAlias

from mini_repr.autograd import Tensor

{PROTOCOL}Array: TypeAlias = Tensor | SupportsDLPack
_P = ParamSpec("_P")

class Loss(Generic[_P]):
    \"\"\"A loss: call it on tensors, or ask for value and gradients of plain arrays.\"\"\"

    name: str
    def __call__(self, *args: _P.args, **params: _P.kwargs) -> Tensor: ...
    def value_and_grad(self, *args: _P.args, **params: _P.kwargs) -> tuple[Any, dict[str, Any]]: ...
    def definition(self, *args: _P.args, **params: _P.kwargs) -> Tensor: ...
    def definition_and_grad(self, *args: _P.args, **params: _P.kwargs) -> tuple[Any, dict[str, Any]]: ...

def _loss(function: Callable[_P, None]) -> Loss[_P]: ...
"""


@singledispatch
def type_of(annotation):
    """A type for an annotation of a page: an array unless said otherwise below."""
    return "Array"


@type_of.register
def _(annotation: Scalar):
    return "float"


@type_of.register
def _(annotation: WithGradient):
    return "float | Array"


@type_of.register
def _(annotation: Count):
    return "int | None" if annotation.choose else "int"


@type_of.register
def _(annotation: TrueOrFalse):
    return "bool"


@type_of.register
def _(annotation: Choice):
    return "Literal[{}]".format(", ".join(map(_literal, annotation.options)))


@type_of.register
def _(annotation: Optional):
    inner = type_of(annotation.of)
    return inner if inner.endswith("None") else f"{inner} | None"


def function(page, decorator="", returns="None"):
    """The lines of a page's signature, an argument a line."""
    lines = [decorator] if decorator else []
    lines.append(f"def {page.thing.__name__}(")
    for p in page.__signature__.parameters.values():
        lines += ["    *,"] if p.kind is p.KEYWORD_ONLY and "    *," not in lines else []
        kind = type_of(page.parameters[p.name].annotation) if p.name in page.parameters else "Any"
        default = "" if p.default is inspect.Parameter.empty else f" = {_literal(p.default)}"
        lines.append(f"    {p.name}: {kind}{default},")
    return [*lines, f") -> {returns}: ..."]


def _literal(value):
    if isinstance(value, str):
        return f'"{value}"'
    return repr(value) if value is None or isinstance(value, bool | int | float) else "..."


def stubs():
    """{file: its text}."""
    losses = [line for page in all_losses().values() for line in function(page, "@_loss")]
    pages = sorted({one for one in vars(metrics).values() if isinstance(one, Function)}, key=lambda page: page.name)
    numbers = [line for page in pages for line in function(page, returns="Any")]
    return {
        PACKAGE / "losses" / "__init__.pyi": LOSSES + "\n".join(losses) + "\n",
        PACKAGE / "metrics" / "__init__.pyi": METRICS + "\n".join(numbers) + "\n",
    }


if __name__ == "__main__":
    for path, text in stubs().items():
        path.write_text(text, encoding="utf-8")
