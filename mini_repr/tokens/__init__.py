"""What is done to tokens: a codebook of them, clusters that stand for them, which are redundant."""

from mini_repr.tokens.codebook import nearest_code, patch_codebook
from mini_repr.tokens.pooled_vit import PooledViT
from mini_repr.tokens.pooling import pool_tokens, significance
from mini_repr.tokens.redundancy import least_redundant
