"""Towers adapted to a few images of some classes, tried on these classes and on new ones."""

from statistics import harmonic_mean

import numpy as np

from mini_repr.claims.bench.turned import turned_digits
from mini_repr.data import digits
from mini_repr.data.generated.scenes import NUMBERS
from mini_repr.methods.representation_tokens import class_cosines, fitted_tokens
from mini_repr.nn.representation_tokens import RepresentationTokens
from mini_repr.standins import get, scenes_clip

SHOTS, HELD_OUT, ALPHA = 10, 2, 0.7
RATES = (1e-3, 3e-3, 1e-2)
CAPTIONS = [f"a {word}" for word in NUMBERS]
BASE, NEW = range(5), range(5, 10)


class Adaptation:
    """The images of a seed, and what tokens fitted to them can do."""

    def __init__(self, seed):
        rng, data = np.random.default_rng(seed), digits()
        self.seed, self.towers = seed, get("scenes-clip", seed % 2)
        self.images, self.labels = turned_digits(data.train, rng, SHOTS, BASE)
        self.held_out = np.arange(len(self.labels)) % SHOTS < HELD_OUT
        self.base, self.new = (turned_digits(data.test, rng, classes=classes) for classes in (BASE, NEW))

    def zero_shot(self):
        """{"base", "new", "both"}: accuracies of the towers as they are."""
        found = [
            float((scenes_clip.nearest_caption(self.towers, x, CAPTIONS[start : start + 5]) == y).mean())
            for (x, y), start in ((self.base, 0), (self.new, 5))
        ]
        return {"base": found[0], "new": found[1], "both": harmonic_mean(found)}

    def fitted(self, rows, tokens, lr, anchor):
        """Tokens of these settings, fitted to some of the images."""
        rng = np.random.default_rng([self.seed, 1])
        space = RepresentationTokens(self.towers, rng, **tokens)
        return fitted_tokens(
            space, self.towers, self.images[rows], self.labels[rows], CAPTIONS[:5], rng, lr=lr, anchor=anchor
        )

    def measured(self, tokens, anchor=0.5):
        """{"base", "new", "both", "new, both rows", "numbers"}: accuracies, and how many numbers were fitted.

        Args:
            tokens: settings of ``RepresentationTokens``.
        """
        rates = {}
        for lr in RATES:
            space = self.fitted(~self.held_out, tokens, lr, anchor)
            rates[lr] = self._accuracy(space, self.images[self.held_out], self.labels[self.held_out], 0)[1]
        space = self.fitted(np.arange(len(self.labels)), tokens, max(RATES, key=rates.get), anchor)
        _, base = self._accuracy(space, *self.base, 0)
        new, new_both = self._accuracy(space, *self.new, 5)
        both = harmonic_mean([base, new])
        numbers = float(space.parameter_count())
        return {"base": base, "new": new, "both": both, "new, both rows": new_both, "numbers": numbers}

    def _accuracy(self, space, images, labels, start):
        """(of the image's row alone, of both rows)."""
        of_image, of_tokens = class_cosines(space, self.towers, images, CAPTIONS[start : start + 5])
        both = ALPHA * of_image + (1 - ALPHA) * of_tokens
        return tuple(float((cosines.argmax(axis=1) == labels).mean()) for cosines in (of_image, both))
