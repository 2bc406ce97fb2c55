"""What a trained run is worth: its table, its layers, its embeddings."""

from functools import partial

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.backend import CPU, backend_of, get_backend
from mini_repr.data import CaptionedSet, PairSet, default_views, parse_views
from mini_repr.methods import (
    build_encoder,
    build_method,
    encode,
    encode_layer_codes,
    encode_layer_tokens,
    encode_layers,
    encode_tokens,
    encoded_kind,
    kind_of,
)
from mini_repr.methods.masked import spread_over_pixels
from mini_repr.methods.method import Batch
from mini_repr.methods.topic_model import counts_of
from mini_repr.metrics import topic_coherence, topic_diversity
from mini_repr.metrics.auc import auc_of_scores
from mini_repr.nn import ViT, frames_of_tubes, word_counts
from mini_repr.pages.names import choose
from mini_repr.posthoc.loss_landscape import filter_normalised, surface
from mini_repr.training import report
from mini_repr.training.folder import refuse_taken_file, whole_file
from mini_repr.training.run import WEIGHTS, Run
from mini_repr.training.stored import load_data, open_folder, stored_settings

# Images of a picture of what a run rebuilds.
PICTURED = 8
RAW, UNTRAINED, TRAINED = "raw input", "untrained", "trained"


def opened(path, data_name=None, device=None):
    """(the run in a folder, the data to look at): its own, or another set of the same kind (and image shape)."""
    home = open_folder(path)
    settings, own = stored_settings(home)
    run = Run(settings, own, get_backend(device or settings["device"]))
    run.restore(home)
    if kind_of(own) == "tables":
        if data_name not in (None, settings["data"]["name"]):
            raise ValueError(
                f"data {data_name}: the run in {path} knows the values of its own table alone, leave it out"
            )
        return run, own
    data = own if data_name is None else load_data({"name": data_name})
    if encoded_kind(data) != encoded_kind(own):
        raise ValueError(f"data {data_name}: holds {kind_of(data)}, the run in {path} takes {kind_of(own)}")
    shape, wanted = (getattr(one.train, "images", np.empty(0)).shape[1:] for one in (data, own))
    if shape != wanted:
        raise ValueError(f"data {data_name}: images of shape {shape}, the run in {path} takes {wanted}; leave it out")
    return run, data


def evaluate_layers(run, data):
    """The measures of every layer of a run's encoder, {"layer 1": {metric: number}, ...}: ``report.by_layer``.

    Of two towers of texts it is that of the texts b, compared with the same layer of that of a; of images with
    captions that of the images.
    """
    captioned = kind_of(data) == "captions"
    encoders = [run.method.encoder] if captioned else list(encoders_of(run.method, data).values())
    sides = [partial(encode_layers, encoder, backend=run.backend) for encoder in encoders]
    tokens_of = None
    if hasattr(encoders[-1], "layer_tokens"):
        tokens_of = partial(encode_layer_tokens, encoders[-1], backend=run.backend)
    codes_of = None
    if hasattr(encoders[-1], "layer_codes"):
        codes_of = partial(encode_layer_codes, encoders[-1], backend=run.backend)
    views = _views_of(run.settings, data) if kind_of(data) == "images" else None
    return report.by_layer(sides, tokens_of, data, views, codes_of)


def rebuilt_images(run, data):
    """Test images of a run of masked images as its method sees them: {name: (N, C, H, W) or (N, H, W) host arrays}.

    The first ``PICTURED`` test images, what is left visible of them, and what the method puts in the gaps; of hard
    patches mining also the scores of its teacher, and where the encoder has a class token where that looks in the last
    block, the mean over heads. Of clips as many frames of those that are predicted, clip by clip.

    Raises:
        ValueError: the method rebuilds nothing.
    """
    if not hasattr(run.method, "rebuilt"):
        raise ValueError(
            f"--plot: a run of method {run.method.page.name} rebuilds no images; give --layers too, for a picture of "
            "every layer's measures"
        )
    encoder = run.method.encoder
    frames = encoder.grid[0] if len(encoder.grid) == 3 else 1
    images = run.backend.asarray(data.test.images[: max(1, PICTURED // frames)])
    run.method.eval()
    with no_grad():
        panels = {"image": frames_of_tubes(images, encoder.tube)}
        panels |= run.method.rebuilt(images, np.random.default_rng(report.VIEW_SEED))
        if encoder.class_token is not None:
            panels["attention"] = looked_at(encoder, images)
    if images.ndim == 5:
        panels = {name: panel.reshape(-1, *panel.shape[2:]) for name, panel in panels.items()}
    return {name: run.backend.to_numpy(panel[:PICTURED]) for name, panel in panels.items()}


def looked_at(encoder, images):
    """(B, H, W): the weight that a ViT's last block gives each patch, the mean over heads.

    It is the class token's; the mean over all tokens' where there is none.
    """
    weights = encoder(images, attention=True).attention[-1].mean(axis=1)
    own = weights.mean(axis=1) if encoder.class_token is None else weights[:, 0, 1:]
    return spread_over_pixels(own, encoder)


def topics_of(run, data, words):
    """{"topics": [the first ``words`` words of each], "coherence", "diversity"} of a run of a topic model.

    Coherence is over all texts of a data set, training and test.

    Raises:
        ValueError: a run of another method, or more words than its vocabulary has.
    """
    method = run.method
    if not hasattr(method, "topics"):
        raise ValueError(f"--topics: a run of method {method.page.name} has no topics, expected one of topic_model")
    if not 2 <= words <= len(method.vocabulary):
        raise ValueError(f"--topics: got {words}, expected 2 to {len(method.vocabulary)}, the words of the run")
    topics = run.backend.to_numpy(method.topics())
    counts = counts_of(method.word_numbers([*data.train.texts, *data.test.texts]), len(method.vocabulary))
    return {
        "topics": [[method.vocabulary[v] for v in row.argsort()[::-1][:words]] for row in topics],
        "coherence": topic_coherence(topics, counts, top=words),
        "diversity": topic_diversity(topics, top=words),
    }


def drawn_images(run, count, label=None, steps=25, guidance=1.0, seed=0):
    """Images that a run of flow matching draws from noise.

    Args:
        count: of images; without a label they are of every class in turn. label: name of one class for all.
        steps: of the way from noise to image. guidance: see ``Flow.velocity``. seed: of the noise.
    Returns:
        (images (count, C, H, W) in [0, 1], names of their classes, empty where the run has none), on the host.
    Raises:
        ValueError: the run draws nothing, or has no such class.
    """
    method = run.method
    if not hasattr(method, "draw"):
        raise ValueError(f"sample: a run of method {method.page.name} draws no images, expected one of --method flow")
    known = method.classes
    if label is not None and not known:
        raise ValueError(f"--label {label}: the run knows no classes, leave it out")
    if not known and guidance != 1.0:
        raise ValueError(f"--guidance {guidance:g}: the run knows no classes to be guided to, leave it out")
    chosen = known.index(choose("label", label, known)) if label is not None else None
    classes = None
    if known:
        classes = np.arange(count) % len(known) if chosen is None else np.full(count, chosen)
    shape = (count, *method.encoder.image_shape)
    noise = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    method.eval()
    images = method.draw(run.backend.asarray(noise), classes, steps=steps, guidance=guidance)
    return run.backend.to_numpy(images), () if classes is None else tuple(known[c] for c in classes)


def embed(path, data, out, device=None):
    """Write embeddings of all rows of a data set, training rows first; returns {name of the rows: their shape}.

    The npz holds ``z`` (N, D) float32 (pairs of texts: ``a`` and ``b``, one row per text), ``is_test`` (N,) bool, where
    known, ``labels`` (N,) int64, and what further rows the run's method has. Texts one by one that a run of two towers
    embeds pass the first tower.
    """
    refuse_taken_file(out)
    arrays = embeddings(path, data, device)
    shapes = {name: rows.shape for name, rows in arrays.items() if name not in ("is_test", "labels")}
    with whole_file(out) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)
    return shapes


def embeddings(path, data=None, device=None):
    """{"z" (or "a" and "b"), "is_test" and, where known, "labels"} of all rows of a data set, training rows first.

    Methods that have them add ``further_rows`` under names of their own.
    """
    run, data = opened(path, data, device)
    parts = (data.train, data.test)
    encoders = encoders_of(run.method, data)
    arrays = {
        name: np.concatenate([encode(encoders[name], _inputs(part)[name], run.backend) for part in parts])
        for name in encoders
    }
    if hasattr(run.method, "further_rows"):
        for name, module in run.method.further_rows().items():
            arrays[name] = np.concatenate([encode(module, part.images, run.backend) for part in parts])
    arrays["is_test"] = np.repeat([False, True], [len(part) for part in parts])
    if data.train.labels is not None:
        arrays["labels"] = np.concatenate([part.labels for part in parts])
    return arrays


def landscape(path, steps, seed=0, rows=512):
    """(len(steps), len(steps)) losses around a run's weights, along two filter-normalised directions.

    In evaluation mode, on its first training rows, with the same views and masks everywhere.
    """
    run, _ = opened(path)
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
    run, data = opened(path)
    found = getattr(data.train, "images", np.empty((0, 0))).shape[1:]
    if found != shape:
        raise ValueError(f"{path}: takes {kind_of(data)} of shape {found}, expected images of shape {shape}")
    return lambda images: encode(run.method.encoder, images, run.backend)


def compare_answers(method, data):
    """{"trained", "share of yes"}: {"auc", "log_loss"} on the test rows of a table.

    Beside the run stands the share of yes in the training part, which tells all rows the same.
    """
    method.eval()
    with no_grad():
        logits = method.logits(data.test.rows).astype(np.float64)
    share = np.clip(data.train.labels.mean(), 1e-6, 1 - 1e-6)
    same = np.full(len(logits), np.log(share / (1 - share)))
    return {name: _answers(z, data.test.labels == 1) for name, z in ((TRAINED, logits), ("share of yes", same))}


def _answers(logits, yes):
    scores = {"auc": auc_of_scores(logits, yes)} if 0 < yes.sum() < len(yes) else {}
    return scores | {"log_loss": float(np.logaddexp(0, np.where(yes, -logits, logits)).mean())}


def _views_of(settings, data):
    """What makes two views of an image: the run's augmentations, the default ones where it has none."""
    return parse_views(settings["method"]["views"] or default_views(data.train.images))


def _towers(method):
    """The encoders of the two sides of pairs."""
    return getattr(method, "towers", (method.encoder, method.encoder))


def encoders_of(method, data):
    """{name of the rows: their encoder}: z, or a and b of pairs."""
    paired = kind_of(data) in ("texts", "captions")
    return dict(zip("ab", _towers(method), strict=True)) if paired else {"z": method.encoder}


def _inputs(part):
    if isinstance(part, CaptionedSet):
        return {"a": part.images, "b": part.texts}
    return {"a": part.a, "b": part.b} if isinstance(part, PairSet) else {"z": report.inputs_of(part)}


def neighbours_of(run):
    """{"knn": ...} of the encoder of a run on labelled images or texts as it stands: ``report.by_neighbours``."""
    z, labels = [], []
    for part in (run.data.train, run.data.test):
        z.append(encode(run.method.encoder, report.inputs_of(part), run.backend))
        labels.append(part.labels)
    return report.by_neighbours(z[0], labels[0], z[1], labels[1])


def compare(run, data=None):
    """{representation: {metric: number}} of a run's encoder, the same untrained, and the raw inputs, on test rows.

    Args:
        data: another set than the run's, of the same kind (and image shape).
    """
    settings, backend = run.settings, run.backend
    data = run.data if data is None else data
    if kind_of(data) == "tables":
        return compare_answers(run.method, data)
    rng = np.random.default_rng([settings["train"]["seed"], WEIGHTS])
    if kind_of(data) == "captions":
        fresh = build_method(settings, run.data, rng).to(backend)
        methods = {TRAINED: run.method, UNTRAINED: fresh}
        return report.compare_captioned({name: _sides(method, backend) for name, method in methods.items()}, data)
    fresh = build_encoder(settings, run.data, rng).to(backend)
    if kind_of(data) == "texts":
        return report.compare_pairs(
            {
                TRAINED: [partial(encode, tower, backend=backend) for tower in _towers(run.method)],
                UNTRAINED: [partial(encode, fresh, backend=backend)] * 2,
                RAW: [word_counts] * 2,
            },
            data,
        )
    encoders = {
        TRAINED: partial(encode, run.method.encoder, backend=backend),
        UNTRAINED: partial(encode, fresh, backend=backend),
    }
    if kind_of(data) == "sentences":
        return report.compare({**encoders, RAW: word_counts}, data)
    encoders[RAW] = lambda images: images.reshape(len(images), -1)
    return report.compare(encoders, data, _views_of(settings, data))


def _sides(method, backend):
    """What ``report.compare_captioned`` asks for of a method with towers for images and captions."""
    images, texts = method.towers
    patches = partial(encode_tokens, images, backend=backend) if isinstance(images.encoder, ViT) else None
    return partial(encode, images, backend=backend), partial(encode, texts, backend=backend), patches
