"""Pages that are no losses: functions (metrics, masks, procedures) and classes (encoders, optimisers, methods, ...)."""

import inspect
from functools import wraps

import numpy as np

from mini_repr.backend import backend_of
from mini_repr.pages.arguments import finite
from mini_repr.pages.foreign import taken_in
from mini_repr.pages.page import Page
from mini_repr.pages.registry import register


class Function(Page):
    """A function that is called with checked arguments: ``uniformity(z, t=2.0)``; ``definition`` is its literal form.

    Args:
        most_rows: above it the time, which grows by more than rows, is minutes: whoever computes all metrics leaves
            this one out.
        one_dtype: whether all floating-point arrays of a call must be of one dtype.
        tolerance: how far, relatively, the literal form may be from it; above round-off where one of them is iterative.
    """

    def __init__(self, kind, function, papers, *, most_rows=None, one_dtype=False, tolerance=1e-10, **declared):
        super().__init__(kind, function, papers, **declared)
        self.most_rows, self.one_dtype, self.tolerance = most_rows, one_dtype, tolerance

    @property
    def needs(self):
        """Names of the arrays that a call cannot do without."""
        return [p.name for p in self.arrays if not p.annotation.optional]

    def __call__(self, *args, **params):
        return self.thing(**self.checked(taken_in(self, self.bind(args, params))[0]))

    def definition(self, *args, **params):
        """The same by the literal form."""
        return self.literal(**self.checked(taken_in(self, self.bind(args, params))[0]))

    def checked(self, arguments):
        """As ``Page.checked``; a NaN or an infinity in an array is a ValueError too."""
        arguments = super().checked(arguments)
        for p in self.arrays:
            if arguments[p.name] is not None and not finite(arguments[p.name]):
                raise ValueError(f"{self.title}: {p.name}: got a NaN or an infinity, expected finite numbers")
        return arguments


class Theorem(Function):
    """A function of arrays that say what a distribution is; they come from any device, in any precision.

    It computes in float64 on the host: a theorem is to be exact, and seldom large.
    """

    def checked(self, arguments):
        """As ``Function.checked``; arrays on the host, numbers in float64."""
        arguments = super().checked(arguments)
        for p in self.arrays:
            if arguments[p.name] is not None:
                array = backend_of(arguments[p.name]).to_numpy(arguments[p.name])
                arguments[p.name] = array.astype(np.float64) if array.dtype.kind == "f" else array
        return arguments


def metric(paper=(), **declared):
    """Declare and register a metric: a function from arrays to a number."""
    return lambda function: register(Function("metric", function, paper, **declared))


def checked(function):
    """Declare a function beside a metric: its arguments are checked as a metric's are. It is not registered."""
    return Function("metric", function, ())


def mask(paper=(), **declared):
    """Declare and register a mask: a host function ``mask(rng, batch, patches, ...)`` to booleans, True = hidden."""
    return lambda function: register(Function("mask", function, paper, **declared))


def procedure(paper=(), **declared):
    """Declare and register a function that acts in training or after it."""
    return lambda function: register(Function("procedure", function, paper, **declared))


def theorem(paper=(), **declared):
    """Declare and register a theorem: a function to a tuple with named fields, of numbers or arrays."""
    return lambda function: register(Theorem("theorem", function, paper, **declared))


def part(kind, name, paper=(), **declared):
    """Declare and register a class of a kind ("encoder", "optimiser", ...) under the name that users type.

    Its constructor then checks the arguments that are annotated, with the errors of all pages; the class knows its page
    as ``.page``.
    """

    def declare(cls):
        cls.page = register(Page(kind, cls, paper, name=name, **declared))
        _check_constructor(cls)
        return cls

    return declare


def _check_constructor(cls):
    construct = cls.__init__
    signature = inspect.signature(construct)

    @wraps(construct)
    def checked(self, *args, **params):
        bound = signature.bind(self, *args, **params)
        bound.apply_defaults()
        arguments = cls.page.checked(bound.arguments)
        positional = bound.signature.parameters.values()
        flat = [arguments[p.name] for p in positional if p.kind is p.POSITIONAL_OR_KEYWORD]
        construct(*flat, **{p.name: arguments[p.name] for p in positional if p.kind is p.KEYWORD_ONLY})

    cls.__init__ = checked
