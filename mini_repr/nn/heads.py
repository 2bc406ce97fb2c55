"""What stands between an encoder and a loss: projection, prediction and linear heads."""

from dataclasses import dataclass

import numpy as np

from mini_repr.nn.init import zeros
from mini_repr.nn.layers import Linear
from mini_repr.nn.mlp import MLP
from mini_repr.nn.module import Module
from mini_repr.pages.arguments import Count, Flag, Scalar
from mini_repr.pages.section import Section


@dataclass(frozen=True)
class Heads(Section, name="heads"):
    """The settings ``heads.*``, and the heads that they describe.

    hidden, layers: width and number of the projector's linear layers. With layers=0 nothing in it is trained: it
    reweights the encoder's columns by powers of 1/kappa. dimensions: columns of the rows that the loss compares.
    batch_norm: in the projector. predictor_hidden: width of the predictor's hidden layer.
    """

    hidden: Count() = 256
    dimensions: Count() = 64
    layers: Count(least=0) = 2
    kappa: Scalar(low=1) = 1.0
    batch_norm: Flag = False
    predictor_hidden: Count() = 64

    def projector(self, inputs, rng):
        """A new head from encoder rows (N, inputs) to (N, dimensions)."""
        if self.layers and self.kappa != 1:
            raise ValueError(f"heads.kappa: got {self.kappa:g}, which is of a head without layers: heads.layers=0")
        if not self.layers and self.dimensions != inputs:
            expected = f"{inputs}, the encoder's width, as the head has no layers"
            raise ValueError(f"heads.dimensions: got {self.dimensions}, expected {expected}")
        if not self.layers:
            return FixedReweighting(inputs, self.kappa)
        return ProjectionHead(inputs, self.hidden, self.dimensions, rng, layers=self.layers, batch_norm=self.batch_norm)

    def predictor(self, rng):
        """A new head from a projection to a guess of another one."""
        return PredictionHead(self.dimensions, self.predictor_hidden, rng)


class ProjectionHead(MLP):
    """Encoder rows to the space of the loss: ``layers`` linear layers, ReLU between, batch norm on request.

    SimCLR (Chen et al. 2020, arXiv 2002.05709): 2 layers. Barlow Twins (arXiv 2103.03230) and VICReg
    (arXiv 2105.04906): 3 layers with batch norm. ``last_norm``: SimSiam's on the output, without gain and bias.
    """

    def __init__(self, inputs, hidden, outputs, rng, *, layers=2, batch_norm=False, last_norm=False, dtype=np.float32):
        if layers < 1:
            raise ValueError(f"ProjectionHead: layers: got {layers}, expected 1 or more")
        super().__init__(
            (inputs, *[hidden] * (layers - 1), outputs),
            rng,
            norm="batch" if batch_norm else None,
            last_norm="batch" if last_norm else None,
            dtype=dtype,
        )


class FixedReweighting(Module):
    """A projection head that is not trained: column j of the rows times kappa^-j, j = 0, 1, ..., width - 1.

    Later columns count less in the loss, so that the encoder can keep there what views disrupt or an easier feature
    would suppress. kappa = 1 is no head. Source: Xue et al. 2024, arXiv 2403.11391; the scales are those of a public
    port (SpuCo, ``ReweightProjectionHead``), read and not run.
    """

    def __init__(self, width, kappa, dtype=np.float32):
        self.register_buffer("scales", float(kappa) ** -np.arange(width).astype(dtype))

    def forward(self, x):
        return x * self.scales


class PredictionHead(MLP):
    """From a projection to a guess of the other view's: linear, batch norm, ReLU, linear, back to the same width.

    BYOL (arXiv 2006.07733) takes a wide hidden layer, SimSiam (arXiv 2011.10566) a bottleneck.
    """

    def __init__(self, width, hidden, rng, *, dtype=np.float32):
        super().__init__((width, hidden, width), rng, norm="batch", dtype=dtype)


class LinearHead(Linear):
    """A linear classifier: rows (N, inputs) to scores (N, classes). It starts at zero: every class equally likely."""

    def __init__(self, inputs, classes, rng, *, dtype=np.float32):
        super().__init__(inputs, classes, rng, init=zeros, dtype=dtype)
