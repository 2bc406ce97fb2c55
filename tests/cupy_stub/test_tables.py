"""Losses, metrics and primitives under CuPy's own type rules and keywords: nothing raises, dtypes and shapes hold."""

import re
from itertools import product

import numpy as np
import pytest
import stub

from mini_repr.autograd import Tensor
from mini_repr.pages.check_page import differentiable, sampled_arguments
from mini_repr.pages.registry import all_losses, pages_of
from mini_repr.pages.samples import sample_inputs

LOSSES, METRICS = all_losses(), pages_of("metric")
# What picks rows, counts or refuses by values that kernels compute: it stops where these are zeros.
LOSSES_BY_VALUES = {"circle", "icon", "kalm", "number_token_loss", "score_facility_location", "supcon", "unime"}
METRICS_BY_VALUES = {
    *("effective_rank", "few_label_probe", "knn_accuracy", "label_ndcg", "lidar", "matrix_entropy", "ndcg"),
    *("neighbour_overlap", "orthogonal_frame", "prompt_entropy", "rankme", "tolerance"),
}
CASES = [
    (name, variant)
    for name in sorted(LOSSES.keys() - LOSSES_BY_VALUES)
    for variant in ("default", *LOSSES[name].variants)
    if (name, variant) != ("score_log_det", "information")
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name, variant", CASES)
def test_loss_and_definition(name, variant, dtype, backend):
    loss, arguments = LOSSES[name], sampled_arguments(LOSSES[name], variant, np.random.default_rng(0))
    moved = {n: on_device(backend, value, dtype) for n, value in arguments.items()}
    names = differentiable(loss, arguments)
    for evaluate, is_page in ((loss, True), (loss.definition, False)):
        tensors = {n: Tensor(uploaded(backend, moved[n], dtype), requires_grad=True) for n in names}
        output = past_checks(evaluate, {**moved, **tensors})
        if output.requires_grad:
            output.backward(backend.xp.ones_like(output.data))
        assert output.dtype == dtype or not is_page
        for n, tensor in tensors.items():
            assert tensor.grad is None or (tensor.grad.shape, tensor.grad.dtype) == (tensor.shape, dtype), n


def past_checks(evaluate, arguments):
    """The result of a page under the first answers to its checks of values that let the arguments pass."""
    for all_and_any in product((True, False), repeat=2):
        try:
            with stub.answers(*all_and_any):
                return evaluate(**arguments)
        except ValueError as error:
            refused = error
            if not re.search(": got .*expected", str(error)):
                raise
    raise refused


def uploaded(backend, value, dtype):
    """A number by a copy, where CuPy's own way is a kernel, which writes nothing here; an array as it is."""
    return backend.asarray(np.full(1, value, dtype)).reshape(()) if np.isscalar(value) else value


def on_device(backend, value, dtype):
    if not isinstance(value, np.ndarray):
        return value
    return backend.asarray(value.astype(dtype) if value.dtype.kind == "f" else value)


@pytest.mark.parametrize("name", sorted(METRICS.keys() - METRICS_BY_VALUES))
def test_metric(name, backend):
    metric = METRICS[name]
    inputs = sample_inputs(metric, np.random.default_rng(0), ())
    past_checks(metric, {n: on_device(backend, value, "float32") for n, value in inputs.items()})
