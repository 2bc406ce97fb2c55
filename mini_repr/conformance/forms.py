"""What is near a loss: its declared variants, its other settings, the slips that no rewrite of its formula reaches."""

import itertools
from typing import NamedTuple

import numpy as np

from mini_repr.autograd import Tensor
from mini_repr.conformance.adapters import Outcome
from mini_repr.conformance.cases import accepts
from mini_repr.conformance.slips import ALTERATIONS, Alteration, value_of_slip
from mini_repr.pages.arguments import Choice, Count, Scalar, TrueOrFalse, WithGradient

COMMON_NUMBERS = (
    *(0.0, 1e-12, 1e-8, 1e-6, 1e-5, 1e-4, 1e-3, 0.005, 0.0051, 0.01, 1 / 32, 0.02, 0.03, 0.04, 0.05, 0.07),
    *(0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 15.0, 20.0, 25.0, 100.0),
)
MOST_COMBINATIONS = 400


class Form(NamedTuple):
    """One way to compute something near the loss: its settings, a slip on top (or None), the variant's name if any."""

    settings: dict
    slip: Alteration | None = None
    variant: str = ""

    def text(self, loss):
        inner = ", ".join(f"{n}={v!r}" for n, v in self.settings.items())
        return f"{loss.name}({inner})" if inner else loss.name

    def value(self, loss, arguments):
        """One number at complete arguments, or None where the settings do not go together."""
        arguments = {**arguments, **self.settings}
        with np.errstate(all="ignore"):
            # The page refuses settings that do not go together; its definition, which a slip alters, does not.
            value = self._replace(slip=None).evaluate(loss, arguments)
            if value is not None and self.slip:
                value = self.evaluate(loss, arguments)
        return float(value.data) if value is not None and value.ndim == 0 else None

    def outcome(self, loss, arguments, wanted):
        """Outcome with the gradients of the ``wanted`` arguments; None where it cannot be evaluated."""
        arguments = {**arguments, **self.settings}
        tensors = {
            n: Tensor(np.asarray(arguments[n], dtype=np.float64), requires_grad=True)
            for n in wanted
            if n not in self.settings or loss.parameters[n].annotation.is_array
        }
        with np.errstate(all="ignore"):
            value = self.evaluate(loss, {**arguments, **tensors})
            if value is None:
                return None
            if value.requires_grad:
                value.backward()
        found = {n: tensors[n].grad if n in tensors else None for n in wanted}
        gradients = {n: np.zeros(np.shape(arguments[n])) if g is None else g for n, g in found.items()}
        return Outcome(float(value.data), gradients, value.data.dtype)

    def evaluate(self, loss, arguments):
        """The value as a tensor; None where the settings do not go together or the slip cannot be made."""
        if self.slip:
            return value_of_slip(self.slip, loss, arguments)
        try:
            return loss(**arguments)
        except (ValueError, TypeError):
            return None


def single_changes(loss, settings, numbers):
    """Declared variants, then every other setting alone, then every slip."""
    values = [Form({**settings, p.name: v}) for p in loss.settings for v in _numbers(loss, p, settings, numbers)]
    slips = [Form(dict(settings), a) for a in ALTERATIONS if a.applies(loss)]
    return [*changed_words(loss, settings), *slips, *values]


def changed_words(loss, settings):
    """Declared variants, and every other word or flag alone."""
    forms = [
        Form({**settings, **v.settings}, None, name)
        for name, v in loss.variants.items()
        if {**settings, **v.settings} != settings
    ]
    return [*forms, *(Form({**settings, p.name: v}) for p in loss.settings for v in _words(p, settings))]


def _words(parameter, settings):
    now = settings.get(parameter.name, parameter.default)
    options = {TrueOrFalse: (True, False), Choice: getattr(parameter.annotation, "options", ())}
    return [v for v in options.get(type(parameter.annotation), ()) if v != now and v != "none"]


def _numbers(loss, parameter, settings, numbers):
    """Values for a setting that is a number: those in the callable, those of declared variants, common ones."""
    bare = parameter.annotation.bare
    if isinstance(bare, Count):
        return [v for v in (0, 1) if v >= bare.least and not bare.choose]
    if not isinstance(bare, Scalar | WithGradient):
        return []
    declared = [v.settings[parameter.name] for v in loss.variants.values() if parameter.name in v.settings]
    return [v for v in dict.fromkeys([*numbers, *declared, *COMMON_NUMBERS]) if accepts(parameter.annotation, v)]


def pairs(loss, settings, near):
    """Two of them together: words, variants and slips; a number joins a word or a variant."""
    changed = [f for f in near if f.slip is None and (f.variant or _is_word_change(loss, settings, f))]
    slips = [f for f in near if f.slip is not None]
    for first, second in itertools.combinations(changed, 2):
        joined = {**first.settings, **_difference(settings, second.settings)}
        if joined not in (first.settings, second.settings):
            yield Form(joined)
    for form, slip in itertools.product(changed, slips):
        yield Form(form.settings, slip.slip, form.variant)
    values = [f for f in near if f.slip is None and not f.variant and not _is_word_change(loss, settings, f)]
    for form, value in itertools.product(changed, values):
        yield Form({**form.settings, **_difference(settings, value.settings)})


def combinations(loss, settings):
    """Every combination of the words of a page."""
    choices = [[(p.name, v) for v in (settings.get(p.name, p.default), *_words(p, settings))] for p in loss.settings]
    choices = [c for c in choices if len(c) > 1]
    if np.prod([len(c) for c in choices], dtype=float) > MOST_COMBINATIONS:
        return
    for chosen in itertools.product(*choices):
        defaults = {p.name: p.default for p in loss.settings}
        yield Form({**settings, **{n: v for n, v in chosen if n in settings or v != defaults[n]}})


def _is_word_change(loss, settings, form):
    changed = [loss.parameters[n].annotation for n in _difference(settings, form.settings)]
    return all(isinstance(annotation, TrueOrFalse | Choice) for annotation in changed)


def _difference(settings, changed):
    return {n: v for n, v in changed.items() if n not in settings or settings[n] != v}
