"""Noises that will become different images of one caption."""

from mini_repr.autograd import Tensor
from mini_repr.losses.pairs.contrastive_noise import contrastive_noise
from mini_repr.optim import AdamW
from mini_repr.pages.declare import part


@part("procedure", "diversified", paper="085")
def diversified(noise, clean_of, *, steps=8, lr=0.15, temperature=0.1, gamma=None):
    """A batch of noises moved until what they would become lies apart, by a few steps of Adam on ``contrastive_noise``.

    The network is taken as a constant: the clean estimate is the noise plus something, so that the gradient of the
    estimate is that of the noise, and no pass goes backward through the network.

    Source: Kim, Um, Ye 2025, arXiv 2510.03813. Steps and their size are chosen here, the paper's are not known.

    Args:
        noise: (B, ...) array, B >= 2. clean_of: noises to clean estimates of the same shape, arrays: with flow matching
            at t = 1, z - v(z).
        temperature, gamma: of the loss.
    Returns:
        (B, ...).
    """

    def rows(z):
        return clean_of(z).reshape(len(z), -1)

    z = Tensor(noise.copy(), requires_grad=True)
    optimizer, reference = AdamW({"z": z}, lr, weight_decay=0.0), rows(noise)
    for _ in range(steps):
        _, gradients = contrastive_noise.value_and_grad(rows(z.data), reference, temperature, gamma)
        z.grad = gradients["a"].reshape(z.shape)
        optimizer.step()
    return z.data
