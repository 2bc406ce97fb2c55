"""Two views of each image through one encoder and one projector."""

from mini_repr.autograd import concatenate, split, stop_gradient
from mini_repr.backend import backend_of
from mini_repr.methods.method import Method, Step
from mini_repr.nn import PredictionHead, ProjectionHead


class Siamese(Method):
    """Two views through one network: SimCLR and its kin (pairs), SimSiam (teachers, with a predictor), regularisers.

    Chen et al. 2020, arXiv 2002.05709, section 2.1; Chen, He 2021, arXiv 2011.10566, algorithm 1. The encoder sees both
    views in one batch; the projector sees each by itself, so that its batch statistics never mix the views.
    """

    folders = ("pairs", "teachers", "embeddings")

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
        predictor_hidden=64,
    ):
        super().__init__(encoder, objective, views)
        self.projector = ProjectionHead(encoder.width, hidden, dimensions, rng, layers=layers, batch_norm=batch_norm)
        self.predictor = None
        if objective.loss.folder == "teachers":
            self.predictor = PredictionHead(dimensions, predictor_hidden, rng)

    def draw(self, images, rng):
        return self.views(images, rng), self.views(images, rng)

    def embed(self, first, second):
        both = backend_of(first).xp.concatenate([first, second])
        first, second = split(self.encoder(both).pooled, (len(first), len(second)))
        za, zb = self.projector(first), self.projector(second)
        return (za, zb) if self.predictor is None else (za, zb, self.predictor(za), self.predictor(zb))

    def compare(self, rows, targets, labels):
        za, zb, *predictions = rows
        if predictions:
            total = self.objective(*predictions, stop_gradient(za), stop_gradient(zb), embeddings=(za, zb))
        elif self.objective.loss.folder == "embeddings":
            total = self.objective(concatenate(za, zb), embeddings=(za, zb))
        else:
            total = self.objective(za, zb, embeddings=(za, zb))
        return Step(total, za.data)
