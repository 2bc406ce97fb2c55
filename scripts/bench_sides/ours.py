"""Our side. A function named after a row builds its inputs and returns the step to be measured.

What a side of a row computes of a model and its inputs is a function of its own: a test holds them against each other.
"""

import sys
import time

import numpy as np

from bench_sides.common import (
    CAPTION,
    CHOSEN,
    HIDDEN,
    LABELS,
    LOSSES,
    NESTED,
    PAGE,
    RHO,
    TEXTS,
    VOCABULARY,
    WORDS,
    captions,
    images,
    labelled_rows,
    large_rows,
    rows,
)
from bench_sides.measuring import measure, peak_bytes, process

# ---------------------------------------------------------------------------------------------------------------------
# What the processor can do.


def product():
    """A matrix product of NumPy's, as a measure of the processor: 17.2 GFLOP."""
    x, y = rows(2048, 2048)
    return lambda: x @ y


# ---------------------------------------------------------------------------------------------------------------------
# Training steps: two views of 256 images, InfoNCE, AdamW.


def encoder_and_head(make_encoder):
    """One module from images to projected rows."""
    from mini_repr.nn import ProjectionHead, Sequential

    rng = np.random.default_rng(0)
    encoder = make_encoder(rng)
    return Sequential(encoder, lambda encoded: encoded.pooled, ProjectionHead(encoder.width, 256, 128, rng))


def views_loss(module, data):
    """InfoNCE of images of which the first half shows what the second does."""
    from mini_repr.autograd import split
    from mini_repr.losses.pairs.infonce import infonce

    return infonce(*split(module(data), (len(data) // 2,) * 2), temperature=0.2)


def descending(parameters, loss):
    """The step that lowers ``loss()``."""
    from mini_repr.optim import AdamW

    optimizer = AdamW(parameters, 1e-3)

    def step():
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def views_step(make_encoder):
    module, data = encoder_and_head(make_encoder), images()
    return descending(module.named_parameters(), lambda: views_loss(module, data))


def small_vit(rng):
    from mini_repr.nn import ViT

    return ViT((1, 28, 28), rng, patch=4, width=128, depth=4, heads=4)


def vit():
    return views_step(small_vit)


def mlp():
    from mini_repr.nn import ImageMLP

    return views_step(lambda rng: ImageMLP((1, 28, 28), rng, width=128, hidden=512, depth=3, norm=None))


def crate():
    from mini_repr.nn import Crate

    return views_step(lambda rng: Crate((1, 28, 28), rng, patch=4, width=128, depth=4, heads=4))


def sam():
    """The ViT's step at the worst point nearby, of half as many images: two passes."""
    from mini_repr.optim import SAM, AdamW

    module, data, rng = encoder_and_head(small_vit), images()[::2], np.random.default_rng(0)
    optimizer = SAM(AdamW(module.named_parameters(), 1e-3), RHO)
    return lambda: sam_step(optimizer, module, rng, lambda: views_loss(module, data))


def sam_step(optimizer, module, rng, loss):
    from mini_repr.optim.sam import passing_state

    before = passing_state(module, rng)
    optimizer.zero_grad()
    loss().backward()
    optimizer.second_pass(lambda: loss().backward(), module, rng, before)
    optimizer.step()


def mae(hidden=HIDDEN):
    """Masked autoencoding of 512 images: the encoder of ``vit``, a decoder of one block of width 64."""
    from mini_repr.masking import random_mask
    from mini_repr.nn import Decoder

    rng = np.random.default_rng(0)
    encoder = small_vit(rng)
    decoder = Decoder(encoder, 64, 1, 4, 16, rng)
    parameters = {**encoder.named_parameters(), **{f"head.{n}": p for n, p in decoder.named_parameters().items()}}
    data = images()
    return descending(
        parameters, lambda: mae_loss(encoder, decoder, data, random_mask(rng, len(data), 49, hidden / 49))
    )


def mae_loss(encoder, decoder, data, mask):
    from mini_repr.losses.reconstruction.masked_regression import masked_regression
    from mini_repr.masking import visible_patches
    from mini_repr.nn import patchify

    prediction = decoder(encoder(data, visible=visible_patches(mask)).tokens, mask)
    return masked_regression(prediction, patchify(data, encoder.patch), mask)


def full():
    """The same with every patch but one in the encoder."""
    return mae(hidden=1)


def flow():
    """Flow matching of 256 images: a denoiser as large as ``vit`` without its class token."""
    from mini_repr.methods.flow import middling_times
    from mini_repr.nn import Denoiser, copy_of
    from mini_repr.optim import update_ema

    rng = np.random.default_rng(0)
    denoiser = Denoiser((1, 28, 28), rng, patch=4, width=128, depth=4, heads=4, mlp_ratio=4.0)
    average, data = copy_of(denoiser), 2 * images()[:256] - 1
    parameters, averages = denoiser.named_parameters(), average.named_parameters()

    def loss():
        noise = rng.standard_normal(data.shape, dtype=np.float32)
        return flow_loss(denoiser, data, noise, middling_times(rng, len(data)))

    descend = descending(parameters, loss)

    def step():
        descend()
        update_ema(averages, parameters, 0.995)

    return step


def flow_loss(denoiser, data, noise, times):
    from mini_repr.losses.reconstruction.flow_matching import flow_matching
    from mini_repr.methods.flow import mixed
    from mini_repr.nn import patchify

    patches = denoiser.denoise(mixed(data, noise, times), times).patches
    return flow_matching(patches, *(patchify(x, denoiser.patch) for x in (data, noise)))


def text_step(causal):
    """A step of language modelling: a text transformer as large as ``vit``, scores by its table of words."""
    from mini_repr.autograd import Tensor
    from mini_repr.nn import LanguageHead

    rng = np.random.default_rng(0)
    encoder = text_encoder(rng, WORDS, causal)
    head, token = LanguageHead(encoder.words, rng), Tensor(np.zeros(128, np.float32), requires_grad=True)
    ids = rng.integers(VOCABULARY, size=(TEXTS, WORDS))

    def loss():
        places = rng.random(ids.shape).argsort(axis=1)[:, :CHOSEN]
        return text_loss(encoder, head, token, ids, None if causal else places)

    return descending({**encoder.named_parameters(), "head.bias": head.bias, "token": token}, loss)


def text_encoder(rng, words, causal):
    from mini_repr.nn import TextTransformer

    shape = {"width": 128, "depth": 4, "heads": 4, "mlp_ratio": 4.0, "max_tokens": words}
    return TextTransformer(rng, buckets=VOCABULARY, causal=causal, **shape)


def text_loss(encoder, head, token, ids, places):
    """Cross-entropy of the words at ``places`` (B, M), which ``token`` replaces; None: of each next word."""
    from mini_repr.losses.scores.cross_entropy import cross_entropy
    from mini_repr.nn.gaps import at_places

    everywhere = np.ones(ids.shape, dtype=bool)
    if places is None:
        found, goals = encoder(ids, everywhere).tokens[:, :-1], ids[:, 1:]
    else:
        hidden = np.zeros_like(everywhere)
        np.put_along_axis(hidden, places, True, axis=1)
        found = at_places(encoder(ids, everywhere, replace=hidden, mask_token=token).tokens, places)
        goals = np.take_along_axis(ids, places, axis=1)
    return cross_entropy(head(found.reshape(-1, found.shape[-1])), goals.reshape(-1))


def mlm():
    return text_step(causal=False)


def causal():
    return text_step(causal=True)


def two_tower():
    """CLIP: 256 images and their captions, a transformer each, a linear map each, a learned temperature."""
    from mini_repr.autograd import Tensor
    from mini_repr.nn import Linear

    rng = np.random.default_rng(0)
    parts = {
        "image": small_vit(rng),
        "image_map": Linear(128, 128, rng, bias=False),
        "text": text_encoder(rng, CAPTION, causal=False),
        "text_map": Linear(128, 128, rng, bias=False),
    }
    temperature = Tensor(np.asarray(np.log(0.07), np.float32), requires_grad=True)
    parameters = {f"{part}.{n}": p for part, module in parts.items() for n, p in module.named_parameters().items()}
    data, ids = images()[::2], captions()
    return descending(parameters | {"temperature": temperature}, lambda: two_tower_loss(parts, temperature, data, ids))


def two_tower_loss(parts, log_temperature, data, ids):
    from mini_repr.autograd import exp
    from mini_repr.losses.pairs.infonce import infonce

    a = parts["image_map"](parts["image"](data).pooled)
    b = parts["text_map"](parts["text"](ids, np.ones(ids.shape, dtype=bool)).pooled)
    return infonce(a, b, temperature=exp(log_temperature))


# ---------------------------------------------------------------------------------------------------------------------
# Losses: value and gradient.


def loss(name):
    inputs = (*rows(), LABELS)
    return lambda: loss_value_and_grad(name, *inputs)


def loss_value_and_grad(name, a, b, labels):
    from mini_repr.pages.registry import all_losses

    page = all_losses()[PAGE.get(name, name)]
    return page.value_and_grad(*((a, labels) if page.compares == "labels" else (a, b)), **LOSSES[name])


def tiled(name):
    inputs = large_rows()
    return lambda: loss_value_and_grad(name, *inputs)


def matryoshka():
    from mini_repr.autograd import Tensor

    a, b = (Tensor(x, requires_grad=True) for x in rows())

    def step():
        a.grad = b.grad = None
        nested_loss(a, b, NESTED).backward()

    return step


def nested_loss(a, b, columns):
    """The mean of InfoNCE over leading columns of tensors."""
    from mini_repr.losses.pairs.infonce import infonce
    from mini_repr.methods.objective import Objective

    return Objective(infonce, LOSSES["infonce"], matryoshka=columns)(a, b)


def large():
    """InfoNCE at B = 65,536, D = 256, where torch's matrix and its copies would take over 48 GiB."""
    from mini_repr.losses.pairs.infonce import infonce

    few, many = rows(4096, 256), rows(65536, 256)
    per_pair = measure(lambda: infonce.value_and_grad(*few), 3)["seconds"] / 4096**2
    started, before = time.perf_counter(), peak_bytes()
    infonce.value_and_grad(*many)
    seconds = time.perf_counter() - started
    result = {"seconds": seconds, "bytes": peak_bytes() - before}
    return result | {"per_pair_over_small": seconds / 65536**2 / per_pair}


# ---------------------------------------------------------------------------------------------------------------------
# What ``eval`` measures, starting up, and the main job.


def knn():
    from mini_repr.metrics import knn_accuracy

    inputs = labelled_rows()
    return lambda: knn_accuracy(*inputs)


def probe():
    from mini_repr.metrics import linear_probe

    inputs = labelled_rows()
    return lambda: linear_probe(*inputs)


def start():
    return process([sys.executable, "-m", "mini_repr.cli", "--version"])


def digits():
    """The main job's training: 100 epochs on the digits, from import to embedded rows."""
    started, before = time.perf_counter(), peak_bytes()
    from mini_repr.backend import CPU
    from mini_repr.data import DEFAULT_VIEWS, load
    from mini_repr.methods import encode
    from mini_repr.training import config
    from mini_repr.training.run import Run

    run = Run(config.resolve({"method": {"views": DEFAULT_VIEWS}}), load("digits"), CPU)
    while not run.finished:
        run.train_epoch()
    encode(run.method.encoder, run.data.test.images, CPU)
    return {"seconds": time.perf_counter() - started, "bytes": peak_bytes() - before}
