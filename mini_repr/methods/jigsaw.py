"""Puzzles of damaged images: tiles to order, a tile to fill in, colours to restore."""

import numpy as np

from mini_repr.backend import backend_of
from mini_repr.data.permutations import permutation_set
from mini_repr.data.views import LUMA
from mini_repr.losses.reconstruction.masked_regression import masked_regression
from mini_repr.methods.method import Method, Step
from mini_repr.nn import Linear, patchify, tile_of, unpatchify
from mini_repr.pages.arguments import Choice, Count, NonNegative
from mini_repr.pages.declare import part

# Blue and red less luma, each over what it is at most (ITU-R BT.601): the two numbers of a colour that grey lacks.
_CHROMA = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]) - LUMA
_CHROMA /= 2 * _CHROMA.max(axis=1, keepdims=True)


@part("method", "jigsaw", paper="081")
class Jigsaw(Method):
    """Completing damaged jigsaw puzzles: tiles in a wrong order, one of them missing, the others grey.

    Kim et al. 2018, arXiv 1802.01880. The pooled row of the damaged image, by ``--encoder tiles`` as in the paper,
    goes into three linear heads: which of ``permutations`` orders it is (the loss of scores and labels), the pixels of
    the missing tile, and the two chroma numbers of each pixel of the others:

        L = jigsaw * L(scores, order) + inpainting * mean |pixels|² + colour * mean |chroma|²

    ``damage="separate"`` is what the paper compares with: an image for each task, with its own damage alone. A weight
    of 0 switches a task off. The paper fills in with an adversarial loss too, and its weights could not be read: both
    are left out here. Orders: ``permutation_set``, drawn once. Each image of a step gets an order and a missing tile.
    """

    compares = ("scores",)

    def __init__(
        self,
        parts,
        *,
        side: Count(2) = 3,
        permutations: Count(2) = 32,
        damage: Choice("joint", "separate") = "joint",
        jigsaw: NonNegative = 1.0,
        inpainting: NonNegative = 1.0,
        colour: NonNegative = 1.0,
    ):
        super().__init__(parts)
        shape, rng = parts.data.train.images.shape[1:], parts.rng
        self.tile = tile_of(shape, side, "method jigsaw")
        if shape[0] != 3:
            raise ValueError(
                f"method jigsaw: got images of {shape[0]} channel, expected colour, such as --data coloured"
            )
        self.joint, self.weights = damage == "joint", (jigsaw, inpainting, colour)
        self.register_buffer("orders", permutation_set(rng, permutations, side * side))
        width, pixels = self.encoder.width, self.tile**2
        self.order = Linear(width, permutations, rng)
        self.content = Linear(width, 3 * pixels, rng)
        self.chroma = Linear(width, side * side * 2 * pixels, rng)

    @classmethod
    def fits(cls, loss):
        return super().fits(loss) and loss.required == ["scores", "labels"]

    def sample(self, images, rng):
        images, (permutations, tiles) = self.views(images, rng), self.orders.shape
        return images, rng.integers(permutations, size=len(images)), rng.integers(tiles, size=len(images))

    def puzzles(self, images, number, missing):
        """The images (B, C, H, W) that each task sees, the same for all three where the damage is joint.

        Args:
            number: (B,) the permutation of each image. missing: (B,) the place of the missing tile, after permuting.
        Returns:
            (for the order, for the content, for the colours).
        """
        backend, tiles = backend_of(images), patchify(images, self.tile)
        rows = backend.xp.arange(len(images))
        missing, orders = (backend.asarray(x) for x in (missing, self.orders[backend.asarray(number)]))

        def image(tiles):
            return unpatchify(tiles, self.tile, images.shape[1:])

        def without(tiles):
            tiles = tiles.copy()
            tiles[rows, missing] = 0
            return tiles

        shuffled = tiles[rows[:, None], orders]
        if self.joint:
            return (image(without(grey(shuffled))),) * 3
        return image(shuffled), image(without(tiles)), image(grey(tiles))

    def embed(self, images, number, missing):
        puzzles = self.puzzles(images, number, missing)
        first = self.encoder(puzzles[0]).pooled
        of_content, of_colour = (first if self.joint else self.encoder(one).pooled for one in puzzles[1:])
        chroma = self.chroma(of_colour).reshape(len(images), self.orders.shape[1], -1)
        return self.order(first), self.content(of_content).reshape(len(images), 1, -1), chroma, first

    def targets(self, images, number, missing):
        backend, tiles = backend_of(images), patchify(images, self.tile)
        rows = backend.xp.arange(len(images))
        if self.joint:
            tiles = tiles[rows[:, None], self.orders[backend.asarray(number)]]
        content = tiles[rows, backend.asarray(missing)][:, None]
        there = np.arange(tiles.shape[1]) != missing[:, None]
        return number, content, chroma_of(tiles), there if self.joint else np.ones_like(there)

    def compare(self, rows, targets, batch, objective):
        scores, content, chroma, pooled = rows
        number, true_content, true_chroma, there = targets
        one = np.ones((len(number), 1), dtype=bool)
        ordered = objective(scores, number, embeddings=(pooled,), labels=batch.labels)
        filled = masked_regression(content, true_content, one, normalize_target=False)
        restored = masked_regression(chroma, true_chroma, there, normalize_target=False)
        total = self.weights[0] * ordered + self.weights[1] * filled + self.weights[2] * restored
        total.terms = {**ordered.terms, "inpainting": filled.data, "colour": restored.data}
        return Step(total, pooled.data)


def grey(tiles):
    """Tiles (B, P, Q) of three channels with the luma of each pixel in all of them."""
    pixels = tiles.reshape(*tiles.shape[:2], -1, 3)
    luma = backend_of(tiles).asarray(LUMA, dtype=tiles.dtype)
    return (pixels @ luma)[..., None].repeat(3, axis=-1).reshape(tiles.shape)


def chroma_of(tiles):
    """(B, P, 2 Q / 3): the two chroma numbers of each pixel, -1/2 to 1/2, 0 where it is grey."""
    pixels = tiles.reshape(*tiles.shape[:2], -1, 3)
    chroma = backend_of(tiles).asarray(_CHROMA, dtype=tiles.dtype)
    return (pixels @ chroma.T).reshape(*tiles.shape[:2], -1)
