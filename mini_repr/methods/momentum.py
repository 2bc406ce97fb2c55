"""Views through the trained network, and through its slowly moving average."""

from mini_repr.autograd import no_grad
from mini_repr.methods.method import Method, Step, predicts_views
from mini_repr.methods.state import queues_and_states
from mini_repr.nn import Heads, copy_of
from mini_repr.optim import cosine_momentum
from mini_repr.pages.arguments import Count, Fraction
from mini_repr.pages.declare import part


@part("method", "momentum", paper=("018", "061", "071"))
class Momentum(Method):
    """Student and moving-average teacher: MoCo (pairs, with queues where the loss takes them) and BYOL (teachers).

    MoCo: He et al. 2020, arXiv 1911.05722, algorithm 1; v3: Chen et al. 2021, arXiv 2104.02057, algorithm 1; BYOL:
    Grill et al. 2020, arXiv 2006.07733, section 3.1. The teacher's momentum rises from ``momentum`` to 1 along a
    cosine. A queue holds the unit keys of the last steps, a second one, where the loss asks for it, the queries.
    """

    compares = ("pairs", "teachers")
    heads = Heads()
    keeps_queue = True

    def __init__(self, parts, *, momentum: Fraction = 0.99, queue_size: Count() = 1024):
        super().__init__(parts)
        heads, rng, loss = parts.heads, parts.rng, self.objective.loss
        self.momentum = momentum
        self.projector = heads.projector(self.encoder.width, rng)
        self.predictor = heads.predictor(rng) if loss.compares == "teachers" else None
        self.teacher_encoder = copy_of(self.encoder)
        self.teacher_projector = copy_of(self.projector)
        self.loss_states = queues_and_states(self, queue_size, heads.dimensions, parts)

    @classmethod
    def fits(cls, loss):
        return super().fits(loss) and (loss.compares == "pairs" or predicts_views(loss))

    def embed(self, *views):
        rows = tuple(self.projector(self.encoder(images).pooled) for images in views)
        return rows if self.predictor is None else (*rows, *map(self.predictor, rows))

    def targets(self, *views):
        with no_grad():
            return tuple(self.teacher_projector(self.teacher_encoder(images).pooled).data for images in views)

    def compare(self, rows, targets, batch, objective):
        if self.predictor is not None:
            embeddings, predictions = rows[: len(targets)], rows[len(targets) :]
            return Step(objective(*predictions, *targets, embeddings=embeddings), rows[0].data)
        (za, zb), (_, kb) = rows, targets
        return Step(self.compare_two(za, kb, batch, objective, (za, zb)), za.data)

    def after_step(self, step, total_steps):
        self.move_teachers(cosine_momentum(step, total_steps, self.momentum))
