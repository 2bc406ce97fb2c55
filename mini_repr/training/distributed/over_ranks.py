"""The losses for which no rank needs to hold the rows of others, and how each is computed so."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from mini_repr.training.distributed.barlow_twins_over_ranks import barlow_twins_over_ranks
from mini_repr.training.distributed.corinfomax_over_ranks import corinfomax_over_ranks
from mini_repr.training.distributed.ring_circle import ring_circle
from mini_repr.training.distributed.ring_infonce import ring_infonce
from mini_repr.training.distributed.ring_siglip import ring_siglip
from mini_repr.training.distributed.ring_supcon import ring_supcon
from mini_repr.training.distributed.ring_triplet import ring_triplet
from mini_repr.training.distributed.ring_uniformity import ring_align_uniform, ring_uniformity
from mini_repr.training.distributed.tico_over_ranks import tico_over_ranks
from mini_repr.training.distributed.vicreg_over_ranks import vicreg_over_ranks
from mini_repr.training.distributed.wmse_over_ranks import wmse_over_ranks

_ANY = MappingProxyType({})


class OverRanks(NamedTuple):
    """A loss over ranks: its form, with every setting of the page, and the {setting: value} that it needs or excludes.

    No form gives the loss of each row alone: "mean" and "sum" are the reductions.
    """

    form: Callable
    needs: Mapping = _ANY
    excludes: Mapping = _ANY


OVER_RANKS = {
    "align_uniform": OverRanks(ring_align_uniform),
    "barlow_twins": OverRanks(barlow_twins_over_ranks, excludes={"eps": 0}),
    "circle": OverRanks(ring_circle),
    "corinfomax": OverRanks(corinfomax_over_ranks),
    "infonce": OverRanks(ring_infonce, excludes={"negatives": "queue"}),
    "siglip": OverRanks(ring_siglip),
    "supcon": OverRanks(ring_supcon, needs={"form": "out"}),
    "tico": OverRanks(tico_over_ranks, needs={"centre": False}),
    "triplet": OverRanks(ring_triplet, needs={"mining": "hard"}),
    "uniformity": OverRanks(ring_uniformity),
    "vicreg": OverRanks(vicreg_over_ranks),
    "wmse": OverRanks(wmse_over_ranks, needs={"size": None}),
}


def has_form_over_ranks(page, settings):
    """Whether a loss with some settings, the others at their defaults, is computed without gathered rows."""
    if page.name not in OVER_RANKS:
        return False
    _, needs, excludes = OVER_RANKS[page.name]
    settings = _defaults(page) | settings
    excluded = any(settings[name] == value for name, value in excludes.items()) or settings.get("reduction") == "none"
    return not excluded and all(settings[name] == value for name, value in needs.items())


def form_over_ranks(page, world):
    """A loss of the rows of all ranks, called as its page is, with the rank's own rows: a tensor, the same on each.

    Its gradients are whole: for the own rows, and for learned scalars.
    """
    return partial(OVER_RANKS[page.name].form, world=world, **_defaults(page))


def _defaults(page):
    return {parameter.name: parameter.default for parameter in page.settings}
