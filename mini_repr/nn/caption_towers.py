"""Two towers, one for images and one for captions, whose rows are compared: the form of CLIP, small.

Source: Radford et al. 2021, arXiv 2103.00020, section 2.4: a ViT, a causal transformer read at the end of the text,
and a linear map of each into one space.
"""

import math

import numpy as np

from mini_repr.autograd import Tensor, broadcast_to, concatenate
from mini_repr.backend import backend_of
from mini_repr.nn.init import half, truncated_normal
from mini_repr.nn.layers import Embedding, LayerNorm, Linear
from mini_repr.nn.module import Module
from mini_repr.nn.patches import patchify
from mini_repr.nn.prompts import through_blocks, with_slots
from mini_repr.nn.text_transformer import line_positions
from mini_repr.nn.transformer import Block
from mini_repr.nn.vit import patch_grid, sine_positions

START = math.log(1 / 0.07)  # of the logarithm of what cosines are multiplied by


class CaptionTowers(Module):
    """Images and captions to rows (B, dimensions) that are alike where the caption is that of the image.

    Rows are not of length 1. Both towers take prompts, rows between their tokens, and captions take slots.

    Args:
        image_shape: (C, H, W). rng: host generator. vocabulary: ``data.generated.scenes.Vocabulary``.
        patch: side of a patch in pixels. width, depth, heads: of the blocks of both towers.
    """

    def __init__(
        self, image_shape, rng, vocabulary, dtype=np.float32, *, patch=4, width=64, depth=3, heads=4, dimensions=32
    ):
        channels, height, across = image_shape
        self.patch, grid = patch_grid("CaptionTowers", patch, height, across)
        self.width, self.depth, self.vocabulary = width, depth, vocabulary

        def blocks():
            return [Block(width, heads, 2.0, rng, dtype=dtype) for _ in range(depth)]

        self.embed = Linear(self.patch**2 * channels, width, rng, dtype=dtype)
        self.positions = Tensor(sine_positions(grid, width, dtype), requires_grad=True)
        self.class_token = Tensor(truncated_normal(rng, (width,), dtype), requires_grad=True)
        self.image_blocks, self.image_norm = blocks(), LayerNorm(width, dtype=dtype)
        self.image_map = Linear(width, dimensions, rng, bias=False, dtype=dtype)
        self.words = Embedding(len(vocabulary.words), width, rng, init=half, dtype=dtype)
        self.places = Tensor(0.5 * line_positions(vocabulary.length, width, dtype), requires_grad=True)
        self.text_blocks, self.text_norm = blocks(), LayerNorm(width, dtype=dtype)
        self.text_map = Linear(width, dimensions, rng, bias=False, dtype=dtype)
        self.log_scale = Tensor(np.array(START, dtype), requires_grad=True)

    @property
    def scale(self):
        """What cosines are multiplied by to be logits, a number."""
        return math.exp(float(self.log_scale.data))

    def ids(self, captions):
        """The numbers of the words of captions (a list of texts): (B, T) on the host."""
        return np.stack([self.vocabulary.tokenise(caption) for caption in captions])

    def image_tokens(self, images, prompts=None, fresh=1.0):
        """All tokens (B, 1 + n + P, width) of images (B, C, H, W) in [0, 1], after the last norm: class token, prompt.

        Args:
            prompts, fresh: see ``through_blocks``.
        """
        x = self.embed(patchify(2 * images - 1, self.patch)) + self.positions
        first = broadcast_to(self.class_token, (len(x), 1, self.width))
        return self.image_norm(through_blocks(self.image_blocks, concatenate(first, x, axis=1), prompts, fresh=fresh))

    def images(self, images):
        """Rows (B, dimensions) of images (B, C, H, W) in [0, 1], array or tensor."""
        return self.image_map(self.image_tokens(images)[:, 0])

    def texts(self, ids, slots=None, prompts=None, fresh=1.0):
        """Rows (B, dimensions) of captions.

        Args:
            ids: (B, T) host integers. slots: see ``with_slots``. prompts, fresh: see ``through_blocks``.
        """
        rows = with_slots(self.words(ids), ids, self.vocabulary.words, slots) + self.places[: ids.shape[1]]
        x = self.text_norm(through_blocks(self.text_blocks, rows, prompts, fresh=fresh, causal=True))
        backend = backend_of(x.data)
        ends = (ids == self.vocabulary.words.index("EOS")).argmax(axis=1) + x.shape[1] - ids.shape[1]
        return self.text_map(x[backend.xp.arange(len(ids)), backend.asarray(ends)])
