"""Two masked views: each is rebuilt, and their rows are contrasted."""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.losses.reconstruction.masked_regression import masked_regression
from mini_repr.masking import random_mask, visible_patches
from mini_repr.methods.masked import filled_in, pixels_of_patch, refuse_whole_images, true_patches
from mini_repr.methods.method import Method, Step
from mini_repr.methods.state import queues_and_states
from mini_repr.nn import Decoder, Heads, copy_of
from mini_repr.optim import cosine_momentum
from mini_repr.pages.arguments import Choice, Count, Fraction, NonNegative
from mini_repr.pages.declare import part


@part("method", "masked_contrast", paper="041")
class MaskedContrast(Method):
    """Masked contrastive representation learning (MACRL): two asymmetric masked autoencoders whose rows are contrasted.

    Yao, Desai, Palaniswami 2022, arXiv 2211.06012. One view, augmented and with most patches hidden, gives queries;
    the other, weakly augmented (``weak_views``: "none" as it is, "same" as the first) and with fewer hidden, gives the
    keys. The encoder sees visible patches only; a decoder rebuilds the pixels of each view. L = the loss of the pairs
    (queries, keys) + weight/2 * (absolute error of hidden patches, view by view). ``keys``: "average", by a moving
    average of encoder and projector, behind a stop-gradient; "same", by the encoder itself, with its gradient. Only the
    abstract could be read: ratios, weight and the temperature of the loss are this page's.
    """

    compares = ("pairs",)
    heads = Heads()
    keeps_queue = True

    def __init__(
        self,
        parts,
        *,
        ratio: Fraction = 0.75,
        weak_ratio: Fraction = 0.5,
        weak_views: Choice("none", "same") = "none",
        keys: Choice("average", "same") = "average",
        weight: NonNegative = 1.0,
        momentum: Fraction = 0.99,
        queue_size: Count() = 1024,
        decoder_width: Count() = 64,
        decoder_depth: Count(least=0) = 1,
        decoder_heads: Count() = 4,
    ):
        super().__init__(parts)
        encoder, heads, rng = self.encoder, parts.heads, parts.rng
        refuse_whole_images("masked_contrast", encoder, clips=True)
        for one in (ratio, weak_ratio):  # refuses a wrong ratio before training
            random_mask(np.random.default_rng(0), 1, encoder.patch_count, one)
        self.ratios, self.weak_views, self.weight, self.momentum = (ratio, weak_ratio), weak_views, weight, momentum
        self.projector = heads.projector(encoder.width, rng)
        pixels = pixels_of_patch(encoder)
        self.decoder = Decoder(encoder, decoder_width, decoder_depth, decoder_heads, pixels, rng)
        averaged = keys == "average"
        self.teacher_encoder = copy_of(encoder) if averaged else None
        self.teacher_projector = copy_of(self.projector) if averaged else None
        self.loss_states = queues_and_states(self, queue_size, heads.dimensions, parts)

    def sample(self, images, rng):
        weak = self.views(images, rng) if self.weak_views == "same" else images
        masks = (random_mask(rng, len(images), self.encoder.patch_count, ratio) for ratio in self.ratios)
        return self.views(images, rng), weak, *masks

    def rebuilt(self, images, rng):
        """As of ``masked``: the images themselves, at the ratio of the augmented view."""
        mask = random_mask(rng, len(images), self.encoder.patch_count, self.ratios[0])
        encoded = self.encoder(images, visible=visible_patches(mask))
        return filled_in(images, mask, self.decoder(encoded.tokens, mask).data, self.encoder, False)

    def embed(self, strong, weak, strong_mask, weak_mask):
        rows, rebuilt = [], []
        for images, mask in ((strong, strong_mask), (weak, weak_mask)):
            encoded = self.encoder(images, visible=visible_patches(mask))
            rows.append(self.projector(encoded.pooled))
            rebuilt.append(self.decoder(encoded.tokens, mask))
        return *rows, *rebuilt

    def targets(self, strong, weak, strong_mask, weak_mask):
        pixels = [true_patches(images, self.encoder) for images in (strong, weak)]
        fixed = (*pixels, strong_mask, weak_mask)
        if self.teacher_encoder is None:
            return fixed
        with no_grad():
            seen = self.teacher_encoder(weak, visible=visible_patches(weak_mask)).pooled
            return (*fixed, self.teacher_projector(seen).data)

    def compare(self, rows, targets, batch, objective):
        za, zb, *rebuilt = rows
        fixed, (keys,) = targets[:4], targets[4:] or (zb,)
        contrast = self.compare_two(za, keys, batch, objective, (za, zb))
        total, terms = contrast, dict(contrast.terms)
        for k, view in enumerate(("strong", "weak")):
            error = masked_regression(rebuilt[k], fixed[k], fixed[k + 2], norm="l1", normalize_target=False)
            total = total + 0.5 * self.weight * error
            terms[f"pixels, {view}"] = error.data
        total.terms = terms
        return Step(total, za.data)

    def after_step(self, step, total_steps):
        self.move_teachers(cosine_momentum(step, total_steps, self.momentum))
