"""What everything that comes from a paper declares about itself: a loss, a metric, an encoder, a mask, an optimiser.

A page is declared by a decorator of its kind (``@loss(...)``, ``@metric(...)``, ``@encoder(...)``). It knows its
papers, its text, its arguments with their ranges, its named variants, and its *literal form*: the formula, the exact
solution or the loop that says the same once more. ``@definition(page)`` registers it, and a table-driven test compares
the two.
"""

import inspect
import re
import sys
import textwrap
from typing import NamedTuple

from mini_repr.backend import CPU, backend_of
from mini_repr.pages.arguments import Annotation, Misuse

# The kinds of pages, each with the packages that hold them. A procedure acts in training or after it: SAM, TLDR. A
# theorem is a closed form or both sides of a bound, on a distribution that is known exactly.
KINDS = {
    "loss": ("losses",),
    "method": ("methods",),
    "encoder": ("nn", "tokens"),
    "metric": ("metrics",),
    "optimiser": ("optim",),
    "mask": ("masking",),
    "procedure": ("optim", "methods", "posthoc"),
    "theorem": ("metrics", "posthoc"),
}


class Variant(NamedTuple):
    """A named setting of the parameters that some public implementation or paper uses, and what it is."""

    description: str
    settings: dict
    needs: tuple = ()  # optional arrays without which these settings are no use

    @property
    def as_text(self):
        """``negatives=queue, symmetric=False``."""
        return ", ".join(f"{name}={value}" for name, value in self.settings.items())


def variant(description, needs=(), **settings):
    """Declare a variant: ``variant("sum over rows", reduction="sum")``."""
    return Variant(description, settings, needs)


class Parameter(NamedTuple):
    """One argument of a page: its name, its annotation and its default (``Parameter.required`` where there is none)."""

    name: str
    annotation: Annotation
    default: object

    required = inspect.Parameter.empty

    @property
    def default_text(self):
        """``default 0.1`` or ``required``."""
        if self.default is self.required:
            return "required"
        return f"default {self.default:.6g}" if isinstance(self.default, float) else f"default {self.default}"


class Page:
    """A declared thing.

    Args:
        kind: one of ``KINDS``. thing: the function or class. papers: catalogue numbers, such as ("092",).
        name: what users type; the thing's own name by default. aliases: other names of the field for it.
        variants: {name: variant(...)}. sizes: {letter: size} for sampled inputs, where the general ones do not fit.
        tex: {"definition": ..., "gradient": ...}, one or both: the formulas of these sections of the text as TeX, with
            an empty line between two, for the book.
    """

    one_dtype = True  # whether all floating-point arrays of a call must be of one dtype

    def __init__(
        self, kind, thing, papers, *, name=None, aliases=(), variants=None, invariants=(), sizes=None, tex=None
    ):
        self.kind = kind
        self.thing = thing
        self.name = name or thing.__name__
        self.papers = (papers,) if isinstance(papers, str) else tuple(papers)
        self.aliases = tuple(aliases)
        self.variants = variants or {}
        self.invariants = tuple(invariants)
        self.sizes = sizes or {}
        self.tex = tex or {}
        if not set(self.tex) <= {"definition", "gradient"}:
            raise TypeError(f"{self.name}: tex: got {', '.join(self.tex)}, expected definition, gradient or both")
        self.literal = None  # the literal form, once ``@definition(page)`` has declared it
        self.__name__ = self.name
        self.__module__ = thing.__module__
        # A function without a text of its own has that of its module: one page, one thing.
        self.own_text = inspect.cleandoc(thing.__doc__ or sys.modules[thing.__module__].__doc__)
        self.__signature__ = inspect.signature(thing)
        self.__doc__ = f"{self.call}\n\n{self.own_text}"  # as of NumPy's ufuncs: help() has no other place for it
        self.parameters = {
            p.name: Parameter(p.name, p.annotation, p.default)
            for p in self.__signature__.parameters.values()
            if isinstance(p.annotation, Annotation)
        }
        self.differentiable = [p.name for p in self.parameters.values() if p.annotation.differentiable]

    def __repr__(self):
        return f"<{self.kind} {self.name}>"

    @property
    def call(self):
        """How it is called, names and defaults: ``infonce(a, b, temperature=0.1, ...)``."""
        arguments = self.__signature__.parameters.values()
        shown = ", ".join(p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in arguments)
        return textwrap.fill(f"{self.thing.__name__}({shown})", 100, subsequent_indent="    ", break_on_hyphens=False)

    @property
    def text(self):
        """What it is, its equations, shapes, errors and source: its module's text, and its own where it has one."""
        module_text = inspect.cleandoc(sys.modules[self.__module__].__doc__)
        return self.own_text if self.own_text == module_text else f"{module_text}\n\n{self.own_text}"

    @property
    def summary(self):
        """The first line of its own text; of a loss without its name before the colon."""
        first = self.own_text.splitlines()[0]
        return first.partition(": ")[2] if self.kind == "loss" else first

    @property
    def own_paper(self):
        """The paper that its text names first as its source, as far as the arXiv id: its own, or ""."""
        found = re.search(r"Source[.:] (.{3,120}? arXiv[ :]+\d{4}\.\d{4,5})", " ".join(self.text.split()))
        return found[1] if found else ""

    @property
    def arrays(self):
        """The array arguments, in order."""
        return [p for p in self.parameters.values() if p.annotation.is_array]

    @property
    def settings(self):
        """The arguments that are not arrays: temperatures, margins, flags and choices, with their defaults."""
        return [p for p in self.parameters.values() if not p.annotation.is_array]

    def bind(self, args, params):
        """{name: value} of a call with every default filled in; a ValueError where it does not fit the signature."""
        try:
            bound = self.__signature__.bind(*args, **params)
        except TypeError as error:
            takes = ", ".join(self.__signature__.parameters)
            raise ValueError(f"{self.name}: {error}; it takes {takes}") from None
        bound.apply_defaults()
        return bound.arguments

    def complete(self, arguments):
        """``arguments`` {name: value} with the defaults of those left out; without ``tile``, which changes no value."""
        defaults = {p.name: p.default for p in self.parameters.values() if p.default is not p.required}
        return {name: value for name, value in {**defaults, **arguments}.items() if name != "tile"}

    def checked(self, arguments):
        """``arguments`` {name: plain value}, each checked against its annotation; arrays of one dtype and device.

        Labels and masks on the host join rows on another device.

        Raises:
            ValueError: naming the page, the argument, what came and what was expected.
        """
        checked, sizes, first = dict(arguments), {}, None
        for name, parameter in self.parameters.items():
            try:
                value = checked[name] = parameter.annotation.check(arguments[name], sizes, name)
                if not parameter.annotation.is_array or value is None:
                    continue
                if value.dtype.kind == "f":
                    first = first or (name, value)
                    if self.one_dtype and value.dtype != first[1].dtype:
                        raise Misuse(f"dtype {value.dtype}", f"{first[1].dtype}, as {first[0]} has")
                if first is not None:
                    here, there = backend_of(value), backend_of(first[1])
                    if here is CPU and there is not CPU and parameter.annotation.bare.from_host:
                        checked[name] = value if parameter.annotation.bare.stays else there.asarray(value)
                    elif here.name != there.name:
                        raise Misuse(f"an array on {here.name}", f"one on {there.name}, as {first[0]}")
            except Misuse as problem:
                raise ValueError(f"{self.title}: {name}: {problem}") from None
        return checked

    @property
    def title(self):
        """How errors name it: as it is called in Python, or its kind and name where these are what users type."""
        return f"{self.kind} {self.name}" if self.kind in ("method", "encoder", "optimiser") else self.thing.__name__


def definition(page):
    """Decorator: register the literal form of a page, which takes the same arguments (but ``tile``).

    Raises:
        TypeError: it takes others, or the page has one.
    """
    page = getattr(page, "page", page)  # of a class

    def register(function):
        wanted = [name for name in page.__signature__.parameters if name != "tile"]
        if page.literal is not None:
            raise TypeError(f"{page.name}: has a definition already")
        is_function = page.kind in ("loss", "metric", "mask", "theorem")
        if is_function and list(inspect.signature(function).parameters) != wanted:
            raise TypeError(f"{page.name}: the definition takes other arguments than the {page.kind}")
        page.literal = function
        return function

    return register
