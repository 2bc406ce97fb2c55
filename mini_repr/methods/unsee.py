"""Two passes of each text predict a slowly moving average's passes of it: UNSEE."""

from mini_repr.autograd import no_grad
from mini_repr.methods.method import Method, Step
from mini_repr.methods.simcse import require_dropout
from mini_repr.methods.state import states_for
from mini_repr.nn import PredictionHead, Sequential, copy_of, trimmed
from mini_repr.pages.arguments import Count, Fraction
from mini_repr.pages.declare import part


@part("method", "unsee", paper="083")
class UNSEE(Method):
    """Texts one by one, by a loss of pairs that needs no negatives, against a target network.

    Çağatan 2024, arXiv 2401.15316. A text passes the encoder twice, each time with a dropout mask of its own, and then
    a predictor: p1, p2. The target, the moving average of the encoder, sees it twice as well, with masks of its own and
    without gradient: q1, q2. With l a loss such as ``barlow_twins``, ``vicreg`` or ``corinfomax``,

        L = l(p1, q2) + l(p2, q1)

    Without a target such losses spoil sentence embeddings (the paper's section 3); ``simcse`` trains them so.

    Args:
        momentum: of the target at each step, constant (official code: 0.999). stacked: predictors on top of each other
            (official code: 4), each linear, batch norm, ReLU, linear. hidden: their width.

    Compared with asparius/UNSEE, sentence_transformers/losses (read): there each predictor has one more hidden layer,
    and Barlow Twins standardises by one affine batch norm for both sides.
    """

    compares = ("pairs",)
    takes = "sentences"

    def __init__(self, parts, *, momentum: Fraction = 0.99, stacked: Count() = 1, hidden: Count() = 256):
        super().__init__(parts)
        require_dropout("unsee", self.encoder)
        width, rng = self.encoder.width, parts.rng
        self.momentum = momentum
        self.loss_states = states_for(self.objective, parts.data, width, rng)
        self.predictor = Sequential(*(PredictionHead(width, hidden, rng) for _ in range(stacked)))
        self.teacher_encoder = copy_of(self.encoder)

    @classmethod
    def fits(cls, loss):
        return super().fits(loss) and not loss.sequences

    def sample(self, ids, mask, rng):
        return trimmed(ids, mask)

    def embed(self, ids, mask):
        return tuple(self.predictor(self.encoder(ids, mask).pooled) for _ in range(2))

    def targets(self, ids, mask):
        with no_grad():
            return tuple(self.teacher_encoder(ids, mask).pooled.data for _ in range(2))

    def compare(self, rows, targets, batch, objective):
        (p1, p2), (q1, q2) = rows, targets
        first = self.compare_two(p1, q2, batch, objective, (p1, p2))
        second = self.compare_two(p2, q1, batch, objective, (p1, p2))
        total = first + second
        total.terms = {name: first.terms[name] + second.terms[name] for name in first.terms}
        return Step(total, p1.data)

    def after_step(self, step, total_steps):
        self.move_teachers(self.momentum)
