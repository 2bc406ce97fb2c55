"""What a trained run is worth: its table, its layers, its embeddings."""

import os
from functools import partial
from pathlib import Path

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.backend import CPU, backend_of, get_backend
from mini_repr.data import PairSet, parse_views
from mini_repr.methods import (
    build_encoder,
    encode,
    encode_layer_codes,
    encode_layer_tokens,
    encode_layers,
    kind_of,
)
from mini_repr.methods.masked import spread_over_pixels
from mini_repr.methods.method import Batch
from mini_repr.nn import word_counts
from mini_repr.posthoc.loss_landscape import filter_normalised, surface
from mini_repr.training import report
from mini_repr.training.run import WEIGHTS, Run
from mini_repr.training.stored import load_data, open_folder, stored_settings

# Images of a picture of what a run rebuilds.
PICTURED = 8
RAW, UNTRAINED, TRAINED = "raw input", "untrained", "trained"


def evaluate(path, data=None, device=None):
    """The table of a run folder, on its own data or another set of the same kind (and image shape)."""
    return compare(*_trained(path, data, device))


def evaluate_layers(path, data=None, device=None):
    """The measures of every layer of a run's encoder, {"layer 1": {metric: number}, ...}: ``report.by_layer``.

    Of two towers it is that of the texts b, compared with the same layer of that of a.
    """
    run, data = _trained(path, data, device)
    encoders = list(_encoders(run.method).values())
    sides = [partial(encode_layers, encoder, backend=run.backend) for encoder in encoders]
    tokens_of = None
    if hasattr(encoders[-1], "layer_tokens"):
        tokens_of = partial(encode_layer_tokens, encoders[-1], backend=run.backend)
    codes_of = None
    if hasattr(encoders[-1], "layer_codes"):
        codes_of = partial(encode_layer_codes, encoders[-1], backend=run.backend)
    views = parse_views(run.settings["method"]["views"]) if kind_of(data) == "images" else None
    return report.by_layer(sides, tokens_of, data, views, codes_of)


def rebuilt_images(path, data=None, device=None):
    """Test images of a run of masked images as its method sees them: {name: (N, C, H, W) or (N, H, W) host arrays}.

    The first ``PICTURED`` test images, what is left visible of them, and what the method puts in the gaps; of hard
    patches mining also the scores of its teacher, and where the encoder has a class token where that looks in the last
    block, the mean over heads.

    Raises:
        ValueError: the method rebuilds nothing.
    """
    run, data = _trained(path, data, device)
    if not hasattr(run.method, "rebuilt"):
        raise ValueError(
            f"--plot: a run of method {run.method.page.name} rebuilds no images; give --layers too, for a picture of "
            "every layer's measures"
        )
    images = run.backend.asarray(data.test.images[:PICTURED])
    run.method.eval()
    with no_grad():
        panels = {"image": images, **run.method.rebuilt(images, np.random.default_rng(report.VIEW_SEED))}
        if getattr(run.method.encoder, "class_token", None) is not None:
            panels["attention"] = _looked_at(run.method.encoder, images)
    return {name: run.backend.to_numpy(panel) for name, panel in panels.items()}


def _looked_at(encoder, images):
    """(B, H, W): the weight that the class token of a ViT gives each patch in the last block, the mean over heads."""
    weights = encoder(images, attention=True).attention[-1][:, :, 0, 1:].mean(axis=1)
    return spread_over_pixels(weights, encoder)


def embed(path, data, out, device=None):
    """Write embeddings of all rows of a data set, training rows first; returns {name of the rows: their shape}.

    The npz holds ``z`` (N, D) float32 (pairs of texts: ``a`` and ``b``, one row per text), ``is_test`` (N,) bool and,
    where known, ``labels`` (N,) int64.
    """
    if os.path.exists(out):
        raise ValueError(f"--out {out}: exists already; choose another name or remove it")
    if not Path(out).name or not Path(out).parent.is_dir():
        raise ValueError(f"--out {out}: no folder {Path(out).parent}" if out else "--out: got '', expected a file")
    arrays = embeddings(path, data, device)
    shapes = {name: rows.shape for name, rows in arrays.items() if name in ("z", "a", "b")}
    temporary = f"{out}.{os.getpid()}.partial"
    try:
        with open(temporary, "wb") as file:
            np.savez(file, **arrays)
        os.replace(temporary, out)
    except OSError as error:
        raise ValueError(f"--out {out}: cannot be written: {error.strerror}") from None
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)
    return shapes


def embeddings(path, data=None, device=None):
    """{"z" (or "a" and "b"), "is_test" and, where known, "labels"} of all rows of a data set, training rows first."""
    run, data = _trained(path, data, device)
    parts = (data.train, data.test)
    encoders = _encoders(run.method)
    arrays = {
        name: np.concatenate([encode(encoders[name], _inputs(part)[name], run.backend) for part in parts])
        for name in encoders
    }
    arrays["is_test"] = np.repeat([False, True], [len(part) for part in parts])
    if data.train.labels is not None:
        arrays["labels"] = np.concatenate([part.labels for part in parts])
    return arrays


def landscape(path, steps, seed=0, rows=512):
    """(len(steps), len(steps)) losses around a run's weights, along two filter-normalised directions.

    In evaluation mode, on its first training rows, with the same views and masks everywhere.
    """
    run, _ = _trained(path, None, None)
    run.method.eval()
    index = np.arange(min(rows, len(run.data.train)))
    labels = None if run.labels is None else run.labels[index]
    moved = run.backend.asarray(index)
    inputs = tuple(array[index if backend_of(array) is CPU else moved] for array in run.inputs)
    parameters = run.method.trained_parameters()
    rng = np.random.default_rng(seed)
    directions = [filter_normalised(parameters, rng) for _ in range(2)]

    def loss():
        with no_grad():
            step = run.method.step(Batch(inputs, labels, moved), np.random.default_rng(report.VIEW_SEED))
        return float(step.total.data)

    return surface(loss, parameters, *directions, steps, steps)


def image_encoder(path, shape):
    """A map from images (N, *shape) to rows (N, D): the encoder of a run that was trained on images of that shape.

    Raises:
        ValueError: the run takes others.
    """
    run, data = _trained(path, None, None)
    found = getattr(data.train, "images", np.empty((0, 0))).shape[1:]
    if found != shape:
        raise ValueError(f"{path}: takes {kind_of(data)} of shape {found}, expected images of shape {shape}")
    return lambda images: encode(run.method.encoder, images, run.backend)


def _trained(path, data_name, device):
    """(the run in a folder, the data to look at): its own, or another set that its encoder takes."""
    home = open_folder(path)
    settings, own = stored_settings(home)
    run = Run(settings, own, get_backend(device or settings["device"]))
    run.restore(home)
    data = own if data_name is None else load_data({"name": data_name})
    if kind_of(data) != kind_of(own):
        raise ValueError(f"data {data_name}: holds {kind_of(data)}, the run in {path} takes {kind_of(own)}")
    return run, data


def _encoders(method):
    """{name of the rows: their encoder}: z, or a and b of pairs."""
    return dict(zip("ab", method.towers, strict=True)) if method.takes == "texts" else {"z": method.encoder}


def _inputs(part):
    return {"a": part.a, "b": part.b} if isinstance(part, PairSet) else {"z": part.images}


def compare(run, data=None):
    """{representation: {metric: number}} of a run's encoder, the same untrained, and the raw inputs, on test rows."""
    settings, backend = run.settings, run.backend
    data = run.data if data is None else data
    rng = np.random.default_rng([settings["train"]["seed"], WEIGHTS])
    fresh = build_encoder(settings, run.data, rng).to(backend)
    if kind_of(data) == "texts":
        return report.compare_pairs(
            {
                TRAINED: [partial(encode, tower, backend=backend) for tower in run.method.towers],
                UNTRAINED: [partial(encode, fresh, backend=backend)] * 2,
                RAW: [word_counts] * 2,
            },
            data,
        )
    encoders = {
        TRAINED: partial(encode, run.method.encoder, backend=backend),
        UNTRAINED: partial(encode, fresh, backend=backend),
        RAW: lambda images: images.reshape(len(images), -1),
    }
    return report.compare(encoders, data, parse_views(settings["method"]["views"]))
