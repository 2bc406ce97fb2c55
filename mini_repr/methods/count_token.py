"""A word that makes a denoiser of captions draw as many things as are asked for."""

from itertools import count
from typing import NamedTuple

import numpy as np

from mini_repr.autograd import Tensor, no_grad, unit_rows
from mini_repr.backend import backend_of
from mini_repr.data.generated.scenes import NUMBERS
from mini_repr.losses.maps.map_count import map_count
from mini_repr.methods.flow import by_steps, velocity
from mini_repr.optim import descended
from mini_repr.pages.declare import part

STEPS, THROUGH = 4, 2  # of drawing, and of these the last ones that a gradient passes
PEAK = 4  # power of the counter's probabilities: what hardly looks like the thing has no slope


class Counted(NamedTuple):
    """What ``count_rows`` found: rows (B, D) of the word, one an image, and how far off the counter sees each (B,)."""

    rows: object
    off: np.ndarray


@part("procedure", "count_rows", paper="084")
def count_rows(
    denoiser, towers, counter, noise, words, goals, *, dynamic=True, class_weight=1.0, iterations=40, lr=0.2
):
    """For each image its own row of the word "s1" in "s1 seven", so that as many sevens are drawn as are asked for.

    From one noise an image is drawn in four steps, again and again; its row follows the gradient, through the last two,
    of ``map_count`` of what the counter sees and of class_weight (1 - cosine of image and "a seven" in the towers). The
    row starts as that of the number's own word, "3x"; the best one is kept. ``dynamic``: the counter's scale is set at
    every iteration from what it detects, where it detects anything; else at the first alone.

    Source: Zafar, Wolf, Schwartz 2024, arXiv 2408.11721; official code: ozzafar/count_token_optimization (read): one
    step of SDXL-Turbo, the word "some", weight 10 on the cosine of CLIP, and AdamW over the whole table of words, whose
    decay moves every row; its clipping of gradients comes before they are there. Nothing detected divides by 0 there.

    Args:
        denoiser, towers: ``nn.CaptionDenoiser`` and ``nn.CaptionTowers`` whose parameters want no gradient. counter:
            has ``potential`` and ``spot`` as ``standins.spotter.Spotter``. noise: (B, C, H, W). words: of digits, B.
        goals: (B,) host integers, 2 to 4.
    Raises:
        ValueError: another goal.
    """
    goals = np.asarray(goals)
    if not np.isin(goals, (2, 3, 4)).all():
        raise ValueError(f"count_rows: goals: got {goals.tolist()}, expected numbers from 2 to 4")
    backend, vocabulary = backend_of(denoiser.words.weight.data), denoiser.vocabulary.words
    digits = np.array([NUMBERS.index(word) for word in words])
    ids = denoiser.ids([f"s1 {word}" for word in words])
    start = denoiser.words.weight.data[[vocabulary.index(f"{goal}x") for goal in goals]]
    rows = Tensor(start.copy()[:, None], requires_grad=True)
    with no_grad():
        named = unit_rows(towers.texts(towers.ids([f"a {word}" for word in words]))).data
    asked = backend.asarray(goals.astype(start.dtype))
    best = Counted(start.copy(), np.full(len(goals), np.inf))
    scale, iteration = np.ones(len(goals)), count()

    def loss():
        x = drawn(denoiser, noise, denoiser.read(ids, {"s1": rows}))
        image = (x + 1) / 2
        density = counter.potential(image, digits) ** PEAK
        kinds, _ = counter.spot(backend.to_numpy(backend.xp.clip(image.data, 0, 1)))
        detected = (kinds == digits[:, None]).sum(axis=1)
        off = np.abs(detected - goals)
        better = backend.asarray(np.flatnonzero(off < best.off))
        best.rows[better] = rows.data[better, 0]
        best.off[...] = np.minimum(off, best.off)
        mass = backend.to_numpy(density.data.sum(axis=1)) + 1e-12
        if next(iteration) == 0 or dynamic:
            scale[...] = np.where(detected > 0, mass / np.maximum(detected, 1), scale)
        total = map_count(density, asked, backend.asarray(scale.astype(start.dtype)))
        if not class_weight:
            return total
        return total + (1 - (unit_rows(towers.images(image)) * named).sum(axis=1).mean()) * class_weight

    descended({"rows": rows}, loss, steps=iterations, lr=lr)
    return best


def drawn(denoiser, noise, text):
    """What noise (B, C, H, W) becomes in ``STEPS`` steps under captions that were read; the last carry a gradient."""

    def says(x, t):
        if t > THROUGH / STEPS:
            with no_grad():
                return velocity(denoiser, x, t, text).data
        return velocity(denoiser, x, t, text)

    return by_steps(noise, says, STEPS)
