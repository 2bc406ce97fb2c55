"""Press an image through the encoder's pooled row, and rebuild it."""

import math

from mini_repr.methods.method import Method, Step
from mini_repr.nn import MLP


class Autoencoder(Method):
    """Encoder and MLP decoder; a loss of whole images compares the rebuilt image with the one that went in.

    Snell et al. 2015, arXiv 1511.06409, trains such networks by multi-scale structural similarity.
    """

    folders = ("reconstruction",)

    def __init__(self, encoder, objective, views, data, rng, *, hidden=256, layers=2):
        super().__init__(encoder, objective, views)
        self.image_shape = data.train.images.shape[1:]
        self.decoder = MLP((encoder.width, *[hidden] * (layers - 1), math.prod(self.image_shape)), rng)

    @classmethod
    def fits(cls, loss):
        return super().fits(loss) and "mask" not in loss.parameters

    def draw(self, images, rng):
        return (self.views(images, rng),)

    def embed(self, images):
        pooled = self.encoder(images).pooled
        return self.decoder(pooled).reshape(len(images), *self.image_shape), pooled

    def targets(self, images):
        return (images,)

    def compare(self, rows, targets, batch):
        rebuilt, pooled = rows
        return Step(self.objective(rebuilt, *targets, embeddings=(pooled,)), pooled.data)
