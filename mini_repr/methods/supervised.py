"""Images with labels: metric learning and classification."""

from mini_repr.autograd import concatenate, split
from mini_repr.backend import backend_of
from mini_repr.methods.method import Method, Step
from mini_repr.nn import Linear, ProjectionHead


class Supervised(Method):
    """Labels: a metric loss on projected rows of two views, or a score loss on a linear classifier's scores of one.

    SupCon: Khosla et al. 2020, arXiv 2004.11362, section 3.1: both views of a batch are rows, with their labels twice.
    """

    folders = ("labels", "scores")

    def __init__(self, encoder, objective, views, data, rng, *, hidden=256, dimensions=64, layers=2, batch_norm=False):
        super().__init__(encoder, objective, views)
        if data.train.labels is None:
            raise ValueError(f"method supervised: loss {objective.loss.name} needs labels, and the data has none")
        self.scores = objective.loss.folder == "scores"
        if self.scores:
            self.head = Linear(encoder.width, len(data.train.label_names), rng)
        else:
            self.head = ProjectionHead(encoder.width, hidden, dimensions, rng, layers=layers, batch_norm=batch_norm)

    def step(self, images, labels, rng):
        if self.scores:
            pooled = self.encoder(self.views(images, rng)).pooled
            total = self.objective(self.head(pooled), labels, embeddings=(pooled,))
            return Step(total, pooled.data)
        xp = backend_of(images).xp
        both = xp.concatenate([self.views(images, rng), self.views(images, rng)])
        first, second = split(self.encoder(both).pooled, (len(images), len(images)))
        za, zb = self.head(first), self.head(second)
        total = self.objective(concatenate(za, zb), xp.concatenate([labels, labels]), embeddings=(za, zb))
        return Step(total, za.data)
