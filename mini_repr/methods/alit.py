"""Images rebuilt from codes of every length that an encoder grows."""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.backend import backend_of
from mini_repr.methods.method import Method, Step
from mini_repr.nn import Alit, AlitDecoder, patchify, unpatchify
from mini_repr.nn.alit import learned
from mini_repr.pages.arguments import Count, NonNegative
from mini_repr.pages.declare import part

# What the error of each round counts, the last number for all further ones (official code, lambda_loss_weight).
ROUND_WEIGHTS = (2.5, 2.0, 1.5, 1.25, 1.0)


@part("method", "alit", paper="017")
class AdaptiveLength(Method):
    """Adaptive-length tokenisation: the image is rebuilt after each round of ``--encoder alit``, and all errors count.

    Duggal et al. 2024, arXiv 2411.02393: L = sum_i w_i L_i, with w = 2.5, 2, 1.5, 1.25, 1, 1, ... as in the official
    code. L_i is the loss of all pixels that a decoder (``decoder_*``) makes of the code of round i, tokens of ``code``
    numbers each. ``halting``: patches rebuilt with a mean squared error below it are a mask token in all later rounds,
    which then work on what is left; 0 halts none. The official code predicts numbers of VQ-GAN tokens, and halts at
    random those whose number is likely. Embeddings of a run are made without halting.
    """

    compares = ("reconstruction",)

    def __init__(
        self,
        parts,
        *,
        code: Count() = 4,
        halting: NonNegative = 0.0,
        decoder_depth: Count() = 2,
        decoder_heads: Count() = 4,
    ):
        super().__init__(parts)
        if not isinstance(self.encoder, Alit):
            raise ValueError(f"method alit: got encoder {parts.encoder.page.name}, expected --encoder alit")
        if self.objective.settings.get("normalize_target"):
            raise ValueError(
                "method alit: the loss normalises its target, expected pixels as they are: --variant raw_pixels"
            )
        self.halting, rounds = halting, self.encoder.rounds
        self.weights = (*ROUND_WEIGHTS, *[ROUND_WEIGHTS[-1]] * rounds)[:rounds]
        self.decoder = AlitDecoder(self.encoder, code, decoder_depth, decoder_heads, parts.rng)
        self.mask_token = learned(parts.rng, np.float32, self.encoder.width) if halting else None

    @classmethod
    def fits(cls, loss):
        return super().fits(loss) and loss.required == ["prediction", "target", "mask"]

    def sample(self, images, rng):
        return (self.views(images, rng),)

    def rollout(self, images):
        """(latents, pixels (B, P, patch * patch * C)) after each round, two lists of tensors."""
        true = patchify(images, self.encoder.patch)

        def finished(latents):
            with no_grad():
                difference = self.decoder(latents).data - true
            return (difference * difference).mean(axis=-1) < self.halting

        latents = self.encoder.rollout(images, finished if self.halting else None, self.mask_token)
        return latents, [self.decoder(one) for one in latents]

    def embed(self, images):
        latents, rebuilt = self.rollout(images)
        return (*rebuilt, latents[-1].mean(axis=1))

    def targets(self, images):
        return (patchify(images, self.encoder.patch),)

    def compare(self, rows, targets, batch, objective):
        *rebuilt, last, pooled = rows
        (target,) = targets
        everywhere = np.ones(target.shape[:2], dtype=bool)
        of_last = objective(last, target, everywhere, embeddings=(pooled,))
        total, terms = self.weights[-1] * of_last, dict(of_last.terms)
        for number, (prediction, weight) in enumerate(zip(rebuilt, self.weights, strict=False), 1):
            error = self.objective.loss(prediction, target, everywhere, **self.objective.settings)
            total = total + weight * error
            terms[f"round {number}"] = error.data
        total.terms = terms
        return Step(total, pooled.data)

    def rebuilt(self, images, rng):
        """{"1 token", ...}: images (B, C, H, W) as rebuilt from codes of each length; ``rng`` has no part in it."""
        encoder, xp, found = self.encoder, backend_of(images).xp, {}
        for latents, pixels in zip(*self.rollout(images), strict=True):
            count = latents.shape[1]
            image = unpatchify(pixels.data, encoder.patch, encoder.image_shape)
            found[f"{count} token{'s' if count > 1 else ''}"] = xp.clip(image, 0, 1)
        return found
