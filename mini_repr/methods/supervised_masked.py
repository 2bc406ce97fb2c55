"""A classifier that also fills in hidden patches: labels and masked image modelling at once."""

import numpy as np

from mini_repr.backend import backend_of
from mini_repr.losses.reconstruction.masked_regression import masked_regression
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.masking import random_mask, visible_patches
from mini_repr.methods.masked import pixels_of_patch, refuse_whole_images, true_patches
from mini_repr.methods.method import Method, Step
from mini_repr.nn import Decoder, Linear
from mini_repr.pages.arguments import Choice, Count, Fraction, NonNegative
from mini_repr.pages.declare import part
from mini_repr.tokens import nearest_code, patch_codebook


@part("method", "supervised_masked", paper="034")
class SupervisedMasked(Method):
    """Supervised masked image modelling: one encoder classifies the whole image and fills in one with patches hidden.

    Chen et al. 2023, arXiv 2312.00950: L = L(scores of the whole image) + weight * L(hidden patches), the second by a
    decoder that is thrown away. ``predict="codes"``: the cross-entropy of a hidden patch's number in a codebook, by
    k-means of the training patches where the paper has a trained tokeniser; "pixels": ``masked_regression``. The
    tokeniser, the weight and how patches are hidden (as in MAE: they never enter the encoder) are this page's.
    """

    compares = ("scores",)
    needs_labels = True

    def __init__(
        self,
        parts,
        *,
        weight: NonNegative = 1.0,
        predict: Choice("codes", "pixels") = "codes",
        codes: Count(2) = 64,
        ratio: Fraction = 0.6,
        decoder_width: Count() = 64,
        decoder_depth: Count(least=0) = 2,
        decoder_heads: Count() = 4,
    ):
        super().__init__(parts)
        encoder, rng, train = self.encoder, parts.rng, parts.data.train
        refuse_whole_images("supervised_masked", encoder)
        random_mask(np.random.default_rng(0), 1, encoder.patch_count, ratio)  # refuses a wrong ratio before training
        self.weight, self.predict, self.ratio = weight, predict, ratio
        self.head = Linear(encoder.width, len(train.label_names), rng)
        outputs = codes if predict == "codes" else pixels_of_patch(encoder)
        self.decoder = Decoder(encoder, decoder_width, decoder_depth, decoder_heads, outputs, rng)
        if predict == "codes":
            self.register_buffer("codebook", patch_codebook(train.images, encoder.patch, codes, rng))

    @classmethod
    def fits(cls, loss):
        return super().fits(loss) and loss.required == ["scores", "labels"]

    def sample(self, images, rng):
        images = self.views(images, rng)
        return images, random_mask(rng, len(images), self.encoder.patch_count, self.ratio)

    def embed(self, images, mask):
        pooled = self.encoder(images).pooled
        shown = self.encoder(images, visible=visible_patches(mask))
        return self.head(pooled), self.decoder(shown.tokens, mask), pooled

    def targets(self, images, mask):
        return true_patches(images, self.encoder), mask

    def compare(self, rows, targets, batch, objective):
        scores, filled, pooled = rows
        patches, hidden = targets
        classified = objective(scores, batch.labels, embeddings=(pooled,), labels=batch.labels)
        if self.predict == "codes":
            numbers = nearest_code(patches, self.codebook).reshape(-1)
            each = cross_entropy(filled.reshape(len(numbers), -1), numbers, reduction="none")
            counted = backend_of(patches).asarray(hidden.reshape(-1))
            aside = (each * counted).sum() / int(hidden.sum())
        else:
            aside = masked_regression(filled, patches, hidden)
        total = classified + self.weight * aside
        total.terms = {**classified.terms, "hidden patches": aside.data}
        return Step(total, pooled.data)
