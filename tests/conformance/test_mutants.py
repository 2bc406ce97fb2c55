"""Every known slip is refused, and named by its own name."""

import pytest
from mutants import MUTANTS

from mini_repr.conformance.check import check


@pytest.mark.parametrize("mutant", MUTANTS, ids=[m.name for m in MUTANTS])
def test_mutant_is_refused_and_named(mutant):
    report = check(mutant.call, mutant.loss, settings=mutant.settings)
    assert report.exit_code != 0, "survived"
    assert mutant.named in report.verdict


def test_there_are_enough_of_them_and_each_has_its_own_name():
    assert len(MUTANTS) >= 25
    assert len({m.name for m in MUTANTS}) == len(MUTANTS)
    assert all(1 <= m.trap <= 26 and m.named for m in MUTANTS)


def test_what_is_faithful_to_the_settings_it_claims_is_not_refused():
    assert check(MUTANTS[-1].call, "dispersive", settings={"self_pairs": False}).exit_code == 0
