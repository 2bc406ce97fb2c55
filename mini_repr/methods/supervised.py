"""Images with labels: metric learning and classification."""

import numpy as np

from mini_repr.autograd import Tensor, concatenate, relu, split
from mini_repr.backend import backend_of
from mini_repr.methods.method import Method, Step
from mini_repr.nn import Linear, LinearHead, ProjectionHead, truncated_normal


class Supervised(Method):
    """Labels: a metric loss on projected rows of two views, or a score loss on a linear classifier's scores of one.

    SupCon: Khosla et al. 2020, arXiv 2004.11362, section 3.1: both views of a batch are rows, with their labels twice.
    ``relu`` compares the positive parts of the projected rows (Kini et al. 2023, arXiv 2306.07960).
    A score loss gets what it asks for by name: ``scores`` (B, C), ``labels`` (B,), ``targets`` (B, C), the labels as
    one-hot rows; in place of scores, the encoder's rows ``x`` (B, D) and class vectors ``w`` (C, D); for number tokens,
    class k as the number k (``values``, ``is_number``); for a rejector, one score a row, and the ``predictions``
    (B,) of a fixed predictor, the nearest class mean of the raw pixels.
    """

    folders = ("labels", "scores")

    def __init__(
        self,
        encoder,
        objective,
        views,
        data,
        rng,
        *,
        hidden=256,
        dimensions=64,
        layers=2,
        batch_norm=False,
        relu=False,
    ):
        super().__init__(encoder, objective, views)
        if relu and self.scores:
            raise ValueError(f"method supervised: relu: {objective.loss.name} compares no rows, expected relu=false")
        self.relu = relu
        if data.train.labels is None:
            raise ValueError(f"method supervised: loss {objective.loss.name} needs labels, and the data has none")
        self.asked = [p.name for p in objective.loss.arrays if not p.annotation.optional]
        self.classes = len(data.train.label_names)
        if objective.loss.compares == "labels":
            self.head = ProjectionHead(encoder.width, hidden, dimensions, rng, layers=layers, batch_norm=batch_norm)
        elif "w" in self.asked:
            vectors = truncated_normal(rng, (self.classes, encoder.width), np.float32)
            self.class_vectors = Tensor(vectors, requires_grad=True)
        elif "predictions" in self.asked:
            self.head = LinearHead(encoder.width, 1, rng)
            self.register_buffer("predictions", _nearest_class_mean(data.train, self.classes))
        else:
            self.head = Linear(encoder.width, self.classes, rng)

    @property
    def scores(self):
        """Whether it classifies: the loss takes scores of one view, not rows of two."""
        return self.objective.loss.compares == "scores"

    def draw(self, images, rng):
        return tuple(self.views(images, rng) for _ in range(1 if self.scores else 2))

    def embed(self, first, *second):
        if self.scores:
            pooled = self.encoder(first).pooled
            return (pooled, self.head(pooled)) if "scores" in self.asked else (pooled,)
        both = backend_of(first).xp.concatenate([first, *second])
        rows = tuple(self.head(part) for part in split(self.encoder(both).pooled, (len(first), len(first))))
        return tuple(map(relu, rows)) if self.relu else rows

    def compare(self, rows, targets, batch):
        if not self.scores:
            twice = backend_of(batch.labels).xp.concatenate([batch.labels, batch.labels])
            return Step(self.objective(concatenate(*rows), twice, embeddings=rows), rows[0].data)
        pooled = rows[0]
        xp = backend_of(batch.labels).xp
        supply = {
            "scores": lambda: rows[1].reshape(len(pooled)) if "predictions" in self.asked else rows[1],
            "labels": lambda: batch.labels,
            "targets": lambda: (batch.labels[:, None] == xp.arange(self.classes)).astype(pooled.dtype),
            "x": lambda: pooled,
            "w": lambda: self.class_vectors,
            "values": lambda: xp.arange(self.classes).astype(pooled.dtype),
            "is_number": lambda: xp.ones(self.classes, dtype=bool),
            "predictions": lambda: self.predictions[batch.index],
        }
        given = [supply[name]() for name in self.asked]
        return Step(self.objective(*given, embeddings=(pooled,), labels=batch.labels), pooled.data)


def _nearest_class_mean(part, classes):
    """The class (N,) whose mean of the images is nearest to each image; a class without images is never it."""
    x = part.images.reshape(len(part), -1).astype(np.float64)
    of_class = part.labels[:, None] == np.arange(classes)
    counts = of_class.sum(axis=0)
    means = of_class.T @ x / np.maximum(counts, 1)[:, None]
    distances = (means * means).sum(axis=1) - 2 * x @ means.T
    return np.where(counts > 0, distances, np.inf).argmin(axis=1)
