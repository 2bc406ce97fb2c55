"""Hide patches of an image and predict their pixels."""

import numpy as np

from mini_repr.autograd import Tensor
from mini_repr.backend import backend_of
from mini_repr.masking import random_mask, unit_mask, visible_patches
from mini_repr.methods.method import Method, Step
from mini_repr.nn import Crate, CrateDecoder, Decoder, Linear, patchify, truncated_normal, unpatchify
from mini_repr.pages.arguments import Choice, Count, Fraction
from mini_repr.pages.declare import part


@part("method", "masked", paper=("020", "042", "096"))
class Masked(Method):
    """Masked image modelling: MAE, SimMIM or CRATE's autoencoder, all by pixels of the hidden patches.

    ``style="mae"``: He et al. 2021, arXiv 2111.06377: the encoder sees the visible patches alone, a light decoder
    (``decoder_*``) puts mask tokens in the gaps. ``style="simmim"``: Xie et al. 2021, arXiv 2111.09886: a learned token
    replaces the hidden patches, a linear head predicts; its loss is the variant ``simmim``. ``style="crate"``: Yu et
    al. 2023, arXiv 2311.13110: a learned token likewise, the encoder a ``crate`` (official: ``encoder.threshold=0.5``),
    and a decoder that undoes its layers (``CrateDecoder``). ``unit``: patches along a side of what is hidden at once
    (SimMIM hides squares of several patches).
    """

    compares = ("reconstruction",)

    def __init__(
        self,
        parts,
        *,
        style: Choice("mae", "simmim", "crate") = "mae",
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
        if style == "crate" and not isinstance(encoder, Crate):
            raise ValueError(
                f"method masked: style=crate: got encoder {parts.encoder.page.name}, expected --encoder crate"
            )
        if style != "mae":
            self.mask_token = Tensor(truncated_normal(rng, (encoder.width,), np.float32), requires_grad=True)
        if style == "mae":
            self.head = Decoder(encoder, decoder_width, decoder_depth, decoder_heads, pixels, rng)
        else:
            self.head = Linear(encoder.width, pixels, rng) if style == "simmim" else CrateDecoder(encoder, pixels, rng)

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
        if self.style == "mae":
            encoded = self.encoder(images, visible=visible_patches(mask))
            return self.head(encoded.tokens, mask), encoded.pooled
        encoded = self.encoder(images, replace=backend_of(images).asarray(mask), mask_token=self.mask_token)
        if self.style == "simmim":
            return self.head(encoded.tokens), encoded.pooled
        first = None if self.encoder.class_token is None else encoded.pooled
        return self.head(encoded.tokens, first), encoded.pooled

    def rebuilt(self, images, rng):
        """{"visible", "rebuilt"}: images (B, C, H, W) with a mask of ``rng``'s, and with the gaps filled in."""
        mask = self._hidden(rng, len(images))
        prediction, _ = self.embed(images, mask)
        return filled_in(images, mask, prediction.data, self.encoder.patch, self.objective.settings["normalize_target"])

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


def filled_in(images, mask, prediction, patch, normalized):
    """{"visible", "rebuilt"}: images (B, C, H, W) whose hidden patches are grey, and as predicted.

    Args:
        mask: host booleans (B, P), True = hidden. prediction: (B, P, patch * patch * C). normalized: whether it was
            trained on normalised patches; each is then drawn with the mean and deviation of the true one, as is usual.
    """
    backend = backend_of(images)
    xp, hidden, patches = backend.xp, backend.asarray(mask)[:, :, None], patchify(images, patch)
    if normalized:
        prediction = prediction * patches.std(axis=-1, keepdims=True) + patches.mean(axis=-1, keepdims=True)
    filled = {"visible": xp.where(hidden, 0.5, patches), "rebuilt": xp.where(hidden, prediction, patches)}
    return {name: xp.clip(unpatchify(one, patch, images.shape[1:]), 0, 1) for name, one in filled.items()}


def spread_over_pixels(values, encoder):
    """(B, H, W) from one value a patch, (B, P)."""
    grid = values.reshape(-1, *encoder.grid)
    return grid.repeat(encoder.patch, axis=1).repeat(encoder.patch, axis=2)
