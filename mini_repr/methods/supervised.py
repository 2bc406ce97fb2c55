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

    def draw(self, images, rng):
        return tuple(self.views(images, rng) for _ in range(1 if self.scores else 2))

    def embed(self, first, *second):
        if self.scores:
            pooled = self.encoder(first).pooled
            return pooled, self.head(pooled)
        both = backend_of(first).xp.concatenate([first, *second])
        return tuple(self.head(rows) for rows in split(self.encoder(both).pooled, (len(first), len(first))))

    def compare(self, rows, targets, labels):
        if self.scores:
            pooled, scores = rows
            return Step(self.objective(scores, labels, embeddings=(pooled,)), pooled.data)
        twice = backend_of(labels).xp.concatenate([labels, labels])
        return Step(self.objective(concatenate(*rows), twice, embeddings=rows), rows[0].data)
