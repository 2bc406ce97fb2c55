"""A denoiser that is told by a caption what to draw.

Source: cross-attention from an image's tokens to a text's, Rombach et al. 2021, arXiv 2112.10752, section 3.3.
"""

import numpy as np

from mini_repr.autograd import Tensor
from mini_repr.backend import backend_of
from mini_repr.nn.denoiser import Denoiser
from mini_repr.nn.init import half
from mini_repr.nn.layers import Embedding
from mini_repr.nn.prompts import with_slots
from mini_repr.nn.text_transformer import line_positions
from mini_repr.nn.transformer import Block


class CaptionDenoiser(Denoiser):
    """A ``Denoiser`` whose blocks look at a caption: words and positions through one transformer block.

    Args:
        image_shape, rng, and the settings of a ``Denoiser``.
        vocabulary: ``data.generated.scenes.Vocabulary``.
    """

    looks_at_text = True

    def __init__(self, image_shape, rng, vocabulary, dtype=np.float32, **settings):
        super().__init__(image_shape, rng, dtype, **settings)
        self.vocabulary = vocabulary
        # Words as large as the rows of the sines, which would drown smaller ones.
        self.words = Embedding(len(vocabulary.words), self.width, rng, init=half, dtype=dtype)
        self.places = Tensor(0.5 * line_positions(vocabulary.length, self.width, dtype), requires_grad=True)
        self.reader = Block(self.width, 4, 2.0, rng, dtype=dtype)

    def ids(self, captions):
        """The numbers of the words of captions (a list of texts): (B, T) on the host."""
        return np.stack([self.vocabulary.tokenise(caption) for caption in captions])

    def read(self, ids, slots=None):
        """(rows (B, T, D), mask (B, T)) of captions, as ``denoise(text=...)`` takes them.

        Args:
            ids: (B, T) host integers. slots: {word: row} of words such as ``"s1"``, see ``with_slots``.
        """
        rows = with_slots(self.words(ids), ids, self.vocabulary.words, slots)
        mask = backend_of(rows.data).asarray(ids != 0)
        told, _ = self.reader(rows + self.places, mask[:, None, None])
        return told, mask
