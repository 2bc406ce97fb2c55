"""Text-driven soft masks: what shows one word of a caption is dimmed, and the pair must be recognised all the same."""

import numpy as np

from mini_repr.autograd import concatenate, no_grad, unit_rows
from mini_repr.backend import backend_of
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.masking.word_attention import drawn_word, word_maps
from mini_repr.methods.image_text import ImageText
from mini_repr.methods.method import Step
from mini_repr.nn import TextTransformer
from mini_repr.nn.cross_encoder import CrossEncoder
from mini_repr.pages.arguments import Choice, Count, Positive
from mini_repr.pages.declare import part

HEADS = 4  # of the cross attention


@part("method", "soft_masks", paper="114")
class SoftMasks(ImageText):
    """Images with a caption each: contrast, and a multimodal encoder that learns which ones belong together.

    Park, Han 2023, arXiv 2304.00719, in the form of ALBEF (Li et al. 2021, arXiv 2107.07651) without its momentum model
    and without masked words. With v_p the patches of an image, s_ij the cosines of a batch, S the score of the
    multimodal encoder (``nn.CrossEncoder``) that a pair belongs together,

        L = contrast(images, texts)  +  mean of -log softmax(S)[right answer] over

            the B pairs                                                       together
            each image with another's text, drawn with e^{s_ij/t}             apart
            each text with another's image, drawn with e^{s_ji/t}             apart
            the B pairs, v_p replaced by (1 - m_p) v_p                        together

    The contrast is ``focal_itc`` by default. m is the map of one word of the caption, drawn at random: where that
    word's evidence lies, by attention and the gradient of S (``word_maps``), a constant. Images whose captions are the
    same, word for word, are no negatives of each other; ALBEF draws those too. Which words may be drawn, and how many
    maps an image gets in a step, is our reading: any word, and one; no official code was found. The text encoder is a
    transformer of one block.

    Args:
        masks: "word"; "shuffled", the same values on other patches, and "none", no dimmed pairs, to compare with.
        negative_temperature: t of the drawing of negatives.
        dimensions: of the space in which both are compared.
    """

    default_loss = "focal_itc"
    parts_batch = True

    def __init__(
        self,
        parts,
        *,
        dimensions: Count() = 64,
        masks: Choice("word", "shuffled", "none") = "word",
        negative_temperature: Positive = 0.1,
    ):
        super().__init__(parts, dimensions=dimensions)
        encoder = self.encoder
        if not getattr(encoder, "hides_patches", False) or encoder.width % HEADS:
            raise ValueError(
                f"method soft_masks: needs an image encoder with patches and a width that {HEADS} divides, expected "
                "--encoder vit"
            )
        self.masks, self.negative_temperature = masks, negative_temperature
        self.cross_encoder = CrossEncoder(encoder.width, HEADS, parts.rng)

    def make_text_encoder(self, parts):
        return TextTransformer(parts.rng, width=self.encoder.width, depth=1, heads=HEADS)

    def sample(self, images, ids, mask, rng):
        # For each row: which word, which image and which text; and an order of the patches.
        draws = rng.random((len(ids), 3), dtype=np.float32)
        order = rng.random((len(ids), self.encoder.patch_count), dtype=np.float32)
        return images, ids, mask, draws, order

    def embed(self, images, ids, mask, draws, order):
        seen, read = self.encoder(images), self.text_encoder(ids, mask)
        return self.image_map(seen.pooled), self.text_map(read.pooled), seen.tokens, read.tokens

    def targets(self, images, ids, mask, draws, order):
        return ids, mask, draws, order

    def compare(self, rows, targets, batch, objective):
        za, zb, patches, words = rows
        ids, mask, draws, order = (backend_of(x).to_numpy(x) for x in targets)
        total = self.compare_two(za, zb, batch, objective, (za, zb))
        image_of, text_of = self.hard_negatives(za.data, zb.data, ids, draws[:, 1:])
        own = np.arange(len(ids))
        images, texts = np.concatenate([own, image_of, own]), np.concatenate([own, own, text_of])
        seen = patches[backend_of(za.data).asarray(images)]
        if self.masks != "none":
            dimmed = patches * (1 - self.soft_mask(patches.data, words.data, mask, draws[:, 0], order))[:, :, None]
            seen, texts = concatenate(seen, dimmed), np.concatenate([texts, own])
        scores, _ = self.cross_encoder(words[backend_of(za.data).asarray(texts)], mask[texts], seen)
        together = np.ones(len(texts), dtype=np.int64)
        together[len(ids) : 3 * len(ids)] = 0
        matching = cross_entropy(scores, together)
        both = total + matching
        both.terms = {**total.terms, "matching": matching.data}
        return Step(both, za.data)

    def compared_parameters(self):
        return super().compared_parameters() + self.cross_encoder.parameters()

    def hard_negatives(self, za, zb, ids, draws):
        """(numbers of an image for each text, of a text for each image), host integers (B,) each: others' ones.

        Args:
            za, zb: plain rows (B, D). ids: (B, T) words; equal captions are drawn only where all are equal. draws:
                (B, 2) uniform host numbers.
        """
        cosines = unit_rows.on_arrays(zb)[0] @ unit_rows.on_arrays(za)[0].T
        logits = backend_of(za).to_numpy(cosines).astype(np.float64) / self.negative_temperature
        apart = (ids[:, None] != ids).any(axis=2)
        others = np.where(apart.any(axis=1, keepdims=True), apart, ~np.eye(len(ids), dtype=bool))
        return _drawn(logits, others, draws[:, 0]), _drawn(logits.T, others, draws[:, 1])

    def soft_mask(self, patches, words, mask, draw, order):
        """(B, P): the map of one word of each caption on its own image, or its values on other patches.

        Args:
            patches, words: plain tokens. draw: (B,) uniform host numbers. order: (B, P), of which the order counts.
        """
        maps = word_maps(*self.cross_encoder.attention_gradient(words, mask, patches))
        backend = backend_of(patches)
        chosen = maps[backend.xp.arange(len(maps)), backend.asarray(drawn_word(mask, draw))]
        if self.masks == "word":
            return chosen
        return backend.xp.take_along_axis(chosen, backend.asarray(order.argsort(axis=1)), axis=1)

    def matching(self, images, texts):
        """(N,): how much more likely "together" than "apart" the pairs of host images and a list of texts are, in logs.

        Returns:
            host array: the difference of the two scores.
        """
        backend = backend_of(self.image_map.weight.data)
        found = []
        for start in range(0, len(texts), 512):
            rows = slice(start, start + 512)
            with no_grad():
                patches = self.encoder(backend.asarray(images[rows])).tokens
                ids, mask = self.text_encoder.tokenise(texts[rows])
                scores, _ = self.cross_encoder(self.text_encoder(ids, mask).tokens, mask, patches)
            found.append(backend.to_numpy(scores.data[:, 1] - scores.data[:, 0]))
        return np.concatenate(found)

    def maps_of(self, images, texts):
        """(N, T, P): the map of every word of a caption on its image, host arrays; of padding, without meaning."""
        backend = backend_of(self.image_map.weight.data)
        ids, mask = self.text_encoder.tokenise(texts)
        with no_grad():
            patches, words = self.encoder(backend.asarray(images)).tokens.data, self.text_encoder(ids, mask).tokens.data
        return backend.to_numpy(word_maps(*self.cross_encoder.attention_gradient(words, mask, patches)))


def _drawn(logits, allowed, uniform):
    """(B,): of each row of logits (B, K) one column, drawn with its softmax over the ``allowed`` ones."""
    logits = np.where(allowed, logits, -np.inf)
    sums = np.exp(logits - logits.max(axis=1, keepdims=True)).cumsum(axis=1)
    return (sums <= uniform[:, None] * sums[:, -1:]).sum(axis=1)
