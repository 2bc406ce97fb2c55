"""Two views, one through the trained network, one through its slowly moving average."""

import numpy as np

from mini_repr.autograd import no_grad, unit_rows
from mini_repr.backend import backend_of
from mini_repr.methods.method import Method, Step
from mini_repr.nn import PredictionHead, ProjectionHead, copy_of
from mini_repr.optim import cosine_momentum, update_ema


class Momentum(Method):
    """Student and moving-average teacher: MoCo (pairs, with a queue where the loss takes one) and BYOL (teachers).

    MoCo: He et al. 2020, arXiv 1911.05722, algorithm 1; v3: Chen et al. 2021, arXiv 2104.02057, algorithm 1; BYOL:
    Grill et al. 2020, arXiv 2006.07733, section 3.1. The teacher's momentum rises from ``momentum`` to 1 along a
    cosine. The queue holds the unit keys of the last steps, oldest overwritten; it starts as random unit rows.
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
        if objective.loss.folder == "teachers":
            self.predictor = PredictionHead(dimensions, predictor_hidden, rng)
        self.teacher_encoder = copy_of(encoder)
        self.teacher_projector = copy_of(self.projector)
        self.takes_queue = objective.settings.get("negatives") == "queue"
        if self.takes_queue:
            rows = rng.standard_normal((queue_size, dimensions)).astype(np.float32)
            self.register_buffer("queue", rows / np.linalg.norm(rows, axis=1, keepdims=True))
            self.register_buffer("queue_end", np.zeros((), dtype=np.int64))

    def draw(self, images, rng):
        return self.views(images, rng), self.views(images, rng)

    def embed(self, first, second):
        za, zb = (self.projector(self.encoder(images).pooled) for images in (first, second))
        return (za, zb) if self.predictor is None else (za, zb, self.predictor(za), self.predictor(zb))

    def targets(self, first, second):
        with no_grad():
            return tuple(self.teacher_projector(self.teacher_encoder(x).pooled).data for x in (first, second))

    def compare(self, rows, targets, labels):
        za, zb, *predictions = rows
        ka, kb = targets
        if predictions:
            total = self.objective(*predictions, ka, kb, embeddings=(za, zb))
        elif self.takes_queue:
            # A copy: the loss may read its queue again on the way back, after the new keys have come in.
            total = self.objective(za, kb, queue=self.queue.copy(), embeddings=(za, zb))
            self._enqueue(kb)
        else:
            total = self.objective(za, kb, embeddings=(za, zb))
        return Step(total, za.data)

    def after_step(self, step, total_steps):
        momentum = cosine_momentum(step, total_steps, self.momentum)
        for teacher, student in ((self.teacher_encoder, self.encoder), (self.teacher_projector, self.projector)):
            update_ema(teacher.named_parameters(), student.named_parameters(), momentum)

    def _enqueue(self, keys):
        xp = backend_of(keys).xp
        rows, _ = unit_rows.on_arrays(keys)
        end = int(self.queue_end)
        places = (xp.arange(len(rows)) + end) % len(self.queue)
        self.queue[places] = rows
        self.queue_end[...] = (end + len(rows)) % len(self.queue)
