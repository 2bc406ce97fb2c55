"""Masked images whose mask is chosen by what a teacher thinks hard to rebuild."""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.backend import backend_of
from mini_repr.losses.reconstruction.masked_regression import masked_regression, normalise_patches
from mini_repr.masking import mined_mask, visible_patches
from mini_repr.methods.masked import (
    filled_in,
    pixels_of_patch,
    refuse_whole_images,
    spread_over_pixels,
    true_patches,
)
from mini_repr.methods.method import Method, Step
from mini_repr.nn import Decoder, copy_of
from mini_repr.pages.arguments import Count, Flag, Fraction
from mini_repr.pages.declare import part

# Where the share of mined patches ends (arXiv 2304.05919, section 3.4).
FINAL_SHARE = 0.5


@part("method", "hpm", paper="002")
class HardPatchesMining(Method):
    """Hard patches mining: MAE that also predicts which patches are hard to rebuild, and a teacher that hides them.

    Wang et al. 2023, arXiv 2304.05919. A second decoder gives a score to every patch; on hidden patches it learns the
    order of the errors of the first (loss ``patch_order``), and its gradient reaches the encoder. L is this loss plus
    ``masked_regression`` of raw pixels, or with ``normalize_target`` of normalised ones. The teacher, a moving average
    of encoder and second decoder, scores the whole image; of the hidden patches the share with the highest scores,
    rising from 0 to 1/2 over the run with ``mine``, is chosen so, the rest at random.
    """

    compares = ("reconstruction",)

    def __init__(
        self,
        parts,
        *,
        ratio: Fraction = 0.75,
        mine: Flag = True,
        normalize_target: Flag = False,
        momentum: Fraction = 0.999,
        decoder_width: Count() = 64,
        decoder_depth: Count(least=0) = 1,
        decoder_heads: Count() = 4,
    ):
        super().__init__(parts)
        encoder, rng = self.encoder, parts.rng
        refuse_whole_images("hpm", encoder, clips=True)
        self.ratio, self.mine, self.momentum, self.normalize_target = ratio, mine, momentum, normalize_target
        mined_mask(np.random.default_rng(0), np.zeros((1, encoder.patch_count)), ratio, 0)  # refuses a wrong ratio
        pixels = pixels_of_patch(encoder)
        self.decoder = Decoder(encoder, decoder_width, decoder_depth, decoder_heads, pixels, rng)
        self.scorer = Decoder(encoder, decoder_width, decoder_depth, decoder_heads, 1, rng)
        self.teacher_encoder, self.teacher_scorer = copy_of(encoder), copy_of(self.scorer)
        self.register_buffer("progress", np.zeros(1))  # of the run, 0 to 1

    @classmethod
    def fits(cls, loss):
        return super().fits(loss) and loss.required == ["prediction", "error", "mask"]

    def sample(self, images, rng):
        images = self.views(images, rng)
        share = FINAL_SHARE * float(self.progress[0]) if self.mine else 0.0
        scores = self.scores(images) if share else np.zeros((len(images), self.encoder.patch_count))
        return images, mined_mask(rng, scores, self.ratio, share)

    def scores(self, images):
        """(B, P) on the host: how hard the teacher thinks each patch is, of whole images (B, C, H, W)."""
        nothing = np.zeros((len(images), self.encoder.patch_count), dtype=bool)
        with no_grad():
            scored = self.teacher_scorer(self.teacher_encoder(images).tokens, nothing)
        return backend_of(images).to_numpy(scored.data[:, :, 0])

    def rebuilt(self, images, rng):
        """As of ``masked``, with a random mask, and "scores" (B, H, W): how hard the teacher thinks each patch is."""
        scores = self.scores(images)
        mask = mined_mask(rng, scores, self.ratio, 0.0)
        prediction, _, _ = self.embed(images, mask)
        filled = filled_in(images, mask, prediction.data, self.encoder, self.normalize_target)
        return {**filled, "scores": backend_of(images).asarray(spread_over_pixels(scores, self.encoder))}

    def embed(self, images, mask):
        encoded = self.encoder(images, visible=visible_patches(mask))
        scores = self.scorer(encoded.tokens, mask)
        return self.decoder(encoded.tokens, mask), scores.reshape(*mask.shape), encoded.pooled

    def targets(self, images, mask):
        return true_patches(images, self.encoder), mask

    def compare(self, rows, targets, batch, objective):
        prediction, scores, pooled = rows
        target, hidden = targets
        rebuilt = masked_regression(prediction, target, hidden, normalize_target=self.normalize_target)
        error = self._errors(prediction.data, target)
        order = objective(scores, error, hidden, embeddings=(pooled,))
        total = rebuilt + order
        total.terms = {**order.terms, "masked_regression": rebuilt.data}
        return Step(total, pooled.data)

    def _errors(self, prediction, target):
        """(B, P): the mean squared error of every patch, of what the reconstruction is compared with."""
        if self.normalize_target:
            target = target.copy()
            normalise_patches(target)
        difference = prediction - target
        return (difference * difference).mean(axis=-1)

    def after_step(self, step, total_steps):
        self.progress[:] = step / total_steps
        self.move_teachers(self.momentum)
