"""Two views of each image through one encoder and one projector: SimCLR."""

from mini_repr.backend import backend_of
from mini_repr.masking import random_mask, visible_patches
from mini_repr.methods.method import Method, Step
from mini_repr.methods.state import states_for
from mini_repr.nn import Heads
from mini_repr.pages.declare import part


@part("method", "simclr", aliases=("siamese",))
class SimCLR(Method):
    """Two views through one encoder and one projector: SimCLR and its kin (losses of pairs), regularisers alone.

    The encoder sees both views in one batch; the projector sees them one after the other, so that its batch statistics
    never mix the views. A loss of sequences gets the projected patch tokens: of the first view all, of the second a
    random half, in order.

    Source: Chen et al. 2020, arXiv 2002.05709, section 2.1.
    """

    compares = ("pairs", "embeddings")
    heads = Heads()

    def __init__(self, parts):
        super().__init__(parts)
        self.sequences = self.objective.loss.sequences
        if self.sequences and not getattr(self.encoder, "hides_patches", False):
            name = self.objective.loss.name
            raise ValueError(f"{self.page.title}: {name} compares sequences of patches, expected --encoder vit")
        self.projector = parts.heads.projector(self.encoder.width, parts.rng)
        self.loss_states = states_for(self.objective, parts.data, parts.heads.dimensions, parts.rng)

    def sample(self, images, rng):
        return self.with_patches(super().sample(images, rng), rng)

    def with_patches(self, views, rng):
        """The two views and, for a loss of sequences, which patches of the second one the encoder sees."""
        if not self.sequences:
            return views
        return *views, visible_patches(random_mask(rng, len(views[0]), self.encoder.patch_count, 0.5))

    def embed(self, first, second, visible=None):
        if not self.sequences:
            return tuple(map(self.projector, self.encode_views(first, second)))
        visible = backend_of(first).asarray(visible)
        encoded = self.encoder(first), self.encoder(second, visible=visible)
        return tuple(self.projector(one.tokens) for one in encoded)

    def compare(self, rows, targets, batch, objective):
        za, zb = rows
        embeddings = (za.mean(axis=1), zb.mean(axis=1)) if self.sequences else rows
        return Step(self.compare_two(za, zb, batch, objective, embeddings), embeddings[0].data)
