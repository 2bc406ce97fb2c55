"""Each view predicts the others' projections, through which no gradient passes: SimSiam."""

from mini_repr.autograd import stop_gradient
from mini_repr.methods.method import Method, Step, predicts_views
from mini_repr.nn import Heads
from mini_repr.pages.declare import part


@part("method", "simsiam", paper="067", aliases=("siamese",))
class SimSiam(Method):
    """Views through one encoder, one projector and a predictor, whose targets are the projections: SimSiam.

    Chen, He 2021, arXiv 2011.10566, algorithm 1; with as many views as the loss compares. The encoder sees all views in
    one batch, projector and predictor one after the other.
    """

    compares = ("teachers",)
    heads = Heads()

    def __init__(self, parts):
        super().__init__(parts)
        self.projector = parts.heads.projector(self.encoder.width, parts.rng)
        self.predictor = parts.heads.predictor(parts.rng)

    @classmethod
    def fits(cls, loss):
        return super().fits(loss) and predicts_views(loss)

    def embed(self, *views):
        rows = tuple(map(self.projector, self.encode_views(*views)))
        return *rows, *map(self.predictor, rows)

    def compare(self, rows, targets, batch, objective):
        views, predictions = rows[: len(rows) // 2], rows[len(rows) // 2 :]
        total = objective(*predictions, *map(stop_gradient, views), embeddings=views)
        return Step(total, rows[0].data)
