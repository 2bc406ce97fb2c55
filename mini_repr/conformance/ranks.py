"""Check the loss of one rank, as a distributed training step computes it, on W virtual ranks in one process."""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from mini_repr.conformance.adapters import Raised, adapter_for
from mini_repr.conformance.binding import bind
from mini_repr.conformance.cases import needs_of
from mini_repr.conformance.check import resolve_settings
from mini_repr.conformance.compare import expected_outcome
from mini_repr.conformance.report import finite, wrapped
from mini_repr.conformance.schemes import (
    CLOSE,
    batch_of,
    cross_gradients,
    effective,
    fit,
    gives_rows,
    scheme_fits,
    sharded,
    shards,
)
from mini_repr.conformance.user_code import Target, Unusable, framework_of
from mini_repr.pages.arguments import Count
from mini_repr.pages.names import find_loss
from mini_repr.pages.page import Parameter
from mini_repr.pages.tables import table

WAYS = {
    "gather with gradient, averaged": (True, True),
    "gather with gradient, summed": (True, False),
    "gather without gradient, averaged": (False, True),
    "gather without gradient, summed": (False, False),
}
ALSO = "the gradient of "  # begins the name of a Fit that must be equal besides the judged one
JUDGED = "gather with gradient, averaged"


class RanksReport(NamedTuple):
    """What ``check --ranks`` found: the loss's value, and the Fit for each way to gather and to reduce."""

    loss: object
    label: str
    framework: str
    where: str  # "4 virtual ranks", "4 processes"
    world: int
    value_error: float
    rank_errors: list
    fits: dict  # {how gradients travel: Fit}, the first is judged; {} where only values came
    cause: str

    @property
    def judged(self):
        """How gradients travel in the Fit that decides, as PyTorch's DDP has them; None where only values came."""
        return next(iter(self.fits), None)

    @property
    def exit_code(self):
        fits = all(f.is_equal for how, f in self.fits.items() if how == self.judged or how.startswith(ALSO))
        return int(not (self.value_error <= CLOSE and fits))

    @property
    def verdict(self):
        if not self.value_error <= CLOSE:  # NaN too
            right = [rank for rank, error in enumerate(self.rank_errors) if error <= CLOSE]
            if right == [0]:
                return "right on rank 0 only: the partner of local row i is row rank * rows + i of the gathered ones"
            return f"the mean of the ranks' losses is not the whole batch's loss (off by {self.value_error:.2g})"
        if not self.fits:
            return "the values agree; no gradients came back"
        if self.exit_code == 0:
            return f"value and gradient are those of the whole batch ({self.judged})"
        if self.fits[self.judged].is_equal:
            wrong = [how for how, f in self.fits.items() if how.startswith(ALSO) and not f.is_equal]
            return f"the value and the gradient of rows are right, {wrong[0]}, is not"
        return f"the value is right, the gradient is {self.fits[self.judged].text(self.world)}{self.cause}"

    def text(self):
        lines = [f"{self.label} ({self.framework}) against {self.loss.name} on {self.where}", ""]
        if self.fits:
            lines += [table("", [(how, f.text(self.world)) for how, f in self.fits.items()]), ""]
        return "\n".join([*lines, *wrapped(f"Verdict: {self.verdict}.")])

    def document(self):
        """The same as plain values, as ``schema.REPORTS`` describes them."""
        return {
            "target": self.label,
            "loss": self.loss.name,
            "ranks": self.world,
            "where": self.where,
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "value_error": finite(self.value_error),
            "gradients": {
                how: {"factor": finite(f.factor), "left_over": finite(f.left_over)} for how, f in self.fits.items()
            },
        }


def check_ranks(target, against, world, variant=None, settings=None, mapping=None, constants=None, framework=None):
    """Compare the loss of one rank, as a distributed training step computes it, with the whole batch's loss.

    Args:
        target: "path.py:name", "module:object" or the callable: from the rank's own arrays, then the gathered ones,
            then the rank, to the rank's loss: ``f(a, b, all_a, all_b, rank)``, ``f(z, labels, all_z, all_labels,
            rank)``. Parameters named ``local_a``, ``all_a``, ``rank`` are matched by name. Numbers of the loss go by
            name as in ``check``. Own rows come twice, on their own and among the gathered ones; a gradient that
            reaches the gathered ones counts as sent back by the gather, unless the callable detaches them.
        world: how many ranks. The others: as in ``check``.
    Returns:
        RanksReport.
    Raises:
        ValueError: names or settings that do not exist, a number of ranks below 2; Unusable as in ``check``.
    """
    loss = find_loss(against)
    if world < 2:
        raise ValueError(f"--ranks {world}: expected 2 or more")
    settings, extra = resolve_settings(loss, variant, settings)
    target = Target.load(target) if isinstance(target, str) else Target.of(target)
    arguments = batch_of(loss, world, settings, needs_of(loss, variant) or ())
    adapter = _rank_adapter(loss, target, arguments, settings, mapping, {**extra, **(constants or {})}, framework)

    dealt = sharded(loss, arguments)
    parts = shards(len(arguments[dealt[0]]), world)
    values, local, gathered = [], [], []
    for rank, rows in enumerate(parts):
        given = {f"local_{n}": arguments[n][rows] for n in dealt} | {f"all_{n}": arguments[n] for n in dealt}
        try:
            outcome = adapter.evaluate({**arguments, **given, "rank": rank})
        except Raised as raised:
            raise Unusable(f"{target.label}: raised {raised}, on rank {rank}") from None
        values.append(outcome.value)
        local.append(outcome.gradients)
        gathered.append(outcome.gradients)

    exact = expected_outcome(loss, arguments)
    size = max(1.0, abs(exact.value))
    rank_values = exact.value
    if gives_rows(loss):
        rank_values, _ = cross_gradients(loss, arguments, world)
    rank_errors = list(np.abs(np.array(values) - rank_values) / size)
    fits = {}
    names = [n for n in loss.differentiable if n in dealt]
    if all(local):
        gradients = {n: np.stack([g[f"all_{n}"] for g in gathered]) for n in names}
        for n in names:
            for rank, rows in enumerate(parts):
                gradients[n][rank][rows] += local[rank][f"local_{n}"]
        fits = {how: fit(effective(gradients, parts, *way), exact.gradients) for how, way in WAYS.items()}
    cut = bool(fits) and not any(np.any(g[f"all_{n}"]) for g in gathered for n in names)
    cause = cause_of(loss, arguments, world, fits[JUDGED], cut) if fits else ""
    value_error = abs(float(np.mean(values)) - exact.value) / size
    where = f"{world} virtual ranks"
    return RanksReport(loss, target.label, adapter.framework, where, world, value_error, rank_errors, fits, cause)


def _rank_adapter(loss, target, arguments, settings, mapping, constants, framework):
    """An adapter for the signature (local arrays, gathered arrays, other arrays, rank)."""
    dealt = sharded(loss, arguments)
    others = [p.name for p in loss.arrays if p.name not in dealt and arguments.get(p.name) is not None]
    arrays = [f"{where}_{n}" for where in ("local", "all") for n in dealt]
    parameters = {a: loss.parameters[a.partition("_")[2]]._replace(name=a) for a in arrays}
    parameters |= {n: loss.parameters[n] for n in others}
    parameters |= {"rank": Parameter("rank", Count(least=0), Parameter.required)}
    parameters |= {p.name: p for p in loss.settings}
    signature = SimpleNamespace(
        name=loss.name, parameters=parameters, settings=loss.settings, arrays=list(parameters.values())
    )
    signature.differentiable = [a for a in arrays if parameters[a].annotation.differentiable]
    binding = bind(signature, target, [*arrays, *others, "rank"], settings, mapping, constants)
    framework = framework or framework_of(target)
    return adapter_for(framework, signature, target, binding, signature.differentiable)


def cause_of(loss, arguments, world, judged, cut=False):
    """Why the gradient is not the whole batch's.

    ``judged``: its Fit, where ranks are averaged. ``cut``: no gradient at all reached the gathered rows.
    """
    if judged.is_equal:
        return ""
    if judged.exact and abs(judged.factor - world) <= CLOSE * world:
        return ": the whole loss on every rank with a gradient through the gather, or a sum over ranks inside"
    if judged.exact and abs(judged.factor * world - 1) <= CLOSE:
        return ": no gradient through the gather of a loss computed whole on every rank, or a loss divided by W"
    for scheme, known in scheme_fits(loss, arguments, world):
        if abs(known.factor - judged.factor) + abs(known.left_over - judged.left_over) <= CLOSE:
            return f": {scheme.description}"
    return ": no gradient reaches the gathered rows, the rank's own among them" if cut else ""
