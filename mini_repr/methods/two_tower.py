"""Two texts of a pair, each through its tower."""

from functools import partial

import numpy as np

from mini_repr.autograd import unit_rows
from mini_repr.losses.pairs.similarity_kl import similarity_kl
from mini_repr.methods.method import Method, Step
from mini_repr.methods.state import next_generator, states_for
from mini_repr.nn import copy_of, trimmed
from mini_repr.pages.arguments import Flag
from mini_repr.pages.declare import part

# What a loss takes that compares scores of pairs with how alike they are.
GRADED = ["scores", "similarity"]


@part("method", "two_tower", paper=("035", "037", "053", "056", "057", "088", "091", "100", "113", "115", "118"))
class TwoTower(Method):
    """Pairs of texts, such as a word and its definition: dual encoders and pair losses, no heads.

    One encoder for both sides (Sentence-BERT: Reimers, Gurevych 2019, arXiv 1908.10084) or, with ``shared=False``, one
    each from the same start (DPR: Karpukhin et al. 2020, arXiv 2004.04906, section 3). A batch holds other pairs only
    as negatives: a word of several senses may meet its own other definition there. Hard negatives of the data pass the
    tower of the second side, and reach a loss that takes them. Pairs with a graded similarity train a loss of scores
    that takes it, such as ``cosent``: the scores are the cosines of the pairs.

    ``inner_layers``: 2D Matryoshka (Li et al. 2024, arXiv 2402.14776) of an encoder with blocks. The rows of one block
    before the last, another at each step, are trained as those of the output are, and drawn to their similarities:

        L(output) + L(block k) + similarity_kl(block k; output, a constant)

    With nested columns (``--matryoshka``) L itself is a mean over them. The KL compares the similarities within a
    batch, at the loss's temperature where it has one.
    """

    compares = ("pairs", "embeddings")
    takes = "texts"

    def __init__(self, parts, *, shared: Flag = True, inner_layers: Flag = False):
        super().__init__(parts)
        encoder, rng = self.encoder, parts.rng
        self.loss_states = states_for(self.objective, parts.data, encoder.width, rng)
        _check_similarity(self.objective.loss, parts.data)
        self.sides = 2 if parts.data.train.negatives is None else 3
        if self.sides == 3:
            _check_hard_negatives(self.objective.loss, parts.data)
        self.inner_layers = inner_layers
        if inner_layers:
            _check_inner_layers(encoder, self.objective.loss, self.loss_states)
            self.register_buffer("draws", np.array([rng.integers(2**31), 0]))
        self.other_encoder = None
        if not shared:
            self.other_encoder = copy_of(encoder)
            for parameter in self.other_encoder.parameters():
                parameter.requires_grad = True

    @classmethod
    def fits(cls, loss):
        return super().fits(loss) or loss.required == GRADED

    @property
    def towers(self):
        """The encoders of the two sides."""
        return self.encoder, self.other_encoder or self.encoder

    def load(self, part, backend):
        self._similarity = None if part.similarity is None else backend.asarray(part.similarity)
        first, second = self.towers
        words = [first.tokenise(part.a), second.tokenise(part.b)]
        if self.sides == 3:
            words.append(second.tokenise(part.negatives))
        return sum(words, ())

    def sample(self, *inputs):
        *words, _ = inputs
        return sum(map(trimmed, words[::2], words[1::2]), ())

    def embed(self, *words):
        first, second = self.towers
        towers = (first, second, second)[: self.sides]
        by_side = [self._pooled(*side) for side in zip(towers, words[::2], words[1::2], strict=True)]
        return sum(zip(*by_side, strict=True), ())  # the output of every side, then a block of every side, ...

    def _pooled(self, tower, ids, mask):
        """Rows (B, D) of a tower's output and, for ``inner_layers``, of each block before its last."""
        if not self.inner_layers:
            return (tower(ids, mask).pooled,)
        encoded = tower(ids, mask, layers=tuple(range(1, tower.depth)))
        return encoded.pooled, *(tower.pool(tokens, mask) for tokens in encoded.layers)

    def compare(self, rows, targets, batch, objective):
        output, *inner = [rows[start : start + self.sides] for start in range(0, len(rows), self.sides)]
        za, zb = output[:2]
        if self._similarity is not None:
            cosines = (unit_rows(za) * unit_rows(zb)).sum(axis=1)
            similarity = self._similarity[batch.index].astype(za.dtype)
            return Step(objective(cosines, similarity, embeddings=(za, zb)), za.data)
        total = self.compare_two(za, zb, batch, _with_negatives(objective, output), (za, zb))
        if inner:
            k = int(next_generator(self.draws).integers(len(inner)))
            total = self._with_block(objective, total, inner[k], za.data, zb.data)
        return Step(total, za.data)

    def _with_block(self, objective, total, rows, teacher_a, teacher_b):
        a, b = rows[:2]
        block = _with_negatives(objective, rows)(a, b)
        temperature = {name: value for name, value in self.objective.settings.items() if name == "temperature"}
        aligned = similarity_kl(a, b, teacher_a, teacher_b, **temperature)
        both = total + block + aligned
        both.terms = {**total.terms, "inner": block.data, "similarity_kl": aligned.data}
        return both


def _with_negatives(objective, rows):
    """The objective, given the hard negatives among the rows of the sides where there are any."""
    return partial(objective, hard_negatives=rows[2]) if len(rows) == 3 else objective


def _check_similarity(loss, data):
    graded = data.train.similarity is not None
    if graded and np.isnan(data.train.similarity).any():
        raise ValueError(
            f"method two_tower: {data.name} has pairs with and without a graded similarity, expected --method two_tasks"
        )
    if graded and loss.required != GRADED:
        raise ValueError(
            f"method two_tower: {data.name} has graded similarities, which {loss.name} does not take, expected --loss "
            "cosent, pearson, rank_kl or pro; or of a file name the pair to leave them out, such as --set "
            "data.columns=a,b"
        )
    if loss.required == GRADED and not graded:
        raise ValueError(
            f"method two_tower: {loss.name} needs graded similarities, and {data.name} has none, expected such as "
            "--data glosses --set data.kind=graded, or a file with a column similarity"
        )


def _check_hard_negatives(loss, data):
    if "hard_negatives" not in loss.parameters:
        raise ValueError(
            f"method two_tower: {data.name} has hard negatives, which {loss.name} does not take, expected --loss "
            "infonce; or name the pair to leave them out, such as --set data.columns=a,b"
        )


def _check_inner_layers(encoder, loss, states):
    if getattr(encoder, "depth", 1) < 2 or not hasattr(encoder, "pool"):
        raise ValueError(
            "method two_tower: inner_layers: the encoder has no block before its last, expected --encoder "
            "text_transformer of depth 2 or more"
        )
    if loss.compares != "pairs" or states:
        why = "compares no pairs" if loss.compares != "pairs" else "keeps a state of the output's rows"
        raise ValueError(f"method two_tower: inner_layers: {loss.name} {why}, expected a loss of pairs without state")
