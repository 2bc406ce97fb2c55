"""Say what a callable computes, where it is not the loss it was compared with.

The search goes from simple to less simple: a declared variant, one other setting or a hand-written slip; the loss
itself times a factor; two of these together; then rewrites of the formula (``rewrites/``). A match must fit every piece
of evidence, in value and (where there are any) gradients, to nine digits in float64, and then explain every case of the
battery: those that fail, and none that does not. Chance reaches neither. The first, simplest match is the name.
"""

from typing import NamedTuple

import numpy as np

from mini_repr.conformance.cases import result_of
from mini_repr.conformance.forms import Form, combinations, pairs, single_changes
from mini_repr.conformance.optimum import near_optimum
from mini_repr.conformance.relations import Relations
from mini_repr.conformance.rewrites.naming import Rewritten, rewritten, single_rewrites
from mini_repr.pages.arguments import Scalar, WithGradient
from mini_repr.pages.samples import sample_inputs, sizes_of

DIGITS, DIGITS_OF_SINGLE = 9, 4
# A candidate does not explain a case from which it is off by more than this, and than so often what the case allows.
OFF, TIMES_ALLOWED = 1e-6, 100
# Where numbers are rounded to single precision (or constants inside) a rewrite must fit so many digits, be this much
# closer than the page, and no other may come near.
DIGITS_OF_SINGLE_REWRITE, CLOSER = 6, 1000


class Explanation(NamedTuple):
    """``text`` for people; the parts for programs: settings, names of slips, lines of the formula (before, after)."""

    text: str
    settings: dict
    slips: tuple
    diff: tuple = ()


def gradient_names(loss):
    """What gradients are compared for: the differentiable arguments, and targets where a stop-gradient is the point."""
    guarded = (
        [p.name for p in loss.arrays if getattr(p.annotation.bare, "frozen", False)]
        if loss.compares == "teachers"
        else []
    )
    return [*loss.differentiable, *guarded]


def probes(loss, settings, needs, passed, count=5):
    """Ordinary inputs of different sizes, the last near the optimum, with every number that the callable takes
    (``passed``) at several values."""
    base = sizes_of(loss)
    rows = loss.arrays[0].annotation.letters[0]
    for k in range(count):
        free = {x: max(3, s + ((0, 2, -1, 3, 1) if x == rows else (0, 1, 3, -1, 0))[k]) for x, s in base.items()}
        # A page may tie its sizes to each other: then the rows alone vary, with what the page states as large as them.
        tied = {
            x: free[rows] if x == rows or (s == base[rows] and {x, rows} <= loss.sizes.keys()) else s
            for x, s in base.items()
        }
        for sizes in (free, tied, base):
            rng = np.random.default_rng(100 + k)
            arguments = sample_inputs(loss, rng, needs, sizes)
            if k == count - 1:
                arguments = near_optimum(loss, arguments, rng)
            if result_of(loss, {**arguments, **settings}) != "error":
                break
        for p in loss.settings:
            if p.name in passed and p.name not in settings and isinstance(p.annotation, WithGradient | Scalar):
                step = (1.0, 3.0, 0.7, 2.0, 1.5)[k]
                arguments[p.name] = float(p.default * step if p.default else 0.1 * k)
        yield loss.complete({**arguments, **settings})


def explain(loss, settings, evidence, numbers=(), rows=()):
    """The simplest description that fits all the evidence, or None.

    Args:
        settings: the loss's settings under which it was compared.
        evidence: list of Evidence of ordinary cases, of several sizes; at least two.
        numbers: values in the callable (defaults, attributes), tried for every numeric setting.
        rows: what the battery gave (``report.Row``), which a description must explain too.
    """
    single = all(e.outcome.dtype.itemsize < 8 for e in evidence)
    search = _Search(Relations(loss, evidence, 10.0 ** -(DIGITS_OF_SINGLE if single else DIGITS)), rows)
    page = Form(dict(settings))
    if search.equal([page]):
        return None  # it is the loss: what is wrong elsewhere is no other formula
    near = single_changes(loss, settings, numbers)
    return (
        search.equal(near)
        or search.related([page])
        or search.equal(pairs(loss, settings, near))
        or search.related(near)
        or search.equal(combinations(loss, settings))
        or _rewritten(search, page, evidence, single)
        or search.related(pairs(loss, settings, near), known_factors_only=True)
    )


def _rewritten(search, page, evidence, single):
    loss, arguments = search.loss, evidence[0].arguments
    found = None if single else rewritten(search, loss, page.settings, arguments)
    if found:
        return found
    rough = _Search(Relations(loss, evidence, 10.0**-DIGITS_OF_SINGLE_REWRITE), search.rows)
    far = Relations(loss, evidence, CLOSER * rough.relations.tolerance)
    ours = search.outcomes(page)
    if ours and all(far.same(e.outcome, o) for e, o in zip(evidence, ours, strict=True)):
        return None
    found = rough.only_one(single_rewrites(loss, page.settings, arguments))
    return found and found._replace(text=f"{found.text}, to {DIGITS_OF_SINGLE_REWRITE} digits")


class _Search:
    """Compares forms and rewrites (candidates) with the evidence and with the battery."""

    def __init__(self, relations, rows):
        self.relations = relations
        self.loss = relations.loss
        self.evidence = relations.evidence
        self.rows = [r for r in rows if _judges(r)]

    def equal(self, candidates):
        """The first candidate that gives all the evidence, described."""
        for candidate in candidates:
            if self.has_first_value(candidate) and self._gives_all(candidate) and self._explains_rows(candidate):
                altered = isinstance(candidate, Rewritten) or candidate.slip
                return self._named(candidate, f"{'computes' if altered else 'equals'} {candidate.text(self.loss)}")
        return None

    def only_one(self, candidates):
        """The first candidate that gives all the evidence, if all that do are one function."""
        fitting = [c for c in candidates if self.has_first_value(c) and self._gives_all(c) and self._explains_rows(c)]
        sharp = Relations(self.loss, self.evidence, 10.0**-DIGITS)
        outcomes = [self.outcomes(c) for c in fitting]
        for ours in outcomes[1:]:
            if not all(sharp.same(first, other) for first, other in zip(outcomes[0], ours, strict=True)):
                return None
        return self.equal(fitting[:1])

    def related(self, candidates, known_factors_only=False):
        """The first candidate that gives all the evidence up to a factor, an offset or what happens to gradients.

        ``known_factors_only``: drop a form whose first value is not a known factor away; for long lists of forms.
        """
        for candidate in candidates:
            first = self.first_value(candidate)
            many = known_factors_only or isinstance(candidate, Rewritten)
            if first is None or (many and not self.relations.plausible(first)):
                continue
            ours = self.outcomes(candidate)
            relation = ours and self.relations.relation(ours)
            if relation:
                text, slip = relation
                return self._named(candidate, text.replace("LOSS", candidate.text(self.loss)), slip)
        return None

    def first_value(self, candidate):
        return candidate.value(self.loss, self.evidence[0].arguments)

    def has_first_value(self, candidate):
        first = self.first_value(candidate)
        return first is not None and self.relations.near(self.evidence[0].outcome.value, first)

    def outcomes(self, candidate):
        """[Outcome of the candidate] for all the evidence; None where it cannot be evaluated."""
        found = [candidate.outcome(self.loss, e.arguments, list(e.outcome.gradients or ())) for e in self.evidence]
        return None if any(outcome is None for outcome in found) else found

    def _gives_all(self, candidate):
        for e in self.evidence:
            ours = candidate.outcome(self.loss, e.arguments, list(e.outcome.gradients or ()))
            if ours is None or not self.relations.same(e.outcome, ours):
                return False
        return True

    def _explains_rows(self, candidate):
        """Whether the cases that fail and those that pass are the candidate's, where its formula is finite."""
        for row in self.rows:
            gradients = row.outcome.gradients or {}
            ours = candidate.outcome(self.loss, self.loss.complete(row.case.arguments), list(gradients))
            if ours is None or not np.isfinite(ours.value):
                continue
            parts = {"value": (row.outcome.value, ours.value)} | {
                f"grad {n}": (g, ours.gradients[n]) for n, g in gradients.items()
            }
            for part, (theirs, expected) in parts.items():
                size = np.max(np.abs(expected), initial=1e-3)
                allowed = size * max(OFF, TIMES_ALLOWED * row.comparison.allowed.get(part, 0.0))
                if np.isfinite(expected).all() and np.max(np.abs(theirs - expected), initial=0.0) > allowed:
                    return False
        return True

    def _named(self, candidate, text, *more):
        if isinstance(candidate, Rewritten):
            slips = tuple(r.words for r in candidate.rewrites)
            return Explanation(f"{text}, but {candidate.words}", candidate.settings, (*slips, *more), candidate.diff)
        if candidate.slip:
            text += f", but {candidate.slip.description}"
        if candidate.variant:
            text += f" (variant {candidate.variant}: {self.loss.variants[candidate.variant].description})"
        return Explanation(text, candidate.settings, (*([candidate.slip.name] if candidate.slip else []), *more))


def _judges(row):
    """Whether a case says something about a formula: an ordinary finite result in float64, away from edges."""
    usual = row.comparison is not None and row.case.differentiable and not {"edge", "float32"} & set(row.case.flags)
    return usual and np.isfinite(row.outcome.value) and all(np.isfinite(e) for e in row.comparison.errors.values())
