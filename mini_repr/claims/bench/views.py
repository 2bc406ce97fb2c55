"""A plain loop over views of images, for claims whose losses need more than two views or a state of their own."""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.claims.bench.fitting import fit, named
from mini_repr.data import DEFAULT_VIEWS, parse_views
from mini_repr.nn import ImageMLP, ProjectionHead, copy_of
from mini_repr.optim import update_ema


def trained_on_views(part, loss_of, seed, *, views=2, outputs=64, teacher=None, epochs=20, batch=128, lr=3e-3):
    """A small encoder (64 wide) that AdamW trained on random views of a part's images.

    Args:
        loss_of: takes the projected rows of the views (tensors (B, outputs)) and the samples' numbers (B,).
        teacher: momentum of a moving average of the networks; all views after the first are its rows then.
    """
    rng = np.random.default_rng(seed)
    encoder = ImageMLP(part.images.shape[1:], rng, width=64, hidden=256, depth=2)
    head = ProjectionHead(encoder.width, 256, outputs, rng)
    online = [encoder, head]
    moving = online if teacher is None else [copy_of(one) for one in online]
    view = parse_views(DEFAULT_VIEWS)

    def rows(networks, index):
        encoder, head = networks
        return head(encoder(view(part.images[index], rng)).pooled)

    def loss_of_batch(index):
        first = rows(online, index)
        if teacher is None:
            return loss_of([first, *(rows(online, index) for _ in range(views - 1))], index)
        with no_grad():
            others = [rows(moving, index) for _ in range(views - 1)]
        return loss_of([first, *others], index)

    def follow(step):
        for one, other in zip(moving, online, strict=True):
            if teacher is not None:
                update_ema(one.named_parameters(), other.named_parameters(), teacher)

    steps = epochs * len(part) // batch
    fit(named(*online), loss_of_batch, len(part), rng, steps=steps, batch=batch, lr=lr, watch=follow)
    return encoder
