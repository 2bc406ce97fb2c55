"""The callable that a user wants checked: found by name, its framework recognised, its parameters matched."""

import dataclasses
import importlib
import importlib.util
import inspect
import numbers
import sys
from pathlib import Path

from mini_repr.pages.arguments import Choice, TrueOrFalse
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
                known = [n for n in vars(thing) if not n.startswith("_")] if hasattr(thing, "__dict__") else []
                raise Unusable(f"{place}: has no {part!r}{suggestion(part, known)}")
            thing = getattr(thing, part)
        return cls.of(thing, text)


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
        if _root(base) in ("torch", "jax"):
            return _root(base)
    annotated = {_mentioned(p.annotation) for p in target.parameters.values()} & set(FRAMEWORKS)
    if len(annotated) == 1:
        return annotated.pop()
    code = inspect.unwrap(getattr(target.call, "__func__", target.call))
    if not hasattr(code, "__code__"):  # an instance: its class says what a call runs
        code = type(target.call).__call__
    home = getattr(code, "__globals__", {})
    used = {_root(home[name]) for name in _names(getattr(code, "__code__", None)) if name in home}
    for seen in (used, {_root(thing) for thing in home.values()}):
        deep = seen & {"torch", "jax"}
        if len(deep) == 1:
            return deep.pop()
        if len(deep) == 2:
            raise Unusable(f"{target.label}: uses torch and jax; say which arrays it takes with --framework")
    if "numpy" in {_root(thing) for thing in home.values()} or home:
        return "numpy"
    raise Unusable(f"{target.label}: cannot tell its framework; say --framework torch, jax or numpy")


def _root(thing):
    name = thing.__name__ if inspect.ismodule(thing) else getattr(thing, "__module__", None) or ""
    root = str(name).split(".")[0]
    return "jax" if root == "jaxlib" else root


def _mentioned(annotation):
    if isinstance(annotation, str):
        words = annotation.replace(".", " ").replace("jnp", "jax").replace("np", "numpy").split()
        return next((f for f in FRAMEWORKS if f in words), None)
    return _root(annotation)


def _names(code):
    """Global names that a function's code uses, inner functions included."""
    if code is None:
        return set()
    inner = [c for c in code.co_consts if inspect.iscode(c)]
    return set(code.co_names).union(*map(_names, inner))


@dataclasses.dataclass
class Binding:
    """Which argument of the loss goes where in the user's call.

    Attributes:
        names: {argument of the loss: parameter of the callable}, or positions 0, 1, ... in place of names.
        attributes: {learned scalar: attribute of the instance that holds it}; set before a call, read after it.
        constants: {parameter of the callable: value}.
        fixed: {setting: value} at which the callable computes, whatever a case says.
    """

    names: dict
    attributes: dict
    constants: dict
    fixed: dict

    def takes(self, name):
        return name in self.names or name in self.attributes


def bind(loss, target, arrays, settings, mapping=None, constants=None):
    """Match the loss's arguments with the callable's parameters.

    Arrays go by ``mapping``, else by name where the callable has parameters of all their names, else by position.
    Numbers (temperature, margin, weights) go to parameters of their name, or of the mapped one; words and flags only
    where ``settings`` chooses them. A number that the callable does not take is compared at ``settings``, else at the
    instance's attribute of that name, else at the page's default.

    Args:
        arrays: names of the loss's arrays to pass. settings: the loss's settings chosen by the user.
        mapping: {argument of the loss: parameter of the callable}. constants: {parameter of the callable: value}.
    Raises:
        Unusable: a name that neither side knows, a parameter left without a value, too few parameters.
    """
    mapping, constants = dict(mapping or {}), dict(constants or {})
    known = target.parameters
    open_ended = not known or any(p.kind is p.VAR_KEYWORD for p in known.values())
    for name, theirs in mapping.items():
        if name not in loss.parameters:
            raise Unusable(f"--map {name}={theirs}: {loss.name} has no {name!r}{suggestion(name, loss.parameters)}")
        if not open_ended and theirs not in known and not hasattr(target.call, theirs):
            raise Unusable(f"--map {name}={theirs}: {target.label} has no {theirs!r}{suggestion(theirs, known)}")
    for theirs in constants:
        if not open_ended and theirs not in known:
            raise Unusable(f"{target.label} has no parameter {theirs!r}{suggestion(theirs, known)}")

    names = {name: theirs for name, theirs in mapping.items() if name in arrays}
    rest = [name for name in arrays if name not in names]
    if known and all(name in known for name in rest):
        names.update({name: name for name in rest})
    else:
        names.update(zip(rest, _places(target, len(rest), {*mapping.values(), *constants}, loss), strict=True))

    attributes, fixed = {}, {}
    for p in loss.settings:
        theirs = mapping.get(p.name, p.name)
        chosen = p.name in settings or p.name in mapping
        if p.name == "tile" or theirs in constants:
            continue
        if theirs in known:
            if chosen or not isinstance(p.annotation, TrueOrFalse | Choice):
                names[p.name] = theirs
        elif p.name not in settings and hasattr(target.call, theirs):
            held = getattr(target.call, theirs)
            if p.annotation.differentiable and _root(type(held)) == "torch" and held.requires_grad:
                attributes[p.name] = theirs
            elif isinstance(held, numbers.Real) and not isinstance(held, bool):
                fixed[p.name] = float(held)
    for p in known.values():
        given = p.name in names.values() or p.name in constants
        if not given and p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            raise Unusable(
                f"{target.label}: its parameter {p.name!r} has no counterpart; say --map ARGUMENT={p.name} for one of "
                f"{', '.join(n for n in loss.parameters if n not in names and n != 'tile')}, or --const {p.name}=VALUE"
            )
    return Binding(names, attributes, constants, fixed)


def _places(target, count, taken, loss):
    """The parameters that take ``count`` arrays by position, or the bare positions of an open-ended callable."""
    kinds = [p.kind for p in target.parameters.values()]
    if not kinds or inspect.Parameter.VAR_POSITIONAL in kinds:
        return list(range(count))
    free = [p.name for p in target.parameters.values() if p.kind <= p.POSITIONAL_OR_KEYWORD and p.name not in taken]
    if len(free) < count:
        raise Unusable(
            f"{target.label}: takes {len(free)} positional argument{'s' * (len(free) != 1)}, expected {count}: "
            f"{loss.name} compares {', '.join(p.name for p in loss.arrays if not p.annotation.optional)}"
        )
    return free[:count]


def call_with(target, binding, values):
    """Call the target with ``values`` {argument of the loss: value}, each in its place."""
    args, params = {}, dict(binding.constants)
    order = list(target.parameters)
    for name, value in values.items():
        place = binding.names[name]
        if isinstance(place, int):
            args[place] = value
        elif place in target.parameters and target.parameters[place].kind is inspect.Parameter.POSITIONAL_ONLY:
            args[order.index(place)] = value
        else:
            params[place] = value
    return target.call(*(args[k] for k in sorted(args)), **params)
