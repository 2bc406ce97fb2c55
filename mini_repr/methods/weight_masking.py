"""Classify images by a trained encoder whose weights stay: only masks over them are learnt."""

from mini_repr.methods.classifier import Classifier
from mini_repr.nn import Linear, WeightMasks, xavier_uniform
from mini_repr.pages.arguments import Choice, FractionBelowOne, Positive
from mini_repr.pages.declare import part


@part("method", "weight_masking", paper="004")
class WeightMasking(Classifier):
    """Which weights of a trained encoder to use for a task, learnt in place of new weights: masking as fine-tuning.

    Zhao et al. 2020, arXiv 2004.12406: start from a trained encoder (``--init-from RUN``). Every linear layer's weight
    is masked (``WeightMasks``), and a linear classifier of fixed random weights as well; weights, biases, norms,
    positions and patch embedding stay as they are. A task then costs one bit for each weight.

    Args:
        threshold: above it a score counts. zeros: share of weights that start masked (paper: 5 %). start: which, any
            ("uniform") or the smallest ("magnitude").
    """

    compares = ("scores",)

    def __init__(
        self,
        parts,
        *,
        threshold: Positive = 0.01,
        zeros: FractionBelowOne = 0.05,
        start: Choice("uniform", "magnitude") = "uniform",
    ):
        super().__init__(parts)
        if "scores" not in self.asked or "predictions" in self.asked:
            name = self.objective.loss.name
            raise ValueError(f"method weight_masking: {name} takes no class scores, expected --loss cross_entropy")
        rng = parts.rng
        self.head = Linear(self.encoder.width, self.classes, rng, init=xavier_uniform)
        inner = [
            module
            for path, module in self.encoder.named_modules().items()
            if isinstance(module, Linear) and path != "embed"
        ]
        for parameter in (*self.encoder.parameters(), *self.head.parameters()):
            parameter.requires_grad = False
        self.masks = WeightMasks([*inner, self.head], rng, threshold=threshold, zeros=zeros, start=start)

    def start_from(self, state):
        taken = super().start_from(state)
        if taken == "encoder":
            self.masks.take()
        return taken

    def embed(self, images):
        with self.masks.learning():
            return super().embed(images)

    def after_step(self, step, total_steps):
        self.masks.write()
