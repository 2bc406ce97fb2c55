"""Annotations: notation parsed when it is declared, errors that name what fixed a size, samples that fit."""

import inspect
import math

import numpy as np
import pytest

from mini_repr.losses.pairs.infonce import infonce
from mini_repr.pages.arguments import (
    Choice,
    Count,
    Flag,
    Fraction,
    FractionBelowOne,
    Labels,
    Mask,
    Misuse,
    NonNegative,
    Optional,
    Positive,
    Real,
    Rows,
    Scalar,
    Several,
    WithGradient,
    parse_shape,
)
from mini_repr.pages.loss import loss
from mini_repr.pages.samples import sample, wrong_values

EVERY_KIND = [
    Rows("B D"),
    Rows("B>=2 D", frozen=True),
    Rows("B", above=0),
    Rows("B D", least=0, no_zero_row=True),
    Rows("B D", least=-1),
    Labels("B"),
    Labels("B", classes="C"),
    Mask("B D"),
    Real,
    Positive,
    NonNegative,
    Fraction,
    FractionBelowOne,
    Scalar(low=-1, high=2, low_open=True),
    WithGradient(Positive),
    Count(),
    Count(least=2, choose="the batch"),
    Flag,
    Choice("mean", "sum"),
    Optional(Rows("K D")),
    Several(FractionBelowOne, FractionBelowOne),
]
SIZES = {"B": 6, "D": 5, "C": 4, "K": 3}


def fitting_sizes(annotation, value):
    """What other arguments have fixed: the number of classes."""
    sizes = {}
    if getattr(annotation.bare, "classes", ""):
        Rows("C").check(np.ones(SIZES["C"]), sizes, "w")
    return sizes


@pytest.mark.parametrize("annotation", EVERY_KIND, ids=str)
def test_samples_fit_and_wrong_values_do_not(annotation):
    rng = np.random.default_rng(0)
    for _ in range(5):
        value = sample(annotation, rng, SIZES)
        annotation.check(value, fitting_sizes(annotation, value), "x")
    wrong = list(wrong_values(annotation, rng, SIZES))
    assert wrong
    for what, value in wrong:
        with pytest.raises(Misuse, match=r"got .+, expected .+"):
            annotation.check(value, fitting_sizes(annotation, value), "x")
            pytest.fail(f"{what} passed")


@pytest.mark.parametrize("notation, part", [("B>2 D", "B>2"), ("B>= D", "B>="), ("2B", "2B"), ("B, D", "B,")])
def test_a_wrong_notation_is_refused_where_it_is_declared(notation, part):
    with pytest.raises(ValueError, match=f"shape '{notation}': got '{part}', expected a letter such as B, or B>=2"):
        Rows(notation)


def test_axes_of_a_notation():
    assert [(axis.letter, axis.least) for axis in parse_shape("B>=2 T D")] == [("B", 2), ("T", 1), ("D", 1)]
    assert parse_shape("") == ()


def test_an_error_names_the_argument_that_fixed_a_size():
    a, b = np.ones((4, 3)), np.ones((5, 3))
    expected = r"\(B=4 as in a, D=3 as in a\)"
    with pytest.raises(ValueError, match=rf"^infonce: b: got shape \(5, 3\), expected shape {expected}$"):
        infonce(a, b)


def test_a_letter_that_stands_twice_is_one_size():
    with pytest.raises(Misuse, match=r"got shape \(2, 3\), expected shape \(N, N\)"):
        Rows("N N").check(np.ones((2, 3)), {}, "x")


def test_a_refused_shape_fixes_nothing():
    sizes = {}
    with pytest.raises(Misuse):
        Rows("B D>=3").check(np.ones((2, 2)), sizes, "x")
    assert sizes == {}


def test_ranges_are_printed_as_they_are_checked():
    assert str(Fraction) == "(>= 0 and <= 1)"
    assert str(FractionBelowOne) == "(>= 0 and < 1)"
    assert str(Positive) == "(> 0)"
    assert str(Real) == "(any real)"
    assert str(WithGradient(Real, learned=True)) == "(any real), has a gradient, learned in training"
    assert str(Rows("B>=2 D", frozen=True, least=0, no_zero_row=True)) == (
        "(B>=2, D) float, stop-gradient, >= 0, no row of zeros"
    )
    FractionBelowOne.check(0.0, {})
    with pytest.raises(Misuse, match="got 1, expected a number"):
        FractionBelowOne.check(1.0, {})


def test_differentiability_is_seen_through_optional():
    assert Optional(Rows("B D")).differentiable and not Optional(Rows("B D", frozen=True)).differentiable
    assert not Optional(Positive).is_array and Optional(Positive).bare is Positive
    assert Optional(Positive).check(None, {}) is None


def test_a_page_has_its_signature_and_name():
    assert list(inspect.signature(infonce).parameters)[:3] == ["a", "b", "temperature"]
    assert inspect.signature(infonce).parameters["temperature"].default == 0.1
    assert infonce.__name__ == "infonce" and infonce.literal.__name__ == "infonce_definition"


def test_a_loss_of_ones_own_says_what_it_compares():
    def halves(a: Rows("B D"), b: Rows("B D")):
        """Halves: the mean of both."""
        return (a.mean() + b.mean()) / 2, lambda g: (a * 0 + g / a.size / 2, b * 0 + g / b.size / 2)

    with pytest.raises(ValueError, match=r"loss halves: compares: got .*, expected pairs, labels"):
        loss(paper="092")(halves)


def test_a_huge_count_and_number_are_refused():
    for annotation, value in ((Count(), 2**40), (Real, 10**400), (Real, math.nan)):
        with pytest.raises(Misuse):
            annotation.check(value, {})


def test_a_list_is_told_how_to_become_an_array():
    with pytest.raises(ValueError, match=r"b: got list, expected an array of shape .*, such as numpy.asarray\(b\)$"):
        infonce.value_and_grad(np.ones((3, 2)), [[1.0, 2.0]] * 3)
