"""Images with labels, compared by the rows of two views: metric learning."""

import numpy as np

from mini_repr.autograd import concatenate, relu
from mini_repr.methods.method import Method, Step
from mini_repr.nn import Heads
from mini_repr.pages.arguments import Flag
from mini_repr.pages.declare import part


@part("method", "metric_learning", paper="093", aliases=("supervised",))
class MetricLearning(Method):
    """A loss of labels on the projected rows of two views: supervised contrast and its kin.

    SupCon: Khosla et al. 2020, arXiv 2004.11362, section 3.1: both views of a batch are rows, with their labels twice.
    ``relu`` compares the positive parts of the projected rows (Kini et al. 2023, arXiv 2306.07960).
    """

    compares = ("labels",)
    heads = Heads()
    needs_labels = True

    def __init__(self, parts, *, relu: Flag = False):
        super().__init__(parts)
        self.relu = relu
        self.head = parts.heads.projector(self.encoder.width, parts.rng)

    def embed(self, first, second):
        rows = tuple(map(self.head, self.encode_views(first, second)))
        return tuple(map(relu, rows)) if self.relu else rows

    def compare(self, rows, targets, batch, objective):
        twice = np.concatenate([batch.labels, batch.labels])
        return Step(objective(concatenate(*rows), twice, embeddings=rows), rows[0].data)
