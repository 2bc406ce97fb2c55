"""Each text twice through the encoder, under two dropout masks: SimCSE."""

from mini_repr.autograd import tanh
from mini_repr.methods.method import Method, Step
from mini_repr.methods.state import states_for
from mini_repr.nn import Dropout, Linear, trimmed
from mini_repr.pages.arguments import Flag
from mini_repr.pages.declare import part


@part("method", "simcse", paper="088")
class SimCSE(Method):
    """Texts one by one: two passes of a text, each with a dropout mask of its own, are the two views of it.

    Gao et al. 2021, arXiv 2104.08821, section 3, by InfoNCE in one direction at temperature 0.05 (``--variant
    one_direction --set loss.temperature=0.05``), or by any other loss of pairs. Dropout is the only augmentation: the
    encoder must have some (``--set encoder.dropout=0.1``, the paper's). Supervised SimCSE is ``two_tower`` on pairs
    with hard negatives (section 4). ``head``: a linear layer and tanh between encoder and loss, in training only, as
    the paper has it over the first token.

    Compared with princeton-nlp/SimCSE, simcse/models.py (read; its supervised loss is repeated in a test of
    ``infonce`` with hard negatives): the second passes are the candidates, never the first ones. Its encoder's row is
    that of a class token; here ``encoder.pooling`` says. Over several ranks no gradient reaches what it gathers; here
    it is the whole batch's.
    """

    compares = ("pairs", "embeddings")
    takes = "sentences"

    def __init__(self, parts, *, head: Flag = True):
        super().__init__(parts)
        require_dropout("simcse", self.encoder)
        self.loss_states = states_for(self.objective, parts.data, self.encoder.width, parts.rng)
        self.head = Linear(self.encoder.width, self.encoder.width, parts.rng) if head else None

    @classmethod
    def fits(cls, loss):
        return super().fits(loss) and not loss.sequences

    def sample(self, ids, mask, rng):
        return trimmed(ids, mask)

    def embed(self, ids, mask):
        return tuple(self._pass(ids, mask) for _ in range(2))

    def _pass(self, ids, mask):
        pooled = self.encoder(ids, mask).pooled
        return pooled if self.head is None else tanh(self.head(pooled))

    def compare(self, rows, targets, batch, objective):
        za, zb = rows
        return Step(self.compare_two(za, zb, batch, objective, rows), za.data)


def require_dropout(method, encoder):
    """Raise ValueError unless two passes of an encoder differ."""
    if not any(isinstance(module, Dropout) and module.rate > 0 for module in encoder.named_modules().values()):
        raise ValueError(
            f"method {method}: two passes of a text differ by dropout alone, and the encoder has none, expected "
            "--set encoder.dropout=0.1"
        )
