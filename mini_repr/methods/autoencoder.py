"""Press an image through the encoder's pooled row, and rebuild it."""

import math

from mini_repr.methods.method import Method, Step
from mini_repr.nn import MLP
from mini_repr.pages.arguments import Count
from mini_repr.pages.declare import part


@part("method", "autoencoder", paper="117")
class Autoencoder(Method):
    """Encoder and MLP decoder; a loss of whole images compares the rebuilt image with the one that went in.

    Snell et al. 2015, arXiv 1511.06409, trains such networks by multi-scale structural similarity. ``hidden`` and
    ``layers``: width and number of the decoder's linear layers.
    """

    compares = ("reconstruction",)

    def __init__(self, parts, *, hidden: Count() = 256, layers: Count() = 2):
        super().__init__(parts)
        self.image_shape = parts.data.train.images.shape[1:]
        sizes = (self.encoder.width, *[hidden] * (layers - 1), math.prod(self.image_shape))
        self.decoder = MLP(sizes, parts.rng)

    @classmethod
    def fits(cls, loss):
        return super().fits(loss) and all(len(p.annotation.letters) == 4 for p in loss.arrays)

    def sample(self, images, rng):
        return (self.views(images, rng),)

    def embed(self, images):
        pooled = self.encoder(images).pooled
        return self.decoder(pooled).reshape(len(images), *self.image_shape), pooled

    def targets(self, images):
        return (images,)

    def compare(self, rows, targets, batch, objective):
        rebuilt, pooled = rows
        return Step(objective(rebuilt, *targets, embeddings=(pooled,)), pooled.data)
