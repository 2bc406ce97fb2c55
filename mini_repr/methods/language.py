"""Hide words of a text and predict them: masked language models."""

import numpy as np

from mini_repr.autograd import Tensor, log_softmax
from mini_repr.backend import backend_of
from mini_repr.masking import chosen_places, hidden_words, masked_words, visible_patches
from mini_repr.methods.method import Method, Step
from mini_repr.nn import LanguageHead, TextTransformer, WordDecoder, at_places, trimmed, truncated_normal
from mini_repr.pages.arguments import Choice, Count, Fraction, Scalar
from mini_repr.pages.declare import part
from mini_repr.tokens.importance import START, kept_places, moved_importance


@part("method", "language", paper=("015", "094", "108"))
class Language(Method):
    """Texts one by one: the scores of hidden words, over all words, by a loss of scores such as cross-entropy.

    ``style="mlm"``: BERT (Devlin et al. 2018, arXiv 1810.04805): a learned row ``[mask]`` takes the place of the words
    that are hidden, a share ``ratio`` of each text; a head tied to the word embeddings predicts them. It is always
    ``[mask]``, never another word or the word itself (as in MAE-LM's runs of both).

    ``style="mae_lm"``: MAE-LM (Meng et al. 2023, arXiv 2302.02060, section 3): ``[mask]`` never enters the encoder. It
    sees the words that are left, at their own places; a decoder of ``decoder_depth`` blocks, which is thrown away after
    training, puts ``[mask]`` rows in the gaps. So no direction of the encoder's rows is spent on ``[mask]``.

    ``keep``: token dropping (Hou et al. 2022, arXiv 2203.13240) of a plain model: of each text only so many words pass
    the middle blocks (``TextTransformer.forward_dropping``), those that are hidden and then those of the largest
    importance, a moving average, at ``importance_decay``, of the losses with which a word was predicted. 0 keeps all.

    ``head_rank``: a head of that rank in place of the word table's (Godey et al. 2024, arXiv 2404.07647: the softmax
    bottleneck).

    Hashed words that fall into one bucket are one word. Only the encoder is kept. Compared with yumeng5/MAE-LM,
    fairseq/models/ae/model.py (read): there the ``[mask]`` row of the decoder is that of the word table, here it is the
    decoder's own, and positions are relative.
    """

    compares = ("scores",)
    takes = "sentences"

    def __init__(
        self,
        parts,
        *,
        style: Choice("mlm", "mae_lm") = "mlm",
        ratio: Scalar(low=0, high=1, low_open=True, high_open=True) = 0.15,
        decoder_depth: Count() = 1,
        decoder_heads: Count() = 4,
        keep: Count(least=0) = 0,
        importance_decay: Fraction = 0.995,
        head_rank: Count(choose="the word table itself") = None,
    ):
        super().__init__(parts)
        encoder, rng = self.encoder, parts.rng
        require_words("language", parts.encoder)
        self.style, self.ratio = style, ratio
        self.head = LanguageHead(encoder.words, rng, inputs=encoder.width, rank=head_rank)
        if style == "mlm":
            self.mask_token = Tensor(truncated_normal(rng, (encoder.width,), np.float32), requires_grad=True)
        else:
            self.decoder = WordDecoder(encoder, decoder_depth, decoder_heads, rng)
        self.slots = 1  # rows of scores per text
        self.keep, self.importance_decay, self.sample_asks_network = keep, importance_decay, keep > 0
        if keep:
            if style != "mlm" or encoder.depth < 2:
                came = f"style {style}" if style != "mlm" else "an encoder of one block"
                raise ValueError(f"method language: keep: got {came}, expected --set method.style=mlm and two blocks")
            self.register_buffer("importance", np.full(len(encoder.words.weight), START, dtype=np.float32))

    @classmethod
    def fits(cls, loss):
        return super().fits(loss) and loss.required == ["scores", "labels"]

    def load(self, part, backend):
        ids, mask = self.encoder.tokenise(part.texts)
        self.slots = int(hidden_words(mask.sum(axis=1), self.ratio).max())
        if not self.slots:
            raise ValueError(f"method language: {part.name} has no text of two words or more, expected some to hide")
        return ids, mask

    def sample(self, ids, mask, rng):
        chosen = masked_words(rng, mask, self.ratio)  # of all places, so that all ranks draw the same numbers
        ids, mask = trimmed(ids, mask)
        chosen = chosen[:, : ids.shape[1]]
        if not self.keep:
            return ids, mask, chosen
        backend = backend_of(self.importance)
        kept = kept_places(self.importance, *map(backend.asarray, (ids, mask, chosen)), self.keep)
        return ids, mask, chosen, kept

    def embed(self, ids, mask, chosen, kept=None):
        places, _ = chosen_places(chosen, self.slots)
        if kept is not None:
            encoded = self.encoder.forward_dropping(ids, mask, kept, chosen, self.mask_token)
            rows = encoded.tokens
        elif self.style == "mlm":
            encoded = self.encoder(ids, mask, replace=chosen, mask_token=self.mask_token)
            rows = encoded.tokens
        else:
            hidden = level_with_padding(chosen, mask)
            seen = visible_patches(hidden)
            encoded = self.encoder(*(np.take_along_axis(x, seen, axis=1) for x in (ids, mask)), places=seen)
            rows = self.decoder(encoded.tokens, hidden, mask)
        return self.head(at_places(rows, places)), encoded.pooled

    def targets(self, ids, mask, chosen, kept=None):
        places, filled = chosen_places(chosen, self.slots)
        return np.take_along_axis(ids, places, axis=1), filled

    def compare(self, rows, targets, batch, objective):
        scores, pooled = rows
        words, filled = targets
        asked = backend_of(scores.data).asarray(np.flatnonzero(filled))
        scores = scores.reshape(-1, scores.shape[-1])[asked]
        if self.keep:
            self._weigh(scores.data, words[filled])
        return Step(objective(scores, words[filled], embeddings=(pooled,)), pooled.data)

    def _weigh(self, scores, words):
        """Move the importance of the words that were predicted, by their cross-entropy."""
        backend = backend_of(scores)
        words = backend.asarray(words)
        losses = -log_softmax.on_arrays(scores)[0][backend.xp.arange(len(words)), words]
        self.importance[...] = moved_importance(self.importance, words, losses, self.importance_decay)


def require_words(method, encoder):
    """Raise ValueError unless an encoder's words can be hidden."""
    if not isinstance(encoder, TextTransformer):
        raise ValueError(f"method {method}: needs words to hide, expected --encoder text_transformer")


def level_with_padding(chosen, mask):
    """Host booleans (B, T): the chosen words, and of texts with fewer than others have as much of their padding."""
    most = chosen.sum(axis=1).max()
    rank = np.cumsum(~mask, axis=1)  # of a place among its text's padding, from 1
    return chosen | (~mask & (rank <= (most - chosen.sum(axis=1))[:, None]))
