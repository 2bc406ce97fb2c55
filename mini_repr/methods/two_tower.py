"""Two texts of a pair, each through its tower."""

from mini_repr.autograd import concatenate
from mini_repr.backend import backend_of
from mini_repr.methods.kept import keepers_for
from mini_repr.methods.method import Method, Step
from mini_repr.nn import copy_of


class TwoTower(Method):
    """Pairs of texts, such as a word and its definition: dual encoders and pair losses, no heads.

    One encoder for both sides (Sentence-BERT: Reimers, Gurevych 2019, arXiv 1908.10084) or, with ``shared=False``, one
    each from the same start (DPR: Karpukhin et al. 2020, arXiv 2004.04906, section 3). A batch holds other pairs only
    as negatives: a word of several senses may meet its own other definition there.
    """

    folders = ("pairs", "embeddings")
    takes = "texts"

    def __init__(self, encoder, objective, views, data, rng, *, shared=True):
        super().__init__(encoder, objective, views)
        self.keepers = keepers_for(objective.loss, objective.settings, data, encoder.width, rng)
        self.other_encoder = None
        if not shared:
            self.other_encoder = copy_of(encoder)
            for parameter in self.other_encoder.parameters():
                parameter.requires_grad = True

    @property
    def towers(self):
        """The encoders of the two sides."""
        return self.encoder, self.other_encoder or self.encoder

    def load(self, part, backend):
        first, second = self.towers
        return tuple(backend.asarray(x) for x in (*first.tokenise(part.a), *second.tokenise(part.b)))

    def draw(self, ids_a, mask_a, ids_b, mask_b, rng):
        return *_trimmed(ids_a, mask_a), *_trimmed(ids_b, mask_b)

    def embed(self, ids_a, mask_a, ids_b, mask_b):
        first, second = self.towers
        return first(ids_a, mask_a).pooled, second(ids_b, mask_b).pooled

    def compare(self, rows, targets, batch):
        za, zb = rows
        if self.objective.loss.folder == "embeddings":
            total = self.objective(concatenate(za, zb), embeddings=rows)
        else:
            total = self.compare_pairs(za, zb, batch, rows)
        return Step(total, za.data)


def _trimmed(ids, mask):
    """Without the places that no text of the batch reaches."""
    longest = max(1, int(backend_of(mask).xp.max(mask.sum(axis=1))))
    return ids[:, :longest], mask[:, :longest]
