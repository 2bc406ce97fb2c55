"""A faithful page passes ``check_page``; of an unfaithful one the broken promise is named."""

import numpy as np
import pytest

from mini_repr.pages.arguments import Reduction, Rows
from mini_repr.pages.check_page import check_page, checks_of
from mini_repr.pages.invariants import at_least, permutation, rotation
from mini_repr.pages.loss import Loss
from mini_repr.pages.page import definition
from mini_repr.pages.rows import reduce_rows, reduced


def page_of(slope=2, wrong_value=0.0, writes=False):
    """The mean square length of rows, with slips."""

    def squares(z: Rows("B D"), reduction: Reduction = "mean"):
        """Squares: the mean square length.

        Definition. Gradient. Shapes. Source. arXiv.
        """
        per_row = (z * z).sum(axis=1)
        value, spread = reduce_rows(per_row, reduction)
        dz = slope * z
        if writes:
            z += 1
        return value + wrong_value, lambda g: (spread(g)[:, None] * dz,)

    page = Loss(
        squares,
        (),
        compares="embeddings",
        tex={"definition": r"L = \frac{1}{B} \sum_i \lVert z_i \rVert^2", "gradient": r"\mathrm{d}z = \frac{2 z}{B}"},
        invariants=[permutation("B"), rotation("D"), at_least(0)],
    )

    @definition(page)
    def squares_definition(z, reduction):
        return reduced((z * z).sum(axis=1), reduction)

    return page


def loops(z, reduction):
    rows = [sum(x * x for x in row) for row in z.tolist()]
    return sum(rows) / len(rows)


def broken(page):
    """Names of the checks that fail."""

    def fails(check):
        try:
            check()
        except AssertionError:
            return True
        return False

    return [name for name, check in checks_of(page, loops).items() if fails(check)]


def test_a_faithful_page_passes():
    check_page(page_of(), loops)
    assert broken(page_of()) == []


def test_a_wrong_gradient_is_named_and_nothing_else():
    names = broken(page_of(slope=2.001))
    assert [name.partition(",")[0] for name in names] == [
        *("gradient equals the definition's",) * 2,
        *("gradient equals differences",) * 2,
        "gradient equals the complex step's",
    ]
    with pytest.raises(AssertionError, match=r"^squares: gradient equals the definition's, default, seed 0: "):
        check_page(page_of(slope=2.001))


def test_a_wrong_value_and_a_written_input_are_named():
    values = {name.partition(",")[0] for name in broken(page_of(wrong_value=0.5))}
    assert values == {"value equals the definition", "value equals naive loops"}
    assert any(name.startswith("inputs stay untouched") for name in broken(page_of(writes=True)))


def test_loops_are_compared_only_where_they_come():
    assert len(checks_of(page_of(), loops)) == len(checks_of(page_of())) + 1
    with pytest.raises(AssertionError, match="naive loops"):
        check_page(page_of(), lambda z, reduction: np.nan)
