"""Hide patches of an image and predict their pixels."""

import numpy as np

from mini_repr.autograd import Tensor, broadcast_to, concatenate
from mini_repr.backend import backend_of
from mini_repr.masking import random_mask, unit_mask, visible_patches
from mini_repr.methods.method import Method, Step
from mini_repr.nn import Block, LayerNorm, Linear, Module, patchify, sine_positions, truncated_normal
from mini_repr.pages.arguments import Choice, Count, Fraction
from mini_repr.pages.declare import part


@part("method", "masked", paper=("020", "096"))
class Masked(Method):
    """Masked image modelling: MAE (hidden patches never enter the encoder) or SimMIM (a mask token takes their place).

    ``style="mae"``: He et al. 2021, arXiv 2111.06377: the encoder sees the visible patches alone, a light decoder puts
    mask tokens in the gaps. ``style="simmim"``: Xie et al. 2021, arXiv 2111.09886: a learned token replaces the hidden
    patches, a linear head predicts; its loss is the variant ``simmim``. Both predict pixels. ``unit``: patches along a
    side of what is hidden at once (SimMIM hides squares of several patches).
    """

    compares = ("reconstruction",)

    def __init__(
        self,
        parts,
        *,
        style: Choice("mae", "simmim") = "mae",
        ratio: Fraction = 0.75,
        unit: Count() = 1,
        decoder_width: Count() = 64,
        decoder_depth: Count(least=0) = 1,
        decoder_heads: Count() = 4,
    ):
        super().__init__(parts)
        encoder, rng = self.encoder, parts.rng
        refuse_whole_images("masked", encoder)
        self.style, self.ratio, self.unit = style, ratio, unit
        self._hidden(np.random.default_rng(0), 1)  # refuses a wrong ratio or unit before training
        pixels = encoder.patch**2 * encoder.image_shape[0]
        if style == "simmim":
            self.mask_token = Tensor(truncated_normal(rng, (encoder.width,), np.float32), requires_grad=True)
            self.head = Linear(encoder.width, pixels, rng)
        else:
            self.head = Decoder(encoder, decoder_width, decoder_depth, decoder_heads, pixels, rng)

    @classmethod
    def fits(cls, loss):
        return super().fits(loss) and loss.required == ["prediction", "target", "mask"]

    def sample(self, images, rng):
        images = self.views(images, rng)
        return images, self._hidden(rng, len(images))

    def _hidden(self, rng, count):
        if self.unit == 1:
            return random_mask(rng, count, self.encoder.patch_count, self.ratio)
        return unit_mask(rng, count, self.encoder.grid, self.ratio, self.unit)

    def embed(self, images, mask):
        if self.style == "simmim":
            hidden = backend_of(images).asarray(mask)
            encoded = self.encoder(images, replace=hidden, mask_token=self.mask_token)
            return self.head(encoded.tokens), encoded.pooled
        encoded = self.encoder(images, visible=visible_patches(mask))
        return self.head(encoded.tokens, mask), encoded.pooled

    def targets(self, images, mask):
        return patchify(images, self.encoder.patch), mask

    def compare(self, rows, targets, batch, objective):
        prediction, pooled = rows
        target, hidden = targets
        return Step(objective(prediction, target, hidden, embeddings=(pooled,)), pooled.data)


def refuse_whole_images(method, encoder):
    """Raise ValueError unless patches of an encoder's images can be hidden."""
    if not getattr(encoder, "hides_patches", False):
        raise ValueError(f"method {method}: needs patches to hide, expected --encoder vit or crate")


class Decoder(Module):
    """MAE's light decoder: visible tokens, mask tokens in the gaps, fixed positions, a few blocks, pixels.

    He et al. 2021, arXiv 2111.06377, section 3 and appendix A.1.
    """

    def __init__(self, encoder, width, depth, heads, pixels, rng):
        super().__init__()
        self.embed = Linear(encoder.width, width, rng)
        self.mask_token = Tensor(truncated_normal(rng, (width,), np.float32), requires_grad=True)
        self.register_buffer("positions", sine_positions(encoder.grid, width))
        self.blocks = [Block(width, heads, 4.0, rng) for _ in range(depth)]
        self.norm = LayerNorm(width)
        self.pixels = Linear(width, pixels, rng)

    def forward(self, tokens, mask):
        """(B, V, D) tokens of the patches that the host mask (B, P) leaves, in order, to (B, P, pixels)."""
        batch, shown, _ = tokens.shape
        x = self.embed(tokens)
        gaps = broadcast_to(self.mask_token, (batch, mask.shape[1] - shown, x.shape[-1]))
        # Visible rows first, then the gaps: patch p of an image finds its row at the rank that a stable sort gives it.
        place = np.argsort(np.argsort(mask, axis=1, kind="stable"), axis=1)
        backend = backend_of(tokens.data)
        x = concatenate(x, gaps, axis=1)[backend.asarray(np.arange(batch)[:, None]), backend.asarray(place)]
        x = x + self.positions
        for block in self.blocks:
            x, _ = block(x)
        return self.pixels(self.norm(x))
