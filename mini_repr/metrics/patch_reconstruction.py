"""What a projection loses, patch by patch: how badly a network rebuilds the patches' embeddings from what it gives."""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.backend import backend_of
from mini_repr.nn import MLP
from mini_repr.optim import AdamW, cosine_with_warmup
from mini_repr.pages.arguments import Count, Positive, Rows
from mini_repr.pages.declare import metric
from mini_repr.pages.page import definition


@metric(paper="019", one_dtype=True, tolerance=0.05, sizes={"K": 60, "N": 20, "P": 3, "D": 2, "M": 3, "E": 2})
def patch_reconstruction_loss(
    train_patches: Rows("K P D"),
    train_projected: Rows("K M E"),
    test_patches: Rows("N P D"),
    test_projected: Rows("N M E"),
    hidden: Count() = 128,
    layers: Count() = 3,
    steps: Count() = 1000,
    batch: Count() = 32,
    lr: Positive = 1e-3,
    seed: Count(0) = 0,
):
    """What a projection loses, patch by patch, about 1 where nothing can be rebuilt.

    Loss (N, P) of every patch of the test items.

    A network f learns on the training items to rebuild an item's patches x_p from its projected tokens c. Every
    dimension of x and of c is first brought to mean 0 and deviation 1 over all patches of the training items, so that
    f's loss, the mean over the D dimensions of a patch

        loss_p = |x_p - f(c)_p|² / D

    is about 1 where f knows no more than the mean. Rows are items: their mean is an item's loss, and a row, in the grid
    of its patches, is the map of where it is lost.

    f is an MLP with GELU. Where the projection keeps the number of tokens it takes a token to its patch, the same for
    all patches; where not, all tokens of an item to all its patches. It should be larger than what it undoes: what f
    fails to learn counts as lost too. ``layers=1`` makes f linear.

    Source: Li et al. 2025, arXiv 2509.11986, eq. 8, section 4.3 (normalised embeddings, three-layer MLP); the division
    by D as in its tables and official code. For another number of tokens the paper has a transformer; it trains 30
    epochs with dropout and early stopping, and its code normalises test items by their own mean and deviation.

    Args:
        train_patches, test_patches: before the projection. train_projected, test_projected: the same items after it.
        hidden: width of f's hidden layers. layers: its linear layers. steps, lr: of AdamW, the rate a cosine with
            warm-up. batch: items per step. seed: of f's weights and of the batches.
    """
    count, patches, width = train_patches.shape
    x, test_x = _standardised(train_patches, test_patches)
    c, test_c = _standardised(train_projected, test_projected)
    if c.shape[1] != patches:
        x, test_x, c, test_c = (rows.reshape(len(rows), 1, -1) for rows in (x, test_x, c, test_c))

    backend, rng = backend_of(x), np.random.default_rng(seed)
    sizes = (c.shape[2], *[hidden] * (layers - 1), x.shape[2])
    network = MLP(sizes, rng, activation="gelu", dtype=x.dtype).to(backend)
    optimizer = AdamW(network.named_parameters(), lr, weight_decay=0.0)
    for step in range(steps):
        index = backend.asarray(rng.choice(count, min(batch, count), replace=False))
        optimizer.zero_grad()
        ((network(c[index]) - x[index]) ** 2).mean().backward()
        optimizer.step(cosine_with_warmup(step, steps, steps // 20, lr))
    with no_grad():
        error = network(test_c).data - test_x
    return (error * error).reshape(len(error), patches, width).mean(axis=2)


def _standardised(train, test):
    """Both with the mean and deviation, by dimension, of all training tokens; a constant dimension is 0."""
    xp = backend_of(train).xp
    mean, deviation = train.mean(axis=(0, 1)), train.std(axis=(0, 1))
    # The range tells a constant: its deviation is the rounding of a long sum, which must not be blown up.
    noise = 8 * xp.finfo(train.dtype).eps * xp.abs(train).max(axis=(0, 1))
    varies = train.max(axis=(0, 1)) - train.min(axis=(0, 1)) > noise
    scale = xp.where(varies, deviation, xp.inf).astype(train.dtype)
    return (train - mean) / scale, (test - mean) / scale


@definition(patch_reconstruction_loss)
def patch_reconstruction_loss_definition(
    train_patches, train_projected, test_patches, test_projected, hidden, layers, steps, batch, lr, seed
):
    """The exact solution for a linear f (``layers`` = 1, as many tokens as patches): least squares."""
    sides = ((train_patches, test_patches), (train_projected, test_projected))
    (x, test_x), (c, test_c) = (
        [(rows - train.mean(axis=(0, 1))) / train.std(axis=(0, 1)) for rows in (train, test)] for train, test in sides
    )
    xp = backend_of(x).xp
    fitted = xp.linalg.lstsq(c.reshape(-1, c.shape[2]), x.reshape(-1, x.shape[2]), rcond=None)[0]
    return ((test_c @ fitted - test_x) ** 2).mean(axis=2)
