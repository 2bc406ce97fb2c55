"""How a callable's outcomes relate to those of something near the loss.

They are equal, a factor or a constant apart, or equal in value with another gradient.

A relation must hold on every piece of evidence, in value and (where there are any) gradients.
"""

from typing import NamedTuple

import numpy as np

from mini_repr.conformance.adapters import Outcome
from mini_repr.conformance.slips import FACTORS, Factor

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
# A factor without a name: a constant, or one times a power of the temperature.
CONSTANT_TIMES = {"": 0, " temperature": 1, "/temperature": -1, " temperature²": 2}
PLAUSIBLE_FACTORS = 1e-4, 1e4  # of those that have no name: what is nearly nothing is a multiple of anything
DIGIT_OF_GRADIENTS = 10
VANISHING = 1e-12  # a gradient that is all rounding says nothing about factors


class Evidence(NamedTuple):
    """What a callable gave for some complete arguments {name: host array or setting}."""

    arguments: dict
    outcome: Outcome


class Relations:
    """Compares outcomes with the evidence.

    Args:
        loss: the page. evidence: list of Evidence. tolerance: relative to the largest element.
    """

    def __init__(self, loss, evidence, tolerance):
        self.loss = loss
        self.evidence = evidence
        self.tolerance = tolerance
        self.sizes = [self._sizes(e.arguments) for e in evidence]
        self.temperatures = np.array([float(e.arguments.get("temperature", 1.0)) for e in evidence])
        self.factors = [f for f in FACTORS if not f.power or "temperature" in loss.parameters]
        # (factors, evidence): what each factor is for each piece of evidence
        self.numbers = np.array([[f.number(*s) for s in self.sizes] * self.temperatures**f.power for f in self.factors])

    def _sizes(self, arguments):
        shape = np.shape(arguments[self.loss.arrays[0].name])
        return shape[0], shape[-1]

    def relation(self, ours):
        """(text, slip) where the evidence is the outcomes but for a factor, an offset or what happens to gradients."""
        return self._gradient_relation(ours) or self._factor(ours) or self._offset(ours)

    def near(self, theirs, expected):
        """Whether arrays are equal within the tolerance; gradients lose a digit more than the value does."""
        tolerance = self.tolerance * (DIGIT_OF_GRADIENTS if np.ndim(expected) else 1)
        size = np.max(np.abs(expected), initial=0.0)
        return bool(np.max(np.abs(np.asarray(theirs) - expected), initial=0.0) <= tolerance * max(size, 1e-3))

    def same(self, theirs, ours):
        if not self.near(theirs.value, ours.value):
            return False
        return all(self.near(g, ours.gradients[n]) for n, g in (theirs.gradients or {}).items())

    def plausible(self, first):
        """A cheap look at one case: equal, or a known factor or constant apart."""
        theirs = self.evidence[0].outcome.value
        offsets = np.array([number(*self.sizes[0]) for number in OFFSETS.values()])
        expected = np.concatenate([np.append(self.numbers[:, 0], 1.0) * first, first + offsets, first - offsets])
        return bool((np.abs(theirs - expected) <= self.tolerance * np.abs(expected)).any())

    def _gradient_relation(self, ours):
        """Values equal, gradients not: one factor for all inputs, or another for each."""
        if not all(self.near(e.outcome.value, o.value) for e, o in zip(self.evidence, ours, strict=True)):
            return None
        if not all(e.outcome.gradients for e in self.evidence):
            return None
        found = {}
        for name in self.evidence[0].outcome.gradients:
            pairs = [(e.outcome.gradients[name], o.gradients[name]) for e, o in zip(self.evidence, ours, strict=True)]
            found[name] = self._common_factor(pairs)
        if any(f is None for f in found.values()):
            return None
        if set(found.values()) == {"1"}:  # equal: nothing here tells them apart
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
        if not any(tells) or all(self.near(theirs, ours) for theirs, ours in pairs):
            return "1" if all(self.near(theirs, ours) for theirs, ours in pairs) else None
        if all(not np.any(theirs) for theirs, _ in pairs):
            return "0"
        numbers = [float((c * o).sum() / (o * o).sum()) if t else None for t, (c, o) in zip(tells, pairs, strict=True)]
        if not all(f is None or self.near(c, f * o) for f, (c, o) in zip(numbers, pairs, strict=True)):
            return None
        common = self._common(numbers)
        return common and common.description

    def _common(self, numbers):
        """The Factor that ``numbers`` are, one for each piece of evidence (None: it tells nothing); or None."""
        told = [k for k, f in enumerate(numbers) if f is not None]
        found = np.array([numbers[k] for k in told])
        expected = self.numbers[:, told]
        fits = (np.abs(found - expected) <= self.tolerance * np.abs(expected)).all(axis=1)
        if fits.any():
            known = self.factors[int(np.argmax(fits))]
            return known._replace(description=self._in_letters(known.description))
        low, high = PLAUSIBLE_FACTORS
        for text, power in CONSTANT_TIMES.items():
            rest = found / self.temperatures[told] ** power
            constant = (np.abs(rest - rest[0]) <= self.tolerance * abs(rest[0])).all()
            if constant and low <= abs(rest[0]) <= high:
                return Factor(f"{rest[0]:.9g}{text}", None, power)
        return None

    def _in_letters(self, text):
        """N and D in the letters that the page gives to the first array's rows and columns."""
        letters = self.loss.arrays[0].annotation.letters
        return text.translate(str.maketrans({"N": letters[0], "D": letters[-1]}))

    def _factor(self, ours):
        """Value and gradient times the same factor."""
        if any(abs(o.value) < 1e-9 for o in ours):
            return None
        numbers = [e.outcome.value / o.value for e, o in zip(self.evidence, ours, strict=True)]
        common = self._common(numbers)
        if common is None:
            return None
        text, power = common.description, common.power
        with_gradients = False
        for e, o, f in zip(self.evidence, ours, numbers, strict=True):
            for name, gradient in (e.outcome.gradients or {}).items():
                with_gradients = True
                expected = f * o.gradients[name]
                if name == "temperature" and power:  # the factor depends on it too
                    expected = expected + power * f * o.value / float(e.arguments["temperature"])
                if not self.near(gradient, expected):
                    return None
        what = "value and gradient are" if with_gradients else "value is"
        return f"{what} {text} times {'those' if with_gradients else 'that'} of LOSS", f"times_{text}"

    def _offset(self, ours):
        """Equal gradients, values apart by a constant."""
        differences = [e.outcome.value - o.value for e, o in zip(self.evidence, ours, strict=True)]
        for e, o in zip(self.evidence, ours, strict=True):
            for name, gradient in (e.outcome.gradients or {}).items():
                if not self.near(gradient, o.gradients[name]):
                    return None
        for text, number in OFFSETS.items():
            for sign, word in ((1, "more"), (-1, "less")):
                expected = [sign * number(*sizes) for sizes in self.sizes]
                if all(self.near(x, y) for x, y in zip(differences, expected, strict=True)):
                    text = self._in_letters(text)
                    return f"value is {text} {word} than LOSS, gradients are equal", f"offset_{text}"
        if all(self.near(x, differences[0]) for x in differences):
            return f"value differs from LOSS by {differences[0]:.9g}, gradients are equal", "offset"
        return None
