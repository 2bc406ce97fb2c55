"""Which argument of a loss goes where in a user's call."""

import inspect
import numbers
from dataclasses import dataclass

from mini_repr.conformance.layouts import Layout
from mini_repr.conformance.user_code import Unusable, root
from mini_repr.pages.arguments import Choice, TrueOrFalse
from mini_repr.pages.names import suggestion

# Parameters that take one argument each.
ONE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass
class Binding:
    """Which argument of the loss goes where in the user's call.

    Attributes:
        names: {argument of the loss: parameter of the callable}, or positions 0, 1, ... in place of names.
        attributes: {learned scalar: attribute of the instance that stores it}; set before a call, read after it.
        constants: {parameter of the callable: value}.
        fixed: {setting: value} at which the callable computes, whatever a case says.
        sides: [names of the arrays of each call]. layout: how the arrays are given.
    """

    names: dict
    attributes: dict
    constants: dict
    fixed: dict
    sides: list
    layout: Layout

    def takes(self, name):
        return name in self.names or name in self.attributes


def bind(loss, target, arrays, settings, mapping=None, constants=None, layout=Layout()):  # noqa: B008 (never changed)
    """Match the loss's arguments with the callable's parameters.

    Arrays go by ``mapping``, else by name where the callable has parameters of all their names, else by position.
    Numbers (temperature, margin, weights) go to parameters of their name, or of the mapped one; words and flags only
    where ``settings`` chooses them. A number that the callable does not take is compared at ``settings``, else at the
    instance's attribute of that name, else at the page's default.

    Args:
        arrays: names of the loss's arrays to pass. settings: the loss's settings chosen by the user.
        mapping: {argument of the loss: parameter of the callable}. constants: {parameter of the callable: value}.
        layout: how the callable wants its arrays.
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

    sides = layout.sides(loss, arrays)
    views = layout.views_of(loss, arrays)
    names = {name: theirs for name, theirs in mapping.items() if name in arrays}
    rest = [name for name in sides[0] if name not in names and name not in views[1:]]
    if known and all(name in known for name in rest):
        names.update({name: name for name in rest})
    else:
        names.update(zip(rest, _places(target, len(rest), {*mapping.values(), *constants}, loss), strict=True))
    if len(sides) > 1:
        names.update(zip(sides[1], [names[name] for name in sides[0]], strict=True))
    if views:
        names.update(dict.fromkeys(views, names[views[0]]))

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
            stored = getattr(target.call, theirs)
            if p.annotation.differentiable and root(type(stored)) == "torch" and stored.requires_grad:
                attributes[p.name] = theirs
            elif isinstance(stored, numbers.Real) and not isinstance(stored, bool):
                fixed[p.name] = float(stored)
    for p in known.values():
        given = p.name in names.values() or p.name in constants
        if not given and p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            raise Unusable(
                f"{target.label}: its parameter {p.name!r} has no counterpart; say --map ARGUMENT={p.name} for one of "
                f"{', '.join(n for n in loss.parameters if n not in names and n != 'tile')}, or --const {p.name}=VALUE"
            )
    return Binding(names, attributes, constants, fixed, sides, layout)


def _places(target, count, taken, loss):
    """The parameters that take ``count`` arrays by position, or the bare positions of an open-ended callable."""
    kinds = [p.kind for p in target.parameters.values()]
    if not kinds or inspect.Parameter.VAR_POSITIONAL in kinds:
        return list(range(count))
    free = [p.name for p in target.parameters.values() if p.kind in ONE and p.name not in taken]
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
