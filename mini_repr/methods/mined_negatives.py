"""Two towers with hard negatives for each query, mined from all texts and replaced as they cease to be hard."""

import numpy as np

from mini_repr.autograd import unit_rows
from mini_repr.backend import backend_of
from mini_repr.kernels.nearest import most_similar
from mini_repr.methods.encode import encode
from mini_repr.methods.method import Step
from mini_repr.methods.two_tower import TwoTower
from mini_repr.nn import trimmed
from mini_repr.pages.arguments import Count, NonNegative, Positive
from mini_repr.pages.declare import part


@part("method", "mined_negatives", paper="035")
class MinedNegatives(TwoTower):
    """Pairs of texts, each query with hard negatives that follow the model: Conan-embedding's dynamic mining.

    Li et al. 2024, arXiv 2408.15710. Before the first step each query a_i takes its ``negatives`` hardest texts among
    all b, its partner and texts equal to it excepted, and stores the score of each, the cosine s0. Every ``every``
    steps the present cosine s of each is compared with the stored one: a negative is replaced if it has become easy,

        easier * s < s0   and   |s| < ceiling

    by the hardest text that the query does not have yet, whose score is stored in its place. Negatives that stay keep
    the score with which they came. A batch's negatives are candidates of all its queries.

    Args:
        negatives: for each query. skip: how many of the hardest to leave out when a negative is chosen, as they may be
            right answers. every: steps between two looks (paper: 100). easier: 0 replaces all below the ceiling
            (accounts of the paper: 1.15). ceiling: above it a negative counts as hard whatever it was (0.8).

    No training code was found; the two numbers are from others' accounts of the paper.
    """

    compares = ("pairs",)
    sample_asks_network = True

    def __init__(
        self,
        parts,
        *,
        negatives: Count() = 4,
        skip: Count(least=0) = 5,
        every: Count() = 100,
        easier: NonNegative = 1.15,
        ceiling: Positive = 0.8,
    ):
        super().__init__(parts)
        loss, count = self.objective.loss, len(parts.data.train)
        if "hard_negatives" not in loss.parameters or self.sides == 3:
            came = f"pairs with hard negatives of their own in {parts.data.name}" if self.sides == 3 else loss.name
            raise ValueError(
                f"method mined_negatives: got {came}, expected pairs without, and --loss infonce: it mines them"
            )
        if negatives + skip >= count:
            raise ValueError(
                f"method mined_negatives: negatives: got {negatives} after skip {skip}, expected fewer than the "
                f"{count} texts of {parts.data.name}"
            )
        self.skip, self.every, self.easier, self.ceiling = skip, every, easier, ceiling
        self.register_buffer("numbers", np.full((count, negatives), -1))  # -1: none yet
        self.register_buffer("stored", np.zeros((count, negatives), dtype=np.float32))

    @classmethod
    def fits(cls, loss):
        return loss.compares == "pairs" and "hard_negatives" in loss.parameters

    def load(self, part, backend):
        self._part, self._backend = part, backend
        *first, ids, mask = super().load(part, backend)
        self._candidates = ids, mask
        return (*first, ids, mask, np.arange(len(part)))

    def sample(self, *inputs):
        *words, index, rng = inputs
        if int(backend_of(self.numbers).to_numpy(self.numbers[0, 0])) < 0:
            self.look_again()
        numbers = backend_of(self.numbers).to_numpy(self.numbers)[index]
        batch, each = numbers.shape
        ids, mask = trimmed(*(array[numbers.reshape(-1)] for array in self._candidates))
        return *super().sample(*words, rng), *(x.reshape(batch, each, -1) for x in (ids, mask))

    def embed(self, *words):
        *pairs, ids, mask = words
        rows = super().embed(*pairs)
        hard = self.towers[1](*(x.reshape(-1, x.shape[-1]) for x in (ids, mask))).pooled
        return *rows, hard.reshape(len(ids), -1, hard.shape[-1])

    def compare(self, rows, targets, batch, objective):
        za, zb, hard = rows
        hard = hard.reshape(-1, hard.shape[-1])
        return Step(objective(za, zb, hard_negatives=hard, embeddings=(za, zb)), za.data)

    def after_step(self, step, total_steps):
        if step % self.every == 0:
            self.look_again()

    def look_again(self):
        """Take the first negatives, or replace those that are no longer hard."""
        a, b = (
            unit_rows.on_arrays(encode(tower, texts, self._backend))[0]
            for tower, texts in zip(self.towers, (self._part.a, self._part.b), strict=True)
        )
        numbers, stored = (backend_of(x).to_numpy(x) for x in (self.numbers, self.stored))
        numbers, stored = replaced(a, b, self._part.b, numbers, stored, self.easier, self.ceiling, self.skip)
        if numbers.min() < 0:
            raise ValueError(
                f"method mined_negatives: negatives: got {numbers.shape[1]} after skip {self.skip}, expected fewer: "
                f"{self._part.name} has too few different texts"
            )
        for buffer, new in ((self.numbers, numbers), (self.stored, stored)):
            buffer[...] = backend_of(buffer).asarray(new)


def replaced(a, b, texts, numbers, stored, easier, ceiling, skip):
    """(numbers, stored), both (N, K), after one look at the present unit rows a and b (N, D), all on the host.

    Args:
        texts: the N texts of the rows b, for those that are equal. numbers: the negatives in use, -1 for none yet.
            stored: their scores when they were chosen. easier, ceiling, skip: as in ``MinedNegatives``.
    """
    same = np.unique(texts, return_inverse=True)[1]
    each = numbers.shape[1]
    wanted = skip + 3 * each + 8  # the hardest, and enough beside them
    found = most_similar(a, b, wanted)[1]
    present = (a[:, None] * b[numbers]).sum(axis=2)
    leave = (numbers < 0) | ((easier * present < stored) & (np.abs(present) < ceiling))
    numbers, stored = numbers.copy(), stored.copy()
    for i in np.flatnonzero(leave.any(axis=1)):
        used = {same[i], *same[numbers[i][numbers[i] >= 0]]}
        fresh = []
        for j in found[i][skip:]:
            if same[j] not in used and len(fresh) < leave[i].sum():
                fresh.append(j)
                used.add(same[j])
        places = np.flatnonzero(leave[i])[: len(fresh)]
        numbers[i, places] = fresh
        stored[i, places] = b[fresh] @ a[i]
    return numbers, stored
