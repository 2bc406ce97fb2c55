"""Expand each hidden word into several states of a graph, whose paths emit the words: ExLM."""

import math
from typing import NamedTuple

import numpy as np

from mini_repr.autograd import Tensor, broadcast_to, concatenate, log_softmax, logsumexp, take_along, where
from mini_repr.backend import backend_of
from mini_repr.masking import chosen_places, hidden_words, masked_words
from mini_repr.methods.language import require_words
from mini_repr.methods.method import Method, Step
from mini_repr.nn import LanguageHead, Linear, at_places, trimmed, truncated_normal
from mini_repr.pages.arguments import Count, Scalar
from mini_repr.pages.declare import part

# The logit of a state that cannot follow: its probability is 0 exactly.
_NEVER = -1e9


@part("method", "exlm", paper="070")
class ExLM(Method):
    """Texts one by one: each hidden word becomes several states, and hidden words are emitted along paths through them.

    Zheng et al. 2025, arXiv 2501.13397. Of each text a share ``ratio`` of the words is hidden, and each of them is
    replaced by ``copies`` rows ``[mask]``, all at the word's place. With ``--set encoder.positions=rotary_2d`` these
    are one learned row, and the number of a copy, from 1, is its second coordinate; with other positions each number
    has a learned row of its own. The encoder's rows of these copies are the states of a graph, in order. State u emits
    a word by a head that is tied to the word embeddings, and says by C = ``link_heads`` heads which later state comes
    next: with f_u the state's row beside a learned row of its number, and gates g over the heads,

        A_uv = log sum_c g_c(f_u) softmax_{v > u}( (W_q f_u)_c · (W_k f_v)_c / sqrt(D/C) )

    ``dag_likelihood`` sums over all paths, so that a copy may emit the word of a neighbouring place and what one
    state emits depends on the others. Two learned ends, which emit nothing, begin and finish every path. Only the
    encoder is kept; where nothing is hidden nothing is expanded.

    Compared with zhengkangjie/ExLM, fairseq/models/roberta/p_roberta_ext_denselink.py (read): the same links and, with
    "rotary_2d", the same two coordinates, half of a head's columns for each; but there the ends are copies of the first
    and last mark of the text, which take part in attention.
    """

    compares = ("scores",)
    takes = "sentences"

    def __init__(
        self,
        parts,
        *,
        copies: Count() = 4,
        ratio: Scalar(low=0, high=1, low_open=True, high_open=True) = 0.15,
        link_heads: Count() = 4,
    ):
        super().__init__(parts)
        encoder, rng = self.encoder, parts.rng
        require_words("exlm", encoder)
        width = encoder.width
        if width % link_heads:
            raise ValueError(f"method exlm: link_heads: got {link_heads}, expected a divisor of encoder.width {width}")
        self.copies, self.ratio, self.link_heads = copies, ratio, link_heads
        self.head = LanguageHead(encoder.words, rng, inputs=width)
        self.turns_copies = getattr(encoder, "coordinates", 0) == 2
        kinds = 1 if self.turns_copies else copies
        self.mask_tokens, self.numbers, self.ends = (
            Tensor(truncated_normal(rng, shape, np.float32), requires_grad=True)
            for shape in ((kinds, width), (copies * encoder.max_tokens, width), (2, 2 * width))
        )
        self.query, self.key = (Linear(2 * width, width, rng) for _ in range(2))
        self.gate = Linear(2 * width, link_heads, rng)
        self.slots = 1  # hidden words of a text, at most

    @classmethod
    def fits(cls, loss):
        return loss.required == ["emissions", "links"]

    def load(self, part, backend):
        ids, mask = self.encoder.tokenise(part.texts)
        self.slots = max(1, int(hidden_words(mask.sum(axis=1), self.ratio).max()))
        return ids, mask

    def sample(self, ids, mask, rng):
        hidden = masked_words(rng, mask, self.ratio)  # of all places, so that all ranks draw the same numbers
        ids, mask = trimmed(ids, mask)
        return ids, mask, hidden[:, : ids.shape[1]]

    def embed(self, ids, mask, hidden):
        backend = backend_of(self.ends.data)
        text = expanded(mask, hidden, self.copies, self.slots)
        if self.turns_copies:
            how = {"mask_token": self.mask_tokens[0], "copies": np.where(text.hidden, text.copies + 1, 0)}
        else:
            how = {"mask_token": self.mask_tokens[backend.asarray(text.copies)]}
        words = np.take_along_axis(ids, text.places, axis=1)
        encoded = self.encoder(words, text.mask, replace=text.hidden, places=text.places, **how)
        places, _ = chosen_places(text.hidden, self.slots * self.copies)
        rows = at_places(encoded.tokens, places)
        return self._emissions(rows, ids, hidden), self._links(rows, hidden.sum(axis=1)), encoded.pooled

    def targets(self, ids, mask, hidden):
        count = hidden.sum(axis=1)
        return count * self.copies + 2, count + 2

    def compare(self, rows, targets, batch, objective):
        emissions, links, pooled = rows
        states, words = targets
        return Step(objective(emissions, links, states=states, targets=words, embeddings=(pooled,)), pooled.data)

    def _emissions(self, rows, ids, hidden):
        """(N, U, S): what states emit with which log probability; 0 for the ends and all that a text does not have."""
        backend = backend_of(rows.data)
        places, filled = chosen_places(hidden, self.slots)
        asked = np.take_along_axis(ids, places, axis=1)[:, None, :]
        asked = np.broadcast_to(asked, (*rows.shape[:2], self.slots))
        found = take_along(log_softmax(self.head(rows)), backend.asarray(asked), axis=2)
        real = np.repeat(filled, self.copies, axis=1)[:, :, None] & filled[:, None, :]
        found = where(backend.asarray(real), found, 0)
        for axis in (1, 2):
            shape = tuple(1 if i == axis else size for i, size in enumerate(found.shape))
            edge = Tensor(backend.xp.zeros(shape, found.dtype))
            found = concatenate(edge, found, edge, axis=axis)
        return found

    def _links(self, rows, count):
        """(N, U, U): the log probability that the state of axis 2 follows that of axis 1."""
        backend = backend_of(rows.data)
        batch, inner, width = rows.shape
        numbers = broadcast_to(self.numbers[:inner], rows.shape)
        ends = broadcast_to(self.ends, (batch, *self.ends.shape))
        features = concatenate(concatenate(rows, numbers, axis=2), ends, axis=1)
        # A text's states are its start, its copies, its end, and then numbers without meaning.
        state, last = np.arange(inner + 2), count[:, None] * self.copies + 1
        order = np.where(state == 0, inner, np.where(state == last, inner + 1, np.minimum(state - 1, inner - 1)))
        features = at_places(features, order)
        query, key = (
            layer(features).reshape(batch, inner + 2, self.link_heads, -1).transpose(0, 2, 1, 3)
            for layer in (self.query, self.key)
        )
        logits = query @ key.transpose(0, 1, 3, 2) / math.sqrt(width / self.link_heads)
        later = (state > state[:, None]) & (state <= last)[:, None, :]
        next_state = log_softmax(where(backend.asarray(later)[:, None], logits, _NEVER))
        gates = log_softmax(self.gate(features)).transpose(0, 2, 1).reshape(batch, self.link_heads, inner + 2, 1)
        return logsumexp(next_state + gates, axis=1)


class Expanded(NamedTuple):
    """Texts whose hidden words stand several times; host arrays (N, T').

    places: in the text as it was. copies: number of a copy, from 0; 0 at other words. mask: True at words. hidden: True
    at copies.
    """

    places: np.ndarray
    copies: np.ndarray
    mask: np.ndarray
    hidden: np.ndarray


def expanded(mask, hidden, copies, slots):
    """``Expanded`` texts of host booleans (N, T), words and those to hide, at most ``slots`` of a text."""
    repeats = np.where(hidden, copies, 1)
    starts = np.cumsum(repeats, axis=1) - repeats
    new = np.arange(mask.shape[1] + slots * (copies - 1))
    places = (new[:, None] >= starts[:, None, :]).sum(axis=2) - 1
    inside = new < repeats.sum(axis=1, keepdims=True)
    of_copy = inside & np.take_along_axis(hidden, places, axis=1)
    number = np.where(of_copy, new - np.take_along_axis(starts, places, axis=1), 0)
    return Expanded(places, number, inside & np.take_along_axis(mask, places, axis=1), of_copy)
