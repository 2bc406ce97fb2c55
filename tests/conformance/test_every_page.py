"""Every command that takes a loss runs over every loss: its own formula conforms, and each answer is complete."""

import inspect
import json

import numpy as np
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from mini_repr.autograd import Tensor
from mini_repr.cli import main
from mini_repr.conformance.cases import cases_for
from mini_repr.conformance.check import check
from mini_repr.conformance.schema import REPORTS
from mini_repr.pages.loss import evaluate_definition
from mini_repr.pages.registry import all_losses

LOSSES = all_losses()


def formula_in_numpy(loss):
    """The definition of a page as a user's NumPy code: arrays in, (value, {name: gradient}) out."""

    def call(*given, **named):
        arguments = inspect.Signature(call.__signature__.parameters.values()).bind(*given, **named).arguments
        tensors = {
            n: Tensor(np.asarray(arguments[n]), requires_grad=True)
            for n in loss.differentiable
            if arguments.get(n) is not None
        }
        value = evaluate_definition(loss, loss.complete({**arguments, **tensors}))
        value.backward()
        return value.data, {n: np.zeros(t.shape) if t.grad is None else t.grad for n, t in tensors.items()}

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(p.name, kind) for p in loss.arrays if not p.annotation.optional]
    parameters += [inspect.Parameter(p.name, kind, default=p.default) for p in loss.settings]
    call.__signature__ = inspect.Signature(parameters)
    return call


@pytest.mark.parametrize("name", LOSSES)
def test_its_own_formula_conforms_and_the_report_fits_the_schema(name):
    report = check(formula_in_numpy(LOSSES[name]), name, framework="numpy")
    # The literal formula may overflow, or take the root of 0, where the page does not. Else it is the page.
    bad = [row for row in report.rows if row.bad]
    assert {row.verdict for row in bad} <= {"value not finite", "gradient not finite"}, report.text()
    assert not any("ordinary" in row.case.flags for row in bad)
    document = json.loads(json.dumps(report.document(), allow_nan=False))
    assert list(Draft202012Validator(REPORTS).iter_errors(document)) == []
    assert max(map(len, report.text(every_case=True).splitlines())) <= 80


@pytest.mark.parametrize("name", LOSSES)
def test_losses_value_is_the_value_and_gradient_of_the_page(name, tmp_path):
    loss = LOSSES[name]
    arguments = next(c for c in cases_for(loss) if "ordinary" in c.flags).arguments
    np.savez(tmp_path / "given.npz", **{n: x for n, x in arguments.items() if loss.parameters[n].annotation.is_array})
    options = ["--input", str(tmp_path / "given.npz"), "--out", str(tmp_path / "out.npz"), "--json"]
    numbers = [f"{n}={x}" for n, x in arguments.items() if not loss.parameters[n].annotation.is_array]
    result = CliRunner().invoke(main, ["losses", "value", name, *options, *(o for x in numbers for o in ("--set", x))])
    assert result.exit_code == 0, result.output
    value, gradients = loss.value_and_grad(**arguments)
    printed, written = json.loads(result.output), np.load(tmp_path / "out.npz")
    assert printed["value"] == written["value"] == value
    for n, gradient in gradients.items():
        np.testing.assert_array_equal(written[f"grad_{n}"], gradient)
