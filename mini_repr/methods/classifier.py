"""Images with labels, classified by scores of one view.

Source: scores through a softmax as in Bridle 1990, "Probabilistic interpretation of feedforward classification network
outputs"; no paper of its own.
"""

import numpy as np

from mini_repr.autograd import Tensor
from mini_repr.backend import backend_of
from mini_repr.methods.method import Method, Step
from mini_repr.nn import Linear, LinearHead, truncated_normal
from mini_repr.pages.declare import part

# What a loss may ask for, see the class.
KNOWN = {"x", "scores", "labels", "is_number", "targets", "values", "w", "predictions"}


@part("method", "classifier", aliases=("supervised",))
class Classifier(Method):
    """A loss of scores on a linear classifier of one view; its settings are all the encoder's.

    The loss gets the arrays that it names: ``scores`` (B, C), ``labels`` (B,), ``targets`` (B, C), the labels as
    one-hot rows. In place of scores: the encoder's rows ``x`` (B, D) and class vectors ``w`` (C, D). For number tokens
    class k is the number k (``values``, ``is_number``). A rejector has one score per row, and the ``predictions`` (B,)
    of a fixed predictor, the nearest class mean of the raw pixels.
    """

    compares = ("scores",)
    needs_labels = True

    def __init__(self, parts):
        super().__init__(parts)
        width, rng, train = self.encoder.width, parts.rng, parts.data.train
        self.asked = self.objective.loss.required
        self.classes = len(train.label_names)
        if "w" in self.asked:
            self.class_vectors = Tensor(truncated_normal(rng, (self.classes, width), np.float32), requires_grad=True)
        elif "predictions" in self.asked:
            self.head = LinearHead(width, 1, rng)
            self.register_buffer("predictions", _nearest_class_mean(train, self.classes))
        else:
            self.head = Linear(width, self.classes, rng)

    @classmethod
    def fits(cls, loss):
        return super().fits(loss) and set(loss.required) <= KNOWN

    def sample(self, images, rng):
        return (self.views(images, rng),)

    def embed(self, images):
        pooled = self.encoder(images).pooled
        return (pooled, self.head(pooled)) if "scores" in self.asked else (pooled,)

    def compare(self, rows, targets, batch, objective):
        pooled, labels, numbers = rows[0], batch.labels, np.arange(self.classes)
        known = {"x": pooled, "scores": rows[-1], "labels": labels, "is_number": np.ones(self.classes, dtype=bool)}
        if "targets" in self.asked:
            known["targets"] = backend_of(pooled.data).asarray((labels[:, None] == numbers).astype(pooled.dtype))
        if "values" in self.asked:
            known["values"] = backend_of(pooled.data).asarray(numbers.astype(pooled.dtype))
        if "w" in self.asked:
            known["w"] = self.class_vectors
        if "predictions" in self.asked:
            known |= {"scores": rows[-1].reshape(len(pooled)), "predictions": self.predictions[batch.index]}
        total = objective(*(known[name] for name in self.asked), embeddings=(pooled,), labels=labels)
        return Step(total, pooled.data)


def _nearest_class_mean(part, classes):
    """The class (N,) whose mean of the images is nearest to each image; a class without images is never it."""
    x = part.images.reshape(len(part), -1).astype(np.float64)
    of_class = part.labels[:, None] == np.arange(classes)
    counts = of_class.sum(axis=0)
    means = of_class.T @ x / np.maximum(counts, 1)[:, None]
    distances = (means * means).sum(axis=1) - 2 * x @ means.T
    return np.where(counts > 0, distances, np.inf).argmin(axis=1)
