"""Masked images whose hidden patches are predicted as latents, which learn along."""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.masking import hidden_patches, random_mask, spaced_patches, visible_patches
from mini_repr.methods.masked import refuse_whole_images
from mini_repr.methods.method import Method, Step
from mini_repr.nn import CrossDecoder, copy_of
from mini_repr.optim import cosine_momentum
from mini_repr.pages.arguments import Choice, Count, Flag, Fraction
from mini_repr.pages.declare import part


@part("method", "latent_mim", paper="052")
class LatentMIM(Method):
    """Latent masked image modelling: predict what a slowly moving encoder makes of the hidden patches.

    Wei, Gupta, Morgado 2024, arXiv 2407.15837. The encoder sees the visible patches, its moving average the hidden ones
    alone, and a decoder by cross-attention predicts the second from the first (loss ``patch_discrimination``; with
    ``masked_regression`` the squared error of normalised latents). ``gap``: pixels that keep neighbouring patches apart
    (``spaced_patches``; official code: 4 to patches of 16). ``target``: "average"; "current", the encoder itself behind
    a stop-gradient; "joint", the encoder with its gradient. ``among_queries``: the asked patches see each other. The
    momentum rises to 1 along a cosine. The official decoder has a class token beside the queries and the memory, not
    here.
    """

    compares = ("reconstruction",)

    def __init__(
        self,
        parts,
        *,
        ratio: Fraction = 0.75,
        gap: Count(least=0) = 0,
        target: Choice("average", "current", "joint") = "average",
        momentum: Fraction = 0.99,
        among_queries: Flag = True,
        decoder_width: Count() = 64,
        decoder_depth: Count(least=0) = 1,
        decoder_heads: Count() = 4,
    ):
        super().__init__(parts)
        encoder, loss = self.encoder, self.objective.loss
        refuse_whole_images("latent_mim", encoder)
        if target == "joint" and not loss.parameters["target"].annotation.differentiable:
            raise ValueError(
                f"method latent_mim: target=joint: {loss.name} has no gradient of its target, expected "
                "--loss patch_discrimination, or another target"
            )
        random_mask(np.random.default_rng(0), 1, encoder.patch_count, ratio)  # refuses a wrong ratio before training
        self.ratio, self.gap, self.target, self.momentum = ratio, gap, target, momentum
        sizes = (decoder_width, decoder_depth, decoder_heads, encoder.width)
        self.decoder = CrossDecoder(encoder, *sizes, parts.rng, among_queries=among_queries)
        self.teacher_encoder = copy_of(encoder) if target == "average" else None

    @classmethod
    def fits(cls, loss):
        tokens = loss.arrays[0].annotation.letters[1:2] in (["M"], ["P"])
        return super().fits(loss) and loss.required[:2] == ["prediction", "target"] and tokens

    def sample(self, images, rng):
        images = spaced_patches(rng, self.views(images, rng), self.encoder.patch, self.gap)
        return images, random_mask(rng, len(images), self.encoder.patch_count, self.ratio)

    def embed(self, images, mask):
        visible, hidden = visible_patches(mask), hidden_patches(mask)
        encoded = self.encoder(images, visible=visible)
        rows = self.decoder(encoded.tokens, visible, hidden), encoded.pooled
        return (*rows, self.encoder(images, visible=hidden).tokens) if self.target == "joint" else rows

    def targets(self, images, mask):
        if self.target == "joint":
            return ()
        encoder = self.encoder if self.target == "current" else self.teacher_encoder
        with no_grad():
            return (encoder(images, visible=hidden_patches(mask)).tokens.data,)

    def compare(self, rows, targets, batch, objective):
        prediction, pooled, *learned = rows
        (latents,) = learned or targets
        masks = (np.ones(prediction.shape[:2], dtype=bool),) if self.objective.loss.masked else ()
        return Step(objective(prediction, latents, *masks, embeddings=(pooled,)), pooled.data)

    def after_step(self, step, total_steps):
        self.move_teachers(cosine_momentum(step, total_steps, self.momentum))
