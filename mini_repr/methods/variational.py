"""Press an image into a random code, and decode it: variational autoencoders and mutual information machines."""

import math

import numpy as np

from mini_repr.autograd import softplus, sqrt
from mini_repr.backend import backend_of
from mini_repr.methods.method import Method, Step
from mini_repr.nn import MLP, Encoded, Linear, Module
from mini_repr.pages.arguments import Count, Positive
from mini_repr.pages.declare import part


@part("method", "variational", paper="032")
class Variational(Method):
    """Encoder, Gaussian code, MLP decoder, for losses of codes such as ``a_mim``.

    From the encoder's pooled row a linear map makes the mean µ and the variance v of q(z|x) (``code`` numbers each); z
    is drawn from it, and the decoder, one hidden layer of ``hidden`` units, makes the image of z. v = least_variance +
    softplus(r): a loss that lowers the code's entropy, as ``a_mim`` does, has no least value without a floor.

    Regularisers of embeddings act on z: ``--add cmim_contrast=1`` makes it cMIM (Livne 2025, arXiv 2502.19642). That
    paper's *informative embeddings* are what the decoder's hidden layer says when it decodes µ; ``mini-repr embed``
    writes them as ``informative``, and µ as ``code``, beside the encoder's rows ``z``.
    """

    compares = ("reconstruction",)
    default_loss, default_views = "a_mim", ""

    def __init__(self, parts, *, code: Count() = 16, hidden: Count() = 256, least_variance: Positive = 1e-3):
        super().__init__(parts)
        self.image_shape = parts.data.train.images.shape[1:]
        self.head = Linear(self.encoder.width, 2 * code, parts.rng)
        self.decoder = MLP((code, hidden, math.prod(self.image_shape)), parts.rng)
        self.code, self.least_variance = code, least_variance

    @classmethod
    def fits(cls, loss):
        return loss.required == ["prediction", "target", "code", "mean", "variance"]

    def sample(self, images, rng):
        noise = rng.standard_normal((len(images), self.code), dtype=np.float32)
        return self.views(images, rng), backend_of(images).asarray(noise, dtype=images.dtype)

    def embed(self, images, noise):
        pooled = self.encoder(images).pooled
        mean, variance = self.codes(pooled)
        z = mean + sqrt(variance) * noise
        return self.decoder(z), z, mean, variance, pooled

    def codes(self, pooled):
        """(µ, v), (B, code) each, of the encoder's rows."""
        both = self.head(pooled)
        return both[:, : self.code], softplus(both[:, self.code :]) + self.least_variance

    def targets(self, images, noise):
        return (images.reshape(len(images), -1),)

    def compare(self, rows, targets, batch, objective):
        rebuilt, z, mean, variance, pooled = rows
        return Step(objective(rebuilt, *targets, z, mean, variance, embeddings=(z,)), pooled.data)

    def further_rows(self):
        """{name: module from images to rows}: the code's mean, and the decoder's hidden layer that decodes it."""
        return {"code": _Rows(self, lambda mean: mean), "informative": _Rows(self, self._hidden)}

    def _hidden(self, mean):
        return next(self.decoder.layers(mean))


class _Rows(Module):
    """Rows that a method makes of the mean of its codes, as an encoder gives them."""

    def __init__(self, method, of_mean):
        self.method, self.of_mean = method, of_mean

    def forward(self, images):
        mean, _ = self.method.codes(self.method.encoder(images).pooled)
        return Encoded(self.of_mean(mean))
