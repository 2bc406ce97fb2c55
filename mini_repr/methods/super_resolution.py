"""Make small images large, judged by what was there, by a model of opinions, or by a classifier's features."""

import numpy as np

from mini_repr.data.generated.opinions import OPINIONS, rated
from mini_repr.losses.scores.opinion_emd import opinion_emd
from mini_repr.losses.scores.opinion_shortfall import opinion_shortfall
from mini_repr.nn import MLP
from mini_repr.optim import descended
from mini_repr.pages.declare import part

FACTOR, BATCH = 4, 128


@part("procedure", "fitted_upscaler", paper="069")
def fitted_upscaler(
    images, rng, *, opinions=None, opinion_weight=0.02, features=None, feature_weight=0.3, steps=700, lr=1e-3
):
    """A network that makes images of a quarter of the size large again, an MLP's correction of nearest neighbours.

        L = mean (made - true)² + opinion_weight opinion_shortfall( opinions(made) )
            + feature_weight mean ( features(made) - features(true) )²

    the second term where there are ``opinions``, the explicit perceptual loss, the third where there are ``features``,
    the implicit one. Both models are frozen.

    Source: Yoshida, Akita, Haris, Ukita 2020, arXiv 2009.00382; which models of opinion and weights it takes could not
    be read, no official code was found.

    Args:
        images: (N, C, H, W) host array in [0, 1], sides divisible by 4. opinions, features: rows (N, C H W) to scores
            of opinions, and to features; tensors with a gradient.
    Returns:
        ``MLP`` for ``enlarged``.
    """
    small, rows = shrunk(images), images.reshape(len(images), -1)
    net = MLP((small[0].size, 256, 256, rows.shape[1]), rng, activation="gelu")

    def loss():
        chosen = rng.integers(len(rows), size=BATCH)
        made, true = enlarged(net, small[chosen]), rows[chosen]
        total = ((made - true) ** 2).mean()
        if opinions is not None:
            total = total + opinion_shortfall(opinions(made)) * opinion_weight
        if features is not None:
            total = total + ((features(made) - features(true).data) ** 2).mean() * feature_weight
        return total

    descended(net.named_parameters(), loss, steps=steps, lr=lr)
    return net


@part("procedure", "fitted_opinions", paper="069")
def fitted_opinions(images, blended, rng, *, steps=1000, lr=1e-3):
    """A model of opinions, rows (N, C H W) of images to scores of ten opinions, by ``opinion_emd``; then frozen.

    It must have seen what the networks that it is to judge do wrong: ``blended``, see ``rated``; else it prefers that.

    Source: Talebi, Milanfar 2017, arXiv 1709.05424 (NIMA).
    """
    net = MLP((images[0].size, 256, 128, OPINIONS), rng, activation="gelu")

    def loss():
        chosen = rng.integers(len(images), size=BATCH)
        seen, said = rated(images[chosen], rng, blended[chosen])
        return opinion_emd(net(seen.reshape(len(seen), -1)), said)

    descended(net.named_parameters(), loss, steps=steps, lr=lr)
    for parameter in net.parameters():
        parameter.requires_grad = False
    return net


def shrunk(images):
    """(N, C, H / 4, W / 4): means of blocks."""
    count, channels, height, width = images.shape
    return images.reshape(count, channels, height // FACTOR, FACTOR, width // FACTOR, FACTOR).mean(axis=(3, 5))


def enlarged(net, small):
    """Rows (N, C H W) of what a network makes of small images, a tensor: nearest neighbours plus its correction."""
    nearest = small.repeat(FACTOR, axis=2).repeat(FACTOR, axis=3)
    return net(small.reshape(len(small), -1)) + nearest.reshape(len(small), -1)


def expected_opinion(net, rows):
    """The mean over images, rows (N, C H W), of the opinion from 1 to 10 that a model expects."""
    return OPINIONS - float(opinion_shortfall(net(np.clip(rows, 0, 1))).data)
