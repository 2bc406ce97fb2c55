"""What a projection loses, patch by patch: how badly a network rebuilds the patches' embeddings from what it gives."""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.backend import backend_of, is_array
from mini_repr.metrics.rows import checked_rows
from mini_repr.nn import MLP
from mini_repr.optim import AdamW, cosine_with_warmup

NAME = "patch_reconstruction_loss"


def patch_reconstruction_loss(
    train_patches,
    train_projected,
    test_patches,
    test_projected,
    hidden=128,
    layers=3,
    steps=1000,
    batch=32,
    lr=1e-3,
    seed=0,
):
    """Loss (N, P) of every patch of the test items: 0 where all can be rebuilt, about 1 where nothing can.

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

    Measured: `mini-repr claim embedding_loss` (three connectors between an encoder of two-digit scenes and a reader):
    rank correlation of the loss where the question looks with a right answer -0.064 ± 0.034 (MLP) and -0.149 ± 0.015
    (resampler), for the MLP lower than that of the loss elsewhere, -0.042 ± 0.034: holds.

    Args:
        train_patches, test_patches: (N, P, D), before the projection. train_projected, test_projected: (N, M, E), the
            same items after it. float32 or float64, one type.
        hidden: width of f's hidden layers. layers: its linear layers. steps, lr: of AdamW, the rate a cosine with
            warm-up. batch: items a step. seed: of f's weights and of the batches.
    Raises:
        ValueError: shapes, types, values that are not finite, settings out of range.
    """
    given = {
        "train_patches": train_patches,
        "train_projected": train_projected,
        "test_patches": test_patches,
        "test_projected": test_projected,
    }
    _check(given, dict(hidden=hidden, layers=layers, steps=steps, batch=batch, lr=lr))
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


def _check(given, settings):
    for name, tokens in given.items():
        if not is_array(tokens) or tokens.ndim != 3:
            got = f"shape {tokens.shape}" if is_array(tokens) else type(tokens).__name__
            raise ValueError(f"{NAME}: {name}: got {got}, expected items by patches by dimensions")
        checked_rows(NAME, name, tokens.reshape(-1, tokens.shape[2]))
    dtypes = {str(tokens.dtype) for tokens in given.values()}
    if len(dtypes) > 1:
        raise ValueError(f"{NAME}: test_projected: got {' and '.join(sorted(dtypes))}, expected one type for all four")
    for kind in ("patches", "projected"):
        train, test = given[f"train_{kind}"].shape, given[f"test_{kind}"].shape
        if train[1:] != test[1:]:
            raise ValueError(f"{NAME}: test_{kind}: got shape {test}, expected (N, {train[1]}, {train[2]})")
    for part in ("train", "test"):
        count, got = (len(given[f"{part}_{kind}"]) for kind in ("patches", "projected"))
        if got != count:
            raise ValueError(f"{NAME}: {part}_projected: got {got} items, expected the {count} of {part}_patches")
    for name, value in settings.items():
        if not (value > 0 if name == "lr" else value >= 1):
            raise ValueError(f"{NAME}: {name}: got {value}, expected {'above 0' if name == 'lr' else '1 or more'}")
