"""Foretell a yes or a no from the fields of a table's row: factorisation machine, cross network, deep network."""

import numpy as np

from mini_repr.autograd import Tensor, concatenate, exp
from mini_repr.backend import backend_of
from mini_repr.kernels.pair_products import pair_products
from mini_repr.methods.method import Method, Step
from mini_repr.nn import MLP, Linear
from mini_repr.nn.cross_network import CrossNetwork
from mini_repr.nn.fields import Fields
from mini_repr.pages.arguments import Count, Flag, NonNegative
from mini_repr.pages.declare import part


@part("method", "click_through", paper="043")
class ClickThrough(Method):
    """Rows of a table: the logit of a yes is a sum of parts, each of which can be left out.

    z = bias + a weight of each value (of a number: what ``encoder.numbers`` makes of it, in one dimension)
        + sum over two fields of v_f·v_g            ``pairs``: the factorisation machine (Rendle 2010)
        + w·CrossNetwork(all vectors in one row)    ``cross_layers``: DCN (Wang et al. 2017, arXiv 1708.05123)
        + MLP(all vectors in one row)               ``hidden``: width of its two hidden layers, 0 for none

    v_f are the rows of the encoder ``fields``. With ``pairs`` and ``hidden`` it is DeepFM (Guo et al. 2017, arXiv
    1703.04247), with none of the three logistic regression. The loss gets the scores 0 and z of no and yes, so that
    cross-entropy is the log loss.

    With ``encoder.selected`` the thresholds rise by a penalty threshold_weight sum_f e^{-threshold_f} (OptEmbed).
    ``sampled_columns``: in training each row uses a random number of leading columns of each field, from which
    ``searched_columns`` then finds how many to keep.

    Which numbers are cut into bins, which values count, which fields are crossed (``--set data.crosses=a*b``), which of
    these parts are summed and how many dimensions a field has are the choices by which Lyu et al. 2023, arXiv
    2302.02241, order the field.
    """

    compares = ("scores",)
    takes = "tables"
    default_loss = "cross_entropy"

    def __init__(
        self,
        parts,
        *,
        pairs: Flag = True,
        cross_layers: Count(least=0) = 0,
        hidden: Count(least=0) = 64,
        threshold_weight: NonNegative = 3e-4,
        sampled_columns: Flag = False,
    ):
        super().__init__(parts)
        encoder, rng, train = self.encoder, parts.rng, parts.data.train
        self.pairs, self.threshold_weight, self.sampled_columns = pairs, threshold_weight, sampled_columns
        own = {name: getattr(encoder, name) for name in ("numbers", "bins", "temperature")}
        self.linear = Fields(train, rng, dimensions=1, **own)
        self.bias = Tensor(np.zeros(1, dtype=np.float32), requires_grad=True)
        self.cross = self.out = self.mlp = None
        if cross_layers:
            self.cross, self.out = CrossNetwork(encoder.width, cross_layers, rng), Linear(encoder.width, 1, rng)
        if hidden:
            self.mlp = MLP((encoder.width, hidden, hidden, 1), rng)

    @classmethod
    def fits(cls, loss):
        return super().fits(loss) and loss.required == ["scores", "labels"]

    def sample(self, rows, rng):
        if not self.sampled_columns:
            return (rows,)
        columns = rng.integers(1, self.encoder.dimensions + 1, size=rows.shape)
        return rows, backend_of(self.bias.data).asarray(columns)

    def embed(self, rows, columns=None):
        encoded = self.encoder(rows, columns)
        z = self.linear(rows).pooled.sum(axis=1) + self.bias
        if self.pairs:
            z = z + pair_products(encoded.tokens)
        if self.cross is not None:
            z = z + self.out(self.cross(encoded.pooled)).reshape(-1)
        if self.mlp is not None:
            z = z + self.mlp(encoded.pooled).reshape(-1)
        return z, encoded.pooled

    def compare(self, rows, targets, batch, objective):
        z, pooled = rows
        z = z.reshape(-1, 1)
        scores = concatenate(z.data * 0, z, axis=1)
        total = objective(scores, batch.labels, embeddings=(pooled,))
        if self.encoder.thresholds is not None:
            log_loss = total
            total = log_loss + self.threshold_weight * exp(-self.encoder.thresholds).sum()
            total.terms = log_loss.terms
        return Step(total, pooled.data)

    def logits(self, rows, columns=None):
        """(B,): the logit of a yes of each row of a table (B, F), on the host; columns as in ``Fields``."""
        backend = backend_of(self.bias.data)
        columns = None if columns is None else backend.asarray(columns)
        return backend.to_numpy(self.embed(backend.asarray(rows), columns)[0].data)
