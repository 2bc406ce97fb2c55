"""The forms of public code, from which rewrites start too, are their pages' losses in value and gradient."""

import numpy as np
import pytest

from mini_repr.autograd import Tensor
from mini_repr.conformance.explain import probes
from mini_repr.conformance.rewrites.as_written import FORMS, forms_of
from mini_repr.conformance.rewrites.every import rewrites_of
from mini_repr.pages.names import find_loss


def at(name, variant):
    """(page, complete arguments) of ordinary inputs under a variant."""
    loss = find_loss(name)
    chosen = loss.variants[variant] if variant else None
    settings, needs = (dict(chosen.settings), chosen.needs) if chosen else ({}, ())
    return loss, list(probes(loss, settings, needs, [p.name for p in loss.settings]))


CASES = [
    (name, variant, form.__name__)
    for name in FORMS
    for variant in (None, *find_loss(name).variants)
    for form in forms_of(find_loss(name), at(name, variant)[1][0])
]


@pytest.mark.parametrize("name, variant, form", CASES)
def test_a_form_is_the_pages_loss(name, variant, form):
    loss, ordinary = at(name, variant)
    for arguments in ordinary:
        function = next(f for f in forms_of(loss, arguments) if f.__name__ == form)
        names = [n for n in loss.differentiable if arguments[n] is not None]
        tensors = {n: Tensor(np.asarray(arguments[n]), requires_grad=True) for n in names}
        given = {n: v for n, v in {**arguments, **tensors}.items() if n != "tile"}
        value = function(**given)
        value.backward()
        expected, gradients = loss.value_and_grad(**arguments)
        np.testing.assert_allclose(value.data, expected, rtol=1e-10, atol=1e-13)
        for n, tensor in tensors.items():
            found = np.zeros(tensor.shape) if tensor.grad is None else tensor.grad
            np.testing.assert_allclose(found, gradients[n], rtol=1e-8, atol=1e-10)


def test_every_form_is_the_loss_under_some_variant_and_rewrites_start_from_it():
    assert {(name, form) for name, _, form in CASES} == {(n, f.function.__name__) for n in FORMS for f in FORMS[n]}
    loss, ordinary = at("sparsemax", None)
    assert any("falling" in r.words for r in rewrites_of(loss, ordinary[0]))
