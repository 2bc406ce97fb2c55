"""Views through the trained network, and through its slowly moving average."""

from mini_repr.autograd import no_grad
from mini_repr.methods.kept import Queue, keepers_for
from mini_repr.methods.method import Method, Step, views_of
from mini_repr.nn import PredictionHead, ProjectionHead, copy_of
from mini_repr.optim import cosine_momentum, update_ema


class Momentum(Method):
    """Student and moving-average teacher: MoCo (pairs, with queues where the loss takes them) and BYOL (teachers).

    MoCo: He et al. 2020, arXiv 1911.05722, algorithm 1; v3: Chen et al. 2021, arXiv 2104.02057, algorithm 1; BYOL:
    Grill et al. 2020, arXiv 2006.07733, section 3.1. The teacher's momentum rises from ``momentum`` to 1 along a
    cosine. A queue holds the unit keys of the last steps, a second one, where the loss asks for it, the queries.
    """

    folders = ("pairs", "teachers")
    keeps_queue = True

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
        momentum=0.99,
        queue_size=1024,
    ):
        super().__init__(encoder, objective, views)
        self.momentum = momentum
        self.projector = ProjectionHead(encoder.width, hidden, dimensions, rng, layers=layers, batch_norm=batch_norm)
        self.predictor = None
        if objective.loss.compares == "teachers":
            self.predictor = PredictionHead(dimensions, predictor_hidden, rng)
        self.teacher_encoder = copy_of(encoder)
        self.teacher_projector = copy_of(self.projector)
        queues = [name for name in ("queue", "query_queue") if self.takes_queue and name in objective.loss.parameters]
        self.keepers = [
            *(Queue(name, queue_size, dimensions, rng) for name in queues),
            *keepers_for(objective.loss, objective.settings, data, dimensions, rng),
        ]

    def draw(self, images, rng):
        return tuple(self.views(images, rng) for _ in range(views_of(self.objective.loss)))

    def embed(self, *views):
        rows = tuple(self.projector(self.encoder(images).pooled) for images in views)
        return rows if self.predictor is None else (*rows, *(self.predictor(z) for z in rows))

    def targets(self, *views):
        with no_grad():
            return tuple(self.teacher_projector(self.teacher_encoder(images).pooled).data for images in views)

    def compare(self, rows, targets, batch):
        if self.predictor is not None:
            embeddings, predictions = rows[: len(targets)], rows[len(targets) :]
            return Step(self.objective(*predictions, *targets, embeddings=embeddings), rows[0].data)
        (za, zb), (_, kb) = rows, targets
        return Step(self.compare_pairs(za, kb, batch, (za, zb)), za.data)

    def after_step(self, step, total_steps):
        momentum = cosine_momentum(step, total_steps, self.momentum)
        for teacher, student in ((self.teacher_encoder, self.encoder), (self.teacher_projector, self.projector)):
            update_ema(teacher.named_parameters(), student.named_parameters(), momentum)
