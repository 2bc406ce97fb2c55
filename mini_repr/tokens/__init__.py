"""What is done to tokens: a codebook of them, and later which to drop, merge or pool."""

from mini_repr.tokens.codebook import nearest_code, patch_codebook
