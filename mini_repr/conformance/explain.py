"""Say what a callable computes, where it is not the loss it was compared with.

The search goes from simple to less simple: a declared variant or one other setting or one slip; the loss itself times a
factor; then two of these together. A match must fit every piece of evidence, in value and (where there are any)
gradients, to ten digits in float64; if nothing does, to seven. Chance reaches neither. The first, simplest match is the
name.
"""

import itertools
from typing import NamedTuple

import numpy as np

from mini_repr.autograd import Tensor
from mini_repr.conformance.adapters import Outcome
from mini_repr.conformance.cases import accepts, result_of
from mini_repr.conformance.slips import ALTERATIONS, FACTORS, Alteration, value_of_slip
from mini_repr.pages.arguments import Choice, Count, Scalar, TrueOrFalse, WithGradient
from mini_repr.pages.samples import sample_inputs, sizes_of

DIGITS = (10, 7)  # torch's softplus, for one, is a straight line above 20: right to 8 digits
DIGITS_OF_SINGLE = (4,)
COMMON_NUMBERS = (
    *(0.0, 1e-12, 1e-8, 1e-6, 1e-5, 1e-4, 1e-3, 0.005, 0.0051, 0.01, 1 / 32, 0.02, 0.03, 0.04, 0.05, 0.07),
    *(0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 15.0, 20.0, 25.0, 100.0),
)
OFFSETS = {
    "1": lambda n, d: 1.0,
    "2": lambda n, d: 2.0,
    "1/2": lambda n, d: 0.5,
    "log 2": lambda n, d: np.log(2),
    "log N": lambda n, d: np.log(n),
    "log(N-1)": lambda n, d: np.log(n - 1),
    "log(N(N-1))": lambda n, d: np.log(n * (n - 1)),
    "log(N(N-1)/2)": lambda n, d: np.log(n * (n - 1) / 2),
    "log N²": lambda n, d: 2 * np.log(n),
}
MOST_COMBINATIONS = 400
PLAUSIBLE_FACTORS = 1e-4, 1e4  # of those that have no name: what is nearly nothing is a multiple of anything
VANISHING = 1e-12  # a gradient that is all rounding says nothing about factors


class Evidence(NamedTuple):
    """What a callable gave for some complete arguments {name: host array or setting}."""

    arguments: dict
    outcome: Outcome


class Form(NamedTuple):
    """One way to compute something near the loss: its settings, a slip on top (or None), the variant's name if any."""

    settings: dict
    slip: Alteration | None
    variant: str = ""

    def text(self, loss):
        inner = ", ".join(f"{n}={v!r}" for n, v in self.settings.items())
        return f"{loss.name}({inner})" if inner else loss.name


class Explanation(NamedTuple):
    """``text`` for people; the parts for programs: settings, names of slips."""

    text: str
    settings: dict
    slips: tuple


def gradient_names(loss):
    """What gradients are compared for: the differentiable arguments, and targets where a stop-gradient is the point."""
    guarded = (
        [p.name for p in loss.arrays if getattr(p.annotation.bare, "frozen", False)]
        if loss.compares == "teachers"
        else []
    )
    return [*loss.differentiable, *guarded]


def probes(loss, settings, needs, passed, count=4):
    """Ordinary inputs of different sizes, with every number that the callable takes (``passed``) at several values."""
    base = sizes_of(loss)
    rows = loss.arrays[0].annotation.letters[0]
    for k in range(count):
        free = {x: max(3, s + ((0, 2, -1, 3) if x == rows else (0, 1, 3, -1))[k]) for x, s in base.items()}
        # A page may tie its sizes to each other: then the rows alone vary, with what the page states as large as them.
        tied = {
            x: free[rows] if x == rows or (s == base[rows] and {x, rows} <= loss.sizes.keys()) else s
            for x, s in base.items()
        }
        for sizes in (free, tied, base):
            rng = np.random.default_rng(100 + k)
            arguments = sample_inputs(loss, rng, needs, sizes)
            if result_of(loss, {**arguments, **settings}) != "error":
                break
        for p in loss.settings:
            if p.name in passed and p.name not in settings and isinstance(p.annotation, WithGradient | Scalar):
                step = (1.0, 3.0, 0.7, 2.0)[k]
                arguments[p.name] = float(p.default * step if p.default else 0.1 * k)
        yield loss.complete({**arguments, **settings})


def explain(loss, settings, evidence, numbers=()):
    """The simplest description that fits all the evidence, or None.

    Args:
        settings: the loss's settings under which it was compared.
        evidence: list of Evidence of ordinary cases, of several sizes; at least two.
        numbers: values in the callable (defaults, attributes), tried for every numeric setting.
    """
    single = all(e.outcome.dtype.itemsize < 8 for e in evidence)
    for digits in DIGITS_OF_SINGLE if single else DIGITS:
        search = _Search(loss, evidence, 10.0**-digits)
        if search.equal([Form(dict(settings), None)]):
            return None  # it is the loss: what is wrong elsewhere is no other formula
        found = _simplest(search, loss, settings, numbers)
        if found:
            rough = "" if digits == DIGITS[0] else f", to {digits} digits"
            return found._replace(text=found.text + rough)
    return None


def _simplest(search, loss, settings, numbers):
    near = _single_changes(loss, settings, numbers)
    return (
        search.equal(near)
        or search.related([Form(dict(settings), None)])
        or search.equal(_pairs(loss, settings, near))
        or search.related(near)
        or search.equal(_combinations(loss, settings))
        or search.related(_pairs(loss, settings, near), known_factors_only=True)
    )


def _single_changes(loss, settings, numbers):
    """Declared variants, then every other setting alone, then every slip."""
    forms = [
        Form({**settings, **v.settings}, None, name)
        for name, v in loss.variants.items()
        if {**settings, **v.settings} != settings
    ]
    words = [Form({**settings, p.name: v}, None) for p in loss.settings for v in _words(p, settings)]
    values = [Form({**settings, p.name: v}, None) for p in loss.settings for v in _numbers(loss, p, settings, numbers)]
    slips = [Form(dict(settings), a) for a in ALTERATIONS if a.applies(loss)]
    return [*forms, *words, *slips, *values]


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


def _pairs(loss, settings, near):
    """Two of them together: words, variants and slips; a number joins a word or a variant."""
    changed = [f for f in near if f.slip is None and (f.variant or _is_word_change(loss, settings, f))]
    slips = [f for f in near if f.slip is not None]
    for first, second in itertools.combinations(changed, 2):
        joined = {**first.settings, **_difference(settings, second.settings)}
        if joined not in (first.settings, second.settings):
            yield Form(joined, None)
    for form, slip in itertools.product(changed, slips):
        yield Form(form.settings, slip.slip, form.variant)
    values = [f for f in near if f.slip is None and not f.variant and not _is_word_change(loss, settings, f)]
    for form, value in itertools.product(changed, values):
        yield Form({**form.settings, **_difference(settings, value.settings)}, None)


def _combinations(loss, settings):
    """Every combination of the words of a page."""
    choices = [[(p.name, v) for v in (settings.get(p.name, p.default), *_words(p, settings))] for p in loss.settings]
    choices = [c for c in choices if len(c) > 1]
    if np.prod([len(c) for c in choices], dtype=float) > MOST_COMBINATIONS:
        return
    for chosen in itertools.product(*choices):
        defaults = {p.name: p.default for p in loss.settings}
        yield Form({**settings, **{n: v for n, v in chosen if n in settings or v != defaults[n]}}, None)


def _is_word_change(loss, settings, form):
    changed = [loss.parameters[n].annotation for n in _difference(settings, form.settings)]
    return all(isinstance(annotation, TrueOrFalse | Choice) for annotation in changed)


def _difference(settings, changed):
    return {n: v for n, v in changed.items() if n not in settings or settings[n] != v}


class _Search:
    """Compares forms with the evidence."""

    def __init__(self, loss, evidence, tolerance):
        self.loss = loss
        self.evidence = evidence
        self.tolerance = tolerance  # relative to the largest element
        self.sizes = [self._sizes(e.arguments) for e in evidence]
        temperatures = np.array([float(e.arguments.get("temperature", 1.0)) for e in evidence])
        self.factors = [f for f in FACTORS if not f.power or "temperature" in loss.parameters]
        # (factors, evidence): what each factor is for each piece of evidence
        self.numbers = np.array([[f.number(*s) for s in self.sizes] * temperatures**f.power for f in self.factors])

    def _sizes(self, arguments):
        shape = np.shape(arguments[self.loss.arrays[0].name])
        return shape[0], shape[-1]

    def equal(self, forms):
        """The first form that gives all the evidence, described."""
        for form in forms:
            first = self._value(form, self.evidence[0].arguments)
            if first is None or not self._near(self.evidence[0].outcome.value, first):
                continue
            ours = self._outcomes(form)
            if ours and all(self._same(e.outcome, o) for e, o in zip(self.evidence, ours, strict=True)):
                return self._named(form, f"{'computes' if form.slip else 'equals'} {form.text(self.loss)}")
        return None

    def related(self, forms, known_factors_only=False):
        """The first form that gives all the evidence up to a factor, an offset or what happens to gradients.

        ``known_factors_only``: drop a form whose first value is not a known factor away; for long lists of forms.
        """
        for form in forms:
            first = self._value(form, self.evidence[0].arguments)
            if first is None or (known_factors_only and not self._plausible(first)):
                continue
            ours = self._outcomes(form)
            relation = ours and (self._gradient_relation(ours) or self._factor(ours) or self._offset(ours))
            if relation:
                text, slip = relation
                return self._named(form, text.replace("LOSS", form.text(self.loss)), slip)
        return None

    def _named(self, form, text, *more):
        if form.slip:
            text += f", but {form.slip.description}"
        if form.variant:
            text += f" (variant {form.variant}: {self.loss.variants[form.variant].description})"
        return Explanation(text, form.settings, (*([form.slip.name] if form.slip else []), *more))

    def _value(self, form, arguments):
        arguments = {**arguments, **form.settings}
        with np.errstate(all="ignore"):
            # The page refuses settings that do not go together; its definition, which a slip alters, does not.
            value = self._evaluate(form._replace(slip=None), arguments)
            if value is not None and form.slip:
                value = self._evaluate(form, arguments)
        return float(value.data) if value is not None and value.ndim == 0 else None

    def _evaluate(self, form, arguments):
        """The form's value as a tensor; None where its settings do not go together or its slip cannot be made."""
        if form.slip:
            return value_of_slip(form.slip, self.loss, arguments)
        try:
            return self.loss(**arguments)
        except (ValueError, TypeError):
            return None

    def _outcomes(self, form):
        """[Outcome of the form] for all the evidence; None where it cannot be evaluated."""
        outcomes = []
        for e in self.evidence:
            arguments = {**e.arguments, **form.settings}
            tensors = {
                n: Tensor(np.asarray(arguments[n], dtype=np.float64), requires_grad=True)
                for n in e.outcome.gradients or ()
                if n not in form.settings or self.loss.parameters[n].annotation.is_array
            }
            with np.errstate(all="ignore"):
                value = self._evaluate(form, {**arguments, **tensors})
                if value is None:
                    return None
                if value.requires_grad:
                    value.backward()
            gradients = {n: tensors[n].grad if n in tensors else None for n in e.outcome.gradients or ()}
            gradients = {n: np.zeros(np.shape(arguments[n])) if g is None else g for n, g in gradients.items()}
            outcomes.append(Outcome(float(value.data), gradients, value.data.dtype))
        return outcomes

    def _near(self, theirs, expected):
        size = np.max(np.abs(expected), initial=0.0)
        return bool(np.max(np.abs(np.asarray(theirs) - expected), initial=0.0) <= self.tolerance * max(size, 1e-3))

    def _same(self, theirs, ours):
        if not self._near(theirs.value, ours.value):
            return False
        return all(self._near(g, ours.gradients[n]) for n, g in (theirs.gradients or {}).items())

    def _plausible(self, first):
        """A cheap look at one case: equal, or a known factor apart."""
        theirs = self.evidence[0].outcome.value
        expected = np.append(self.numbers[:, 0], 1.0) * first
        return bool((np.abs(theirs - expected) <= self.tolerance * np.abs(expected)).any())

    def _gradient_relation(self, ours):
        """Values equal, gradients not: one factor for all inputs, or another for each."""
        if not all(self._near(e.outcome.value, o.value) for e, o in zip(self.evidence, ours, strict=True)):
            return None
        if not all(e.outcome.gradients for e in self.evidence):
            return None
        found = {}
        for name in self.evidence[0].outcome.gradients:
            pairs = [(e.outcome.gradients[name], o.gradients[name]) for e, o in zip(self.evidence, ours, strict=True)]
            found[name] = self._common_factor(pairs)
        if any(f is None for f in found.values()):
            return None
        if len(set(found.values())) == 1 and found:
            factor = next(iter(found.values()))
            if factor == "0":
                return "value equals LOSS, but no gradient reaches any input", "gradient_missing"
            return f"value equals LOSS, but its gradient is {factor} times the right one", f"gradient_times_{factor}"
        parts = [
            f"no gradient reaches {n}" if f == "0" else f"the gradient of {n} is {f} times the right one"
            for n, f in found.items()
            if f != "1"
        ]
        slip = "gradient_missing" if "0" in found.values() else "gradient_factors_differ"
        return f"value equals LOSS, but {' and '.join(parts)}", slip

    def _common_factor(self, pairs):
        """The text of the factor between two lists of arrays: "0", "1", a known one, a number; None without one."""
        tells = [bool(np.max(np.abs(ours)) > VANISHING) for _, ours in pairs]
        if not any(tells) or all(self._near(theirs, ours) for theirs, ours in pairs):
            return "1" if all(self._near(theirs, ours) for theirs, ours in pairs) else None
        if all(not np.any(theirs) for theirs, _ in pairs):
            return "0"
        numbers = [float((c * o).sum() / (o * o).sum()) if t else None for t, (c, o) in zip(tells, pairs, strict=True)]
        if not all(f is None or self._near(c, f * o) for f, (c, o) in zip(numbers, pairs, strict=True)):
            return None
        return self._factor_text(numbers)

    def _factor_text(self, numbers):
        """In words; ``numbers`` has one factor for each piece of evidence, None where that tells nothing."""
        known = self._known_factor(numbers)
        if known:
            return known.description
        told = np.array([f for f in numbers if f is not None])
        low, high = PLAUSIBLE_FACTORS
        constant = (np.abs(told - told[0]) <= self.tolerance * abs(told[0])).all()
        return f"{told[0]:.9g}" if constant and low <= abs(told[0]) <= high else None

    def _known_factor(self, numbers):
        told = [k for k, f in enumerate(numbers) if f is not None]
        expected = self.numbers[:, told]
        off = np.abs(np.array([numbers[k] for k in told]) - expected)
        fits = (off <= self.tolerance * np.abs(expected)).all(axis=1)
        return self.factors[int(np.argmax(fits))] if fits.any() else None

    def _factor(self, ours):
        """Value and gradient times the same factor."""
        if any(abs(o.value) < 1e-9 for o in ours):
            return None
        numbers = [e.outcome.value / o.value for e, o in zip(self.evidence, ours, strict=True)]
        text = self._factor_text(numbers)
        if text is None:
            return None
        power = getattr(self._known_factor(numbers), "power", 0)
        with_gradients = False
        for e, o, f in zip(self.evidence, ours, numbers, strict=True):
            for name, gradient in (e.outcome.gradients or {}).items():
                with_gradients = True
                expected = f * o.gradients[name]
                if name == "temperature" and power:  # the factor depends on it too
                    expected = expected + power * f * o.value / float(e.arguments["temperature"])
                if not self._near(gradient, expected):
                    return None
        what = "value and gradient are" if with_gradients else "value is"
        return f"{what} {text} times {'those' if with_gradients else 'that'} of LOSS", f"times_{text}"

    def _offset(self, ours):
        """Equal gradients, values apart by a constant."""
        differences = [e.outcome.value - o.value for e, o in zip(self.evidence, ours, strict=True)]
        for e, o in zip(self.evidence, ours, strict=True):
            for name, gradient in (e.outcome.gradients or {}).items():
                if not self._near(gradient, o.gradients[name]):
                    return None
        for text, number in OFFSETS.items():
            for sign, word in ((1, "more"), (-1, "less")):
                expected = [sign * number(*sizes) for sizes in self.sizes]
                if all(self._near(x, y) for x, y in zip(differences, expected, strict=True)):
                    return f"value is {text} {word} than LOSS, gradients are equal", f"offset_{text}"
        if all(self._near(x, differences[0]) for x in differences):
            return f"value differs from LOSS by {differences[0]:.9g}, gradients are equal", "offset"
        return None
