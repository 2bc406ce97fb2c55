"""Which losses have a form over ranks, and with which settings (no MPI needed)."""

import inspect
import re
from pathlib import Path

import pytest

import mini_repr.book
from mini_repr.pages.registry import all_losses
from mini_repr.training.distributed.over_ranks import OVER_RANKS, has_form_over_ranks

LOSSES = all_losses()


@pytest.mark.parametrize("name", OVER_RANKS)
def test_a_form_takes_what_its_page_takes(name):
    form, needs, excludes = OVER_RANKS[name]
    taken = inspect.signature(form).parameters
    if "arguments" in taken:  # the page itself, which adds a scale to its gradients
        assert "reduction" in LOSSES[name].parameters
        assert not any(p.annotation.differentiable for p in LOSSES[name].settings)
        return
    optional = {p.name for p in LOSSES[name].arrays if p.annotation.optional}
    assert taken.keys() - {"world"} >= LOSSES[name].parameters.keys() - optional
    assert taken.keys() - {"world"} <= LOSSES[name].parameters.keys()
    assert needs.keys() | excludes.keys() <= {p.name for p in LOSSES[name].settings}


def test_settings_without_a_form_are_gathered():
    assert has_form_over_ranks(LOSSES["infonce"], {})
    assert has_form_over_ranks(LOSSES["infonce"], {"negatives": "views", "reduction": "sum"})
    assert not has_form_over_ranks(LOSSES["infonce"], {"negatives": "queue"})
    assert not has_form_over_ranks(LOSSES["infonce"], {"reduction": "none"})
    assert not has_form_over_ranks(LOSSES["supcon"], {"form": "in"})
    assert not has_form_over_ranks(LOSSES["wmse"], {"size": 4})
    assert not has_form_over_ranks(LOSSES["pearson"], {})


def test_the_chapter_on_large_batches_names_them():
    text = (Path(mini_repr.book.__file__).parent / "large_batches.md").read_text(encoding="utf-8")
    listed = text.partition("never gather it")[2].partition("Other losses gather")[0]
    assert set(re.findall("`([a-z_]+)`", listed)) - {"form", "eps", "mining"} == OVER_RANKS.keys()
