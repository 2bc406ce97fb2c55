"""Hide patches of an image or a clip and predict their pixels."""

import numpy as np

from mini_repr.autograd import Tensor
from mini_repr.backend import backend_of
from mini_repr.masking import CLIP_MASKS, block_mask, clip_mask, random_mask, unit_mask, visible_patches
from mini_repr.methods.method import Method, Step
from mini_repr.nn import (
    Crate,
    CrateDecoder,
    Decoder,
    Linear,
    frames_of_tubes,
    patchify,
    truncated_normal,
    unpatchify,
)
from mini_repr.pages.arguments import Choice, Count, Fraction
from mini_repr.pages.declare import part


@part("method", "masked", paper=("020", "042", "096"))
class Masked(Method):
    """Masked image modelling: MAE, SimMIM or CRATE's autoencoder, all by pixels of the hidden patches.

    ``style="mae"``: He et al. 2021, arXiv 2111.06377: the encoder sees the visible patches alone, a light decoder
    (``decoder_*``) puts mask tokens in the gaps. ``style="simmim"``: Xie et al. 2021, arXiv 2111.09886: a learned token
    replaces the hidden patches, a linear head predicts; its loss is the variant ``simmim``. ``style="crate"``: Yu et
    al. 2023, arXiv 2311.13110: a learned token likewise, the encoder a ``crate`` (official: ``encoder.threshold=0.5``),
    and a decoder that undoes its layers (``CrateDecoder``).

    ``mask``: "random" patches, of which ``unit`` along a side are hidden at once (SimMIM hides squares of several), or
    one "block" (``block_mask``). Of clips (Feichtenhofer et al. 2022, arXiv 2205.09113) "random" is their recipe, at a
    ratio of 0.9; or "space", "time" or "block" of ``clip_mask``. A clip's token predicts one of its frames.
    """

    compares = ("reconstruction",)

    def __init__(
        self,
        parts,
        *,
        style: Choice("mae", "simmim", "crate") = "mae",
        ratio: Fraction = 0.75,
        mask: Choice("random", *CLIP_MASKS) = "random",
        unit: Count() = 1,
        decoder_width: Count() = 64,
        decoder_depth: Count(least=0) = 1,
        decoder_heads: Count() = 4,
    ):
        super().__init__(parts)
        encoder, rng = self.encoder, parts.rng
        refuse_whole_images("masked", encoder, clips=True)
        self.style, self.ratio, self.mask, self.unit = style, ratio, mask, unit
        clips = len(encoder.grid) == 3
        if unit > 1 and (clips or mask != "random"):
            raise ValueError(f"method masked: unit: got {unit}, expected 1 of clips and of other masks than random")
        if not clips and mask not in ("random", "block"):
            raise ValueError(f"method masked: mask: got {mask!r}, expected random or block, as the data holds images")
        self._hidden(np.random.default_rng(0), 1)  # refuses a wrong ratio or unit before training
        pixels = pixels_of_patch(encoder)
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
        grid = self.encoder.grid
        if self.unit > 1:
            return unit_mask(rng, count, grid, self.ratio, self.unit)
        if self.mask == "random":
            return random_mask(rng, count, self.encoder.patch_count, self.ratio)
        if len(grid) == 3:
            return clip_mask(rng, count, grid, self.ratio, self.mask)
        return block_mask(rng, count, grid, self.ratio)

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
        return filled_in(images, mask, prediction.data, self.encoder, self.objective.settings["normalize_target"])

    def targets(self, images, mask):
        return true_patches(images, self.encoder), mask

    def compare(self, rows, targets, batch, objective):
        prediction, pooled = rows
        target, hidden = targets
        return Step(objective(prediction, target, hidden, embeddings=(pooled,)), pooled.data)


def refuse_whole_images(method, encoder, clips=False):
    """Raise ValueError unless patches of an encoder's images can be hidden; of clips only where ``clips`` says so."""
    if not getattr(encoder, "hides_patches", False):
        raise ValueError(f"method {method}: needs patches to hide, expected --encoder vit or crate")
    if len(encoder.grid) == 3 and not clips:
        raise ValueError(f"method {method}: takes images, the data holds clips: expected --method masked or hpm")


def pixels_of_patch(encoder):
    """How many values are predicted of a patch; of a clip's token of several frames those of one."""
    return encoder.patch**2 * encoder.image_shape[-3]


def true_patches(images, encoder):
    """(B, P, patch * patch * C): what is predicted of images or clips."""
    return patchify(frames_of_tubes(images, encoder.tube), encoder.patch)


def filled_in(images, mask, prediction, encoder, normalized):
    """{"visible", "rebuilt"}: images (B, C, H, W) whose hidden patches are grey, and as predicted.

    Of clips (B, T, C, H, W) the frames that are predicted, (B, T/tube, C, H, W).

    Args:
        mask: host booleans (B, P), True = hidden. prediction: (B, P, patch * patch * C). normalized: whether it was
            trained on normalised patches; each is then drawn with the mean and deviation of the true one, as is usual.
    """
    backend = backend_of(images)
    xp, hidden, patches = backend.xp, backend.asarray(mask)[:, :, None], true_patches(images, encoder)
    shape = frames_of_tubes(images, encoder.tube).shape[1:]
    if normalized:
        prediction = prediction * patches.std(axis=-1, keepdims=True) + patches.mean(axis=-1, keepdims=True)
    filled = {"visible": xp.where(hidden, 0.5, patches), "rebuilt": xp.where(hidden, prediction, patches)}
    return {name: xp.clip(unpatchify(one, encoder.patch, shape), 0, 1) for name, one in filled.items()}


def spread_over_pixels(values, encoder):
    """(B, H, W), of clips (B, times, H, W), from one value a patch, (B, P)."""
    grid = values.reshape(-1, *encoder.grid)
    return grid.repeat(encoder.patch, axis=-2).repeat(encoder.patch, axis=-1)
