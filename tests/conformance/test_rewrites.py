"""Rewrites of definitions: the formula they start from, what they find, and what the battery tells apart."""

import ast

import numpy as np
import pytest

from mini_repr.autograd import Tensor
from mini_repr.conformance.explain import probes
from mini_repr.conformance.rewrites.evaluate import compiled, outcome_at
from mini_repr.conformance.rewrites.every import rewrites_of
from mini_repr.conformance.rewrites.folding import formula_of
from mini_repr.conformance.rewrites.mutants import mutation_score
from mini_repr.pages.loss import evaluate_definition
from mini_repr.pages.registry import all_losses

LOSSES = all_losses()
VARIANTS = [(name, v) for name, loss in LOSSES.items() for v in (None, *loss.variants)]
REWRITES_OF_A_PAGE = 50  # in this suite; `mini-repr check --mutants` tries all
# Rewrites that no case refuses although they are other functions, and why that is right.
KNOWN_GAPS = {
    ("contextual", "negative_margin outside relu, not inside, in one use of excess"): (
        "relu(s) > margin is s > margin wherever the margin is 0 or more, as it is in use"
    ),
    ("contextual", "s outside relu, not inside, in one use of short"): (
        "relu(margin) is the margin wherever it is 0 or more, as it is in use"
    ),
    ("contextual", "relu of each term, not of both, in one use of short"): (
        "relu(margin) - relu(s) has the sign of margin - s wherever the margin is over 0, as it is in use"
    ),
    ("contextual", "short is divided by positive_margin"): "a positive factor changes no sign",
    ("contextual", "short is multiplied by positive_margin"): "a positive factor changes no sign",
}


def ordinary(name, variant=None):
    loss = LOSSES[name]
    chosen = loss.variants[variant] if variant else None
    return next(probes(loss, dict(chosen.settings) if chosen else {}, chosen.needs if chosen else (), ()))


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("name, variant", VARIANTS)
def test_the_formula_under_its_settings_is_the_definition(name, variant, opened):
    arguments = ordinary(name, variant)
    loss = LOSSES[name]
    formula = formula_of(loss, arguments, opened)
    names = [n for n in loss.differentiable if arguments[n] is not None]
    found = outcome_at(compiled(formula), loss, arguments, names)
    tensors = {n: Tensor(np.asarray(arguments[n]), requires_grad=True) for n in names}
    value = evaluate_definition(loss, {**arguments, **tensors})
    value.backward()
    np.testing.assert_allclose(found.value, value.data, rtol=1e-13)
    for n, tensor in tensors.items():
        expected = np.zeros(tensor.shape) if tensor.grad is None else tensor.grad
        np.testing.assert_allclose(found.gradients[n], expected, rtol=1e-11, atol=1e-13)


def test_words_flags_and_helpers_are_folded_away():
    formula = formula_of(LOSSES["infonce"], ordinary("infonce", "nt_xent"), opened=True)
    text = ast.unparse(formula.function)
    assert "negatives]" not in text and "lambda" not in text and "reduced" not in text
    assert text.count("concatenate(") == 2, "one for each direction"
    assert text.endswith("return per_pair.mean()")


def test_a_rewrite_leaves_the_formula_as_it_was():
    rewrites = rewrites_of(LOSSES["supcon"], ordinary("supcon"))
    before = ast.unparse(rewrites[0].formula.function)
    for rewrite in rewrites[:50]:
        with rewrite.applied() as function:
            changed = ast.unparse(function)
        if rewrite.formula is rewrites[0].formula:
            assert changed != before and ast.unparse(rewrite.formula.function) == before


def test_what_is_left_out_comes_before_what_is_put_in():
    likelihoods = [r.likelihood for r in rewrites_of(LOSSES["infonce"], ordinary("infonce"))]
    assert likelihoods == sorted(likelihoods) and set(likelihoods) == {0, 1, 2}


@pytest.mark.parametrize("name", LOSSES)
def test_the_battery_tells_rewrites_from_the_page(name):
    score = mutation_score(LOSSES[name], most=REWRITES_OF_A_PAGE)
    assert score.told_apart > REWRITES_OF_A_PAGE / 4
    gaps = [gap for gap in score.gaps if (name, gap.words.partition(", ")[2]) not in KNOWN_GAPS]
    assert not gaps, gaps
    assert score.told_apart + score.same + len(score.gaps) == score.valid
