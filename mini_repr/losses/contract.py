"""The contract of a loss page: one decorator that declares, validates and registers.

A page is a function from checked arrays to ``(value, backward)`` or ``(value, backward, terms)``:

* ``value``: a 0-d array, or one number a row for ``reduction="none"``;
* ``backward(g)``: one gradient per differentiable argument, in the order of the signature (``None`` for an optional
  one that was left out); new arrays that the caller cannot see;
* ``terms``: the named parts of the value as plain 0-d arrays, for logs.

It states itself a second time as its *definition*: the paper's formula in engine operations. ``loss(ta, tb)`` works on
tensors; ``loss.value_and_grad(a, b)`` on plain arrays; ``loss.by_definition(ta, tb)`` evaluates the definition.
"""

import inspect
import sys
from typing import NamedTuple

from mini_repr.autograd.primitive import record, value_of
from mini_repr.autograd.tensor import Tensor
from mini_repr.backend import backend_of
from mini_repr.losses.annotations import Annotation, Misuse, finite

_registry = {}


class Variant(NamedTuple):
    """A named setting of the parameters that some public implementation or paper uses, and what it is."""

    says: str
    settings: dict
    needs: tuple = ()  # optional arrays without which these settings are no use


def variant(says, needs=(), **settings):
    """Declare a variant: ``variant("sum over rows", reduction="sum")``."""
    return Variant(says, settings, needs)


class Parameter(NamedTuple):
    """One argument of a loss: its name, its annotation and its default (``Parameter.required`` where there is none)."""

    name: str
    annotation: Annotation
    default: object

    required = inspect.Parameter.empty


class Loss:
    """A registered loss. See the module's docstring for the three ways to call it."""

    def __init__(self, function, paper, variants, invariants, sizes):
        self.name = function.__name__
        self.function = function
        self.paper = paper
        self.variants = variants
        self.invariants = invariants
        self.sizes = sizes
        self.folder = function.__module__.split(".")[-2]
        self.__doc__ = sys.modules[function.__module__].__doc__  # the page's text
        self.__module__ = function.__module__
        self.literal = None  # the definition, once the page has declared it
        self._signature = inspect.signature(function)
        self.parameters = {
            p.name: Parameter(p.name, p.annotation, p.default) for p in self._signature.parameters.values()
        }
        self.differentiable = [p.name for p in self.parameters.values() if p.annotation.differentiable]

    def __repr__(self):
        return f"<loss {self.name} ({self.folder})>"

    @property
    def summary(self):
        """The page's title line, without the name."""
        first = self.__doc__.strip().splitlines()[0]
        return first.partition(": ")[2] or first

    @property
    def arrays(self):
        """The array arguments, in order."""
        return [p for p in self.parameters.values() if p.annotation.is_array]

    @property
    def settings(self):
        """The arguments that are not arrays: temperatures, margins, flags and choices, with their defaults."""
        return [p for p in self.parameters.values() if not p.annotation.is_array]

    def definition(self, formula):
        """Decorator: register the page's second statement of the loss, the literal formula in engine operations."""
        if list(inspect.signature(formula).parameters) != [p for p in self.parameters if p != "tile"]:
            raise TypeError(f"{self.name}: the definition takes other arguments than the loss")
        self.literal = formula
        return formula

    def __call__(self, *args, **params):
        """The loss of tensors (or arrays) as a tensor; ``.terms`` holds its named parts.

        Raises:
            ValueError: an argument does not fit its annotation; the message names it, what came and what was expected.
        """
        arguments = self._bind(args, params)
        value, backward, *terms = self.function(**self.checked(arguments))
        inputs = tuple(arguments[name] for name in self.differentiable)
        some_array = next(value_of(arguments[p.name]) for p in self.arrays)
        backend = backend_of(some_array)

        def backward_as_arrays(g):
            return tuple(_as_array(backend, one, like) for one, like in zip(backward(g), inputs, strict=True))

        output = record(backend.asarray(value, dtype=some_array.dtype), backward_as_arrays, inputs)
        output.terms = terms[0] if terms else {}
        return output

    def value_and_grad(self, *args, **params):
        """Value and gradients for plain arrays.

        Returns:
            (value as a 0-d array, {name: gradient shaped like the argument} for every differentiable argument,
            learned scalars included; an optional array that was left out has no entry).
        Raises:
            ValueError: as in calling; also for a NaN or an infinity in an array, for ``reduction="none"``, and where
                the value or a gradient is beyond the dtype.
        """
        arguments = self._bind(args, params)
        self._require_finite(arguments)
        value, gradients = self._differentiate(self, arguments)
        for what, found in [("value", value), *((f"gradient of {n}", g) for n, g in gradients.items())]:
            if not finite(found):
                expected = f"finite numbers: the inputs or settings are too extreme for {value.dtype}"
                raise ValueError(f"{self.name}: {what}: got a NaN or an infinity, expected {expected}")
        return value, gradients

    def by_definition(self, *args, **params):
        """The definition's value on tensors (or arrays), as a tensor that the engine can differentiate."""
        arguments = self._bind(args, params)
        self.checked(arguments)
        return self.formula(arguments)

    def definition_and_grad(self, *args, **params):
        """As ``value_and_grad``, from the definition through the engine."""
        arguments = self._bind(args, params)
        self._require_finite(arguments)
        return self._differentiate(self.by_definition, arguments)

    def formula(self, arguments):
        """The definition on unchecked arguments {name: value}: the way in for complex and high-precision checks."""
        if self.literal is None:
            raise TypeError(f"{self.name}: the page has no definition")
        arguments = {name: value for name, value in arguments.items() if name != "tile"}
        for p in self.arrays:
            value = arguments[p.name]
            if p.annotation.differentiable and value is not None and not isinstance(value, Tensor):
                arguments[p.name] = Tensor(value)
        return self.literal(**arguments)

    def checked(self, arguments):
        """Plain values of ``arguments``, each held against its annotation; arrays in one dtype and on one device."""
        sizes, plain = {}, {}
        first = None
        for name, parameter in self.parameters.items():
            value = value_of(arguments[name])
            try:
                value = plain[name] = parameter.annotation.check(value, sizes)
                if parameter.annotation.is_array and value is not None and value.dtype.kind == "f":
                    first = first or (name, value)
                    if value.dtype != first[1].dtype:
                        raise Misuse(f"dtype {value.dtype}", f"{first[1].dtype}, as {first[0]} has")
                if parameter.annotation.is_array and value is not None and first is not None:
                    here, there = backend_of(value).name, backend_of(first[1]).name
                    if here != there:
                        raise Misuse(f"an array on {here}", f"one on {there}, as {first[0]}")
            except Misuse as problem:
                raise ValueError(f"{self.name}: {name}: {problem}") from None
        return plain

    def _bind(self, args, params):
        try:
            bound = self._signature.bind(*args, **params)
        except TypeError as error:
            raise ValueError(f"{self.name}: {error}; it takes {', '.join(self.parameters)}") from None
        bound.apply_defaults()
        return bound.arguments

    def _require_finite(self, arguments):
        self.checked(arguments)
        for p in self.arrays:
            value = value_of(arguments[p.name])
            if value is not None and not finite(value):
                raise ValueError(f"{self.name}: {p.name}: got a NaN or an infinity, expected finite numbers")

    def _differentiate(self, evaluate, arguments):
        arguments = dict(arguments)
        some_array = arguments[self.arrays[0].name]
        tensors = {}
        for name in self.differentiable:
            if arguments[name] is not None:
                data = arguments[name]
                if not self.parameters[name].annotation.is_array:
                    data = backend_of(some_array).asarray(data, dtype=some_array.dtype)
                arguments[name] = tensors[name] = Tensor(data, requires_grad=True)
        output = evaluate(**arguments)
        if output.ndim:
            raise ValueError(f"{self.name}: reduction: got 'none', expected 'mean' or 'sum' for a gradient")
        if output.requires_grad:
            output.backward()
        zero = {name: t.data * 0 for name, t in tensors.items() if t.grad is None}
        return output.data, {name: zero.get(name, t.grad) for name, t in tensors.items()}


def loss(paper, variants=None, invariants=(), sizes=None):
    """Declare and register a loss page.

    Args:
        paper: the catalogue number of its paper, such as "092".
        variants: {name: variant(...)}.
        invariants: what must hold (see ``losses/invariants.py``), checked by the table-driven test.
        sizes: {letter: size} for drawn test inputs, where the general ones do not fit.
    """

    def register(function):
        page = Loss(function, paper, variants or {}, tuple(invariants), sizes or {})
        if page.name in _registry:
            raise ValueError(f"a loss named {page.name} is registered already")
        _registry[page.name] = page
        return page

    return register


def _as_array(backend, gradient, like):
    if gradient is None:
        return None
    dtype = like.dtype if isinstance(like, Tensor) else None
    return backend.asarray(gradient, dtype=dtype)
