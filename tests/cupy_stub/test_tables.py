"""Losses, metrics and primitives under CuPy's own type rules and keywords: nothing raises, dtypes and shapes hold."""

import re
from itertools import product

import numpy as np
import pytest
import stub
from moved import on_device, uploaded

from mini_repr.autograd import Tensor
from mini_repr.pages.check_page import differentiable, sampled_arguments
from mini_repr.pages.registry import all_losses, pages_of
from mini_repr.pages.samples import sample_inputs

LOSSES, METRICS = all_losses(), pages_of("metric")
# Literal forms that look for the rows of a class, or for numbers among words, by ``nonzero``: it finds none in zeros.
FORMS_BY_VALUES = {("number_token_loss", None), ("score_facility_location", None), ("score_log_det", "information")}
# The few rows of a class that a sample has.
SETTINGS = {"few_label_probe": {"per_class": 1}}
CASES = [(name, variant) for name, loss in sorted(LOSSES.items()) for variant in ("default", *loss.variants)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name, variant", CASES)
def test_loss_and_definition(name, variant, dtype, backend):
    loss, arguments = LOSSES[name], sampled_arguments(LOSSES[name], variant, np.random.default_rng(0))
    moved = {n: on_device(backend, loss, n, value, dtype) for n, value in arguments.items()}
    names = differentiable(loss, arguments)
    for evaluate, is_page in ((loss, True), (loss.definition, False)):
        if not is_page and FORMS_BY_VALUES & {(name, None), (name, variant)}:
            continue
        tensors = {n: Tensor(uploaded(backend, moved[n], dtype), requires_grad=True) for n in names}
        output = past_checks(evaluate, {**moved, **tensors})
        if output.requires_grad:
            output.backward(backend.xp.ones_like(output.data))
        assert output.dtype == dtype or not is_page
        for n, tensor in tensors.items():
            assert tensor.grad is None or (tensor.grad.shape, tensor.grad.dtype) == (tensor.shape, dtype), n


def past_checks(evaluate, arguments):
    """The result of a page under the first answers to its checks of values that let the arguments pass."""
    # All alike, or two that differ before the third, which stays: what must be wrong and what must be right.
    any_in_turn = [False, True, *product((True, False), repeat=3)]
    for answers in product((True, False), any_in_turn, (False, True)):
        try:
            with stub.answers(*answers):
                return evaluate(**arguments)
        except ValueError as error:
            refused = error
            if not re.search(": got .*expected", str(error)):
                raise
    raise refused


@pytest.mark.parametrize("name", sorted(METRICS))
def test_metric(name, backend):
    metric = METRICS[name]
    inputs = sample_inputs(metric, np.random.default_rng(0), ())
    moved = {n: on_device(backend, metric, n, value, "float32") for n, value in inputs.items()}
    past_checks(metric, {**moved, **SETTINGS.get(name, {})})
