"""Replace words of a text by likely ones and detect which: ELECTRA."""

import numpy as np

from mini_repr.autograd import Tensor, gelu
from mini_repr.backend import backend_of
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.masking import chosen_places, hidden_words, masked_words
from mini_repr.methods.language import require_words
from mini_repr.methods.method import Method, Step
from mini_repr.nn import Linear, Sequential, WordGenerator
from mini_repr.pages.arguments import Choice, Count, NonNegative, Scalar
from mini_repr.pages.declare import part


@part("method", "electra", paper="068")
class Electra(Method):
    """Texts one by one: a small generator fills hidden words in, the encoder tells which words are not the original.

    Clark et al. 2020, arXiv 2003.10555, section 2. The generator, a masked language model of ``generator_width``,
    predicts the words hidden from it; one word is drawn from each prediction and put into the whole text. The encoder
    says for *every* word whether it was replaced (``replaced_tokens``); a draw that is the original word was not. With
    the generator's cross-entropy,

        L = L_generator + weight L_encoder

    No gradient passes the draw, so the two share their word table and positions and nothing else. The generator is
    thrown away after training.

    ``loss_on="hidden"`` lets only the words count that were hidden from the generator (the paper's "ELECTRA 15%"),
    ``replacements="uniform"`` draws any word: what the method is not.

    Compared with google-research/electra, run_pretraining.py and pretrain/pretrain_helpers.py (read): the same losses,
    labels and heads, but there 15 % of the chosen words stay visible to the generator.
    """

    compares = ("scores",)
    takes = "sentences"

    def __init__(
        self,
        parts,
        *,
        ratio: Scalar(low=0, high=1, low_open=True, high_open=True) = 0.15,
        weight: NonNegative = 50.0,
        generator_width: Count() = 16,
        generator_heads: Count() = 2,
        loss_on: Choice("all", "hidden") = "all",
        replacements: Choice("drawn", "uniform") = "drawn",
    ):
        super().__init__(parts)
        encoder, rng = self.encoder, parts.rng
        require_words("electra", encoder)
        self.ratio, self.weight, self.loss_on, self.replacements = ratio, weight, loss_on, replacements
        self.generator = WordGenerator(encoder, generator_width, generator_heads, rng)
        self.detector = Sequential(Linear(encoder.width, encoder.width, rng), gelu, Linear(encoder.width, 1, rng))
        self.slots = 1  # hidden words of a text, at most

    @classmethod
    def fits(cls, loss):
        return loss.required == ["scores", "replaced", "mask"]

    def load(self, part, backend):
        ids, mask = self.encoder.tokenise(part.texts)
        self.slots = max(1, int(hidden_words(mask.sum(axis=1), self.ratio).max()))
        return ids, mask

    def sample(self, ids, mask, rng):
        return ids, mask, masked_words(rng, mask, self.ratio), rng.random((len(ids), self.slots))

    def embed(self, ids, mask, hidden, levels):
        places, filled = chosen_places(hidden, self.slots)
        scores = self.generator(ids, mask, hidden, places)
        if self.replacements == "drawn":
            words = drawn_words(scores.data, levels)
        else:
            words = backend_of(scores.data).asarray((levels * scores.shape[-1]).astype(np.int64))
        corrupted = with_words(ids, words, places, filled)
        encoded = self.encoder(corrupted, mask)
        found = self.detector(encoded.tokens).reshape(*ids.shape)
        changed = corrupted != backend_of(corrupted).asarray(ids)
        return scores, found, Tensor(changed.astype(found.dtype)), encoded.pooled

    def targets(self, ids, mask, hidden, levels):
        places, filled = chosen_places(hidden, self.slots)
        return np.take_along_axis(ids, places, axis=1), filled, mask, hidden

    def compare(self, rows, targets, batch, objective):
        scores, found, changed, pooled = rows
        words, filled, mask, hidden = targets
        asked = backend_of(scores.data).asarray(np.flatnonzero(filled))
        generated = cross_entropy(scores.reshape(-1, scores.shape[-1])[asked], words[filled])
        counted = mask if self.loss_on == "all" else hidden
        detected = objective(found, changed.data > 0.5, counted, embeddings=(pooled,))
        total = generated + self.weight * detected
        total.terms = {**detected.terms, "generator": generated.data}
        return Step(total, pooled.data)


def drawn_words(scores, levels):
    """Words (B, M) drawn from the softmax of scores (B, M, V): where the cumulated probability passes a level.

    Args:
        levels: (B, M) on the host, uniform in [0, 1).
    """
    backend = backend_of(scores)
    xp = backend.xp
    shares = xp.exp(scores - scores.max(axis=-1, keepdims=True)).cumsum(axis=-1)
    return (
        (shares <= backend.asarray(levels, dtype=scores.dtype)[..., None] * shares[..., -1:])
        .sum(axis=-1)
        .clip(0, scores.shape[-1] - 1)
    )


def with_words(ids, words, places, filled):
    """ids (B, T) with words (B, M) at places (B, M) where these are filled, on the words' device."""
    backend = backend_of(words)
    batch, length = ids.shape
    spare = np.where(filled, places, length)  # what is not filled goes to a column that is cut off
    padded = backend.asarray(np.concatenate([ids, np.zeros((batch, 1), ids.dtype)], axis=1))
    padded[backend.xp.arange(batch)[:, None], backend.asarray(spare)] = words
    return padded[:, :length]
