"""How a batch is divided over ranks and groups, and how its loss and gradients are put together again."""

import math
from contextlib import nullcontext
from functools import partial

import numpy as np

from mini_repr.autograd import primitive
from mini_repr.methods.method import Step
from mini_repr.nn import BatchNorm, Dropout, batch_statistics
from mini_repr.training.distributed.batch_norm import batch_norm_over_ranks
from mini_repr.training.distributed.draws import OwnRows
from mini_repr.training.distributed.over_ranks import form_over_ranks, has_form_over_ranks
from mini_repr.training.distributed.world import ALONE


class BatchSharding:
    """One batch over ``world.size`` ranks, its loss over ``groups`` equal parts of it.

    The loss of ``groups`` parts is the mean of their losses, each part a batch of its own: rows of two groups never
    meet. With as many ranks as groups no row leaves its rank (M2-Encoder's grouped aggregation: Guo et al. 2024,
    arXiv 2401.15896). The result does not depend on the number of ranks.

    Args:
        method: whose loss is computed without gathering rows where all of its parts can be.
        batch_size: rows of the whole batch.
    Raises:
        ValueError: rows that cannot be shared out evenly, or a loss with state that groups would divide.
    """

    def __init__(self, method, batch_size, world=ALONE, groups=1):
        _check(method, batch_size, world.size, groups)
        self.world = world
        self._groups = groups
        self._near = world.near(max(1, world.size // groups))  # the ranks that share a group
        self._parts = max(1, groups // world.size)  # groups on this rank
        apart = self._near.size > 1 and not method.parts_batch
        self._gathers = not apart or _gathers(method.objective)
        if not self._gathers:
            for state in method.loss_states:
                state.share(self._near)
        self._norms = [m for m in method.named_modules().values() if isinstance(m, BatchNorm)]
        self._drops = any(isinstance(m, Dropout) and m.rate > 0 for m in method.named_modules().values())

    def form_of(self, page):
        """A loss as it is computed on the rows that ``compare`` has: the page, or its form over ranks."""
        return page if self._gathers else form_over_ranks(page, self._near)

    def own(self, index):
        """This rank's share of the row numbers of a batch."""
        return np.split(index, self.world.size)[self.world.rank]

    def draws(self, rng):
        """``rng`` for the own rows of a batch: draws for all rows, hands out the own ones."""
        return rng if self.world.size == 1 else OwnRows(rng, self.world.rank, self.world.size)

    def batch_statistics(self):
        """A context in which batch norm takes its statistics over all ranks."""
        if self.world.size == 1:
            return nullcontext()
        return batch_statistics(partial(batch_norm_over_ranks, world=self.world), self.world.size)

    def part_dropout(self, method):
        """Give every rank its own random numbers for dropout, from states that are the same on all ranks."""
        state = method.random_state()
        for name, one in state.items():
            bits = np.random.PCG64()
            bits.state = one
            state[name] = bits.jumped(self.world.rank).state
        method.set_random_state(state)

    def compare(self, method, objective, batch, rows, targets):
        """The loss of the whole batch as a ``Step`` whose total and terms are this rank's part of a mean over groups.

        Args:
            objective: as ``method.compare`` takes it.
            rows, targets: as ``method.embed`` and ``method.targets`` gave them for the own rows of ``batch``.
        """
        if self._gathers:
            rows = [gather_rows(z, world=self._near) for z in rows]
            targets = [self._near.gather(t) for t in targets]
            batch = _each(batch, self._near.gather)
        if self._groups == 1:
            return method.compare(rows, targets, batch, objective)
        size = len(rows[0]) // self._parts
        steps = []
        for part in (slice(k * size, (k + 1) * size) for k in range(self._parts)):
            own = _each(batch, lambda known, part=part: known[part])
            steps.append(method.compare([z[part] for z in rows], [t[part] for t in targets], own, objective))
        total = sum((step.total for step in steps[1:]), steps[0].total) / self._groups
        total.terms = {
            name: sum(float(step.total.terms[name]) for step in steps) / self._groups for name in steps[0].total.terms
        }
        return Step(total, steps[0].embeddings)

    def sum_gradients(self, method):
        """Turn every rank's gradients into those of the whole batch, the same bits on all of them."""
        if self.world.size == 1:
            return
        for parameter in method.compared_parameters():
            if parameter.grad is not None:
                parameter.grad /= self._near.size  # whole on each rank of the group, not a part
        self.world.sum_in_place([p.grad for p in method.parameters() if p.grad is not None])

    def of_batch(self, terms):
        """{name: number} of the whole batch, from the rank's own parts."""
        if self.world.size == 1:
            return terms
        sums = self.world.sum(np.array(list(terms.values()), dtype=np.float64)) / self._near.size
        return dict(zip(terms, sums.tolist(), strict=True))

    def all_rows(self, embeddings):
        """The embeddings of a step for all rows of the group."""
        return embeddings if self._gathers else self._near.gather(embeddings)

    def describe(self):
        """What a log should say of it."""
        if self.world.size == 1:
            return f"loss over {self._groups} groups" if self._groups > 1 else ""
        facts = [f"{self.world.size} ranks, {self.world.transport}"]
        if self._groups > 1:
            facts.append(f"loss over {self._groups} groups")
        facts.append("every rank gathers the rows of its group" if self._gathers else "no rank gathers rows of others")
        if self._norms:
            facts.append("batch norm over all ranks")
        if self._drops:
            facts.append("dropout drawn by rank: the run depends on their number")
        return ", ".join(facts)


def _each(batch, change):
    """``change`` applied to what is known of each row of a batch: labels and row numbers."""
    labels, index = (known if known is None else change(known) for known in (batch.labels, batch.index))
    return batch._replace(labels=labels, index=index)


@primitive
def gather_rows(z, /, world):
    """The rows (n, ...) of every rank, in the order of ranks: (size * n, ...).

    Backward: the own rows of the gradient. Each rank computes the same function of all rows, so it holds the whole
    gradient for its own rows already, and no message is needed.
    """
    own = slice(world.rank * len(z), (world.rank + 1) * len(z))
    return world.gather(z), lambda g: g[own]


def _gathers(objective):
    """Whether some part of an objective needs all rows on one rank."""
    parts = [(objective.loss, objective.settings), *((page, settings) for page, _, settings in objective.added)]
    return bool(objective.reweight) or not all(has_form_over_ranks(page, settings) for page, settings in parts)


def _check(method, batch_size, ranks, groups):
    for what, count in (("ranks", ranks), ("loss groups", groups)):
        if batch_size % count:
            raise ValueError(f"batch size {batch_size} cannot be shared out evenly over {count} {what}")
    if ranks > 1 and method.one_process:
        raise ValueError(
            f"{method.page.title}: compares gradients of the whole batch: got {ranks} ranks, expected one process"
        )
    if math.gcd(ranks, groups) != min(ranks, groups):
        raise ValueError(f"train.loss_groups: got {groups}, expected a divisor or a multiple of the {ranks} ranks")
    if groups > 1 and batch_size // groups < 2:
        raise ValueError(f"train.loss_groups: got {groups}, expected groups of two rows or more of {batch_size}")
    if groups > 1 and method.loss_states:
        raise ValueError(
            f"train.loss_groups: got {groups}, expected 1 for a loss with a queue, or other state, of all rows"
        )
