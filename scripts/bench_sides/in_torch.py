"""PyTorch's side, eager, by its own fast modules. See ``ours`` for what a row is."""

import sys
import time
from itertools import pairwise

from bench_sides.common import (
    CAPTION,
    CHOSEN,
    HIDDEN,
    LABELS,
    NESTED,
    RHO,
    TEXTS,
    VOCABULARY,
    WORDS,
    captions,
    images,
    large_rows,
    rows,
)
from bench_sides.measuring import available_bytes, peak_bytes, process


def product():
    import torch

    x, y = map(torch.from_numpy, rows(2048, 2048))
    return lambda: x @ y


# ---------------------------------------------------------------------------------------------------------------------
# Training steps.


def descending(parameters, loss):
    import torch

    optimizer = torch.optim.AdamW(parameters, 1e-3, weight_decay=0.05)

    def step():
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def views_step(make_encoder):
    import torch

    torch.manual_seed(0)
    module, data = encoder_and_head(make_encoder()), torch.from_numpy(images())
    return descending(module.parameters(), lambda: views_loss(module, data))


def encoder_and_head(encoder, width=128):
    from torch import nn

    return nn.Sequential(encoder, nn.Linear(width, 256), nn.ReLU(), nn.Linear(256, 128))


def views_loss(module, data):
    return infonce(*module(data).split(len(data) // 2), 0.2)


def infonce(a, b, temperature):
    import torch
    from torch.nn import functional

    u, v = functional.normalize(a, dim=1), functional.normalize(b, dim=1)
    logits = u @ v.T / temperature
    partners = torch.arange(len(a), device=a.device)
    return (functional.cross_entropy(logits, partners) + functional.cross_entropy(logits.T, partners)) / 2


def small_vit():
    return vit_module(28, 4, 128, 4, 4)


def vit():
    return views_step(small_vit)


def vit_module(size, patch, width, depth, heads, causal=False):
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


def mlp():
    return views_step(lambda: mlp_module(784, 512, 128))


def mlp_module(inputs, hidden, width):
    from torch import nn

    sizes = (inputs, hidden, hidden, width)
    layers = [layer for shape in pairwise(sizes) for layer in (nn.Linear(*shape), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *layers[:-1])


def crate():
    return views_step(lambda: crate_module(28, 4, 128, 4, 4))


def crate_module(size, patch, width, depth, heads):
    """The layers of the official code, attention by PyTorch's fused call, in the same ViT."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
            self.subspaces, self.out = nn.Linear(width, width, bias=False), nn.Linear(width, width)
            self.dictionary = nn.Parameter(torch.randn(width, width) / width**0.5)

        def forward(self, x):
            batch, tokens, _ = x.shape
            v = self.subspaces(self.norm1(x)).view(batch, tokens, heads, width // heads).transpose(1, 2)
            mixed = nn.functional.scaled_dot_product_attention(v, v, v)
            y = self.norm2(x + self.out(mixed.transpose(1, 2).reshape(batch, tokens, width)))
            rest = y - nn.functional.linear(y, self.dictionary)
            return torch.relu(y + 0.1 * nn.functional.linear(rest, self.dictionary.T) - 0.01)

    vit = vit_module(size, patch, width, depth, heads)
    vit.blocks = nn.ModuleList([Block() for _ in range(depth)])
    return vit


def sam():
    import torch

    torch.manual_seed(0)
    module, data = encoder_and_head(small_vit()), torch.from_numpy(images()[::2])
    parameters = list(module.parameters())
    optimizer = torch.optim.AdamW(parameters, 1e-3, weight_decay=0.05)
    return lambda: sam_step(optimizer, parameters, lambda: views_loss(module, data))


def sam_step(optimizer, parameters, loss):
    """Climb by RHO along the gradient, take the gradient there, come back, and descend by it."""
    import torch

    optimizer.zero_grad()
    loss().backward()
    with torch.no_grad():
        climb = [p.grad for p in parameters]
        torch._foreach_mul_(climb, RHO / torch.stack(torch._foreach_norm(climb)).norm())
        weights = [p.clone() for p in parameters]
        torch._foreach_add_(parameters, climb)
    optimizer.zero_grad()
    loss().backward()
    with torch.no_grad():
        torch._foreach_copy_(parameters, weights)
    optimizer.step()


def mae():
    import torch

    torch.manual_seed(0)
    module, data = mae_module(28, 4, 128, 4, 4, 64), torch.from_numpy(images())
    return descending(module.parameters(), lambda: mae_loss(module, data, torch.rand(512, 49).argsort(dim=1), HIDDEN))


def mae_module(size, patch, width, depth, heads, narrow):
    """An encoder, and a decoder of one block of another width with fixed positions."""
    import torch
    from torch import nn

    module = nn.Module()
    module.patch, module.encoder = patch, vit_module(size, patch, width, depth, heads)
    decoder = module.decoder = vit_module(size, patch, narrow, 1, heads)
    places = decoder.positions.detach()
    del decoder.token, decoder.positions
    decoder.register_buffer("positions", places)
    decoder.embed, decoder.pixels = nn.Linear(width, narrow), nn.Linear(narrow, patch**2)
    decoder.mask_token = nn.Parameter(torch.randn(narrow) * 0.02)
    return module


def mae_loss(module, data, order, hidden):
    """``order`` (B, P): a permutation of each image's patches, of which the first ``hidden`` are hidden."""
    import torch
    from torch.nn.functional import unfold

    encoder, decoder, patch = module.encoder, module.decoder, module.patch
    back, shown = order.argsort(dim=1)[:, :, None], order[:, hidden:, None]
    x = encoder.embed(data).flatten(2).transpose(1, 2) + encoder.positions
    x = x.gather(1, shown.expand(-1, -1, x.shape[2]))
    x = torch.cat([encoder.token.expand(len(x), -1, -1), x], dim=1)
    for block in encoder.blocks:
        x = block(x)
    y = decoder.embed(encoder.norm(x)[:, 1:])
    y = torch.cat([decoder.mask_token.expand(len(y), hidden, -1), y], dim=1)
    y = y.gather(1, back.expand(-1, -1, y.shape[2])) + decoder.positions
    for block in decoder.blocks:
        y = block(y)
    places = order[:, :hidden, None].expand(-1, -1, patch**2)
    goal = unfold(data, patch, stride=patch).transpose(1, 2).gather(1, places)
    goal = (goal - goal.mean(-1, keepdim=True)) / (goal.var(-1, keepdim=True) + 1e-6).sqrt()
    return (decoder.pixels(decoder.norm(y)).gather(1, places) - goal).square().mean()


def flow():
    import copy

    import torch

    torch.manual_seed(0)
    denoiser = denoiser_module(28, 4, 128, 4, 4)
    average = copy.deepcopy(denoiser)
    parameters, averages = list(denoiser.parameters()), list(average.parameters())
    data = 2 * torch.from_numpy(images()[:256]) - 1
    descend = descending(
        parameters, lambda: flow_loss(denoiser, data, torch.randn_like(data), torch.randn(len(data)).sigmoid())
    )

    def step():
        descend()
        with torch.no_grad():
            torch._foreach_lerp_(averages, parameters, 0.005)

    return step


def flow_loss(denoiser, data, noise, times):
    """The mean squared error of the velocity n - x that a denoiser says of (1 - t) x + t n."""
    share = times[:, None, None, None]
    return (denoiser((1 - share) * data + share * noise, times) - denoiser.patches(noise - data)).square().mean()


def denoiser_module(size, patch, width, depth, heads):
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


def text_step(causal):
    import torch

    torch.manual_seed(0)
    module = text_module(WORDS, VOCABULARY, 128, 4, 4, causal)
    ids = torch.randint(VOCABULARY, (TEXTS, WORDS))

    def loss():
        places = torch.rand(ids.shape).argsort(dim=1)[:, :CHOSEN]
        return text_loss(module, ids, None if causal else places)

    return descending(module.parameters(), loss)


def text_module(length, vocabulary, width, depth, heads, causal):
    import torch
    from torch import nn

    module = vit_module(length, length, width, depth, heads, causal)
    del module.embed
    module.words, module.bias = nn.Embedding(vocabulary, width), nn.Parameter(torch.zeros(vocabulary))
    module.positions = nn.Parameter(torch.randn(length, width) * 0.02)
    return module


def text_loss(module, ids, places):
    import torch

    x, goals = module.words(ids), ids[:, 1:]
    if places is not None:
        hidden = torch.zeros(ids.shape, dtype=torch.bool).scatter(1, places, True)
        x, goals = torch.where(hidden[:, :, None], module.token, x), ids.gather(1, places)
    x = encoded_words(module, x)
    x = x[:, :-1] if places is None else x.gather(1, places[:, :, None].expand(-1, -1, x.shape[2]))
    scores = torch.nn.functional.linear(x, module.words.weight, module.bias)
    return torch.nn.functional.cross_entropy(scores.flatten(0, 1), goals.flatten())


def encoded_words(module, x):
    x = x + module.positions
    for block in module.blocks:
        x = block(x)
    return module.norm(x)


def mlm():
    return text_step(causal=False)


def causal():
    return text_step(causal=True)


def two_tower():
    import torch

    torch.manual_seed(0)
    module = two_tower_module(28, 4, 128, 4, 4, CAPTION, VOCABULARY)
    data, ids = torch.from_numpy(images()[::2]), torch.from_numpy(captions())
    return descending(module.parameters(), lambda: two_tower_loss(module, data, ids))


def two_tower_module(size, patch, width, depth, heads, length, vocabulary):
    import torch
    from torch import nn

    module = nn.Module()
    module.image, module.image_map = vit_module(size, patch, width, depth, heads), nn.Linear(width, width, bias=False)
    module.text = text_module(length, vocabulary, width, depth, heads, causal=False)
    module.text_map = nn.Linear(width, width, bias=False)
    del module.text.bias, module.text.token
    module.temperature = nn.Parameter(torch.tensor(0.07).log())
    return module


def two_tower_loss(module, data, ids):
    a = module.image_map(module.image(data))
    b = module.text_map(encoded_words(module.text, module.text.words(ids)).mean(1))
    return infonce(a, b, module.temperature.exp())


# ---------------------------------------------------------------------------------------------------------------------
# Losses: value and gradient.


def loss(name):
    return _backward_of(name, *rows(), LABELS)


def _backward_of(name, a, b, labels):
    import torch

    a, b = (torch.from_numpy(x).requires_grad_() for x in (a, b))
    value = losses(a, b, torch.from_numpy(labels))[name]

    def step():
        a.grad = b.grad = None
        value().backward()

    return step


def losses(a, b, labels):
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

    return {"infonce": lambda: infonce(a, b, 0.1)} | {
        f.__name__: f for f in (nt_xent, supcon, siglip, barlow_twins, vicreg, align_uniform, circle, wmse)
    }


def tiled(name):
    """None where the matrices would not fit: the circle loss and its gradient hold some nine at once."""
    a, b, labels = large_rows()
    return _backward_of(name, a, b, labels) if available_bytes() > 12 * 4 * len(a) ** 2 else None


def matryoshka():
    import torch

    a, b = (torch.from_numpy(x).requires_grad_() for x in rows())

    def step():
        a.grad = b.grad = None
        nested_loss(a, b, NESTED).backward()

    return step


def nested_loss(a, b, columns):
    return sum(infonce(a[:, :d], b[:, :d], 0.1) for d in columns) / len(columns)


# ---------------------------------------------------------------------------------------------------------------------
# Starting up, and the main job.


def start():
    return process([sys.executable, "-c", "import torch"])


def digits():
    """The same recipe: views as one affine resampling, then brightness and noise; warm-up and cosine."""
    started, before = time.perf_counter(), peak_bytes()
    import math

    import torch
    from torch import nn

    from mini_repr.data import load

    torch.manual_seed(0)
    train = torch.from_numpy(load("digits").train.images)
    model = nn.Sequential(vit_module(8, 2, 64, 2, 4), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 64))
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
            infonce(first, second, 0.2).backward()
            optimizer.step()
            step += 1
    with torch.no_grad():
        model[0](torch.from_numpy(load("digits").test.images))
    return {"seconds": time.perf_counter() - started, "bytes": peak_bytes() - before}
