"""What a method minimises: a weighted sum of losses, of prefixes of their rows, and of rows by their weight."""

import math

import numpy as np

from mini_repr.autograd import Tensor, exp
from mini_repr.nn import Module
from mini_repr.optim import REWEIGHTINGS
from mini_repr.pages.arguments import Misuse
from mini_repr.pages.rows import reduced

# Sow et al. 2025, arXiv 2502.06733: r = 0.4 in the authors' configurations, after a start with uniform weights.
REWEIGHT_TEMPERATURE = 0.4
UNIFORM_SHARE = 0.1


class Objective(Module):
    """A main loss, other losses added to it, and how much each row counts, called on tensors.

    total = sum_d main(rows[:, :d]) / len(matryoshka) + sum_k weight_k added_k

    *Nested rows* (Matryoshka: Kusupati et al. 2022, arXiv 2205.13147, eq. 1, with equal weights): the main loss on the
    leading d columns, for each d of ``matryoshka``; on whole rows where it is empty. *Row weights*: a loss that is a
    mean over rows becomes a weighted one. *Learned scalars* (SigLIP's scale and bias, and those named in ``learn``) are
    parameters of this module, shared by all d. A positive one is held by its logarithm, as CLIP holds its temperature,
    so that no step can make it negative.

    Args:
        loss: the main loss page. settings: {parameter: value} for what is not an array.
        added: list of (loss page, weight, settings). One of ``embeddings/`` acts on each set of embeddings alone, one
            of ``labels/`` on embeddings and labels, one of ``pairs/`` beside a loss of labels on the embeddings of two
            views; any other takes the main loss's arrays.
        learn: names of further learned scalars of the main loss. matryoshka: numbers of leading columns.
        reweight: name of a rule of ``REWEIGHTINGS`` that weighs rows by their loss, or "" for none. Weights are uniform
            for the first tenth of the training, then the rule's, at Sow et al.'s temperature.
        with_labels: whether its caller hands it labels, so that losses of ``labels/`` can be added.
    Raises:
        ValueError: a setting out of range, no such learned scalar, rows that have no leading columns, a loss without
            one value per row to weigh, or a loss that cannot be added.
    """

    def __init__(self, loss, settings, added=(), learn=(), matryoshka=(), reweight="", with_labels=False):
        for page, own in ((loss, settings), *((other, own) for other, _, own in added)):
            _check_settings(page, own)
        _check_learn(loss, learn)
        _check_rows(loss, settings, matryoshka, reweight)
        for other, weight, _ in added:
            _check_added(loss, other, weight, with_labels)
        self.loss = loss
        self.settings = dict(settings)
        self.added = list(added)
        self.matryoshka = tuple(matryoshka)
        self.reweight = reweight
        self._logarithmic = {}
        for parameter in loss.settings:
            name = parameter.name
            if parameter.annotation.differentiable and (parameter.annotation.learned or name in learn):
                start = self.settings.pop(name, parameter.default)
                positive = parameter.annotation.scalar.low == 0 and parameter.annotation.scalar.low_open
                self._logarithmic[name] = positive
                setattr(self, name, Tensor(_float32(math.log(start) if positive else start), requires_grad=True))

    def forward(self, *arrays, embeddings=(), labels=None, row_weights=None, progress=0.0, form_of=None, **optional):
        """The total as a tensor; ``.terms`` holds its parts.

        Args:
            arrays: the main loss's arrays, in its order. optional: optional ones, by name.
            embeddings: list of (B, D) tensors that added regularisers act on; each counts equally. labels: theirs.
            row_weights: (B,) array of mean 1, what each row of the main loss counts; ``reweight`` decides otherwise.
            progress: share of the training steps done. form_of: ``form_of(page)`` is what computes a loss, such as its
                form over several ranks; None for the page itself.
        """
        form_of = form_of or (lambda page: page)
        learned = {n: exp(getattr(self, n)) if log else getattr(self, n) for n, log in self._logarithmic.items()}
        settings = {**self.settings, **learned}
        given = dict(zip((p.name for p in self.loss.arrays), arrays, strict=False)) | optional

        def main(given):
            if not self.reweight and row_weights is None:
                value = form_of(self.loss)(**given, **settings)
                return value, value.terms
            rows = form_of(self.loss)(**given, **{**settings, "reduction": "none"})
            weights = self._row_weights(rows.data, progress) if row_weights is None else row_weights
            return reduced(rows * weights, settings["reduction"]), rows.terms

        if not self.matryoshka:
            total, terms = main(given)
            terms = {self.loss.name: total.data, **terms}
        else:
            total, terms = 0.0, {}
            for columns in self.matryoshka:
                part, _ = main(leading_columns(self.loss, given, columns))
                terms[f"{self.loss.name}[:{columns}]"] = part.data
                total = total + part / len(self.matryoshka)
        for other, weight, own in self.added:
            for inputs in self._inputs_of(other, arrays, embeddings, labels):
                share = 1 / len(embeddings) if other.compares in ("embeddings", "labels") else 1.0
                part = form_of(other)(*inputs, **own)
                terms[other.name] = terms.get(other.name, 0) + part.data * share
                total = total + part * (weight * share)
        terms.update({name: value.data for name, value in learned.items()})
        total.terms = terms
        return total

    def _row_weights(self, losses, progress):
        temperature = math.inf if progress < UNIFORM_SHARE else REWEIGHT_TEMPERATURE
        return REWEIGHTINGS[self.reweight](losses, temperature)

    def _inputs_of(self, other, arrays, embeddings, labels):
        if other.compares == "embeddings":
            return [(z,) for z in embeddings]
        if other.compares == "labels" and self.loss.compares != "labels":
            return [(z, labels) for z in embeddings]
        return [embeddings] if _of_two_views(self.loss, other) else [arrays]


def leading_columns(loss, given, columns):
    """A loss's arrays {name: array or tensor}, every axis that has the rows' letter cut to its first ``columns``."""
    first = loss.arrays[0]
    letter, width = first.annotation.letters[-1], given[first.name].shape[-1]
    if columns > width:
        raise ValueError(f"loss.matryoshka: got {columns} columns, expected at most the {width} of {loss.name}'s rows")

    def cut(name, value):
        letters = loss.parameters[name].annotation.letters
        return value[tuple(slice(columns) if one == letter else slice(None) for one in letters)]

    return {name: value if value is None else cut(name, value) for name, value in given.items()}


def _check_settings(loss, settings):
    known = {p.name: p.annotation for p in loss.settings}
    for name, value in settings.items():
        if name not in known:
            raise ValueError(f"{loss.name}: {name}: no such setting; it has {', '.join(known) or 'none'}")
        try:
            known[name].check(value, {})
        except Misuse as problem:
            raise ValueError(f"{loss.name}: {name}: {problem}") from None


def _check_learn(loss, learn):
    learnable = [p.name for p in loss.settings if p.annotation.differentiable]
    for name in [learn] if isinstance(learn, str) else learn:
        if isinstance(learn, str) or name not in learnable:
            has = f"it has {', '.join(learnable)}" if learnable else "it has none"
            raise ValueError(f"loss.learn: got {learn!r}, expected a list of learned scalars of {loss.name}; {has}")


def _check_rows(loss, settings, matryoshka, reweight):
    if matryoshka:
        listed = isinstance(matryoshka, list | tuple)
        if not listed or not all(isinstance(d, int) and not isinstance(d, bool) and d > 0 for d in matryoshka):
            raise ValueError(f"loss.matryoshka: got {matryoshka!r}, expected whole numbers of columns, such as [8, 32]")
        if loss.compares not in ("pairs", "labels", "embeddings"):
            raise ValueError(f"loss.matryoshka: {loss.name} (folder {loss.compares}) compares no embedding rows")
    if reweight and reweight not in REWEIGHTINGS:
        raise ValueError(f"loss.reweight: got {reweight!r}, expected {', '.join(REWEIGHTINGS)}")
    if reweight and settings.get("reduction") not in ("mean", "sum"):
        raise ValueError(f"loss.reweight: {loss.name} has no value per row (no reduction mean or sum) to weigh")


def _check_added(loss, other, weight, with_labels):
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
        raise ValueError(f"add {other.name}: got weight {weight!r}, expected a number, such as --add {other.name}=0.5")
    if other is loss:
        raise ValueError(f"add {other.name}: got the main loss itself, expected another one")
    if other.compares == "embeddings" or (other.compares == "labels" and with_labels) or _of_two_views(loss, other):
        return
    if other.required != loss.required or other.compares != loss.compares:
        raise ValueError(
            f"add {other.name}: takes {', '.join(other.required)} (folder {other.compares}), expected a "
            f"regulariser of embeddings/ or a loss that takes what {loss.name} takes"
            + (", or one of labels/ with a method that has labels" if other.compares == "labels" else "")
        )


def _of_two_views(loss, other):
    """Whether ``other`` compares the two views whose rows the main loss, one of labels, takes together."""
    return loss.compares == "labels" and other.compares == "pairs" and other.required == ["a", "b"]


def _float32(value):
    return np.asarray(value, dtype=np.float32)
