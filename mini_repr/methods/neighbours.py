"""Two images that lie near each other, each through one encoder and one projector."""

from mini_repr.backend import backend_of
from mini_repr.kernels.nearest import nearest_rows
from mini_repr.methods.simclr import SimCLR
from mini_repr.nn import Heads
from mini_repr.pages.arguments import Count
from mini_repr.pages.declare import part


@part("method", "neighbours", paper="077")
class Neighbours(SimCLR):
    """An image and one of its nearest neighbours in the training set are a pair: TLDR, where Barlow Twins compares.

    Kalantidis et al. 2021, arXiv 2110.09455. As in github.com/naver/tldr the partner is drawn anew at each step, each
    of the k as likely, and the projector has batch norm before its ReLUs and is thrown away. There k is 5, the
    projector 2048 wide, and the nearest are those of largest inner product (the same for rows of one length); here
    Euclidean distance between pixels decides, exactly. Images go in as they are: ``views`` serve the table at the end
    alone. What a loss keeps of a row, such as a teacher's row or a temperature, is the image's own, for its partner
    too.

    Args:
        neighbours: k, fewer than the training rows.
    """

    compares = ("pairs",)
    heads = Heads(batch_norm=True)

    def __init__(self, parts, *, neighbours: Count() = 3):
        super().__init__(parts)
        self.neighbours = neighbours

    def load(self, part, backend):
        return self.pair_within(*super().load(part, backend))

    def pair_within(self, images):
        """Take images (N, ...), on the method's device, as those among which partners are found: the arrays of a step.

        Raises:
            ValueError: an image has fewer than ``neighbours`` others.
        """
        if self.neighbours >= len(images):
            expected = f"1 to {len(images) - 1}, fewer than the {len(images)} training rows"
            raise ValueError(f"method neighbours: neighbours: got {self.neighbours}, expected {expected}")
        self._images, self._nearest = images, None
        return images, backend_of(images).xp.arange(len(images))

    def sample(self, images, index, rng):
        if self._nearest is None:  # found at the first step: who only encodes need not wait for it
            self._nearest = nearest_rows(self._images.reshape(len(self._images), -1), self.neighbours)
        which = rng.integers(self.neighbours, size=len(images))
        partners = self._images[self._nearest[index, backend_of(index).asarray(which)]]
        return self.with_patches((images, partners), rng)
