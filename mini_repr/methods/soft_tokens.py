"""Fit soft tokens so that a frozen denoiser tells an image's own caption from others."""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.backend import backend_of
from mini_repr.losses.towers.error_contrast import error_contrast
from mini_repr.methods.flow import middling_times, mixed
from mini_repr.nn import patchify
from mini_repr.optim import descended
from mini_repr.pages.declare import part


@part("procedure", "fitted_soft_tokens", paper="089")
def fitted_soft_tokens(soft, denoiser, pairs, rng, *, steps=200, lr=1e-2, contrast=True, **loss):
    """Fit ``nn.SoftTokens`` in place by ``error_contrast`` of a batch's images under a batch's captions.

    All B x B pairs of a step share one time and one noise, so that their errors differ by image and caption alone.
    Without ``contrast`` the mean error of own captions alone is lowered: plain tuning of the same tokens.

    Source: Lee, Cha, Kim, Ye 2025, arXiv 2503.08250; official code: softrepa/SoftREPA, train.py (read).

    Args:
        soft: ``nn.SoftTokens``. denoiser: ``nn.CaptionDenoiser`` whose parameters want no gradient. pairs: from ``rng``
            to (images (B, C, H, W) in [0, 1], B captions). loss: settings of ``error_contrast``.
    """

    def total():
        images, captions = pairs(rng)
        times = np.full(len(images), middling_times(rng, 1)[0])
        noise = np.broadcast_to(rng.standard_normal(images.shape[1:], dtype=np.float32), images.shape)
        errors = denoising_errors(denoiser, images, captions, times, noise, soft)
        if contrast:
            return error_contrast(errors, **loss)
        return (errors * backend_of(errors.data).xp.eye(len(images), dtype=errors.dtype)).sum() / len(images)

    descended(soft.named_parameters(), total, steps=steps, lr=lr)
    return soft


def denoising_errors(denoiser, images, captions, times, noise, soft=None):
    """(N, K), a tensor: mean squared error of the velocity of each image, mixed with its noise, under each caption.

    Args:
        images: (N, C, H, W) in [0, 1], noise likewise, times (N,): host arrays. soft: ``nn.SoftTokens``, or None.
    """
    backend, count, many = backend_of(denoiser.embed.weight.data), len(images), len(captions)
    clean = 2 * images.astype(np.float32) - 1
    noised, goal = (np.repeat(x, many, axis=0) for x in (mixed(clean, noise, times), noise - clean))
    times = np.repeat(times, many)
    text = denoiser.read(np.tile(denoiser.ids(captions), (count, 1)))
    text = text if soft is None else soft.beside(text, times)
    patches = denoiser.denoise(backend.asarray(noised), times, text=text).patches
    off = patches - backend.asarray(patchify(goal, denoiser.patch))
    return (off * off).mean(axis=(1, 2)).reshape(count, many)


def retrieved(denoiser, images, captions, rng, soft=None, draws=8):
    """(N,): of each image the caption under which it is denoised best, over some draws of time and noise.

    Zero-shot classification by a diffusion model (Li et al. 2023, arXiv 2303.16203).
    """
    total = 0.0
    with no_grad():
        for t in middling_times(rng, draws):
            noise = np.broadcast_to(rng.standard_normal(images.shape[1:], dtype=np.float32), images.shape)
            times = np.full(len(images), t)
            total = total + denoising_errors(denoiser, images, captions, times, noise, soft).data
    return total.argmin(axis=1)
