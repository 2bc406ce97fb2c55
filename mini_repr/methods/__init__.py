"""Methods: how encoder, heads, views and loss become one step. What a loss compares decides which can train it."""

from contextlib import contextmanager

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.data import ImageSet, PairSet, RowSet, parse_views
from mini_repr.methods.autoencoder import Autoencoder
from mini_repr.methods.continual import Continual
from mini_repr.methods.masked import Masked
from mini_repr.methods.method import Batch, needs_queue
from mini_repr.methods.momentum import Momentum
from mini_repr.methods.neighbours import Neighbours
from mini_repr.methods.objective import Objective
from mini_repr.methods.siamese import Siamese
from mini_repr.methods.supervised import Supervised
from mini_repr.methods.two_tower import TwoTower
from mini_repr.pages.registry import all_losses, pages_of

METHODS = {
    "siamese": Siamese,
    "momentum": Momentum,
    "supervised": Supervised,
    "masked": Masked,
    "autoencoder": Autoencoder,
    "two_tower": TwoTower,
    "continual": Continual,
    "neighbours": Neighbours,
}


def default_method(loss, takes="images"):
    """Name of the first method that can train a loss on "images" or "texts".

    Raises:
        ValueError: none can.
    """
    queue = needs_queue(loss, {})
    for name, method in METHODS.items():
        if method.fits(loss) and method.takes == takes and (method.keeps_queue or not queue):
            return name
    raise ValueError(f"loss {loss.name} (folder {loss.compares}): no method trains it on {takes}")


def default_encoder(takes):
    """Name of the encoder of "images" or "texts" that a run takes unless told otherwise."""
    return {"images": "vit", "texts": "text"}[takes]


def build_encoder(settings, data, rng):
    """The encoder of a run, for the shape of its images or for texts. The same ``rng`` state gives the same weights.

    Raises:
        ValueError: the encoder does not take what the data holds, or a setting does not fit.
    """
    name = settings["encoder"]["name"]
    encoders = {name: page.thing for name, page in pages_of("encoder").items()}
    make, takes = encoders[name], encoders[name].takes
    if takes != kind_of(data):
        fit = [n for n, encoder in encoders.items() if encoder.takes == kind_of(data)]
        raise ValueError(f"encoder {name}: takes {takes}, the data holds {kind_of(data)}: --encoder {' or '.join(fit)}")
    own = {name: value for name, value in settings["encoder"].items() if name != "name"}
    return make(rng, **own) if takes == "texts" else make(data.train.images.shape[1:], rng, **own)


def kind_of(data):
    """What a run can be trained on in a data set: "images" or "texts"; "rows" for plain rows."""
    return {ImageSet: "images", PairSet: "texts", RowSet: "rows"}[type(data.train)]


def build_method(settings, data, rng):
    """The method of a run, its encoder made first so that ``build_encoder`` alone gives the same one.

    Raises:
        ValueError: the method cannot train the loss, or the data lacks what it needs.
    """
    losses = all_losses()
    name = settings["method"]["name"]
    method, loss = METHODS[name], losses[settings["loss"]["name"]]
    if not method.fits(loss):
        fit = [n for n, m in METHODS.items() if m.fits(loss)]
        raise ValueError(
            f"method {name}: cannot train {loss.name} (folder {loss.compares}), expected --method {' or '.join(fit)}"
        )
    if method.takes != kind_of(data):
        fit = [n for n, m in METHODS.items() if m.takes == kind_of(data) and m.fits(loss)]
        hint = f"expected --method {' or '.join(fit)}" if fit else f"no method trains {loss.name} on {kind_of(data)}"
        raise ValueError(f"method {name}: takes {method.takes}, the data holds {kind_of(data)}: {hint}")
    encoder = build_encoder(settings, data, rng)
    objective = Objective(
        loss,
        {n: v for n, v in settings["loss"].items() if n in loss.parameters},
        [(losses[n], x["weight"], {k: v for k, v in x.items() if k != "weight"}) for n, x in settings["add"].items()],
        settings["loss"]["learn"],
        settings["loss"]["matryoshka"],
        settings["loss"]["reweight"],
    )
    own = {n: v for n, v in settings["method"].items() if n not in ("name", "views")}
    views = parse_views(settings["method"]["views"]) if method.takes == "images" else None
    return method(encoder, objective, views, data, rng, **own)


def encode(encoder, inputs, backend, batch=512):
    """Pooled rows (N, D) on the host of host images (N, C, H, W) or a list of texts, in evaluation mode."""
    return _in_batches(encoder, lambda *arrays: [encoder(*arrays).pooled], inputs, backend, batch)[0]


def encode_layers(encoder, inputs, backend, batch=512):
    """Rows (N, D) of every layer, likewise: a list, the first layer first."""
    return _in_batches(encoder, encoder.layer_rows, inputs, backend, batch)


def encode_layer_tokens(encoder, inputs, backend):
    """Tokens of every layer of an encoder that has ``layer_tokens``, all inputs at once.

    Returns:
        (list of (N, T, D), first layer first; (N, T) booleans, True at words, or None for images), on the host.
    """
    arrays = _arrays(encoder, inputs, backend)
    with _evaluating(encoder):
        tokens = [backend.to_numpy(one.data) for one in encoder.layer_tokens(*arrays)]
    return tokens, backend.to_numpy(arrays[1]) if len(arrays) > 1 else None


def _in_batches(encoder, rows_of, inputs, backend, batch):
    with _evaluating(encoder):
        parts = [
            [backend.to_numpy(z.data) for z in rows_of(*_arrays(encoder, inputs[start : start + batch], backend))]
            for start in range(0, len(inputs), batch)
        ]
    return [np.concatenate(rows) for rows in zip(*parts, strict=True)]


@contextmanager
def _evaluating(encoder):
    """Evaluation mode without recording, and back."""
    was_training = encoder.training
    encoder.eval()
    try:
        with no_grad():
            yield
    finally:
        encoder.train(was_training)


def _arrays(encoder, inputs, backend):
    return [backend.asarray(x) for x in (encoder.tokenise(inputs) if isinstance(inputs, list) else (inputs,))]
