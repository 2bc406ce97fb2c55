"""The callable that a user wants checked: found by name, its framework recognised."""

import dataclasses
import importlib
import importlib.util
import inspect
import sys
from pathlib import Path

from mini_repr.pages.names import suggestion

FRAMEWORKS = ("torch", "jax", "numpy")


class Unusable(ValueError):
    """The user's callable cannot be checked: not found, not callable with these arguments, or no number comes back."""


@dataclasses.dataclass
class Target:
    """What to call, what to call it in messages, and its parameters ({} where Python cannot tell them)."""

    call: object
    label: str
    parameters: dict

    @classmethod
    def of(cls, thing, label=None):
        """From a function, an instance, or a class, which is called without arguments to make one.

        Raises:
            Unusable: the class wants arguments, or the thing cannot be called.
        """
        label = label or getattr(thing, "__qualname__", type(thing).__name__)
        if inspect.isclass(thing):
            try:
                thing = thing()
            except Exception as error:
                raise Unusable(f"{label}: {label}() failed: {one_line(error)}; name an instance instead") from None
        if not callable(thing):
            raise Unusable(f"{label}: is a {type(thing).__name__}, expected a function, a class or an instance to call")
        # A torch module's __call__ takes *args; what it really takes stands in forward.
        described = getattr(thing, "forward", thing)
        try:
            parameters = dict(inspect.signature(described).parameters)
        except (TypeError, ValueError):
            parameters = {}
        return cls(thing, label, parameters)

    @classmethod
    def load(cls, text):
        """From ``path/to/file.py:name`` or ``package.module:object`` (``object`` may be dotted).

        Raises:
            Unusable: no such file, module or name; the import fails; see also ``of``.
        """
        place, colon, name = text.rpartition(":")
        if not colon or not place or not name:
            raise Unusable(f"{text}: expected path/to/file.py:NAME or package.module:NAME")
        thing = _import(place)
        for part in name.split("."):
            if not hasattr(thing, part):
                raise Unusable(f"{place}: has no {part!r}{suggestion(part, _callables(thing, place))}")
            thing = getattr(thing, part)
        return cls.of(thing, text)


def _callables(thing, place):
    """Public names in a module or an object that may be meant: of a file what it makes itself, not what it imports."""

    def own(value):
        made_of_code = inspect.isroutine(value) or inspect.isclass(value)
        return not (place.endswith(".py") and made_of_code) or value.__module__ == thing.__name__

    members = getattr(thing, "__dict__", {}).items()
    return [name for name, value in members if not name.startswith("_") and callable(value) and own(value)]


def _import(place):
    try:
        if not place.endswith(".py"):
            if str(Path.cwd()) not in sys.path:
                sys.path.insert(0, str(Path.cwd()))
            return importlib.import_module(place)
        path = Path(place)
        if not path.is_file():
            raise Unusable(f"{place}: no such file")
        spec = importlib.util.spec_from_file_location(f"_checked_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        sys.path.insert(0, str(path.parent))  # the file may import its neighbours
        try:
            spec.loader.exec_module(module)
        finally:
            sys.path.remove(str(path.parent))
        return module
    except Unusable:
        raise
    except (Exception, SystemExit) as error:
        raise Unusable(f"{place}: the import failed: {one_line(error)}") from None


def one_line(error):
    """``ValueError: what it says``, on one line and not longer than fits one."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= 200 else text[:197] + "..."


def framework_of(target):
    """Which framework's arrays the callable takes: told by its class, its annotations, or the modules its code uses.

    Raises:
        Unusable: both torch and jax, or none of the three, appear.
    """
    for base in type(target.call).__mro__:
        if root(base) in ("torch", "jax"):
            return root(base)
    annotated = {_mentioned(p.annotation) for p in target.parameters.values()} & set(FRAMEWORKS)
    if len(annotated) == 1:
        return annotated.pop()
    code = inspect.unwrap(getattr(target.call, "__func__", target.call))
    if not hasattr(code, "__code__"):  # an instance: its class says what a call runs
        code = type(target.call).__call__
    home = getattr(code, "__globals__", {})
    used = {root(home[name]) for name in names_in(getattr(code, "__code__", None)) if name in home}
    for seen in (used, {root(thing) for thing in home.values()}):
        deep = seen & {"torch", "jax"}
        if len(deep) == 1:
            return deep.pop()
        if len(deep) == 2:
            raise Unusable(f"{target.label}: uses torch and jax; say which arrays it takes with --framework")
    if "numpy" in {root(thing) for thing in home.values()} or home:
        return "numpy"
    raise Unusable(f"{target.label}: cannot tell its framework; say --framework torch, jax or numpy")


def root(thing):
    """The top package that a module or an object comes from."""
    name = thing.__name__ if inspect.ismodule(thing) else getattr(thing, "__module__", None) or ""
    root = str(name).split(".")[0]
    return "jax" if root == "jaxlib" else root


def _mentioned(annotation):
    if isinstance(annotation, str):
        words = annotation.replace(".", " ").replace("jnp", "jax").replace("np", "numpy").split()
        return next((f for f in FRAMEWORKS if f in words), None)
    return root(annotation)


def names_in(code):
    """Global names and attributes that a function's code uses, inner functions included."""
    if code is None:
        return set()
    inner = [c for c in code.co_consts if inspect.iscode(c)]
    return set(code.co_names).union(*map(names_in, inner))
