"""What a frozen denoiser knows of images, by layer and noise level."""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.backend import backend_of
from mini_repr.pages.declare import part
from mini_repr.pages.names import choose

NOISES = ("sample", "average", "none")


@part("procedure", "denoiser_features", paper="036")
def denoiser_features(denoiser, images, layer, time, noise="sample", draws=1, seed=0, batch=512):
    """Rows of images from a block of a frozen denoiser, which sees them at a noise level.

    x_t = (1 - t) x + t n, x on the scale of 2 x - 1; the row is the mean over the tokens after block ``layer`` at
    time t. No label is given. The noise of an image follows from ``seed`` and its place among the images, so a row does
    not depend on which others are encoded with it.

    Source: Fuest et al. 2024, arXiv 2407.00783, section 4.1, which compares such features over layers and noise levels
    (DDAE: Xiang et al. 2023, arXiv 2303.09769; DIFT: Tang et al. 2023, arXiv 2306.03881).

    Args:
        denoiser: ``nn.Denoiser``. images: (N, C, H, W) host array in [0, 1]. layer: 1 to depth. time: t in [0, 1].
        noise: "sample": one draw an image; "average": the mean row over ``draws`` of them; "none": the clean image,
            although the denoiser is told t.
    Returns:
        (N, D) on the host.
    Raises:
        ValueError: a layer, time, kind of noise or number of draws out of these.
    """
    choose("denoiser_features: noise", noise, NOISES)
    if not 0 <= time <= 1 or draws < 1:
        raise ValueError(f"denoiser_features: got time {time}, {draws} draws, expected 0 <= time <= 1, draws >= 1")
    backend, rows = backend_of(denoiser.embed.weight.data), []
    with no_grad():
        for start in range(0, len(images), batch):
            clean = 2 * images[start : start + batch] - 1
            total = 0.0
            for draw in range(draws if noise == "average" else 1):
                seen = clean
                if noise != "none":
                    noises = (np.random.default_rng([seed, draw, start + k]) for k in range(len(clean)))
                    drawn = np.stack([rng.standard_normal(clean.shape[1:], dtype=clean.dtype) for rng in noises])
                    seen = (1 - time) * clean + time * drawn
                seen = backend.asarray(seen.astype(clean.dtype))
                (tokens,) = denoiser.denoise(seen, np.full(len(clean), time), layers=(layer,)).layers
                total = total + backend.to_numpy(tokens.data.mean(axis=1))
            rows.append(total / (draws if noise == "average" else 1))
    return np.concatenate(rows)
