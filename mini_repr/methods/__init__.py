"""Methods: how encoder, heads, views and loss become one step. What a loss compares decides which can train it."""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.data import parse_views
from mini_repr.losses import all_losses
from mini_repr.methods.masked import Masked
from mini_repr.methods.momentum import Momentum
from mini_repr.methods.objective import Objective
from mini_repr.methods.siamese import Siamese
from mini_repr.methods.supervised import Supervised
from mini_repr.nn import ENCODERS

METHODS = {"siamese": Siamese, "momentum": Momentum, "supervised": Supervised, "masked": Masked}


def default_method(loss):
    """Name of the first method that can train a loss."""
    return next(name for name, method in METHODS.items() if loss.folder in method.folders)


def build_encoder(settings, data, rng):
    """The encoder of a run, for the shape of its images. The same ``rng`` state gives the same weights.

    Raises:
        ValueError: the encoder takes no images, or a setting does not fit.
    """
    if ENCODERS[settings["encoder"]["name"]].takes != "images":
        raise ValueError(
            f"encoder {settings['encoder']['name']}: takes {ENCODERS[settings['encoder']['name']].takes}, "
            "the data holds images"
        )
    own = {name: value for name, value in settings["encoder"].items() if name != "name"}
    return ENCODERS[settings["encoder"]["name"]].make(data.train.images.shape[1:], rng, **own)


def build_method(settings, data, rng):
    """The method of a run, its encoder made first so that ``build_encoder`` alone gives the same one.

    Raises:
        ValueError: the method cannot train the loss, or the data lacks what it needs.
    """
    losses = all_losses()
    name = settings["method"]["name"]
    method, loss = METHODS[name], losses[settings["loss"]["name"]]
    if loss.folder not in method.folders:
        fit = [n for n, m in METHODS.items() if loss.folder in m.folders]
        raise ValueError(
            f"method {name}: cannot train {loss.name} (folder {loss.folder}), expected --method {' or '.join(fit)}"
        )
    encoder = build_encoder(settings, data, rng)
    objective = Objective(
        loss,
        {n: v for n, v in settings["loss"].items() if n not in ("name", "learn")},
        [(losses[n], x["weight"], {k: v for k, v in x.items() if k != "weight"}) for n, x in settings["add"].items()],
        settings["loss"]["learn"],
    )
    own = {n: v for n, v in settings["method"].items() if n not in ("name", "views")}
    return method(encoder, objective, parse_views(settings["method"]["views"]), data, rng, **own)


def encode(encoder, images, backend, batch=512):
    """Pooled rows (N, D) on the host of host images (N, C, H, W), in evaluation mode and without history."""
    was_training = encoder.training
    encoder.eval()
    with no_grad():
        rows = [
            backend.to_numpy(encoder(backend.asarray(images[start : start + batch])).pooled.data)
            for start in range(0, len(images), batch)
        ]
    encoder.train(was_training)
    return np.concatenate(rows)
