"""Masked images whose mask is chosen by what a teacher thinks hard to rebuild."""

import numpy as np

from mini_repr.autograd import no_grad, unit_rows
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
from mini_repr.pages.arguments import Choice, Count, Flag, Fraction
from mini_repr.pages.declare import part

# Where the share of mined patches ends (arXiv 2304.05919, section 3.4).
FINAL_SHARE = 0.5


@part("method", "hpm", paper=("002", "031"))
class HardPatchesMining(Method):
    """Hard patches mining: MAE that also predicts which patches are hard to rebuild, and a teacher that hides them.

    Wang et al. 2023, arXiv 2304.05919. A second decoder gives a score to every patch; on hidden patches it learns the
    order of the errors of the first (loss ``patch_order``), and its gradient reaches the encoder. L is this loss plus
    ``masked_regression`` of raw pixels, or with ``normalize_target`` of normalised ones. The teacher, a moving average
    of encoder and second decoder, scores the whole image; of the hidden patches the share with the highest scores,
    rising from 0 to 1/2 over the run with ``mine``, is chosen so, the rest at random.

    Wang et al. 2023, arXiv 2312.13714, do the same with clips, and find that the second decoder alone (``mine`` false)
    already makes better rows. ``target="features"``: the first decoder predicts the teacher's tokens of the whole image
    y* in place of pixels, by L = |y/|y| - y*/|y*||², 0 to 4; checked in numbers against the official code
    (models_mae_learn_feature_loss.py, whose teacher may also be CLIP). ``tubes``: of clips whole places are hidden, by
    the mean of their scores over time; the code of their experiments on clips is not public, and whether it mines
    places or tokens could not be told.
    """

    compares = ("reconstruction",)
    sample_asks_network = True

    def __init__(
        self,
        parts,
        *,
        ratio: Fraction = 0.75,
        mine: Flag = True,
        target: Choice("pixels", "features") = "pixels",
        normalize_target: Flag = False,
        tubes: Flag = False,
        momentum: Fraction = 0.999,
        decoder_width: Count() = 64,
        decoder_depth: Count(least=0) = 1,
        decoder_heads: Count() = 4,
    ):
        super().__init__(parts)
        encoder, rng = self.encoder, parts.rng
        refuse_whole_images("hpm", encoder, clips=True)
        if tubes and len(encoder.grid) == 2:
            raise ValueError("method hpm: tubes: got True, expected False, as the data holds images")
        if normalize_target and target == "features":
            raise ValueError("method hpm: normalize_target: got True, expected False with target=features")
        self.ratio, self.mine, self.momentum = ratio, mine, momentum
        self.target, self.normalize_target, self.tubes = target, normalize_target, tubes
        self._hidden(np.random.default_rng(0), np.zeros((1, encoder.patch_count)), 0.0)  # refuses a wrong ratio
        outputs = pixels_of_patch(encoder) if target == "pixels" else encoder.width
        self.decoder = Decoder(encoder, decoder_width, decoder_depth, decoder_heads, outputs, rng)
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
        return images, self._hidden(rng, scores, share)

    def _hidden(self, rng, scores, share):
        if not self.tubes:
            return mined_mask(rng, scores, self.ratio, share)
        times = self.encoder.grid[0]
        of_places = scores.reshape(len(scores), times, -1).mean(axis=1)
        return np.tile(mined_mask(rng, of_places, self.ratio, share), (1, times))

    def scores(self, images):
        """(B, P) on the host: how hard the teacher thinks each patch is, of whole images (B, C, H, W)."""
        nothing = np.zeros((len(images), self.encoder.patch_count), dtype=bool)
        with no_grad():
            scored = self.teacher_scorer(self.teacher_encoder(images).tokens, nothing)
        return backend_of(images).to_numpy(scored.data[:, :, 0])

    def rebuilt(self, images, rng):
        """As of ``masked``, with a random mask, and "scores" (B, H, W): how hard the teacher thinks each patch is.

        With features as the target the scores alone.
        """
        scores = self.scores(images)
        mask = self._hidden(rng, scores, 0.0)
        prediction, _, _ = self.embed(images, mask)
        pixels = self.target == "pixels"
        filled = filled_in(images, mask, prediction.data, self.encoder, self.normalize_target) if pixels else {}
        return {**filled, "scores": backend_of(images).asarray(spread_over_pixels(scores, self.encoder))}

    def embed(self, images, mask):
        encoded = self.encoder(images, visible=visible_patches(mask))
        scores = self.scorer(encoded.tokens, mask)
        return self.decoder(encoded.tokens, mask), scores.reshape(*mask.shape), encoded.pooled

    def targets(self, images, mask):
        if self.target == "pixels":
            return true_patches(images, self.encoder), mask
        with no_grad():
            return unit_rows(self.teacher_encoder(images).tokens).data, mask

    def compare(self, rows, targets, batch, objective):
        prediction, scores, pooled = rows
        target, hidden = targets
        if self.target == "pixels":
            rebuilt = masked_regression(prediction, target, hidden, normalize_target=self.normalize_target)
        else:  # the sum over a unit row's columns, not their mean
            width = target.shape[-1]
            rebuilt = width * masked_regression(unit_rows(prediction), target, hidden, normalize_target=False)
        error = self.errors(prediction.data, target)
        order = objective(scores, error, hidden, embeddings=(pooled,))
        total = rebuilt + order
        total.terms = {**order.terms, self.target: rebuilt.data}
        return Step(total, pooled.data)

    def errors(self, prediction, target):
        """(B, P): the error of every patch in what the reconstruction is compared with; plain arrays."""
        if self.target == "features":
            difference = unit_rows.on_arrays(prediction)[0] - target
            return (difference * difference).sum(axis=-1)
        if self.normalize_target:
            target = target.copy()
            normalise_patches(target)
        difference = prediction - target
        return (difference * difference).mean(axis=-1)

    def after_step(self, step, total_steps):
        self.progress[:] = step / total_steps
        self.move_teachers(self.momentum)
