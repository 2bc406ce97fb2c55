"""The losses for which no rank needs to hold the rows of others, and how each is computed so."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from mini_repr.autograd import value_of
from mini_repr.losses.pairs.best_alignment import best_alignment
from mini_repr.losses.teachers.negative_cosine import negative_cosine
from mini_repr.losses.teachers.tribyol import tribyol
from mini_repr.training.distributed.barlow_twins_over_ranks import barlow_twins_over_ranks
from mini_repr.training.distributed.corinfomax_over_ranks import corinfomax_over_ranks
from mini_repr.training.distributed.flops_over_ranks import flops_over_ranks
from mini_repr.training.distributed.ring_align import ring_align
from mini_repr.training.distributed.ring_circle import ring_circle
from mini_repr.training.distributed.ring_cmim_contrast import ring_cmim_contrast
from mini_repr.training.distributed.ring_contrastive_gap import ring_contrastive_gap
from mini_repr.training.distributed.ring_dispersive import ring_dispersive
from mini_repr.training.distributed.ring_focal_itc import ring_focal_itc
from mini_repr.training.distributed.ring_infonce import ring_infonce
from mini_repr.training.distributed.ring_llave import ring_llave
from mini_repr.training.distributed.ring_siglip import ring_siglip
from mini_repr.training.distributed.ring_supcon import ring_supcon
from mini_repr.training.distributed.ring_triplet import ring_triplet
from mini_repr.training.distributed.ring_uniformity import ring_align_uniform, ring_uniformity
from mini_repr.training.distributed.rows_apart import apart
from mini_repr.training.distributed.tico_over_ranks import tico_over_ranks
from mini_repr.training.distributed.vicreg_over_ranks import vicreg_over_ranks
from mini_repr.training.distributed.wmse_over_ranks import wmse_over_ranks

_ANY = MappingProxyType({})


class OverRanks(NamedTuple):
    """A loss over ranks: its form, and the {setting: value} that this needs or excludes.

    A form is a function of arrays, the own rows among them, and of the page's settings to what a page returns. None has
    the reduction "none".
    """

    form: Callable
    needs: Mapping = _ANY
    excludes: Mapping = _ANY


OVER_RANKS = {
    "align": OverRanks(ring_align),
    "align_uniform": OverRanks(ring_align_uniform),
    "barlow_twins": OverRanks(barlow_twins_over_ranks, excludes={"eps": 0}),
    "best_alignment": OverRanks(apart(best_alignment)),
    "circle": OverRanks(ring_circle),
    "cmim_contrast": OverRanks(ring_cmim_contrast),
    "contrastive_gap": OverRanks(ring_contrastive_gap),
    "corinfomax": OverRanks(corinfomax_over_ranks),
    "dispersive": OverRanks(ring_dispersive, excludes={"form": "hinge"}),
    "flops": OverRanks(flops_over_ranks),
    "focal_itc": OverRanks(ring_focal_itc),
    "infonce": OverRanks(ring_infonce, excludes={"negatives": "queue"}),
    "llave": OverRanks(ring_llave),
    "negative_cosine": OverRanks(apart(negative_cosine)),
    "siglip": OverRanks(ring_siglip),
    "supcon": OverRanks(ring_supcon, needs={"form": "out"}),
    "tico": OverRanks(tico_over_ranks, needs={"centre": False}),
    "tribyol": OverRanks(apart(tribyol)),
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
    settings = {p.name: p.default for p in page.settings} | settings
    excluded = any(settings[name] == value for name, value in excludes.items()) or settings.get("reduction") == "none"
    return not excluded and all(settings[name] == value for name, value in needs.items())


def form_over_ranks(page, world):
    """A loss of the rows of all ranks, called as its page is, with the rank's own rows: a tensor, the same on each.

    Its gradients are whole: for the own rows, and for learned scalars.
    """
    form = partial(OVER_RANKS[page.name].form, world=world)

    def loss(*args, **params):
        arguments = page.bind(args, params)
        given = {p.name for p in page.settings} | {n for n, value in arguments.items() if value is not None}
        return page.on_tensors(arguments, form, {name: value_of(arguments[name]) for name in given})

    return loss
