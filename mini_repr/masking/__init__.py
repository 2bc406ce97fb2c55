"""Which patches or tokens to hide. ``pages_of("mask")`` lists the ways."""

from mini_repr.masking.blocks import block_mask
from mini_repr.masking.clips import CLIP_MASKS, clip_mask
from mini_repr.masking.mined import mined_mask
from mini_repr.masking.random import hidden_patches, random_mask, visible_patches
from mini_repr.masking.spaced import spaced_patches
from mini_repr.masking.units import distance_to_visible, unit_mask
from mini_repr.masking.words import chosen_places, hidden_words, masked_words
