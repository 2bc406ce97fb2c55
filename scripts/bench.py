"""Measure mini_repr against PyTorch eager on this machine and print the ratios.

    python scripts/bench.py                    every row (about 15 minutes on 2 cores)
    python scripts/bench.py vit infonce        some of them
    python scripts/bench.py --out bench.json   also as JSON

Each row runs ours and torch's in processes of their own, one after the other, several times in turn; the ratio is the
median of the paired ratios. Time is the median of repetitions inside a process. Memory is the peak resident set of the
process less that before the work (imports and inputs). float32, each library's own choice of threads.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import numpy as np

PAIRS = 3


def peak_bytes():
    """Peak resident set of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(step, repetitions):
    """{"seconds": median over repetitions, "bytes": growth of the peak resident set} of ``step()``, warmed up once."""
    before = peak_bytes()
    step()
    seconds = []
    for _ in range(repetitions):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    return {"seconds": statistics.median(seconds), "bytes": peak_bytes() - before}


# ---------------------------------------------------------------------------------------------------------------------
# Training steps: the same architecture, two views of 256 images, InfoNCE, AdamW.


def images():
    return np.random.default_rng(0).random((512, 1, 28, 28), dtype=np.float32)


def ours_step(encoder_of):
    from mini_repr.autograd import split
    from mini_repr.losses.pairs.infonce import infonce
    from mini_repr.nn import ProjectionHead
    from mini_repr.optim import AdamW

    rng = np.random.default_rng(0)
    encoder = encoder_of(rng)
    projector = ProjectionHead(encoder.width, 256, 128, rng)
    parameters = {**encoder.named_parameters(), **{f"head.{n}": p for n, p in projector.named_parameters().items()}}
    optimizer, data = AdamW(parameters, 1e-3), images()

    def step():
        first, second = split(projector(encoder(data).pooled), (256, 256))
        optimizer.zero_grad()
        infonce(first, second, temperature=0.2).backward()
        optimizer.step()

    return measure(step, 7)


def ours_vit():
    from mini_repr.nn import ViT

    return ours_step(lambda rng: ViT((1, 28, 28), rng, patch=4, width=128, depth=4, heads=4))


def ours_mlp():
    from mini_repr.nn import ImageMLP

    return ours_step(lambda rng: ImageMLP((1, 28, 28), rng, width=128, hidden=512, depth=3, norm=None))


def torch_step(encoder):
    import torch
    from torch import nn

    torch.manual_seed(0)
    projector = nn.Sequential(nn.Linear(128, 256), nn.ReLU(), nn.Linear(256, 128))
    model = nn.Sequential(encoder(), projector)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.05)
    data = torch.from_numpy(images())

    def step():
        first, second = model(data).split(256)
        optimizer.zero_grad()
        infonce_in_torch(first, second, 0.2).backward()
        optimizer.step()

    return measure(step, 7)


def infonce_in_torch(a, b, temperature):
    import torch
    from torch.nn import functional

    u, v = functional.normalize(a, dim=1), functional.normalize(b, dim=1)
    logits = u @ v.T / temperature
    partners = torch.arange(len(a), device=a.device)
    return (functional.cross_entropy(logits, partners) + functional.cross_entropy(logits.T, partners)) / 2


def torch_vit():
    return torch_step(lambda: torch_vit_module(28, 4, 128, 4, 4))


def torch_vit_module(size, patch, width, depth, heads, causal=False):
    """The same ViT as PyTorch's own fast modules give it; ``causal``: its blocks see earlier tokens only."""
    import torch
    from torch import nn

    class ViT(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Conv2d(1, width, patch, patch)
            self.positions = nn.Parameter(torch.randn((size // patch) ** 2, width) * 0.02)
            self.token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
            self.blocks = nn.ModuleList([Block() for _ in range(depth)])
            self.norm = nn.LayerNorm(width, eps=1e-6)

        def forward(self, x):
            x = self.embed(x).flatten(2).transpose(1, 2) + self.positions
            x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1)
            for block in self.blocks:
                x = block(x)
            return self.norm(x)[:, 0]

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.expand, self.contract = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x):
            batch, tokens, _ = x.shape
            qkv = self.qkv(self.norm1(x)).view(batch, tokens, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
            mixed = nn.functional.scaled_dot_product_attention(*qkv, is_causal=causal)
            x = x + self.out(mixed.transpose(1, 2).reshape(batch, tokens, width))
            hidden = nn.functional.gelu(self.expand(self.norm2(x)), approximate="tanh")
            return x + self.contract(hidden)

    return ViT()


def ours_crate():
    from mini_repr.nn import Crate

    return ours_step(lambda rng: Crate((1, 28, 28), rng, patch=4, width=128, depth=4, heads=4))


def torch_crate():
    """The layers of the official code, attention by PyTorch's fused call, in the same ViT."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(128), nn.LayerNorm(128)
            self.subspaces, self.out = nn.Linear(128, 128, bias=False), nn.Linear(128, 128)
            self.dictionary = nn.Parameter(torch.randn(128, 128) / 128**0.5)

        def forward(self, x):
            batch, tokens, width = x.shape
            v = self.subspaces(self.norm1(x)).view(batch, tokens, 4, 32).transpose(1, 2)
            mixed = nn.functional.scaled_dot_product_attention(v, v, v)
            y = self.norm2(x + self.out(mixed.transpose(1, 2).reshape(batch, tokens, width)))
            rest = y - nn.functional.linear(y, self.dictionary)
            return torch.relu(y + 0.1 * nn.functional.linear(rest, self.dictionary.T) - 0.01)

    def encoder():
        vit = torch_vit_module(28, 4, 128, 4, 4)
        vit.blocks = nn.ModuleList([Block() for _ in range(4)])
        return vit

    return torch_step(encoder)


HIDDEN = 37  # of 49 patches, three quarters


def ours_mae(hidden=HIDDEN):
    """A step of MAE on 512 images: encoder as in ``vit``, a decoder of one block of width 64."""
    from mini_repr.losses.reconstruction.masked_regression import masked_regression
    from mini_repr.masking import random_mask, visible_patches
    from mini_repr.nn import Decoder, ViT, patchify
    from mini_repr.optim import AdamW

    rng = np.random.default_rng(0)
    encoder = ViT((1, 28, 28), rng, patch=4, width=128, depth=4, heads=4)
    decoder = Decoder(encoder, 64, 1, 4, 16, rng)
    parameters = {**encoder.named_parameters(), **{f"head.{n}": p for n, p in decoder.named_parameters().items()}}
    optimizer, data = AdamW(parameters, 1e-3), images()
    target = patchify(data, 4)

    def step():
        mask = random_mask(rng, len(data), 49, hidden / 49)
        prediction = decoder(encoder(data, visible=visible_patches(mask)).tokens, mask)
        optimizer.zero_grad()
        masked_regression(prediction, target, mask).backward()
        optimizer.step()

    return measure(step, 7)


def ours_full():
    """The same with every patch but one in the encoder."""
    return ours_mae(hidden=1)


def torch_mae():
    import torch
    from torch import nn

    torch.manual_seed(0)
    vit, decoder = torch_vit_module(28, 4, 128, 4, 4), torch_vit_module(28, 4, 64, 1, 4)
    embed, pixels = nn.Linear(128, 64), nn.Linear(64, 16)
    token = nn.Parameter(torch.randn(64) * 0.02)
    del decoder.embed, decoder.token
    model = nn.ModuleList([vit, decoder, embed, pixels])
    optimizer = torch.optim.AdamW([*model.parameters(), token], 1e-3, weight_decay=0.05)
    data = torch.from_numpy(images())
    target = nn.functional.unfold(data, 4, stride=4).transpose(1, 2)

    def step():
        order = torch.rand(512, 49).argsort(dim=1)
        back, shown = order.argsort(dim=1), order[:, HIDDEN:]
        x = vit.embed(data).flatten(2).transpose(1, 2) + vit.positions
        x = x.gather(1, shown[:, :, None].expand(-1, -1, 128))
        x = torch.cat([vit.token.expand(512, -1, -1), x], dim=1)
        for block in vit.blocks:
            x = block(x)
        y = embed(vit.norm(x)[:, 1:])
        y = torch.cat([token.expand(512, HIDDEN, -1), y], dim=1).gather(1, back[:, :, None].expand(-1, -1, 64))
        y = y + decoder.positions
        for block in decoder.blocks:
            y = block(y)
        hidden = order[:, :HIDDEN, None].expand(-1, -1, 16)
        goal = target.gather(1, hidden)
        goal = (goal - goal.mean(-1, keepdim=True)) / (goal.var(-1, keepdim=True) + 1e-6).sqrt()
        optimizer.zero_grad()
        (pixels(decoder.norm(y)).gather(1, hidden) - goal).square().mean().backward()
        optimizer.step()

    return measure(step, 7)


TEXTS, WORDS, VOCABULARY, CHOSEN = 64, 64, 8192, 10  # of a text's words as many are hidden as in BERT


def ours_text(causal):
    """A step of language modelling: a text transformer as large as ``vit``, scores by its table of words."""
    from mini_repr.autograd import Tensor
    from mini_repr.nn import LanguageHead, TextTransformer
    from mini_repr.optim import AdamW

    rng = np.random.default_rng(0)
    shape = {"width": 128, "depth": 4, "heads": 4, "mlp_ratio": 4.0, "max_tokens": WORDS}
    encoder = TextTransformer(rng, buckets=VOCABULARY, causal=causal, **shape)
    head, token = LanguageHead(encoder.words, rng), Tensor(np.zeros(128, np.float32), requires_grad=True)
    optimizer = AdamW({**encoder.named_parameters(), "head.bias": head.bias, "token": token}, 1e-3)
    ids = rng.integers(VOCABULARY, size=(TEXTS, WORDS))

    def step():
        places = rng.random(ids.shape).argsort(axis=1)[:, :CHOSEN]
        optimizer.zero_grad()
        text_loss(encoder, head, token, ids, None if causal else places).backward()
        optimizer.step()

    return measure(step, 7)


def text_loss(encoder, head, token, ids, places):
    """Cross-entropy of the words at ``places`` (B, M), which ``token`` replaces; None: of each next word."""
    from mini_repr.losses.scores.cross_entropy import cross_entropy
    from mini_repr.nn.gaps import at_places

    everywhere = np.ones(ids.shape, dtype=bool)
    if places is None:
        rows, goals = encoder(ids, everywhere).tokens[:, :-1], ids[:, 1:]
    else:
        hidden = np.zeros_like(everywhere)
        np.put_along_axis(hidden, places, True, axis=1)
        rows = at_places(encoder(ids, everywhere, replace=hidden, mask_token=token).tokens, places)
        goals = np.take_along_axis(ids, places, axis=1)
    return cross_entropy(head(rows.reshape(-1, rows.shape[-1])), goals.reshape(-1))


def ours_mlm():
    return ours_text(causal=False)


def ours_causal():
    return ours_text(causal=True)


def torch_text(causal):
    import torch

    torch.manual_seed(0)
    model = torch_text_module(WORDS, VOCABULARY, 128, 4, 4, causal)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.05)
    ids = torch.randint(VOCABULARY, (TEXTS, WORDS))

    def step():
        places = torch.rand(ids.shape).argsort(dim=1)[:, :CHOSEN]
        optimizer.zero_grad()
        text_loss_in_torch(model, ids, None if causal else places).backward()
        optimizer.step()

    return measure(step, 7)


def torch_text_module(length, vocabulary, width, depth, heads, causal):
    import torch
    from torch import nn

    model = torch_vit_module(length, length, width, depth, heads, causal)
    del model.embed
    model.words, model.bias = nn.Embedding(vocabulary, width), nn.Parameter(torch.zeros(vocabulary))
    model.positions = nn.Parameter(torch.randn(length, width) * 0.02)
    return model


def text_loss_in_torch(model, ids, places):
    import torch

    x, goals = model.words(ids), ids[:, 1:]
    if places is not None:
        hidden = torch.zeros(ids.shape, dtype=torch.bool).scatter(1, places, True)
        x, goals = torch.where(hidden[:, :, None], model.token, x), ids.gather(1, places)
    x = x + model.positions
    for block in model.blocks:
        x = block(x)
    x = model.norm(x)
    x = x[:, :-1] if places is None else x.gather(1, places[:, :, None].expand(-1, -1, x.shape[2]))
    scores = torch.nn.functional.linear(x, model.words.weight, model.bias)
    return torch.nn.functional.cross_entropy(scores.flatten(0, 1), goals.flatten())


def torch_mlm():
    return torch_text(causal=False)


def torch_causal():
    return torch_text(causal=True)


def ours_flow():
    """A step of flow matching on 256 images: a denoiser as large as ``vit`` without its class token."""
    from mini_repr.losses.reconstruction.flow_matching import flow_matching
    from mini_repr.methods.flow import middling_times, mixed
    from mini_repr.nn import Denoiser, copy_of, patchify
    from mini_repr.optim import AdamW, update_ema

    rng = np.random.default_rng(0)
    denoiser = Denoiser((1, 28, 28), rng, patch=4, width=128, depth=4, heads=4, mlp_ratio=4.0)
    average, data = copy_of(denoiser), 2 * images()[:256] - 1
    parameters, averages = denoiser.named_parameters(), average.named_parameters()
    optimizer, clean = AdamW(parameters, 1e-3), patchify(data, 4)

    def step():
        times, noise = middling_times(rng, len(data)), rng.standard_normal(data.shape, dtype=np.float32)
        patches = denoiser.denoise(mixed(data, noise, times), times).patches
        optimizer.zero_grad()
        flow_matching(patches, clean, patchify(noise, 4)).backward()
        optimizer.step()
        update_ema(averages, parameters, 0.995)

    return measure(step, 7)


def torch_flow():
    import copy

    import torch

    torch.manual_seed(0)
    denoiser = torch_denoiser(28, 4, 128, 4, 4)
    average = copy.deepcopy(denoiser)
    parameters, averages = list(denoiser.parameters()), list(average.parameters())
    optimizer = torch.optim.AdamW(parameters, 1e-3, weight_decay=0.05)
    data = 2 * torch.from_numpy(images()[:256]) - 1

    def step():
        times, noise = torch.randn(len(data)).sigmoid(), torch.randn_like(data)
        optimizer.zero_grad()
        flow_loss_in_torch(denoiser, data, noise, times).backward()
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(averages, parameters, 0.005)

    return measure(step, 7)


def flow_loss_in_torch(denoiser, data, noise, times):
    """The mean squared error of the velocity n - x that a denoiser says of (1 - t) x + t n."""
    share = times[:, None, None, None]
    return (denoiser((1 - share) * data + share * noise, times) - denoiser.patches(noise - data)).square().mean()


def torch_denoiser(size, patch, width, depth, heads):
    """The same denoiser by PyTorch's own fast modules; its parameters have our names."""
    import torch
    from torch import nn
    from torch.nn.functional import gelu, layer_norm, scaled_dot_product_attention, silu

    def modulated(x, scale, shift):
        return layer_norm(x, (width,), eps=1e-6) * (1 + scale[:, None]) + shift[:, None]

    class Denoiser(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Linear(patch * patch, width)
            self.positions = nn.Parameter(torch.randn((size // patch) ** 2, width))
            self.time_in, self.time_out = nn.Linear(width, width), nn.Linear(width, width)
            self.blocks = nn.ModuleList([Block() for _ in range(depth)])
            self.modulate, self.outputs = nn.Linear(width, 2 * width), nn.Linear(width, patch * patch)
            self.register_buffer("rates", 10000.0 ** (-torch.arange(width // 2) / (width / 2)), persistent=False)

        def patches(self, x):
            return nn.functional.unfold(x, patch, stride=patch).transpose(1, 2)

        def forward(self, x, times):
            angles = 1000 * times[:, None] * self.rates
            c = silu(self.time_out(silu(self.time_in(torch.cat([angles.cos(), angles.sin()], dim=1)))))
            x = self.embed(self.patches(x)) + self.positions
            for block in self.blocks:
                x = block(x, c)
            return self.outputs(modulated(x, *self.modulate(c).chunk(2, dim=1)))

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.modulate = nn.Linear(width, 6 * width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.expand, self.contract = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x, c):
            batch, tokens, _ = x.shape
            scale, shift, gate, scale2, shift2, gate2 = self.modulate(c).chunk(6, dim=1)
            qkv = self.qkv(modulated(x, scale, shift)).view(batch, tokens, 3, heads, width // heads)
            mixed = scaled_dot_product_attention(*qkv.permute(2, 0, 3, 1, 4)).transpose(1, 2)
            x = x + self.out(mixed.reshape(batch, tokens, width)) * gate[:, None]
            hidden = gelu(self.expand(modulated(x, scale2, shift2)), approximate="tanh")
            return x + self.contract(hidden) * gate2[:, None]

    return Denoiser()


def torch_mlp():
    from torch import nn

    def encoder():
        return nn.Sequential(
            nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 128)
        )

    return torch_step(encoder)


# ---------------------------------------------------------------------------------------------------------------------
# Losses: value and gradient at B = 4096, D = 128.

ROWS, WIDTH = 4096, 128
LABELS = np.arange(ROWS) % 64
LOSSES = {
    "infonce": {"temperature": 0.1},
    "nt_xent": {"temperature": 0.1, "negatives": "views"},
    "supcon": {},
    "siglip": {},
    "barlow_twins": {},
    "vicreg": {},
    "align_uniform": {},
    "wmse": {},
    "circle": {},
}
NAME = {"nt_xent": "infonce"}


def rows(count=ROWS, width=WIDTH):
    return np.random.default_rng(0).standard_normal((2, count, width), dtype=np.float32)


def ours_loss(name):
    from mini_repr.pages.registry import all_losses

    loss = all_losses().get(NAME.get(name, name))
    if loss is None:
        return None
    a, b = rows()
    inputs = (a, LABELS) if loss.compares == "labels" else (a, b)
    return measure(lambda: loss.value_and_grad(*inputs, **LOSSES[name]), 5)


def torch_loss(name):
    import torch

    a, b = (torch.from_numpy(x).requires_grad_() for x in rows())
    loss = losses_in_torch(a, b, torch.from_numpy(LABELS)).get(name)
    if loss is None:
        return None

    def step():
        a.grad = b.grad = None
        loss().backward()

    return measure(step, 5)


def losses_in_torch(a, b, labels):
    """{name: the loss of these rows, without arguments}, as one would write it in PyTorch."""
    import torch
    from torch.nn import functional

    count, width = a.shape
    eye = torch.eye(count, dtype=torch.bool, device=a.device)

    def nt_xent():
        z = functional.normalize(torch.cat([a, b]), dim=1)
        logits = (z @ z.T / 0.1).masked_fill(torch.eye(len(z), dtype=torch.bool, device=z.device), -torch.inf)
        return functional.cross_entropy(logits, (torch.arange(len(z), device=z.device) + count) % len(z))

    def supcon():
        z = functional.normalize(a, dim=1)
        logits = (z @ z.T / 0.1).masked_fill(eye, -torch.inf)
        positive = (labels[:, None] == labels) & ~eye
        log_p = logits - logits.logsumexp(1, keepdim=True)
        return -(log_p.masked_fill(~positive, 0).sum(1) / positive.sum(1)).mean()

    def siglip():
        u, v = functional.normalize(a, dim=1), functional.normalize(b, dim=1)
        logits = 10 * u @ v.T - 10
        return -functional.logsigmoid(logits * (2 * eye - 1)).sum() / count

    def barlow_twins():
        u, v = ((x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt() for x in (a, b))
        c = u.T @ v / count
        on = torch.eye(width, dtype=torch.bool, device=a.device)
        return (c.diagonal() - 1).square().sum() + 0.0051 * c.masked_fill(on, 0).square().sum()

    def vicreg():
        total = 25 * functional.mse_loss(a, b)
        for x in (a, b):
            x = x - x.mean(0)
            total = total + 25 * functional.relu(1 - (x.var(0) + 1e-4).sqrt()).mean()
            c = x.T @ x / (count - 1)
            total = total + c.masked_fill(torch.eye(width, dtype=torch.bool, device=a.device), 0).square().sum() / width
        return total

    def align_uniform():
        u, v = functional.normalize(a, dim=1), functional.normalize(b, dim=1)
        spread = sum(torch.pdist(x).square().mul(-2).exp().mean().log() for x in (u, v)) / 2
        return (u - v).square().sum(1).mean() + spread

    def circle():
        z = functional.normalize(a, dim=1)
        s = z @ z.T
        same = labels[:, None] == labels
        weight_p, weight_n = (1.4 - s.detach()).clamp_min(0), (s.detach() + 0.4).clamp_min(0)
        logit_p = (-80 * weight_p * (s - 0.6)).masked_fill(~same | eye, -torch.inf)
        logit_n = (80 * weight_n * (s - 0.4)).masked_fill(same, -torch.inf)
        return functional.softplus(logit_p.logsumexp(1) + logit_n.logsumexp(1)).mean()

    def wmse():
        def white(x):
            x = x - x.mean(0)
            factor = torch.linalg.cholesky(x.T @ x / (count - 1))
            return functional.normalize(torch.linalg.solve_triangular(factor, x.T, upper=False).T, dim=1)

        return 2 - 2 * (white(a) * white(b)).sum(1).mean()

    return {"infonce": lambda: infonce_in_torch(a, b, 0.1)} | {
        f.__name__: f for f in (nt_xent, supcon, siglip, barlow_twins, vicreg, align_uniform, circle, wmse)
    }


# ---------------------------------------------------------------------------------------------------------------------
# Beyond what fits, starting up, and the main job.


def ours_large():
    """InfoNCE at B = 65,536, D = 256, where torch's matrix and its copies would take over 48 GiB."""
    from mini_repr.losses.pairs.infonce import infonce

    small, large = rows(4096, 256), rows(65536, 256)
    per_pair = measure(lambda: infonce.value_and_grad(*small), 3)["seconds"] / 4096**2
    result = measure(lambda: infonce.value_and_grad(*large), 1)
    return result | {"per_pair_over_small": result["seconds"] / 65536**2 / per_pair}


def ours_start():
    return _process([sys.executable, "-m", "mini_repr.cli", "--version"])


def torch_start():
    return _process([sys.executable, "-c", "import torch"])


def _process(command):
    subprocess.run(command, check=True, capture_output=True)
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - started)
    return {
        "seconds": statistics.median(seconds),
        "bytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
    }


def ours_digits():
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


def torch_digits():
    """The same recipe: views as one affine resampling, then brightness and noise; warm-up and cosine."""
    started, before = time.perf_counter(), peak_bytes()
    import math

    import torch
    from torch import nn

    from mini_repr.data import load

    torch.manual_seed(0)
    train = torch.from_numpy(load("digits").train.images)
    model = nn.Sequential(torch_vit_module(8, 2, 64, 2, 4), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 64))
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3, weight_decay=0.05)

    def view(x):
        count = len(x)
        angle, sx, sy, shear = (torch.empty(count).uniform_(-1, 1) for _ in range(4))
        angle, shear = angle * math.pi / 12, shear * math.pi / 18
        cos, sin = angle.cos(), angle.sin()
        maps = torch.zeros(count, 2, 3)
        maps[:, 0, 0], maps[:, 0, 1] = cos * (1 + 0.15 * sx), -sin + shear.tan()
        maps[:, 1, 0], maps[:, 1, 1] = sin, cos * (1 + 0.15 * sy)
        maps[:, :, 2] = torch.empty(count, 2).uniform_(-0.7 / 4, 0.7 / 4)
        grid = nn.functional.affine_grid(maps, x.shape, align_corners=False)
        x = nn.functional.grid_sample(x, grid, align_corners=False)
        x = (x * torch.empty(count, 1, 1, 1).uniform_(0.7, 1.3)).clamp(0, 1)
        return (x + 0.15 * torch.randn_like(x)).clamp(0, 1)

    steps = 100 * (len(train) // 128)
    step = 0
    for _ in range(100):
        for index in torch.randperm(len(train))[: len(train) // 128 * 128].split(128):
            rate = min((step + 1) / 51, (1 + math.cos(math.pi * max(step - 50, 0) / (steps - 50))) / 2)
            optimizer.param_groups[0]["lr"] = 3e-3 * rate
            first, second = model(torch.cat([view(train[index]), view(train[index])])).split(128)
            optimizer.zero_grad()
            infonce_in_torch(first, second, 0.2).backward()
            optimizer.step()
            step += 1
    with torch.no_grad():
        model[0](torch.from_numpy(load("digits").test.images))
    return {"seconds": time.perf_counter() - started, "bytes": peak_bytes() - before}


# ---------------------------------------------------------------------------------------------------------------------

# name: (what it is, goal for the time ratio, goal for the memory ratio)
WORK = {
    "vit": ("ViT-lite step, 28x28, width 128, depth 4, batch 2x256", 0.8, 0.7),
    "mlp": ("MLP step, 784-512-512-128, batch 2x256", 0.8, 0.7),
    "mae": ("MAE step, 28x28, 3/4 of 49 patches hidden, width 128, depth 4, batch 512", 0.8, None),
    "full": ("the same with one patch hidden, alone", None, None),
    "flow": ("flow matching step, 28x28, width 128, depth 4, batch 256", 0.8, None),
    "mlm": ("masked words step, 64 texts of 64 words, 10 hidden, width 128, depth 4, 8,192 words", 0.8, 0.7),
    "causal": ("next word step, likewise", 0.8, 0.7),
    "crate": ("CRATE step, as the ViT-lite step", 0.8, None),
    **{n: (f"{n} value + gradient, B=4096, D=128", 0.25 if n == "infonce" else 0.5, 1.0) for n in LOSSES},
    "large": ("infonce, B=65536, D=256, alone", None, None),
    "start": ("command line start / import torch", 0.15, None),
    "digits": ("digits main job, 100 epochs", 0.8, None),
}


def run_one(side, name):
    if side == "ours":
        from mini_repr.backend import keep_large_blocks  # as the commands do

        keep_large_blocks()
    function = globals().get(f"{side}_{name}")
    if function is not None:
        return function()
    return globals()[f"{side}_loss"](name) if name in LOSSES else None


def in_process(side, name):
    """The result of one side of a row, from a fresh process; None where that side has nothing to run."""
    done = subprocess.run([sys.executable, __file__, "--one", side, name], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{side} {name} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(name, pairs):
    results = [(in_process("ours", name), in_process("torch", name)) for _ in range(1 if name == "large" else pairs)]
    ours, torch = results[0]
    row = {"what": WORK[name][0], "goal_time": WORK[name][1], "goal_memory": WORK[name][2]}
    if ours is None:
        return None
    row["ours_seconds"] = statistics.median(o["seconds"] for o, _ in results)
    row["ours_mib"] = statistics.median(o["bytes"] for o, _ in results) / 2**20
    if torch is not None:
        row["torch_seconds"] = statistics.median(t["seconds"] for _, t in results)
        row["torch_mib"] = statistics.median(t["bytes"] for _, t in results) / 2**20
        row["time_ratio"] = statistics.median(o["seconds"] / t["seconds"] for o, t in results)
        row["memory_ratio"] = row["ours_mib"] / max(row["torch_mib"], 0.1)
    return row | {k: v for k, v in ours.items() if k not in ("seconds", "bytes")}


def line(row):
    def number(key, form):
        return format(row[key], form) if row.get(key) is not None else "-"

    text = f"| {row['what']} | {number('ours_seconds', '.3f')} | {number('torch_seconds', '.3f')} "
    text += f"| {number('time_ratio', '.2f')} | {number('goal_time', '.2f')} "
    text += f"| {number('ours_mib', '.0f')} | {number('torch_mib', '.0f')} | {number('memory_ratio', '.2f')} |"
    return text + (f" {row['per_pair_over_small']:.2f}x a pair of B=4096" if "per_pair_over_small" in row else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", nargs="*", metavar="WORK", help=f"of {', '.join(WORK)}; default: all")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="paired runs a row")
    parser.add_argument("--out", help="write the table as JSON")
    parser.add_argument("--one", nargs=2, metavar=("SIDE", "WORK"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(run_one(*arguments.one)))
        return
    unknown = [w for w in arguments.work if w not in WORK]
    if unknown:
        parser.error(f"unknown work {unknown[0]!r}; known: {', '.join(WORK)}")
    print("| work | ours s | torch s | time ratio | goal | ours MiB | torch MiB | memory ratio |")
    print("|---|---|---|---|---|---|---|---|")
    table = {}
    for name in arguments.work or WORK:
        row = compare(name, arguments.pairs)
        if row is not None:
            table[name] = row
            print(line(row), flush=True)
    if arguments.out:
        with open(arguments.out, "w") as file:
            json.dump(table, file, indent=2)


if __name__ == "__main__":
    main()
