"""SSIM: autoencoders trained for structure make images that are recognised, and codes that classify, better.

Snell et al. 2015, arXiv 1511.06409: people preferred reconstructions by MS-SSIM to those by L1 and L2, and codes by it
classified better. No people here: a classifier trained on the training images names the reconstructed test images
("recognised"), and a linear probe reads the codes. Equal MLP autoencoders with 8 numbers a code; images of 8 x 8 pixels
hold one scale of a window of 5. Natural images differ in light and contrast: so do the digits here, each dimmed onto a
sloping background. Each loss has the learning rate of three whose images were recognised best on a fifth of the
training rows, over two seeds beyond those counted. Plain digits (black background, one contrast) were tried first, with
one scale and with two; there SSIM's images are not recognised better.
"""

import numpy as np

from mini_repr.autograd import Tensor, absolute, no_grad, sigmoid
from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.fitting import fit
from mini_repr.data import load
from mini_repr.losses.reconstruction.ms_ssim import ms_ssim
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.metrics import linear_probe
from mini_repr.nn import MLP

CODE, STEPS = 8, 1000
LOSSES = {  # and the learning rate
    "SSIM": (lambda made, images: ms_ssim(made, images, window=5), 3e-3),
    "L1": (lambda made, images: absolute(made - images).mean(), 3e-3),
    "L2": (lambda made, images: ((made - images) ** 2).mean(), 1e-2),
}


def lit(images, rng):
    """Each image at a contrast of 0.1 to 0.4 on a background of its own brightness that slopes in some direction."""
    y, x = np.mgrid[0:8, 0:8] / 7 - 0.5
    angle, slope, light, contrast = rng.uniform(
        [0, 0, 0.15, 0.1], [2 * np.pi, 0.3, 0.45, 0.4], (len(images), 1, 1, 4)
    ).transpose(3, 0, 1, 2)
    background = light + slope * (np.cos(angle) * x + np.sin(angle) * y)
    return np.clip(background[:, None] + contrast[:, None] * images, 0, 1).astype(np.float32)


def classifier(images, labels, rng):
    """What names the class of an image, an MLP that learnt these."""
    net, x = MLP((64, 128, 10), rng), images.reshape(len(images), -1)
    fit(net.named_parameters(), lambda i: cross_entropy(net(Tensor(x[i])), labels[i]), len(x), rng, steps=500)
    return lambda images: net(Tensor(images.reshape(len(images), -1))).data.argmax(axis=1)


def autoencoder(images, loss, lr, rng):
    """A function from images to (codes, images made of them), after training."""
    encoder, decoder = MLP((64, 128, CODE), rng), MLP((CODE, 128, 64), rng)
    parameters = {f"encoder.{name}": p for name, p in encoder.named_parameters().items()}
    parameters |= {f"decoder.{name}": p for name, p in decoder.named_parameters().items()}

    def both(images):
        code = encoder(Tensor(images.reshape(len(images), -1)))
        return code, sigmoid(decoder(code)).reshape(images.shape)

    fit(parameters, lambda i: loss(both(images[i])[1], images[i]), len(images), rng, steps=STEPS, lr=lr)
    return both


def measure(seed, data=None, losses=LOSSES):
    data, rng = data or load("digits"), np.random.default_rng(seed)
    labels, test_labels = data.train.labels, data.test.labels
    train, test = (lit(part.images, rng) for part in (data.train, data.test))
    name = classifier(train, labels, np.random.default_rng(seed))
    table = {"the images": {"recognised": (name(test) == test_labels).mean()}}
    for arm, (loss, lr) in losses.items():
        both = autoencoder(train, loss, lr, np.random.default_rng(seed))
        with no_grad():
            (code, _), (test_code, made) = both(train), both(test)
        table[arm] = {
            "recognised": (name(made.data) == test_labels).mean(),
            "probe": linear_probe(code.data, labels, test_code.data, test_labels),
        }
    return table


CLAIM = Claim(
    paper="117",
    says="SSIM trains autoencoders to images that are recognised, and codes that classify, better than L1 or L2 do",
    measure=measure,
    expects=(
        higher("recognised", "SSIM", "L2"),
        higher("recognised", "SSIM", "L1"),
        higher("probe", "SSIM", "L2"),
        higher("probe", "SSIM", "L1"),
    ),
    seeds=8,
    designs=4,
)
