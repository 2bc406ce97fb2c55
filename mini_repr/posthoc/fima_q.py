"""FIMA-Q: a network of few bits, rounded block by block so that what it says changes least.

Weights, and all that enters a product, are whole numbers on grids (``quantisers``), chosen from what a few images do in
full precision. Which way each weight is rounded is then learnt (AdaRound): its code is floor(w/s) + h + z, limited to
0 .. 2^b - 1, h = clip(1.2 sigmoid(α) - 0.1, 0, 1), starting where h is the fraction that was cut off, ending at α >= 0;
and with it the scales of what enters, whose gradient takes rounding for the identity.

The embedding of patches, the blocks and the head are treated in order, those before already quantised. With z a part's
outputs in full precision and ẑ what it gives now (N values per row, all tokens together), Δ = ẑ - z, p and p̂ the
network's answers, later parts whole:

    g = d KL( softmax(p / T) | softmax(p̂ / T) ) / dẑ,      KL ≈ ½ Δᵀ F Δ,      so g ≈ F Δ

and one backward pass tells what F does to Δ. Five times on the way the means over rows of |g| and |Δ| are taken, as one
more row each of G and D (k, N). The loss of a batch is one of

    mse         mean of Δ²
    brecq       mean of Δ² g², g each row's own, taken once
    diagonal    DG = mean of Δ² G̅, G̅ the mean of G's rows
    dplr        LR / LR_0 + DG / DG_0,      LR = mean over rows of a (D Dᵀ)⁻¹ aᵀ,  a = |Δ| Gᵀ (k numbers)

each divided by its value when G was last taken; of the head KL( softmax(z) | softmax(ẑ) ). Added is λ sum over weights
of 1 - |2 h - 1|^b, b falling from 20 to 2, after a fifth of the steps. So |g| stands for F where BRECQ takes g²: at
Δ = 0 the divergence is flat, so that g is linear in Δ.

Source: Wu et al. 2025, arXiv 2506.11543; github.com/ShiheWang/FIMA-Q, utils/block_recon.py and quantizers/adaround.py,
of which the four losses, their gradients, the soft and hard rounding and its penalty were run beside these and equal
them to round-off. There: T = 20, k = 5, λ = 0.01, 20,000 steps of 32 of 1,024 images, grids from 128 of them, Adam at
1e-3, of scales at 4e-5, falling to 0; each number that enters a part, or a product in it, is the quantised one with
probability 1/2, as here. AdaRound: Nagel et al. 2020, arXiv 2004.10568.
"""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import NamedTuple

import numpy as np

from mini_repr.autograd import Tensor, absolute, log_softmax, no_grad, softmax
from mini_repr.nn import Module, ViT, patchify
from mini_repr.nn.vit import placed
from mini_repr.optim import AdamW, cosine_with_warmup
from mini_repr.pages.arguments import Choice, Count, Positive, Rows
from mini_repr.pages.declare import procedure
from mini_repr.posthoc.quantisers import SMALLEST, WHOLE, QuantisedLinear, QuantisedViT, Uniform

LOSSES = ("nearest", "mse", "brecq", "diagonal", "dplr")
TEMPERATURE, TIMES, ROUNDING = 20.0, 5, 0.01
CALIBRATION = 128  # images by which grids are chosen


@procedure(paper="111")
def quantise(
    encoder,
    head,
    images: Rows("N C H W", frozen=True),
    bits: Count(least=2) = 3,
    input_bits: Count(least=2) = 3,
    loss: Choice(*LOSSES) = "dplr",
    steps: Count() = 300,
    batch_size: Count() = 32,
    lr: Positive = 1e-1,
    scale_lr: Positive = 3e-4,
    seed: Count(least=0) = 0,
):
    """A ViT and its classifier at few bits, without labels: a ``QuantisedViT``; encoder and head stay.

    Args:
        encoder: a ViT. head: linear, from pooled rows to scores. images: to calibrate with.
        bits: of weights, at most 8. input_bits: of what enters a product, at most 8 (pixels have 8), or 32 to leave it
            whole. loss: "nearest" learns nothing. lr, scale_lr: of the rounding, and of scales, which falls to 0.
    """
    made = calibrated(encoder, head, images, bits, input_bits)
    how = Learning(loss, steps, batch_size, lr, scale_lr)
    learn(made, encoder, head, images, how, np.random.default_rng(seed))
    return made


def calibrated(encoder, head, images, bits, input_bits):
    """A ``QuantisedViT`` whose weights are rounded to nearest.

    Raises:
        ValueError: bits above 8, or an encoder that is no ViT of images.
    """
    made = empty(encoder, head, bits, input_bits)
    made.calibrate(images[:CALIBRATION])
    return made


def empty(encoder, head, bits, input_bits):
    """A ``QuantisedViT`` whose grids are still to be chosen, or to be loaded."""
    if bits > 8 or (input_bits > 8 and input_bits != WHOLE):
        raise ValueError(
            f"quantise: bits: got {bits} and input_bits {input_bits}, expected 2 to 8, or {WHOLE} for inputs"
        )
    if type(encoder) is not ViT or encoder.times is not None:
        raise ValueError("quantise: encoder: got one that is no ViT of images, expected --encoder vit")
    return QuantisedViT(deepcopy(encoder).eval(), deepcopy(head), bits, input_bits)


class Learning(NamedTuple):
    """How rounding and scales are learnt: see ``quantise``."""

    loss: str
    steps: int
    batch_size: int
    lr: float
    scale_lr: float


class Part(NamedTuple):
    """What one part is fitted to: its inputs as they arrive and in full precision, its outputs, the network's answers.

    rest: from its outputs to scores, in full precision; None of the head.
    """

    module: Module
    arrived: np.ndarray
    inputs: np.ndarray
    outputs: np.ndarray
    answers: np.ndarray
    rest: Callable | None

    def slopes(self):
        """(|g|, |Δ|) of every row, (B, N) each."""
        with no_grad():
            found = self.module(Tensor(self.arrived)).data
        outputs = Tensor(found, True)
        divergence(self.rest(outputs), self.answers).backward()
        return [np.abs(x).reshape(len(found), -1) for x in (outputs.grad, found - self.outputs)]


def learn(made, encoder, head, images, how, rng):
    """Learn the rounding and the scales of a calibrated network, part by part, in place."""
    if how.loss == "nearest":
        return
    with no_grad():
        patches = patchify(images, encoder.patch)
        embedded = encoder.embed(Tensor(patches)).data
        tokens = [front(encoder, images).data]
        for block in encoder.blocks:
            tokens.append(block(Tensor(tokens[-1]))[0].data)
        pooled = pooled_of(encoder, Tensor(tokens[-1])).data
        answers = head(Tensor(pooled)).data

    def rest(start, outputs):
        return answers_of(encoder, head, outputs, start)

    def after_embedding(outputs):
        return answers_of(encoder, head, placed(outputs, encoder.places(), encoder.class_token), 0)

    learn_part(Part(made.embed, patches, patches, embedded, answers, after_embedding), how, rng)
    with no_grad():
        arrived = made.placed(made.embed(Tensor(patches))).data
    for number, block in enumerate(made.blocks):
        part = Part(block, arrived, tokens[number], tokens[number + 1], answers, partial(rest, number + 1))
        learn_part(part, how, rng)
        with no_grad():
            arrived = block(Tensor(arrived)).data
    with no_grad():
        arrived = made.pooled(Tensor(arrived)).data
    learn_part(Part(made.head, arrived, pooled, answers, answers, None), how, rng)


def learn_part(part, how, rng):
    """Learn which way the weights of a part are rounded, and the scales of what enters its products; then round."""
    modules = part.module.named_modules().values()
    layers = [m for m in modules if isinstance(m, QuantisedLinear)]
    grids = [m for m in modules if isinstance(m, Uniform) and m.bits != WHOLE]
    for layer in layers:
        layer.soften()
    for grid in grids:
        grid.rng = rng
    rounding = AdamW({str(k): layer.alpha for k, layer in enumerate(layers)}, how.lr, weight_decay=0.0)
    if grids:
        scales = AdamW({str(k): grid.scale for k, grid in enumerate(grids)}, how.scale_lr, weight_decay=0.0)
    slopes, apart, first, own = [], [], {}, None
    if how.loss == "brecq" and part.rest is not None:
        own = part.slopes()[0]
    for step in range(how.steps):
        due = step % max(1, how.steps // TIMES) == 0 and len(slopes) < TIMES
        if how.loss in ("diagonal", "dplr") and part.rest is not None and due:
            for kept, found in zip((slopes, apart), part.slopes(), strict=True):
                kept.append(found.mean(axis=0))
            first = {}
        index = rng.choice(len(part.inputs), min(how.batch_size, len(part.inputs)), replace=False)
        whole = rng.random(part.inputs[index].shape) < 0.5
        made = part.module(Tensor(np.where(whole, part.inputs[index], part.arrived[index])))
        if part.rest is None:
            total = divergence(made, part.outputs[index], 1.0)
        else:
            away = (made - part.outputs[index]).reshape(len(index), -1)
            total = reconstruction_loss(away, how.loss, slopes, apart, None if own is None else own[index], first)
        if step >= how.steps / 5:
            power = 20 - 18 * (step / how.steps - 0.2) / 0.8
            for layer in layers:
                total = total + (1 - absolute(layer.up() * 2 - 1) ** power).sum() * ROUNDING
        part.module.zero_grad()
        total.backward()
        rounding.step()
        if grids:
            scales.step(cosine_with_warmup(step, how.steps, 0, how.scale_lr))
        for grid in grids:
            np.maximum(grid.scale.data, SMALLEST, out=grid.scale.data)
    for layer in layers:
        layer.harden()
    for grid in grids:
        grid.rng = None


def reconstruction_loss(away, kind, slopes, apart, own, first):
    """The loss of a batch of Δ (B, N), each part divided by ``first``, which keeps its value where it has none.

    Args:
        slopes, apart: lists of the k rows of G and D. own: |g| (B, N) of these rows, for brecq.
    """
    parts = {}
    if kind == "mse":
        parts["mse"] = (away**2).mean()
    if kind == "brecq":
        parts["brecq"] = (away**2 * own**2).mean()
    if kind in ("diagonal", "dplr"):
        parts["diagonal"] = (away**2 * np.mean(slopes, axis=0)).mean()
    if kind == "dplr":
        g, d = np.stack(slopes), np.stack(apart)
        a = absolute(away) @ g.T
        parts["low rank"] = ((a @ np.linalg.inv(d @ d.T).astype(g.dtype)) * a).sum(axis=1).mean()
    for name, value in parts.items():
        first.setdefault(name, max(float(value.data), 1e-30))
    total = sum(value * (1 / first[name]) for name, value in parts.items())
    return total * 2 if kind == "diagonal" else total


def divergence(scores, answers, temperature=TEMPERATURE):
    """KL(softmax(answers / T) | softmax(scores / T)), the mean over rows."""
    with no_grad():
        wanted, log_wanted = softmax(answers / temperature).data, log_softmax(answers / temperature).data
    return ((log_wanted - log_softmax(scores / temperature)) * wanted).sum(axis=1).mean()


def judged(made, whole, part):
    """(accuracy of a network on labelled images, KL divergence of its answers from those of another).

    Args:
        made, whole: from images to scores.
    """
    with no_grad():
        scores = made(part.images)
        accuracy = float((scores.data.argmax(axis=1) == part.labels).mean())
        return accuracy, float(divergence(scores, whole(part.images).data, 1.0).data)


def front(encoder, images):
    """Tokens (B, N, D) that enter a ViT's first block."""
    return placed(encoder.embed(patchify(images, encoder.patch)), encoder.places(), encoder.class_token)


def answers_of(encoder, head, tokens, start):
    """Scores of tokens that enter block number ``start``, from 0."""
    for block in encoder.blocks[start:]:
        tokens = block(tokens)[0]
    return head(pooled_of(encoder, tokens))


def pooled_of(encoder, tokens):
    """Rows (B, D) of tokens that leave a ViT's last block."""
    rows, rest = encoder._cut(encoder.norm(tokens))
    return rest.mean(axis=1) if rows is None else rows
