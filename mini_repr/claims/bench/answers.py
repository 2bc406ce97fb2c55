"""Questions on test scenes, and how well a model answers that goes on with fewer image tokens."""

import copy

import numpy as np

from mini_repr.data import digits
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.optim import descended
from mini_repr.standins import get
from mini_repr.standins.scenes_lmm import answered, asked
from mini_repr.tokens.keep import answering_cost, pyramid_keep, tokens_by_block

STEPS, BATCH, RATE = 300, 16, 3e-4  # of more training


class Answers:
    """The model of a seed, and single questions, eight on each of some test scenes; ``packed``: by scene."""

    def __init__(self, seed, scenes, part=None, name="scenes-lmm"):
        self.seed, self.decoder = seed, get(name, seed % 2)
        rng = np.random.default_rng(seed)
        self.packed = asked(part or digits().test, rng, scenes)
        self.images, self.ids, self.answers = singly(self.packed)

    def accuracy(self, keep=None, decoder=None):
        """Share of right answers with a hook that drops tokens."""
        return float((answered(decoder or self.decoder, self.images, self.ids, keep) == self.answers).mean())

    def cost(self, by_block):
        """Multiply-adds with so many image tokens in each block, as a share of those of all tokens.

        Vision blocks have all tokens.
        """
        text, width, count = self.ids.shape[1], self.decoder.norm.gain.shape[0], self.decoder.image_count
        vision = answering_cost([count] * len(self.decoder.vision), 0, width)
        full = answering_cost([count] * self.decoder.depth, text, width)
        return (vision + answering_cost(by_block, text, width)) / (vision + full)

    def measured(self, counts, decoder=None, rng=None):
        """{"accuracy", "cost"} with ``pyramid_keep`` of these counts."""
        decoder = decoder or self.decoder
        by_block = tokens_by_block(counts, decoder.depth, decoder.image_count)
        return {"accuracy": self.accuracy(pyramid_keep(decoder, counts, rng), decoder), "cost": self.cost(by_block)}

    def tuned(self, counts):
        """A copy of the model, trained some more on training scenes while tokens are dropped."""
        decoder, rng = copy.deepcopy(self.decoder), np.random.default_rng([self.seed, 2])
        for parameter in decoder.parameters():
            parameter.requires_grad = True
        images, ids, answers = singly(asked(digits().train, rng, 500))
        keep = pyramid_keep(decoder, counts)

        def loss():
            chosen = rng.integers(len(images), size=BATCH)
            scores = decoder(images[chosen], ids[chosen, None], keep)
            return cross_entropy(scores.reshape(BATCH, -1), answers[chosen])

        descended(decoder.named_parameters(), loss, steps=STEPS, lr=RATE)
        return decoder


def singly(packed):
    """Questions one to an image: (images (N, ...), words (N, T), answers (N,))."""
    images, ids, answers = packed
    return images.repeat(ids.shape[1], axis=0), ids.reshape(-1, ids.shape[2]), answers.reshape(-1)
