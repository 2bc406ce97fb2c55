"""Model soup: one model whose parameters are the average of several (Wortsman et al. 2022, arXiv 2203.05482).

KaLM-Embedding-V2 averages fine-tuned checkpoints so (Zhao et al. 2025, arXiv 2506.20923). It makes sense for models
that were trained on from the same parameters: units of models of their own beginnings have no order in common.
"""

import math

from mini_repr.autograd import value_of


def average_parameters(models, weights=None):
    """The weighted mean of parameters: {name: new array}.

    Args:
        models: list of {name: float array or Tensor}, the same names, shapes and dtypes in each.
        weights: a number >= 0 for each model, divided by their sum; None counts all models the same.
    Raises:
        ValueError: no model; weights of another number, negative, or without a finite sum above 0; a name, shape or
            dtype in which a model differs from the first.
    """
    if not models:
        raise ValueError("average_parameters: models: got none, expected at least one")
    weights = [1.0] * len(models) if weights is None else [float(w) for w in weights]
    total = sum(weights)
    if len(weights) != len(models) or not all(w >= 0 for w in weights) or not 0 < total < math.inf:
        expected = f"{len(models)} numbers >= 0 with a sum above 0"
        raise ValueError(f"average_parameters: weights: got {weights}, expected {expected}")
    like = _kinds(models[0])
    for number, model in enumerate(models):
        for name in sorted(like.keys() | model.keys()):
            came, expected = _kinds(model).get(name, "nothing"), like.get(name, "nothing")
            if came != expected:
                raise ValueError(f"average_parameters: models[{number}]: {name}: got {came}, expected {expected}")

    def mean(name):
        terms = [value_of(model[name]) * (w / total) for model, w in zip(models, weights, strict=True)]
        return sum(terms[1:], terms[0])

    return {name: mean(name) for name in like}


def _kinds(model):
    """{name: "dtype (shape)"}."""
    return {name: f"{value.dtype} {value.shape}" for name, value in model.items()}
