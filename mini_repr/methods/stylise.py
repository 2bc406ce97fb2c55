"""Change how images look as captions say, and keep what is in them."""

import numpy as np

from mini_repr.autograd import Tensor, no_grad
from mini_repr.backend import backend_of
from mini_repr.data.generated.scenes import NULL
from mini_repr.losses.maps.patch_nce import patch_nce
from mini_repr.losses.towers.edit_direction import edit_direction
from mini_repr.methods.flow import denoised_from, mixed, of_length_one, velocity
from mini_repr.pages.declare import part
from mini_repr.pages.names import choose

CONTENTS = ("patches", "pixels", "none")


@part("procedure", "stylised", paper="110")
def stylised(
    denoiser,
    towers,
    images,
    before,
    after,
    rng,
    *,
    content="patches",
    content_weight=0.3,
    size=1.0,
    start=0.6,
    steps=12,
):
    """Images drawn again from halfway to noise, that have changed as their captions have: (B, C, H, W) in [0, 1].

    Before each step the image moves by ``size`` against the gradient, scaled to length 1 an image, of

        edit_direction( towers of x', of y'; captions ) + content_weight patch_nce( features of x', of y' )

    x' = t x0 + (1 - t) x_t with x0 = x_t - t v the clean estimate, y' the same mixture of the source and of the source
    freshly noised; features are the tokens after every block of the denoiser itself, told t = 0 and, as while it draws,
    no caption. No other network is asked for what is there. content "pixels": mean squared difference of x' and y' in
    place of the second term; "none".

    Source: Yang, Hwang, Ye 2023, arXiv 2303.08622; official code: YSerin/ZeCon (read): there the direction is that of
    crops, the image's noise is found by running the denoiser backward, and the gradient's size is that of the variance.

    Args:
        denoiser: ``nn.CaptionDenoiser``. towers: ``nn.CaptionTowers``; the parameters of both want no gradient. images:
            (B, C, H, W) host array in [0, 1]. before, after: captions, one an image. rng: of all noise.
    Raises:
        ValueError: another content.
    """
    choose("stylised: content", content, CONTENTS)
    backend = backend_of(denoiser.embed.weight.data)
    source, count = 2 * backend.asarray(images.astype(np.float32)) - 1, len(images)
    with no_grad():
        told, told_before = (towers.texts(towers.ids(captions)).data for captions in (after, before))
        silent = denoiser.read(denoiser.ids([NULL] * count))
    layers = tuple(range(1, denoiser.depth + 1))

    def noised(t):
        noise = backend.asarray(rng.standard_normal(source.shape, dtype=np.float32))
        return mixed(source, noise, np.full(count, t))

    def features(x):
        return denoiser.denoise(x, np.zeros(count), layers=layers, text=silent).layers

    def before_step(k, t, x):
        x = Tensor(x, requires_grad=True)
        now = (x - velocity(denoiser, x, t, silent) * t) * t + x * (1 - t)
        then = t * source + (1 - t) * noised(t)
        with no_grad():
            row_then, features_then = towers.images((then + 1) / 2).data, features(then)
        total = edit_direction(towers.images((now + 1) / 2), row_then, told, told_before) * count
        if content == "patches":
            pairs = zip(features(now), features_then, strict=True)
            total = total + sum(patch_nce(q, k.data) for q, k in pairs) * (content_weight * count)
        if content == "pixels":
            total = total + ((now - then) ** 2).sum() * (content_weight / source[0].size)
        total.backward()
        return x.data - size * of_length_one(x.grad)

    def says(x, t):
        with no_grad():
            return velocity(denoiser, x, t, silent).data

    return denoised_from(noised(start), says, steps, before_step, start)
