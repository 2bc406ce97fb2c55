"""Masked images with constraints on the mask token: how much it weighs, and that it is like no patch."""

import math

import numpy as np

from mini_repr.autograd import Tensor, log, relu, unit_rows, where
from mini_repr.backend import backend_of
from mini_repr.masking import random_mask
from mini_repr.methods.masked import pixels_of_patch, refuse_whole_images, true_patches
from mini_repr.methods.method import Method, Step
from mini_repr.nn import Linear, ViT, patchify, truncated_normal
from mini_repr.pages.arguments import Fraction, NonNegative, Scalar
from mini_repr.pages.declare import part


@part("method", "mto", paper="073")
class MaskedTokenOptimisation(Method):
    """Masked token optimisation: SimMIM whose mask token is unlike all patches and says little in early layers.

    Choi et al. 2024, arXiv 2404.08330. In layer l = 0 .. L - 1 visible patch i gives patch j the weight a_ij (the mean
    over heads). With the hidden patches H, the mask token m and visible patches x_i, embedded and without position:

        recalibration   a_ij is multiplied by g_l for j in H and the row normalised again; g_l rises evenly from
                        ``first`` in the first layer to 1 in the last
        attention       mean over layers and i of (1 - l/L) sum_{j in H} a_ij                              (L_spa)
        entropy         mean over layers and i of the entropy of a_ij / sum_{k in H} a_ik over j in H      (L_e)
        singularity     mean over i of max(0, cos(m, x_i))²                                                (L_r)

    L = the loss of hidden pixels + weight * (attention + entropy + singularity). ``first=1`` and ``weight=0``: SimMIM.
    Only abstract and summaries of the paper could be read: visible patches are to draw less from hidden ones in early
    layers, weights are recalibrated, entropies measured, the token is to differ from all data ("data singularity"), and
    three losses have these names. The equations, ``first`` and ``weight`` are this page's reading.
    """

    compares = ("reconstruction",)

    def __init__(
        self,
        parts,
        *,
        ratio: Fraction = 0.6,
        first: Scalar(low=0, high=1, low_open=True) = 0.1,
        weight: NonNegative = 0.1,
    ):
        super().__init__(parts)
        encoder, rng = self.encoder, parts.rng
        refuse_whole_images("mto", encoder, clips=True)
        if type(encoder) is not ViT:
            raise ValueError(f"method mto: got encoder {encoder.page.name}, expected --encoder vit")
        random_mask(np.random.default_rng(0), 1, encoder.patch_count, ratio)  # refuses a wrong ratio before training
        self.ratio, self.weight = ratio, weight
        self.shares = np.linspace(first, 1.0, encoder.depth)
        self.mask_token = Tensor(truncated_normal(rng, (encoder.width,), np.float32), requires_grad=True)
        self.head = Linear(encoder.width, pixels_of_patch(encoder), rng)

    @classmethod
    def fits(cls, loss):
        return super().fits(loss) and loss.required == ["prediction", "target", "mask"]

    def sample(self, images, rng):
        images = self.views(images, rng)
        return images, random_mask(rng, len(images), self.encoder.patch_count, self.ratio)

    def embed(self, images, mask):
        hidden = backend_of(images).asarray(mask)
        drawn = self.from_hidden(mask)
        bias = [math.log(share) * drawn for share in self.shares.tolist()]
        encoded = self.encoder(images, replace=hidden, mask_token=self.mask_token, bias=bias, attention=True)
        patches = self.encoder.embed(patchify(images, self.encoder.patch, self.encoder.tube))
        weights = [w.mean(axis=1) for w in encoded.attention]
        held = (*constraints(weights, drawn[:, 0]), singularity(self.mask_token, patches, hidden))
        return self.head(encoded.tokens), encoded.pooled, *held

    def from_hidden(self, mask):
        """(B, 1, N, N) on the encoder's device: 1 where a visible token, the class token too, looks at a hidden one."""
        if self.encoder.class_token is not None:
            mask = np.concatenate([np.zeros((len(mask), 1), dtype=bool), mask], axis=1)
        drawn = (~mask[:, :, None] & mask[:, None, :])[:, None]
        weight = self.encoder.embed.weight.data
        return backend_of(weight).asarray(drawn, dtype=weight.dtype)

    def targets(self, images, mask):
        return true_patches(images, self.encoder), mask

    def compare(self, rows, targets, batch, objective):
        prediction, pooled, *held = rows
        target, hidden = targets
        rebuilt = objective(prediction, target, hidden, embeddings=(pooled,))
        attention, entropy, singular = (each.mean() for each in held)
        total = rebuilt + self.weight * (attention + entropy + singular)
        own = {"attention": attention.data, "entropy": entropy.data, "singularity": singular.data}
        total.terms = {**rebuilt.terms, **own}
        return Step(total, pooled.data)


def constraints(weights, drawn):
    """(attention, entropy), tensors (B,): what visible tokens take from hidden ones, and over how many they spread it.

    Args:
        weights: of each layer, tensors (B, N, N), the mean over heads. drawn: (B, N, N), 1 from visible to hidden.
    """
    visible = drawn.max(axis=2).sum(axis=1)  # (B,), of the weights' dtype
    attention = entropy = 0.0
    for number, a in enumerate(weights):
        taken = a * drawn
        mass = taken.sum(axis=2, keepdims=True)
        share = taken / where(mass.data > 0, mass, 1.0)
        spread = -(share * log(where(share.data > 0, share, 1.0))).sum(axis=(1, 2))
        attention = attention + (1 - number / len(weights)) * mass.sum(axis=(1, 2)) / visible
        entropy = entropy + spread / visible
    return attention / len(weights), entropy / len(weights)


def singularity(token, patches, hidden):
    """(B,): the mean over visible patches (B, P, D) of max(0, cosine with the token (D,))²."""
    alike = relu((unit_rows(patches) * unit_rows(token.reshape(1, -1))).sum(axis=2))
    shown = (~hidden).astype(patches.dtype)
    return (alike * alike * shown).sum(axis=1) / shown.sum(axis=1)
