"""FIMA-Q: weights of few bits, rounded block by block so that what the network says changes least.

A weight W (inputs, outputs) becomes whole numbers times a scale per column, s_c: the one of 40 shares of the column's
largest |w| whose nearest rounding has the least squared error. Which way each number is rounded is then learnt
(AdaRound): W_q = s clip(floor(W/s) + h, -2^{bits-1}, 2^{bits-1} - 1), h = clip(1.2 sigmoid(α) - 0.1, 0, 1), starting
where h is the fraction that was cut off, ending at α >= 0.

Blocks are treated in order, those before already quantised. With z the block's outputs in full precision and ẑ what it
gives now (N values per row, all tokens together), Δ = ẑ - z, p and p̂ the network's answers, later blocks whole:

    g = d KL( softmax(p / T) | softmax(p̂ / T) ) / dẑ,      KL ≈ ½ Δᵀ F Δ,      so g ≈ F Δ

and one backward pass tells what F does to Δ. Five times on the way the means over rows of |g| and |Δ| are taken, as one
more row each of G and D (k, N). The loss of a batch is one of

    mse         mean of Δ²
    brecq       mean of Δ² g², g each row's own, taken once
    diagonal    DG = mean of Δ² G̅, G̅ the mean of G's rows
    dplr        LR / LR_0 + DG / DG_0,      LR = mean over rows of a (D Dᵀ)⁻¹ aᵀ,  a = |Δ| Gᵀ (k numbers)

each divided by its value when G was last taken, plus λ sum over weights of 1 - |2 h - 1|^b, b falling from 20 to 2,
after a fifth of the steps. So |g| stands for F where BRECQ takes g²: at Δ = 0 the divergence is flat, so that g is
linear in Δ.

Source: Wu et al. 2025, arXiv 2506.11543; github.com/ShiheWang/FIMA-Q, utils/block_recon.py and quantizers/adaround.py,
of which the four losses, their gradients, the soft and hard rounding and its penalty were run beside these and equal
them to round-off. There: T = 20, k = 5, λ = 0.01, 20,000 steps of 32 of 1,024 images, Adam at 1e-3; each number that
enters a block is the quantised one with probability ½, as here. Left out: activations are not quantised, nor are the
embedding of patches and the head; there all of these are, and the scales of activations are trained. AdaRound: Nagel
et al. 2020, arXiv 2004.10568.
"""

from copy import deepcopy
from typing import NamedTuple

import numpy as np

from mini_repr.autograd import Tensor, absolute, clip, log_softmax, no_grad, sigmoid, softmax
from mini_repr.nn import Module, ViT, patchify
from mini_repr.nn.vit import placed
from mini_repr.optim import AdamW
from mini_repr.pages.arguments import Choice, Count, Positive, Rows
from mini_repr.pages.declare import procedure

SHARES = np.linspace(0.4, 1.0, 40)
LAYERS = ("qkv", "out", "expand", "contract")  # of a block
LOSSES = ("nearest", "mse", "brecq", "diagonal", "dplr")
TEMPERATURE, TIMES, ROUNDING = 20.0, 5, 0.01


class Quantised(NamedTuple):
    """encoder: a copy with the rounded weights. codes: {layer: int8 (inputs, outputs)}. scales: {layer: (outputs,)}."""

    encoder: Module
    codes: dict
    scales: dict


class QuantisedLinear(Module):
    """A linear layer whose weight is whole numbers times a scale per column; ``soft`` while rounding is learnt."""

    def __init__(self, layer, bits):
        weight = layer.weight.data
        self.low, self.high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        self.scale = best_scale(weight, bits)
        self.floor = np.floor(weight / self.scale)
        rest = weight / self.scale - self.floor
        self.alpha = Tensor(-np.log(1.2 / (rest + 0.1) - 1), True)
        self.codes = np.clip(np.round(weight / self.scale), self.low, self.high)
        self.bias, self.soft = layer.bias, False

    @property
    def weight(self):
        """W_q (inputs, outputs)."""
        if not self.soft:
            return Tensor((self.codes * self.scale).astype(self.floor.dtype))
        return clip(self.up() + self.floor, self.low, self.high) * self.scale

    def up(self):
        """h: by how much each number is rounded up."""
        return clip(sigmoid(self.alpha) * 1.2 - 0.1, 0.0, 1.0)

    def harden(self):
        """Round as learnt."""
        self.codes, self.soft = np.clip(self.floor + (self.alpha.data >= 0), self.low, self.high), False


def best_scale(weight, bits):
    """s (outputs,): of each column the share of its largest |w| that rounds it with the least squared error."""
    top = np.maximum(np.abs(weight).max(axis=0), 1e-12) / (2 ** (bits - 1) - 0.5)
    scales = SHARES[:, None] * top
    whole = np.clip(np.round(weight / scales[:, None]), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    errors = ((whole * scales[:, None] - weight) ** 2).sum(axis=1)
    return scales[errors.argmin(axis=0), np.arange(weight.shape[1])].astype(weight.dtype)


@procedure(paper="111")
def quantise(
    encoder,
    head,
    images: Rows("N C H W", frozen=True),
    bits: Count(least=2) = 3,
    loss: Choice(*LOSSES) = "dplr",
    steps: Count() = 300,
    batch_size: Count() = 32,
    lr: Positive = 1e-1,
    seed: Count(least=0) = 0,
):
    """Round the weights of a ViT's blocks to few bits, without labels; returns ``Quantised``, the encoder stays.

    Args:
        encoder: a ViT. head: from pooled rows to scores. images: to calibrate with. bits: at most 8. loss: "nearest"
            learns nothing.
    """
    if bits > 8:
        raise ValueError(f"quantise: bits: got {bits}, expected 2 to 8")
    if type(encoder) is not ViT or encoder.times is not None:
        raise ValueError("quantise: encoder: got one that is no ViT of images, expected --encoder vit")
    rng = np.random.default_rng(seed)
    encoder = deepcopy(encoder).eval()
    made = deepcopy(encoder)
    for block in made.blocks:
        for name in LAYERS:
            setattr(block, name, QuantisedLinear(getattr(block, name), bits))
    with no_grad():
        full = [front(encoder, images)]
        answers = answers_of(encoder, head, full[0], 0)
        for block in encoder.blocks:
            full.append(block(full[-1])[0])
    arrived = full[0]
    for number, block in enumerate(made.blocks):
        if loss != "nearest":
            task = Task(encoder, head, number, arrived.data, full[number].data, full[number + 1].data, answers.data)
            learn_rounding(block, task, loss, steps, batch_size, lr, rng)
        with no_grad():
            arrived = block(arrived)[0]
    layers = {name: m for name, m in made.named_modules().items() if isinstance(m, QuantisedLinear)}
    codes = {name: layer.codes.astype(np.int8) for name, layer in layers.items()}
    scales = {name: layer.scale for name, layer in layers.items()}
    return Quantised(with_codes(encoder, codes, scales), codes, scales)


def with_codes(encoder, codes, scales):
    """A copy of an encoder with the weights that codes and scales stand for.

    Raises:
        ValueError: they are of another encoder.
    """
    made = deepcopy(encoder).eval()
    layers = made.named_modules()
    for name, code in codes.items():
        if name not in layers or layers[name].weight.shape != code.shape or scales[name].shape != code.shape[1:]:
            raise ValueError(f"with_codes: {name}: got codes of shape {code.shape}, which the encoder has no layer for")
        layers[name].weight.data[...] = code * scales[name]
    return made


class Task(NamedTuple):
    """What one block is fitted to: its inputs as they arrive and in full precision, its outputs, the answers."""

    encoder: Module
    head: Module
    number: int
    arrived: np.ndarray
    inputs: np.ndarray
    outputs: np.ndarray
    answers: np.ndarray

    def slopes(self, block):
        """(|g|, |Δ|) of every row, (B, N) each."""
        with no_grad():
            found = block(Tensor(self.arrived))[0].data
        outputs = Tensor(found, True)
        divergence(answers_of(self.encoder, self.head, outputs, self.number + 1), self.answers).backward()
        return [np.abs(x).reshape(len(found), -1) for x in (outputs.grad, found - self.outputs)]


def learn_rounding(block, task, kind, steps, batch_size, lr, rng):
    """Learn which way the weights of a block are rounded, then round."""
    layers = [m for m in block.named_modules().values() if isinstance(m, QuantisedLinear)]
    for layer in layers:
        layer.soft = True
    optimizer = AdamW({str(k): layer.alpha for k, layer in enumerate(layers)}, lr, weight_decay=0.0)
    slopes, apart, first, own = [], [], {}, None
    if kind == "brecq":
        own = task.slopes(block)[0]
    for step in range(steps):
        if kind in ("diagonal", "dplr") and step % max(1, steps // TIMES) == 0 and len(slopes) < TIMES:
            for kept, found in zip((slopes, apart), task.slopes(block), strict=True):
                kept.append(found.mean(axis=0))
            first = {}
        index = rng.choice(len(task.inputs), min(batch_size, len(task.inputs)), replace=False)
        whole = rng.random(task.inputs[index].shape) < 0.5
        inputs = np.where(whole, task.inputs[index], task.arrived[index])
        away = (block(Tensor(inputs))[0] - task.outputs[index]).reshape(len(index), -1)
        total = reconstruction_loss(away, kind, slopes, apart, None if own is None else own[index], first)
        if step >= steps / 5:
            power = 20 - 18 * (step / steps - 0.2) / 0.8
            for layer in layers:
                total = total + (1 - absolute(layer.up() * 2 - 1) ** power).sum() * ROUNDING
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    for layer in layers:
        layer.harden()


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


def judged(encoder, made, head, part):
    """(accuracy of ``made`` on labelled images, KL divergence of its answers from the encoder's)."""
    with no_grad():
        whole, few = (head(one(part.images).pooled) for one in (encoder, made))
        accuracy = float((few.data.argmax(axis=1) == part.labels).mean())
        return accuracy, float(divergence(few, whole.data, 1.0).data)


def front(encoder, images):
    """Tokens (B, N, D) that enter a ViT's first block."""
    return placed(encoder.embed(patchify(images, encoder.patch)), encoder.places(), encoder.class_token)


def answers_of(encoder, head, tokens, start):
    """Scores of tokens that enter block number ``start``, from 0."""
    for block in encoder.blocks[start:]:
        tokens = block(tokens)[0]
    rows, rest = encoder._cut(encoder.norm(tokens))
    return head(rest.mean(axis=1) if rows is None else rows)
