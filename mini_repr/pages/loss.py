"""A loss page: one decorator that declares, checks and registers it.

A page is a function from checked arrays to ``(value, backward)`` or ``(value, backward, terms)``:

* ``value``: a 0-d array, or one number per row for ``reduction="none"``;
* ``backward(g)``: one gradient per differentiable argument, in the order of the signature (``None`` for an optional
  one that was left out); new arrays that the caller cannot see;
* ``terms``: the named parts of the value as plain 0-d arrays, for logs.

It states itself a second time as its *definition*: the paper's formula in engine operations, declared by
``@definition(page)``. ``infonce(ta, tb)`` works on tensors; ``infonce.value_and_grad(a, b)`` on plain arrays;
``infonce.definition`` and ``infonce.definition_and_grad`` do the same by the definition.
"""

import math
import types

from mini_repr.autograd.primitive import record, value_of
from mini_repr.autograd.tensor import Tensor
from mini_repr.backend import backend_of, waits_to_read
from mini_repr.pages.arguments import Mask, finite
from mini_repr.pages.foreign import library_of, taken_in
from mini_repr.pages.page import Page, definition, variant
from mini_repr.pages.registry import COMPARES, register

# All that a loss page declares itself with.
__all__ = ["Loss", "definition", "evaluate_definition", "loss", "variant"]


class Loss(Page):
    """A registered loss. See the module's docstring for the ways to call it.

    Args:
        compares: one of ``COMPARES``. views: how many views of a sample it compares. sequences: whether its rows are
            sequences (B, T, D).
    """

    def __init__(self, function, papers, *, compares=None, views=2, sequences=False, **declared):
        super().__init__("loss", function, papers, **declared)
        self.compares = compares or function.__module__.split(".")[-2]
        if self.compares not in COMPARES:
            raise ValueError(f"loss {self.name}: compares: got {self.compares!r}, expected {', '.join(COMPARES)}")
        self.views = views
        self.sequences = sequences

    @property
    def required(self):
        """Names of the arrays that cannot be left out, in order."""
        return [p.name for p in self.arrays if not p.annotation.optional]

    @property
    def masked(self):
        """Whether it counts only what a mask marks."""
        return any(isinstance(p.annotation, Mask) for p in self.arrays)

    def __call__(self, *args, **params):
        """The loss of tensors (or arrays) as a tensor; ``.terms`` holds its named parts.

        Raises:
            ValueError: an argument does not fit its annotation; the message names it, what came and what was expected.
        """
        arguments = self.bind(args, params)
        for name, value in arguments.items():
            if library := library_of(value):
                raise ValueError(
                    f"{self.name}: {name}: got a {library} tensor, expected an array or a Tensor of mini_repr; "
                    f"{self.name}.value_and_grad(...) takes it, and returns value and gradients as {library} tensors"
                )
        return self.on_tensors(arguments, self.thing, self._checked_values(arguments))

    def on_tensors(self, arguments, function, values):
        """What ``function(**values)`` returns, as a page does, as a tensor made of the tensors in ``arguments``."""
        value, backward, *terms = function(**values)
        inputs = tuple(arguments[name] for name in self.differentiable)
        some_array = next(value_of(arguments[p.name]) for p in self.arrays)
        backend = backend_of(some_array)

        def backward_as_arrays(g):
            return tuple(_as_array(backend, one, like) for one, like in zip(backward(g), inputs, strict=True))

        output = record(backend.asarray(value, dtype=some_array.dtype), backward_as_arrays, inputs)
        output.terms = terms[0] if terms else {}
        return output

    def value_and_grad(self, *args, **params):
        """Value and gradients for plain arrays, or for tensors of another library that speaks DLPack.

        Returns:
            (value as a 0-d array, {name: gradient shaped like the argument} for every differentiable argument,
            scalars included; an optional array that was left out has no entry). For tensors of PyTorch or JAX all of
            it is tensors too.
        Raises:
            ValueError: as in calling; also for a NaN or an infinity in an array, for ``reduction="none"``, and where
                the value or a gradient is beyond the dtype.
        """
        given, give_back = taken_in(self, self.bind(args, params))
        arguments = self._finite_values((), given)
        value, backward, *_ = self.thing(**arguments)
        some_array = arguments[self.arrays[0].name]
        backend = backend_of(some_array)
        value = backend.asarray(value, dtype=some_array.dtype)
        self._require_number(value)
        found = dict(zip(self.differentiable, backward(backend.xp.ones_like(value)), strict=True))
        gradients = {name: backend.asarray(g, dtype=some_array.dtype) for name, g in found.items() if g is not None}
        gradients = {name: g if g.base is None else g.copy() for name, g in gradients.items()}  # each its own array
        for what, found in [("value", value), *((f"gradient of {n}", g) for n, g in gradients.items())]:
            if not finite(found):
                expected = f"finite numbers: the inputs or settings are too extreme for {value.dtype}"
                raise ValueError(f"{self.name}: {what}: got a NaN or an infinity, expected {expected}")
        return give_back(value), {name: give_back(g) for name, g in gradients.items()}

    def definition(self, *args, **params):
        """The definition's value on tensors (or arrays), as a tensor that the engine can differentiate."""
        arguments = self.bind(args, params)
        return evaluate_definition(self, arguments | self._moved(self._checked_values(arguments)))

    def definition_and_grad(self, *args, **params):
        """As ``value_and_grad``, from the definition through the engine."""
        taken, give_back = taken_in(self, self.bind(args, params))
        arguments = self._finite_values((), taken)
        arguments |= self._moved(arguments)
        given = [name for name in self.differentiable if arguments[name] is not None]
        tensors = {name: Tensor(arguments[name], requires_grad=True) for name in given}
        output = evaluate_definition(self, arguments | tensors)
        self._require_number(output)
        if output.requires_grad:
            output.backward()
        found = {name: t.data * 0 if t.grad is None else t.grad for name, t in tensors.items()}
        value, *gradients = (backend_of(x).asarray(x) for x in (output.data, *found.values()))
        return give_back(value), dict(zip(found, map(give_back, gradients), strict=True))

    def _checked_values(self, arguments):
        return self.checked({name: value_of(value) for name, value in arguments.items()})

    def _moved(self, arguments):
        """Checked labels and masks beside the rows: a definition moves nothing itself."""
        backend = backend_of(arguments[self.arrays[0].name])
        names = [p.name for p in self.arrays if p.annotation.bare.from_host and arguments[p.name] is not None]
        return {name: backend.asarray(arguments[name]) for name in names}

    def _finite_values(self, args, params):
        """The checked arguments of a call, its arrays finite, its differentiable scalars as 0-d arrays."""
        arguments = {name: value_of(value) for name, value in self.bind(args, params).items()}
        for p in self.settings:  # numbers on a GPU are read, to be checked like others
            if waits_to_read(arguments[p.name]):
                arguments[p.name] = backend_of(arguments[p.name]).to_numpy(arguments[p.name])
        arguments = self.checked(arguments)
        for p in self.arrays:
            value = arguments[p.name]
            if value is not None and getattr(p.annotation.bare, "unset", False):
                value = backend_of(value).xp.where(value == -math.inf, 0, value)
            if value is not None and not finite(value):
                raise ValueError(f"{self.name}: {p.name}: got a NaN or an infinity, expected finite numbers")
        some_array = arguments[self.arrays[0].name]
        for p in self.settings:
            if p.annotation.differentiable:
                arguments[p.name] = backend_of(some_array).asarray(arguments[p.name], dtype=some_array.dtype)
        return arguments

    def _require_number(self, value):
        if value.ndim:
            raise ValueError(f"{self.name}: reduction: got 'none', expected 'mean' or 'sum' for a gradient")


def loss(paper, **declared):
    """Declare and register a loss page: ``Page`` and ``Loss`` say what may be declared besides its paper(s)."""
    return lambda function: register(Loss(function, paper, **declared))


def evaluate_definition(page, arguments, operations=None):
    """A loss's definition on complete, unchecked arguments {name: value}, as a tensor.

    Differentiable arrays become tensors; what is complex, or of another precision, stays so.

    Args:
        operations: {name: function} that take the place of what the definition, and the helpers on its page, call by
            these names.
    Raises:
        TypeError: the page has no definition.
    """
    if page.literal is None:
        raise TypeError(f"{page.name}: the page has no definition")
    arguments = {name: value for name, value in arguments.items() if name != "tile"}
    for p in page.arrays:
        value = arguments[p.name]
        if p.annotation.differentiable and value is not None and not isinstance(value, Tensor):
            arguments[p.name] = Tensor(value)
    return _with_operations(page.literal, operations or {})(**arguments)


def _with_operations(formula, operations):
    """A copy of a function that finds ``operations`` among its globals; so do the functions of its module."""
    known = {**formula.__globals__, **operations}

    def copied(function):
        copy = types.FunctionType(
            function.__code__, known, function.__name__, function.__defaults__, function.__closure__
        )
        copy.__kwdefaults__ = function.__kwdefaults__
        return copy

    if operations:
        own = {name: f for name, f in known.items() if isinstance(f, types.FunctionType)}
        known |= {n: copied(f) for n, f in own.items() if f.__module__ == formula.__module__ and n not in operations}
    return copied(formula) if operations else formula


def _as_array(backend, gradient, like):
    if gradient is None:
        return None
    dtype = like.dtype if isinstance(like, Tensor) else None
    return backend.asarray(gradient, dtype=dtype)
