"""The token of a self-supervised encoder as the latent of a generator of images."""

import numpy as np

from mini_repr.autograd import concatenate, no_grad
from mini_repr.backend import backend_of
from mini_repr.losses.reconstruction.flow_matching import flow_matching
from mini_repr.losses.teachers.negative_cosine import negative_cosine
from mini_repr.methods.flow import denoised_from, middling_times, mixed
from mini_repr.nn import MLP, Denoiser, LayerNorm, Linear, Module, copy_of, patchify, unpatchify
from mini_repr.nn.init import zeros
from mini_repr.optim import descended
from mini_repr.pages.declare import part

TUNED = ("token", "all", "nothing")  # of the encoder


class RepTok(Module):
    """A trained ViT whose class row, tuned a little, is what a denoiser is told of an image.

    z is the class row after the last norm. What enters the denoiser is one token before those of the patches, pad(z) +
    norm(W z + b), W zero at first: at first z itself.

    Args:
        encoder: ``nn.ViT`` with a class token; it is copied. tuned: what of the copy moves: "token", the class token's
            input vector alone; "all"; or "nothing". denoiser: settings of ``nn.Denoiser``, whose width is at least z's.
    Raises:
        ValueError: an encoder without a class token, too narrow a denoiser, or another ``tuned``.
    """

    def __init__(self, encoder, rng, *, tuned="token", **denoiser):
        if getattr(encoder, "class_token", None) is None or tuned not in TUNED:
            raise ValueError(
                f"RepTok: got tuned={tuned!r}, a {type(encoder).__name__}, expected {', '.join(TUNED)}, and a ViT with "
                "a class token"
            )
        self.before, self.encoder = copy_of(encoder).eval(), copy_of(encoder).eval()
        moved = {"token": [self.encoder.class_token], "all": self.encoder.parameters(), "nothing": []}[tuned]
        for parameter in moved:
            parameter.requires_grad = True
        self.denoiser = Denoiser(encoder.image_shape, rng, **denoiser)
        self.width, self.latent = self.denoiser.width, encoder.width
        if self.width < self.latent:
            raise ValueError(f"RepTok: width: got {self.width}, expected at least the {self.latent} numbers of z")
        self.map, self.norm = Linear(self.latent, self.width, rng, init=zeros), LayerNorm(self.width)

    def front(self, z):
        """The token (B, 1, width) that tells the denoiser of z (B, latent), an array or a tensor."""
        batch = len(z)
        empty = backend_of(self.map.weight.data).xp.zeros((batch, self.width - self.latent), dtype=z.dtype)
        own = concatenate(z, empty, axis=1) + self.norm(self.map(z))
        return own.reshape(batch, 1, self.width)

    def says(self, noised, times, z):
        """Velocities of patches (B, P, Q) of noised images at times (B,), told z."""
        return self.denoiser.denoise(noised, times, front=self.front(z)).patches

    def rebuilt(self, z, noise, steps=20):
        """Images (B, C, H, W) in [0, 1] drawn from noise, told z (B, latent); no gradient."""

        def velocity(x, t):
            with no_grad():
                patches = self.says(x, np.full(len(x), t), z).data
            return unpatchify(patches, self.denoiser.patch, self.denoiser.image_shape)

        return denoised_from(noise, velocity, steps)


@part("procedure", "fitted_reptok", paper="095")
def fitted_reptok(model, images, rng, *, cosine_weight=0.1, steps=1000, lr=1e-3, batch=128):
    """Fit a ``RepTok`` in place: the denoiser, its token's map, and what of the encoder may move.

        L = flow_matching( patches told z ) + cosine_weight mean_b (1 - cos( z_b, z of the encoder as it was ))

    Source: Gui et al. 2025, arXiv 2510.14630; official code: CompVis/RepTok (read): configs/model/reptok.yaml, where
    only ``cls_token`` of DINOv2 is not frozen; reptok/encoder/encoder.py (ResidualProjection, one minus the cosine).
    The trainer of this stage, and so the weight, is not released.

    Args:
        images: (N, C, H, W) host array in [0, 1]. rng: of batches, times and noise.
    """
    asarray = backend_of(model.map.weight.data).asarray
    parameters = {name: p for name, p in model.named_parameters().items() if p.requires_grad}

    def loss():
        seen = images[rng.integers(len(images), size=batch)]
        clean, noise = 2 * seen - 1, rng.standard_normal(seen.shape, dtype=np.float32)
        times = middling_times(rng, batch)
        z = model.encoder(asarray(seen)).pooled
        x, n = (asarray(patchify(y, model.denoiser.patch)) for y in (clean, noise))
        total = flow_matching(model.says(asarray(mixed(clean, noise, times)), times, z), x, n)
        if not cosine_weight:
            return total
        with no_grad():
            target = model.before(asarray(seen)).pooled.data
        return total + (1 + negative_cosine(z, z, target, target)) * cosine_weight

    descended(parameters, loss, steps=steps, lr=lr)
    return model


@part("procedure", "latent_flow", paper="095")
def latent_flow(latents, rng, *, steps=1500, lr=1e-3, batch=128, hidden=256):
    """A generator of latents, a plain network that learns flow matching on them: from noise (N, D) to latents (N, D).

    Latents are divided by their deviation, one number. The paper's network mixes tokens; one token has none to mix.

    Source: Gui et al. 2025, arXiv 2510.14630, its second stage.

    Args:
        latents: (N, D) host array.
    Returns:
        function of noise and a number of steps.
    """
    size, width = latents.std(), latents.shape[1]
    rows = (latents / size).astype(np.float32)
    net = MLP((width + 1, hidden, hidden, hidden, width), rng, activation="gelu")

    def velocity(x, times):
        return net(np.concatenate([x, times[:, None]], axis=1).astype(np.float32))

    def loss():
        clean = rows[rng.integers(len(rows), size=batch)]
        noise, times = rng.standard_normal(clean.shape, dtype=np.float32), rng.random(batch)
        noised = (1 - times[:, None]) * clean + times[:, None] * noise
        said, x, n = (y.reshape(batch, 1, width) for y in (velocity(noised, times), clean, noise))
        return flow_matching(said, x, n)

    descended(net.named_parameters(), loss, steps=steps, lr=lr)

    def drawn(noise, steps=25):
        x = noise
        for k in range(steps):
            with no_grad():
                x = x - velocity(x, np.full(len(x), 1 - k / steps)).data / steps
        return size * x

    return drawn
