"""Which patches or tokens to hide. ``pages_of("mask")`` lists the ways."""

from mini_repr.masking.mined import mined_mask
from mini_repr.masking.random import random_mask, visible_patches
from mini_repr.masking.units import distance_to_visible, unit_mask
