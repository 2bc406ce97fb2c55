"""A plain loop that predicts targets of other views, for claims whose networks or targets differ from the methods'."""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.claims.bench.fitting import fit
from mini_repr.claims.bench.trained import few_labels, scores
from mini_repr.data import DEFAULT_VIEWS, parse_views
from mini_repr.nn import MLP, ImageMLP, copy_of
from mini_repr.optim import update_ema


def bootstrapped(part, loss_of, seed, *, views=2, teachers=1, norms=("batch", "batch"), epochs=20, batch=128, lr=3e-3):
    """A small encoder (64 wide) that learnt, by AdamW, to predict the rows of moving averages of itself (BYOL).

    The predictor is as wide as the projector (256), the averages' momentum 0.99.

    Args:
        loss_of: takes the predictions of the views and, for each teacher, its projections of them (lists of tensors and
            of arrays (B, 64)), returns the loss.
        teachers: how many; they move in turn, one per step. With 0 the student's own projections (tensors) are targets.
        norms: of the encoder's hidden layer and of the heads': "batch", "layer" or None.
    Returns:
        (encoder, projector), trained.
    """
    rng = np.random.default_rng(seed)
    encoder = ImageMLP(part.images.shape[1:], rng, width=64, hidden=256, depth=2, norm=norms[0])
    online = {"encoder": encoder, "projector": MLP((64, 256, 64), rng, norm=norms[1])}
    predictor = MLP((64, 256, 64), rng, norm=norms[1])
    moving = [{name: copy_of(network) for name, network in online.items()} for _ in range(teachers)]
    view = parse_views(DEFAULT_VIEWS)

    def rows(networks, images):
        return networks["projector"](networks["encoder"](images).pooled)

    def loss_of_batch(index):
        images = [view(part.images[index], rng) for _ in range(views)]
        own = [rows(online, x) for x in images]
        with no_grad():
            targets = [[rows(networks, x).data for x in images] for networks in moving]
        return loss_of([predictor(z) for z in own], *(targets or [own]))

    def follow(step):
        if moving:
            for name, network in moving[step % len(moving)].items():
                update_ema(network.named_parameters(), online[name].named_parameters(), 0.99)

    networks = {**online, "predictor": predictor}
    parameters = {f"{k}.{name}": p for k, network in networks.items() for name, p in network.named_parameters().items()}
    steps = epochs * len(part) // batch
    fit(parameters, loss_of_batch, len(part), rng, steps=steps, batch=batch, lr=lr, watch=follow)
    return encoder, online["projector"]


def probe_scores(encoder, data, labels=10):
    """{"few", "knn", "probe"}: ``scores``, and ``few_labels`` with ``labels`` a class."""
    return {"few": few_labels(encoder, data, labels), **scores(encoder, data)}
