"""Foreign code as a rewrite of the formula: single ones, those of a neighbouring setting, then two together."""

import contextlib
import time
from typing import NamedTuple

from mini_repr.conformance.forms import Form, changed_words
from mini_repr.conformance.rewrites.evaluate import compiled, outcome_at, value_at
from mini_repr.conformance.rewrites.every import place_of, rewrites_of

# Of processor time, so that a busy machine finds the same.
SECONDS = 10.0  # for all that is tried
SECONDS_OF_PAIRS = 4.0
CHEAPEST = 100  # rewrites that are tried together with each other


class Rewritten(NamedTuple):
    """A page under some settings, its formula rewritten; ``call`` is the compiled formula."""

    settings: dict
    rewrites: tuple
    call: object

    @classmethod
    def of(cls, settings, *rewrites):
        """None where the rewritten formula is no program."""
        call = _compiled(rewrites)
        return cls(settings, rewrites, call) if call else None

    def value(self, loss, arguments):
        return value_at(self.call, loss, {**arguments, **self.settings})

    def outcome(self, loss, arguments, wanted):
        return outcome_at(self.call, loss, {**arguments, **self.settings}, wanted)

    def text(self, loss):
        return Form(self.settings).text(loss)

    @property
    def words(self):
        """What is done, and where."""
        changes = "; ".join(f"in {place_of(r)}, {r.words}" for r in self.rewrites)
        return changes if self.rewrites[0].formula.is_definition else f"{changes} (of the form that public code has)"

    @property
    def diff(self):
        return [pair for rewrite in self.rewrites for pair in rewrite.diff()]


def _compiled(rewrites):
    with contextlib.ExitStack() as stack:
        for rewrite in rewrites:
            stack.enter_context(rewrite.applied())
        return compiled(rewrites[0].formula)


def rewritten(search, loss, settings, arguments):
    """The likeliest rewrite that ``search`` accepts, as its Explanation; None without one.

    Args:
        search: compares candidates with the evidence (``explain.py``). arguments: complete ones to observe kinds at.
    """
    deadline = time.process_time() + SECONDS
    singles = single_rewrites(loss, settings, arguments)
    found = search.equal(singles) or search.related(singles.seen)
    if found:
        return found
    for form in changed_words(loss, settings):
        if time.process_time() < deadline and form.value(loss, arguments) is not None:
            others = rewrites_of(loss, {**arguments, **form.settings})
            found = search.equal(_Timed((Rewritten.of(form.settings, r) for r in others), deadline))
            if found:
                return found
    return search.equal(_Timed(_together(search, singles.seen, settings), time.process_time() + SECONDS_OF_PAIRS))


def single_rewrites(loss, settings, arguments):
    """Every single rewrite at these settings that is a program, the likeliest first, for SECONDS."""
    rewrites = rewrites_of(loss, {**arguments, **settings})
    return _Timed((Rewritten.of(settings, r) for r in rewrites), time.process_time() + SECONDS)


class _Timed:
    """The candidates of an iterator until the deadline; those that came are ``seen`` again."""

    def __init__(self, candidates, deadline):
        self.candidates = candidates
        self.deadline = deadline
        self.seen = []

    def __iter__(self):
        for candidate in self.candidates:
            if time.process_time() > self.deadline:
                return
            if candidate is not None:
                self.seen.append(candidate)
                yield candidate


def _together(search, singles, settings):
    """Two rewrites of one tree: a right value with a gradient stopped elsewhere, then the likeliest pairs."""
    by_value = {}  # one of each function
    for single in singles:
        value = search.first_value(single)
        if value is not None:
            by_value.setdefault((float(f"{value:.10g}"), id(single.rewrites[0].formula)), single.rewrites[0])
    right = [s.rewrites[0] for s in singles if search.has_first_value(s)]
    stops = [
        s.rewrites[0]
        for s in singles
        if "stop-gradient" in s.rewrites[0].words or "stop_gradient" in s.rewrites[0].words
    ]
    cheapest = list(by_value.values())[:CHEAPEST]
    likely = [(a, b) for k, b in enumerate(cheapest) for a in cheapest[:k]]
    for first, second in [*((a, b) for a in right for b in stops), *likely]:
        if first.formula is second.formula and first is not second:
            yield Rewritten.of(settings, first, second)
