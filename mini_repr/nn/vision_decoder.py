"""A language model that answers questions on an image, whose patches stand in front of the question.

Source: Liu et al. 2023, arXiv 2304.08485 (LLaVA), the form: image tokens as a prefix of a causal transformer.
"""

import math

import numpy as np

from mini_repr.autograd import Tensor, broadcast_to, concatenate
from mini_repr.backend import backend_of
from mini_repr.nn.gaps import at_places
from mini_repr.nn.init import half
from mini_repr.nn.layers import Embedding, LayerNorm, Linear
from mini_repr.nn.module import Module
from mini_repr.nn.patches import patchify
from mini_repr.nn.text_transformer import line_positions
from mini_repr.nn.transformer import Block
from mini_repr.nn.vit import patch_grid, sine_positions


class VisionDecoder(Module):
    """Images and questions to scores of the answer's word, read at the question's end.

    Several questions may stand behind one image: each sees the image and itself, at the same places, as if it were
    alone.

    Args:
        image_shape: (C, H, W). rng: host generator. vocabulary: ``data.generated.scenes.Vocabulary`` of questions and
            answers. patch: side of a patch in pixels. width, depth, heads: of the blocks. vision_depth: blocks in
            front of these, in which the patches look at one another and not at the questions.
    """

    def __init__(
        self,
        image_shape,
        rng,
        vocabulary,
        dtype=np.float32,
        *,
        patch=4,
        width=64,
        depth=6,
        heads=4,
        vision_depth=0,
    ):
        channels, height, across = image_shape
        self.patch, self.grid = patch_grid("VisionDecoder", patch, height, across)
        self.image_count, self.depth, self.vocabulary = math.prod(self.grid), depth, vocabulary
        self.embed = Linear(self.patch**2 * channels, width, rng, dtype=dtype)
        self.positions = Tensor(sine_positions(self.grid, width, dtype), requires_grad=True)
        self.words = Embedding(len(vocabulary.words), width, rng, init=half, dtype=dtype)
        self.places = Tensor(0.5 * line_positions(vocabulary.length, width, dtype), requires_grad=True)
        self.blocks = [Block(width, heads, 2.0, rng, dtype=dtype) for _ in range(depth)]
        self.norm = LayerNorm(width, dtype=dtype)
        self.answer = Linear(width, len(vocabulary.words), rng, dtype=dtype)
        self.vision = [Block(width, heads, 2.0, rng, dtype=dtype) for _ in range(vision_depth)]

    def ids(self, questions):
        """The numbers of the words of questions (a list of texts): (N, T) on the host."""
        return np.stack([self.vocabulary.tokenise(question) for question in questions])

    def forward(self, images, ids, keep=None):
        """Scores (B, Q, V) of the word that answers.

        Args:
            images: (B, C, H, W) in [0, 1]. ids: (B, Q, T) host integers, Q questions an image.
            keep: with one question: called after each block but the last with (its number, tokens (B, N, D), attention
                weights (B, heads, N, N), how many of the tokens are the image's, which stand first, and the place (B,)
                of the question's end); returns places (B, K) on the device, in order, of the image tokens that go on,
                or None for all. With any number of questions, where the places do not depend on them: {number of a
                block: places}.
        """
        return self.answer(self.read(self.see(images)[0], ids, keep))

    def see(self, images):
        """Images (B, C, H, W) to tokens (B, N, D) and the attention weights (B, heads, N, N) of the last vision block.

        The weights are a plain array, and None without such a block.
        """
        x, weights = self.embed(patchify(2 * images - 1, self.patch)) + self.positions, None
        for block in self.vision:
            x, weights = block(x)
        return x, weights

    def read(self, seen, ids, keep=None):
        """Rows (B, Q, D) at the questions' ends, from which the answer is told.

        Args:
            seen: image tokens (B, K, D), all or fewer. ids, keep: as above.
        """
        batch, asked, length = ids.shape
        known = keep if isinstance(keep, dict) else {}
        if callable(keep) and asked != 1:
            raise ValueError(f"VisionDecoder: keep: got {asked} questions an image, expected 1")
        backend = backend_of(self.embed.weight.data)
        said = self.words(ids.reshape(batch, asked * length)).reshape(batch, asked, length, -1)
        said = said + broadcast_to(self.places[:length], said.shape)
        x = concatenate(seen, said.reshape(batch, asked * length, -1), axis=1)
        count, ends = seen.shape[1], (ids == self.vocabulary.words.index("EOS")).argmax(axis=2)
        mask = backend.asarray(visible(count, asked, length))
        for number, block in enumerate(self.blocks, 1):
            x, weights = block(x, mask)
            kept = known.get(number)
            if callable(keep) and number < self.depth:
                kept = keep(number, x, weights, count, count + ends[:, 0])
            if kept is not None:
                text = backend.xp.broadcast_to(backend.xp.arange(count, x.shape[1]), (batch, asked * length))
                x, count = at_places(x, backend.xp.concatenate([kept, text], axis=1)), kept.shape[1]
                mask = backend.asarray(visible(count, asked, length))
        places = count + length * np.arange(asked) + ends
        return self.norm(at_places(x, places))


def visible(images, asked, length):
    """(N, N) booleans of ``images`` tokens and ``asked`` questions: True where a token (axis 0) may look (axis 1)."""
    question = np.repeat(np.arange(asked + 1), [images, *[length] * asked])  # 0 for the image
    same = (question[:, None] == question) | (question == 0)
    return same & np.tri(len(question), dtype=bool)
