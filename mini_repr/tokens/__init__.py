"""What is done to tokens: a codebook of them, clusters that stand for them."""

from mini_repr.tokens.codebook import nearest_code, patch_codebook
from mini_repr.tokens.pooled_vit import PooledViT
from mini_repr.tokens.pooling import pool_tokens, significance
