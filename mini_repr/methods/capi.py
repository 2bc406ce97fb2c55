"""Masked images whose hidden patches are predicted as clusters of a teacher's tokens, found along the way."""

import numpy as np

from mini_repr.autograd import Tensor, no_grad, scatter_rows, unit_rows
from mini_repr.backend import backend_of
from mini_repr.losses.reconstruction.cluster_prediction import cluster_prediction
from mini_repr.masking import block_mask, hidden_patches, visible_patches
from mini_repr.methods.masked import refuse_whole_images
from mini_repr.methods.method import Method, Step
from mini_repr.nn import CrossDecoder, Linear, copy_of, truncated_normal
from mini_repr.nn.init import unit_normal
from mini_repr.optim import cosine_momentum
from mini_repr.pages.arguments import Count, Fraction
from mini_repr.pages.declare import part


@part("method", "capi", paper="049")
class Capi(Method):
    """Cluster and predict latent patches (CAPI): a teacher's tokens are clustered, and the student predicts clusters.

    Darcet et al. 2025, arXiv 2502.08769; official code facebookresearch/capi. The teacher, a moving average of the
    encoder, sees the whole image; a linear map of its tokens as unit rows gives the clusters' logits. Both losses are
    ``cluster_prediction`` with the same assignments: one trains that map alone, of the teacher's logits at all
    positions; the other encoder and predictor, which asks a decoder by cross-attention for the hidden patches. One
    rectangle stays visible (``block_mask``). The official code has learning rates of their own for the map and for the
    patch embedding, rotary positions, registers and a momentum that warms up from 1, and predicts a twentieth of the
    patches; here all hidden ones, and positions are the encoder's.
    """

    compares = ("reconstruction",)

    def __init__(
        self,
        parts,
        *,
        ratio: Fraction = 0.65,
        clusters: Count(2) = 64,
        momentum: Fraction = 0.99,
        decoder_width: Count() = 64,
        decoder_depth: Count(least=0) = 1,
        decoder_heads: Count() = 4,
    ):
        super().__init__(parts)
        encoder, rng = self.encoder, parts.rng
        refuse_whole_images("capi", encoder)
        block_mask(np.random.default_rng(0), 1, encoder.grid, ratio)  # refuses a wrong ratio before training
        self.ratio, self.momentum = ratio, momentum
        sizes = (decoder_width, decoder_depth, decoder_heads, encoder.width)
        self.decoder = CrossDecoder(encoder, *sizes, rng, among_queries=False, near=False)
        # The head's rows have directions and lengths of their own (weight normalisation, arXiv 1602.07868).
        self.directions = Tensor(truncated_normal(rng, (clusters, encoder.width), np.float32), requires_grad=True)
        self.lengths = Tensor(np.ones((clusters, 1), np.float32), requires_grad=True)
        self.clustering = Linear(encoder.width, clusters, rng, init=unit_normal)
        self.teacher_encoder = copy_of(encoder)

    @classmethod
    def fits(cls, loss):
        return super().fits(loss) and loss.required == ["prediction", "assignment", "mask"]

    def sample(self, images, rng):
        images = self.views(images, rng)
        return images, block_mask(rng, len(images), self.encoder.grid, self.ratio, inverse=True)

    def embed(self, images, mask):
        batch, patches = mask.shape
        visible, hidden = visible_patches(mask), hidden_patches(mask)
        encoded = self.encoder(images, visible=visible)
        asked = unit_rows(self.decoder(encoded.tokens, visible, hidden))
        logits = asked @ (unit_rows(self.directions) * self.lengths).T
        flat = backend_of(images).asarray((hidden + patches * np.arange(batch)[:, None]).reshape(-1))
        everywhere = scatter_rows(logits.reshape(len(flat), -1), flat, batch * patches)
        return everywhere.reshape(batch, patches, -1), self.teacher_logits(images), encoded.pooled

    def teacher_logits(self, images):
        """(B, P, K): the clusters' logits of the teacher's tokens of whole images; only the clustering is trained."""
        with no_grad():
            rows = unit_rows(self.teacher_encoder(images).tokens)
        return self.clustering(rows)

    def targets(self, images, mask):
        return (mask,)

    def compare(self, rows, targets, batch, objective):
        prediction, logits, pooled = rows
        (hidden,) = targets
        predicted = objective(prediction, logits.data, hidden, embeddings=(pooled,))
        clustered = cluster_prediction(logits, logits.data, np.ones_like(hidden), **self.objective.settings)
        total = predicted + clustered
        total.terms = {**predicted.terms, "clustering": clustered.data}
        return Step(total, pooled.data)

    def after_step(self, step, total_steps):
        self.move_teachers(cosine_momentum(step, total_steps, self.momentum))
