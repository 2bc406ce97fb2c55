"""Which patches or tokens to hide."""

from mini_repr.masking.random import random_mask, visible_patches
