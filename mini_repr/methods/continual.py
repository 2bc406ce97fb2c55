"""Learn new images without a label, and stay near what the network knew before them."""

from mini_repr.autograd import no_grad
from mini_repr.methods.method import Step
from mini_repr.methods.simclr import SimCLR
from mini_repr.nn import Heads, copy_of
from mini_repr.pages.declare import part


@part("method", "continual", paper="044")
class Continual(SimCLR):
    """Two views through one network, beside a frozen copy of it from before these data: Sy-CON.

    Cha et al. 2023, arXiv 2306.05101. The past network is the one that ``--init-from RUN`` brings; without it, the
    network at its random start. A predictor turns current rows into guesses of the past ones.
    """

    compares = ("pairs",)
    heads = Heads(predictor_hidden=256)

    def __init__(self, parts):
        super().__init__(parts)
        loss = self.objective.loss
        if not {"past_a", "past_b", "predicted_a", "predicted_b"} <= loss.parameters.keys():
            raise ValueError(f"{self.page.title}: {loss.name} compares no past rows, expected --loss sy_con")
        self.past_predictor = parts.heads.predictor(parts.rng)
        self.past_encoder, self.past_projector = copy_of(self.encoder), copy_of(self.projector)

    def start_from(self, state):
        own = self.state_dict()
        networks = {name: array for name, array in state.items() if name.startswith(("encoder.", "projector."))}
        past = {f"past_{name}": array for name, array in networks.items()}
        self.load_state_dict(own | networks | past)
        return "networks"

    def embed(self, first, second):
        za, zb = super().embed(first, second)
        return za, zb, self.past_predictor(za), self.past_predictor(zb)

    def targets(self, first, second):
        self.past_encoder.eval()
        with no_grad():
            return tuple(self.past_projector(self.past_encoder(x).pooled).data for x in (first, second))

    def compare(self, rows, targets, batch, objective):
        za, zb, predicted_a, predicted_b = rows
        past_a, past_b = targets
        past = {"past_a": past_a, "past_b": past_b, "predicted_a": predicted_a, "predicted_b": predicted_b}
        return Step(objective(za, zb, **past, embeddings=(za, zb)), za.data)
