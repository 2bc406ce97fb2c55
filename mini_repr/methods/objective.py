"""What a method minimises: one loss with its settings, its learned scalars, and any regulariser added to it."""

import math

import numpy as np

from mini_repr.autograd import Tensor, exp
from mini_repr.losses.annotations import Learned, Misuse
from mini_repr.nn import Module


class Objective(Module):
    """A main loss plus weighted embedding regularisers, called on tensors.

    Scalars that the page marks as trained (SigLIP's scale and bias), and those named in ``learn``, are parameters of
    this module. A positive one is held by its logarithm, as CLIP holds its temperature, so that no step can make it
    negative.

    Args:
        loss: the main loss page. settings: {parameter: value} for what is not an array.
        added: list of (loss page of ``embeddings/``, weight, settings).
        learn: names of further learned scalars of the main loss.
    """

    def __init__(self, loss, settings, added=(), learn=()):
        super().__init__()
        self.loss = loss
        self.evaluate = loss  # what computes it: training on several ranks puts a form that talks to them in its place
        self.settings = dict(settings)
        self.added = list(added)
        self._logarithmic = {}
        for name, parameter in loss.parameters.items():
            if isinstance(parameter.annotation, Learned) and (parameter.annotation.trained or name in learn):
                start = self.settings.pop(name, parameter.default)
                positive = parameter.annotation.scalar.low == 0 and parameter.annotation.scalar.low_open
                self._logarithmic[name] = positive
                setattr(self, name, Tensor(_float32(math.log(start) if positive else start), requires_grad=True))

    def forward(self, *arrays, embeddings=(), **optional):
        """The total as a tensor; ``.terms`` holds its parts.

        Args:
            arrays: the main loss's arrays, in its order. optional: optional ones, by name.
            embeddings: list of (B, D) tensors that the added regularisers act on; each counts equally.
        """
        learned = {n: exp(getattr(self, n)) if log else getattr(self, n) for n, log in self._logarithmic.items()}
        total = self.evaluate(*arrays, **optional, **self.settings, **learned)
        terms = {self.loss.name: total.data, **total.terms}
        for regulariser, weight, settings in self.added:
            for z in embeddings:
                part = regulariser(z, **settings)
                terms[regulariser.name] = terms.get(regulariser.name, 0) + part.data / len(embeddings)
                total = total + part * (weight / len(embeddings))
        terms.update({name: value.data for name, value in learned.items()})
        total.terms = terms
        return total


def check_settings(loss, settings):
    """Hold settings from a user against the loss's annotations.

    Raises:
        ValueError: naming the loss, the parameter, what came and what was expected.
    """
    known = {p.name: p.annotation for p in loss.settings}
    for name, value in settings.items():
        if name not in known:
            raise ValueError(f"{loss.name}: {name}: no such setting; it has {', '.join(known) or 'none'}")
        try:
            known[name].check(value, {})
        except Misuse as problem:
            raise ValueError(f"{loss.name}: {name}: {problem}") from None


def _float32(value):
    return np.asarray(value, dtype=np.float32)
