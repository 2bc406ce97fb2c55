"""Two towers for two tasks: pairs that belong together, and pairs that are alike in degrees."""

import numpy as np

from mini_repr.autograd import unit_rows
from mini_repr.backend import backend_of
from mini_repr.losses.scores.cosent import cosent
from mini_repr.losses.scores.pearson import pearson
from mini_repr.losses.scores.pro import pro
from mini_repr.losses.scores.rank_kl import rank_kl
from mini_repr.methods.method import Method, Step
from mini_repr.methods.state import states_for
from mini_repr.nn import trimmed
from mini_repr.pages.arguments import Choice, NonNegative
from mini_repr.pages.declare import part

# The losses of order and their weights, by which CoDiEmb trains graded similarity.
OF_ORDER = ((pearson, 2.0), (pro, 0.5), (rank_kl, 5.0))


@part("method", "two_tasks", paper=("035", "115"))
class TwoTasks(Method):
    """Pairs of texts with a graded similarity and pairs without, each kind by a loss of its own, one encoder.

    L = loss of pairs (pairs without a grade) + weight loss of order (scores and similarities of those with one)

    each over the rows of its kind in the batch, the whole batch's over several ranks too; a kind of which a batch has
    fewer than two rows adds nothing. The scores are the cosines of the pairs.

    With ``--set train.batches=tasks`` a batch holds one kind: CoDiEmb (Zhang et al. 2025, arXiv 2508.11442), with
    ``graded="order"``: 2 Pearson + 0.5 PRO + 5 KL of ranks. With shuffled batches both kinds are in each:
    Conan-embedding's balance of tasks within a step (Li et al. 2024, arXiv 2408.15710), with ``graded="cosent"`` at
    weight 0.8 (by others' accounts).

    Compared with TencentCloudADP/youtu-embedding, training/CoDiEmb/train/model.py (read): its InfoNCE of graded pairs
    on a middle layer is left out.
    """

    compares = ("pairs",)
    takes = "texts"
    parts_batch = True

    def __init__(self, parts, *, graded: Choice("order", "cosent") = "order", weight: NonNegative = 1.0):
        super().__init__(parts)
        loss, train = self.objective.loss, parts.data.train
        similarity = train.similarity
        if similarity is None or np.isnan(similarity).all() or not np.isnan(similarity).any():
            raise ValueError(
                f"method two_tasks: {parts.data.name} has pairs of one kind, expected some with a graded similarity "
                "and some without, such as --data glosses --set data.kind=tasks"
            )
        if states_for(self.objective, parts.data, self.encoder.width, parts.rng):
            raise ValueError(
                f"method two_tasks: {loss.name} keeps a state of all rows, expected such as --loss infonce"
            )
        self.weight = weight
        self.of_order = OF_ORDER if graded == "order" else ((cosent, 1.0),)

    @classmethod
    def fits(cls, loss):
        return super().fits(loss) and not loss.sequences

    def load(self, part, backend):
        self._similarity = backend.asarray(part.similarity)
        return (*self.encoder.tokenise(part.a), *self.encoder.tokenise(part.b), np.isfinite(part.similarity))

    def sample(self, ids_a, mask_a, ids_b, mask_b, graded, rng):
        return *trimmed(ids_a, mask_a), *trimmed(ids_b, mask_b), graded

    def embed(self, ids_a, mask_a, ids_b, mask_b, graded):
        return self.encoder(ids_a, mask_a).pooled, self.encoder(ids_b, mask_b).pooled

    def targets(self, ids_a, mask_a, ids_b, mask_b, graded):
        return (graded,)

    def compare(self, rows, targets, batch, objective):
        za, zb = rows
        asarray = backend_of(za.data).asarray
        plain, graded = (asarray(np.flatnonzero(kind)) for kind in (~targets[0], targets[0]))
        total, terms = 0.0 * za.sum(), {self.objective.loss.name: 0.0, "graded": 0.0}
        if len(plain) > 1:
            paired = objective(za[plain], zb[plain], embeddings=(za, zb))
            total, terms = total + paired, terms | paired.terms
        if len(graded) > 1:
            cosines = (unit_rows(za[graded]) * unit_rows(zb[graded])).sum(axis=1)
            similarity = self._similarity[batch.index][graded].astype(za.dtype)
            ordered = sum(weight * loss(cosines, similarity) for loss, weight in self.of_order)
            total, terms = total + self.weight * ordered, terms | {"graded": ordered.data}
        total.terms = terms
        return Step(total, za.data)
