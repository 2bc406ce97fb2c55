"""The distributed oracle in one process: W virtual ranks, and the factor by which each common scheme is off.

A batch of rows is dealt to W ranks in order. The truth is the gradient of the whole batch's loss. On a real cluster
each rank backpropagates a loss of its own into its own rows, and the parameters' gradients are then averaged (PyTorch's
DDP) or summed over ranks. All ranks hold the same parameters, so these receive what they would from one process whose
rows had received what the ranks left on theirs, divided by W where the average is taken: the *effective* gradient. Held
against the truth it is a multiple, by the scheme's factor, or no multiple at all.

What a rank leaves on its rows, with J[s, r] the gradient of rank s's loss for rank r's rows:

    gather without gradient    J[r, r]                  rows of other ranks are constants; its own are put back
    gather with gradient       sum over s of J[s, r]    the backward of all-gather adds up what other ranks send
"""

import json
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from mini_repr.autograd import Tensor
from mini_repr.conformance.adapters import Raised, adapter_for
from mini_repr.conformance.agreement import complete, truth
from mini_repr.conformance.check import resolve_settings
from mini_repr.conformance.targets import Target, Unusable, bind, framework_of
from mini_repr.pages.arguments import Count
from mini_repr.pages.names import find_loss
from mini_repr.pages.page import Parameter
from mini_repr.pages.samples import sample, sizes_of

CLOSE = 1e-9
ROWS_A_RANK = 3
WAYS = {
    "gather with gradient, averaged": (True, True),
    "gather with gradient, summed": (True, False),
    "gather without gradient, averaged": (False, True),
    "gather without gradient, summed": (False, False),
}
JUDGED = "gather with gradient, averaged"


class Scheme(NamedTuple):
    """How a rank's loss is made and how gradients travel.

    ``rank_loss``: "anchors" (mean over the rank's own rows as anchors, against all gathered rows), "whole" (every rank
    computes the loss of the whole gathered batch) or "alone" (the loss of its own rows, no gather).
    """

    name: str
    says: str
    rank_loss: str
    gather_gradient: bool
    average: bool = True
    divided: bool = False  # the loss is divided by the number of ranks besides


SCHEMES = [
    Scheme("local_gather_grad", "own anchors, gather with gradient, averaged", "anchors", True),
    Scheme("local_gather_grad_sum", "own anchors, gather with gradient, summed", "anchors", True, average=False),
    Scheme("local_gather", "own anchors, gather without gradient, averaged", "anchors", False),
    Scheme("local_gather_sum", "own anchors, gather without gradient, summed", "anchors", False, average=False),
    Scheme("local_divided", "own anchors, gather with gradient, loss / W, averaged", "anchors", True, divided=True),
    Scheme("whole_gather_grad", "whole loss on every rank, gather with gradient, averaged", "whole", True),
    Scheme("whole_gather_grad_sum", "whole loss on every rank, gather with gradient, summed", "whole", True, False),
    Scheme("whole_gather", "whole loss on every rank, gather without gradient, averaged", "whole", False),
    Scheme("whole_gather_sum", "whole loss on every rank, gather without gradient, summed", "whole", False, False),
    Scheme("alone", "each rank's loss of its own rows, no gather, averaged", "alone", False),
]


class Fit(NamedTuple):
    """Effective against true gradient: the best factor, and the share that it leaves over (0: a multiple)."""

    factor: float
    left_over: float

    @property
    def exact(self):
        return self.left_over <= CLOSE

    @property
    def is_equal(self):
        return self.exact and abs(self.factor - 1) <= CLOSE

    def text(self, world):
        if not self.exact:
            return f"no multiple of the whole batch's gradient ({100 * self.left_over:.2g} % of it is something else)"
        names = {1.0: "equal", float(world): f"W times (W = {world})", 1 / world: f"1/W (W = {world})"}
        return next((t for f, t in names.items() if abs(self.factor - f) <= CLOSE * f), f"{self.factor:.9g} times")


def sharded(loss, arguments):
    """Names of the arrays that are dealt out: those with the first array's rows."""
    rows = loss.arrays[0].annotation.letters[0]
    return [p.name for p in loss.arrays if p.annotation.letters[0] == rows and arguments.get(p.name) is not None]


def shards(rows, world):
    """[slice of the rows of rank 0, 1, ...]; ValueError where they do not divide."""
    if rows % world or rows < world:
        raise ValueError(f"ranks: got {rows} rows for {world} ranks, expected a multiple")
    return [slice(r * rows // world, (r + 1) * rows // world) for r in range(world)]


def gives_rows(loss):
    """Whether the loss can return one value a row."""
    parameter = loss.parameters.get("reduction")
    return parameter is not None and "none" in parameter.annotation.options


def cross_gradients(loss, arguments, world, rank_loss="anchors"):
    """Each rank's loss and its gradient for the rows of all ranks.

    Args:
        arguments: complete host arguments of the whole batch, B rows. rank_loss: see Scheme.
    Returns:
        (values (W,), {name: (W, B, ...)}): the first axis is the rank whose loss it is.
    Raises:
        ValueError: rows that do not divide; "anchors" for a loss that has no value for each row.
    """
    dealt = sharded(loss, arguments)
    parts = shards(len(arguments[dealt[0]]), world)
    if rank_loss == "anchors" and not gives_rows(loss):
        raise ValueError(f"{loss.name}: has no value for each row, so a rank has no anchors of its own")
    names = [n for n in loss.differentiable if n in dealt]
    values, gradients = [], {n: np.zeros((world, *arguments[n].shape)) for n in names}
    for rank, rows in enumerate(parts):
        given = dict(arguments)
        if rank_loss == "alone":
            given.update({n: arguments[n][rows] for n in dealt})
        elif rank_loss == "anchors":
            given["reduction"] = "none"
        tensors = {n: Tensor(given[n], requires_grad=True) for n in names}
        output = loss(**{**given, **tensors})
        if rank_loss == "anchors":
            output = output[rows].mean()
        output.backward()
        values.append(float(output.data))
        for n, t in tensors.items():
            gradients[n][rank][rows if rank_loss == "alone" else slice(None)] = t.grad
    return np.array(values), gradients


def effective(gradients, parts, gather_gradient, average=True, divided=False):
    """{name: (B, ...)} as it arrives at the parameters, from {name: (W, B, ...)} of ``cross_gradients``."""
    world = len(parts)
    share = 1 / (world if average else 1) / (world if divided else 1)
    if gather_gradient:
        return {n: g.sum(axis=0) * share for n, g in gradients.items()}
    return {n: np.concatenate([g[rank][rows] for rank, rows in enumerate(parts)]) * share for n, g in gradients.items()}


def fit(found, true):
    """The Fit of {name: gradient} against {name: gradient}, all inputs together."""
    x = np.concatenate([np.ravel(true[n]) for n in found])
    y = np.concatenate([np.ravel(g) for g in found.values()])
    factor = float(x @ y / (x @ x))
    return Fit(factor, float(np.linalg.norm(y - factor * x) / (np.linalg.norm(y) or 1.0)))


def scheme_fits(loss, arguments, world):
    """[(Scheme, Fit)] of every scheme that this loss allows, at the whole batch ``arguments``."""
    arguments = complete(loss, arguments)
    true = truth(loss, arguments).gradients
    parts = shards(len(arguments[loss.arrays[0].name]), world)
    table = []
    for scheme in SCHEMES:
        if scheme.rank_loss == "anchors" and not gives_rows(loss):
            continue
        try:
            _, gradients = cross_gradients(loss, arguments, world, scheme.rank_loss)
        except ValueError:
            if scheme.rank_loss != "alone":
                raise
            continue  # a rank's few rows may hold no pair of one class
        found = effective(gradients, parts, scheme.gather_gradient, scheme.average, scheme.divided)
        table.append((scheme, fit(found, true)))
    return table


def factor_table(against, world, variant=None, settings=None):
    """Text: what each common scheme does to the gradient of a loss on ``world`` ranks."""
    loss = find_loss(against)
    settings, _ = resolve_settings(loss, variant, settings)
    arguments = _batch(loss, world, settings, loss.variants[variant].needs if variant else ())
    fits = scheme_fits(loss, arguments, world)
    width = max(len(scheme.says) for scheme, _ in fits)
    lines = [f"{loss.name} on W = {world} ranks: the gradient that arrives, against the whole batch's", ""]
    return "\n".join([*lines, *(f"{scheme.says.ljust(width)}  {found.text(world)}" for scheme, found in fits)])


class RanksReport(NamedTuple):
    """What ``check --ranks`` found: the loss's value, and the Fit for each way to gather and to reduce."""

    loss: object
    label: str
    framework: str
    world: int
    value_error: float
    rank_errors: list
    fits: dict  # {"gather with gradient, averaged": Fit, ...}; {} where only values came
    cause: str

    @property
    def exit_code(self):
        judged = self.fits.get(JUDGED)
        return int(self.value_error > CLOSE or not (judged is None or judged.is_equal))

    @property
    def verdict(self):
        if self.value_error > CLOSE:
            right = [rank for rank, error in enumerate(self.rank_errors) if error <= CLOSE]
            if right == [0]:
                return "right on rank 0 only: the partner of local row i is row rank * rows + i of the gathered ones"
            return f"the mean of the ranks' losses is not the whole batch's loss (off by {self.value_error:.2g})"
        if not self.fits:
            return "the values agree; no gradients came back"
        if self.exit_code == 0:
            return f"value and gradient are those of the whole batch ({JUDGED})"
        return f"the value is right, the gradient is {self.fits[JUDGED].text(self.world)}{self.cause}"

    def text(self):
        lines = [f"{self.label} ({self.framework}) against {self.loss.name} on {self.world} virtual ranks", ""]
        width = max((len(how) for how in self.fits), default=0)
        lines += [f"{how.ljust(width)}  {f.text(self.world)}" for how, f in self.fits.items()]
        lines += ["", f"Verdict: {self.verdict}."]
        return "\n".join(lines)

    def json(self):
        return json.dumps(
            {
                "target": self.label,
                "loss": self.loss.name,
                "ranks": self.world,
                "verdict": self.verdict,
                "exit_code": self.exit_code,
                "value_error": self.value_error,
                "gradients": {how: {"factor": f.factor, "left_over": f.left_over} for how, f in self.fits.items()},
            },
            indent=2,
        )


def check_ranks(target, against, world, variant=None, settings=None, mapping=None, constants=None, framework=None):
    """Hold the loss of one rank, as a distributed training step computes it, against the whole batch's loss.

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
    arguments = _batch(loss, world, settings, loss.variants[variant].needs if variant else ())
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

    exact = truth(loss, arguments)
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
    cause = _cause(loss, arguments, world, fits, cut) if fits else ""
    value_error = abs(float(np.mean(values)) - exact.value) / size
    return RanksReport(loss, target.label, adapter.framework, world, value_error, rank_errors, fits, cause)


def _batch(loss, world, settings, needs):
    rng = np.random.default_rng(7)
    rows = loss.arrays[0].annotation.letters[0]
    sizes = {**sizes_of(loss), rows: ROWS_A_RANK * world}
    drawn = {
        p.name: sample(p.annotation, rng, sizes) for p in loss.arrays if not p.annotation.optional or p.name in needs
    }
    return complete(loss, {**drawn, **settings})


def _rank_adapter(loss, target, arguments, settings, mapping, constants, framework):
    """An adapter for the signature (local arrays, gathered arrays, other arrays, rank)."""
    dealt = sharded(loss, arguments)
    others = [p.name for p in loss.arrays if p.name not in dealt and arguments.get(p.name) is not None]
    arrays = [f"{where}_{n}" for where in ("local", "all") for n in dealt]
    face = {a: loss.parameters[a.partition("_")[2]]._replace(name=a) for a in arrays}
    face |= {n: loss.parameters[n] for n in others}
    face |= {"rank": Parameter("rank", Count(least=0), Parameter.required)}
    face |= {p.name: p for p in loss.settings}
    signature = SimpleNamespace(name=loss.name, parameters=face, settings=loss.settings, arrays=list(face.values()))
    signature.differentiable = [a for a in arrays if face[a].annotation.differentiable]
    binding = bind(signature, target, [*arrays, *others, "rank"], settings, mapping, constants)
    framework = framework or framework_of(target)
    adapter = adapter_for(framework, signature, target, binding, signature.differentiable)
    adapter.framework = framework
    return adapter


def _cause(loss, arguments, world, fits, cut):
    """Why the gradient is not the whole batch's. ``cut``: nothing at all came back through the gathered rows."""
    judged = fits[JUDGED]
    if judged.is_equal:
        return ""
    if judged.exact and abs(judged.factor - world) <= CLOSE * world:
        return ": the whole loss on every rank with a gradient through the gather, or a sum over ranks inside"
    if judged.exact and abs(judged.factor * world - 1) <= CLOSE:
        return ": no gradient through the gather of a loss computed whole on every rank, or a loss divided by W"
    for scheme, known in scheme_fits(loss, arguments, world):
        if abs(known.factor - judged.factor) + abs(known.left_over - judged.left_over) <= CLOSE:
            return f": {scheme.says}"
    return ": no gradient reaches the gathered rows, the rank's own among them" if cut else ""
