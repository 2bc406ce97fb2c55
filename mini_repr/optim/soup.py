"""Model soup: one model whose parameters are the average of several (Wortsman et al. 2022, arXiv 2203.05482).

KaLM-Embedding-V2 averages fine-tuned checkpoints so (Zhao et al. 2025, arXiv 2506.20923). It makes sense for models
that were trained on from the same parameters: units of models of their own beginnings have no order in common. Where
these parameters are known, each model can count by how far it moved from them (Zhang et al. 2025, arXiv 2508.11442).
"""

import math

from mini_repr.autograd import value_of
from mini_repr.backend import backend_of
from mini_repr.pages.declare import procedure
from mini_repr.pages.page import definition


@procedure(paper="091")
def average_parameters(models, weights=None):
    """The weighted mean of parameters: {name: new array}.

    Args:
        models: list of {name: float array or Tensor}, the same names, shapes and dtypes in each.
        weights: a number >= 0 for each model, divided by their sum; None counts all models the same.
    Raises:
        ValueError: no model; weights of another number, negative, or without a finite sum above 0; a name, shape or
            dtype in which a model differs from the first.
    """
    like = _same_kinds("average_parameters", models)
    weights = [1.0] * len(models) if weights is None else [float(w) for w in weights]
    total = sum(weights)
    if len(weights) != len(models) or not all(w >= 0 for w in weights) or not 0 < total < math.inf:
        expected = f"{len(models)} numbers >= 0 with a sum above 0"
        raise ValueError(f"average_parameters: weights: got {weights}, expected {expected}")

    def mean(name):
        terms = [value_of(model[name]) * (w / total) for model, w in zip(models, weights, strict=True)]
        return sum(terms[1:], terms[0])

    return {name: mean(name) for name in like}


@definition(average_parameters)
def average_parameters_definition(models, weights=None):
    weights = [1.0] * len(models) if weights is None else weights
    scaled = [{name: w * value_of(x) for name, x in model.items()} for model, w in zip(models, weights, strict=True)]
    return {name: sum(model[name] for model in scaled) / sum(weights) for name in models[0]}


@procedure(paper="115")
def fuse_by_deviation(start, models, by="tensor"):
    """The start, moved by each model's deviation from it in proportion to how large that is: {name: new array}.

    With the deviations d_i = models_i - start, parameter by parameter,

        start + sum_i w_i d_i,     w_i = |d_i| / sum_j |d_j|

    so that a model which moved a parameter most has the most say on it; equal deviations give the plain average.

    Args:
        start: {name: float array or Tensor}, from which all models were trained on. models: list of such.
        by: "tensor", with |d_i| the length of a parameter's whole deviation; "element", with that of each number.
    Raises:
        ValueError: no model, another ``by``, a name, shape or dtype in which a model differs from the start.

    Source. Zhang et al. 2025, arXiv 2508.11442 (CoDiEmb), fusion of checkpoints guided by their deltas. The weights are
    our reading: the public code does not have the fusion.
    """
    if by not in ("tensor", "element"):
        raise ValueError(f"fuse_by_deviation: by: got {by!r}, expected tensor or element")
    like = _same_kinds("fuse_by_deviation", models, start)

    def fused(name):
        first = value_of(start[name])
        deviations = [value_of(model[name]) - first for model in models]
        xp = backend_of(first).xp
        sizes = [xp.abs(d) if by == "element" else xp.sqrt((d * d).sum()) for d in deviations]
        total = sum(sizes[1:], sizes[0])
        moved = sum(size * d for size, d in zip(sizes, deviations, strict=True))
        return (first + moved / xp.where(total > 0, total, 1)).astype(first.dtype)

    return {name: fused(name) for name in like}


@definition(fuse_by_deviation)
def fuse_by_deviation_definition(start, models, by="tensor"):
    fused = {}
    for name, first in start.items():
        deviations = [model[name] - first for model in models]
        sizes = [abs(d) if by == "element" else (d.reshape(-1) @ d.reshape(-1)) ** 0.5 + 0 * d for d in deviations]
        fused[name] = first + sum(size / sum(sizes) * d for size, d in zip(sizes, deviations, strict=True))
    return fused


def _same_kinds(procedure, models, start=None):
    """{name: "dtype (shape)"} that all models share; ValueError where there is none, or one differs from the first."""
    if not models:
        raise ValueError(f"{procedure}: models: got none, expected at least one")
    like = _kinds(models[0] if start is None else start)
    for number, model in enumerate(models):
        for name in sorted(like.keys() | model.keys()):
            came, expected = _kinds(model).get(name, "nothing"), like.get(name, "nothing")
            if came != expected:
                raise ValueError(f"{procedure}: models[{number}]: {name}: got {came}, expected {expected}")
    return like


def _kinds(model):
    """{name: "dtype (shape)"}."""
    return {name: f"{value.dtype} {value.shape}" for name, value in model.items()}
