"""New words for what a picture shows: rows of the word table that are fitted while all else stays."""

from typing import NamedTuple

import numpy as np

from mini_repr.autograd import Tensor
from mini_repr.backend import backend_of
from mini_repr.data.generated.scenes import SLOTS
from mini_repr.losses.maps.map_in_mask import map_in_mask
from mini_repr.methods.flow import denoising_loss, middling_times
from mini_repr.nn import Module, copy_of
from mini_repr.nn.denoiser import mean_map
from mini_repr.optim import descended
from mini_repr.pages.declare import part


@part("procedure", "fitted_rows", paper=("064", "106"))
def fitted_rows(rows, loss_of, *, steps, lr):
    """Rows for words that have none, by gradient descent on these rows alone: {word: (D,)}.

    An optimiser over the whole word table would move every row by its weight decay; here there is none.

    Source: Gal et al. 2022, arXiv 2208.01618 (textual inversion), the frozen model.

    Args:
        rows: {word: (D,) array} to start from. loss_of: {word: tensor} to the loss as a one-element tensor; draws its
            own batches.
    """
    slots = {word: Tensor(row.copy(), requires_grad=True) for word, row in rows.items()}
    descended(slots, lambda: loss_of(slots), steps=steps, lr=lr)
    return {word: slot.data for word, slot in slots.items()}


def inversion_loss(denoiser, images, caption, rng, batch=8):
    """The loss of ``fitted_rows`` for textual inversion: images (N, C, H, W) in [0, 1] are denoised under a caption."""
    clean = 2 * images - 1

    def loss_of(slots):
        x = clean[rng.integers(len(clean), size=batch)]
        times, noise = middling_times(rng, batch), rng.standard_normal(x.shape, dtype=np.float32)
        return denoising_loss(denoiser, x, noise, times, denoiser.read(denoiser.ids([caption] * batch), slots))[0]

    return loss_of


@part("procedure", "extracted_concepts", paper="064")
def extracted_concepts(
    denoiser, image, masks, start, rng, *, steps=100, lr=2e-2, batch=8, attention_weight=0.01, union=True, masked=True
):
    """A word for each object of one picture, by masked denoising: {"s1": row, "s2": row, ...}.

    A step draws subsets of the objects, captions them ("a s1 and a s2"), and asks the frozen denoiser to denoise the
    picture where these objects are (``flow_matching`` with their masks' union); the map of each word is drawn into its
    mask (``map_in_mask``). Subsets of every size tell the words apart: with all objects always, each word may draw any.

    Source: Avrahami et al. 2023, arXiv 2305.16311 (Break-A-Scene), the first of its two phases; ``tuned_concepts`` is
    the second.

    Args:
        denoiser: ``nn.CaptionDenoiser`` whose parameters want no gradient. image: (C, H, W) in [0, 1]. masks: (n, H, W)
            booleans, n at most 8. start: (D,) row that each word starts from. rng: of subsets, times and noise.
        union: subsets; False: all objects always. masked: False: the whole picture is denoised, as in textual
            inversion.
    Raises:
        ValueError: a mask without a pixel, or more masks than free words.
    """
    loss = objects_loss(denoiser, image, masks, rng, batch, attention_weight, union, masked)
    return fitted_rows(dict.fromkeys(SLOTS[: len(masks)], start), loss, steps=steps, lr=lr)


class TunedConcepts(NamedTuple):
    """denoiser: a copy, as tuned, whose parameters want no gradient. rows: {word: (D,)}, as tuned with it."""

    denoiser: Module
    rows: dict


@part("procedure", "tuned_concepts", paper="064")
def tuned_concepts(
    denoiser, image, masks, rows, prior, rng, *, steps=100, lr=3e-4, batch=8, attention_weight=0.01, prior_weight=1.0
):
    """The denoiser's weights tuned together with the words that ``extracted_concepts`` found: ``TunedConcepts``.

    The loss of the first phase, plus ``prior_weight`` times that of denoising other pictures under their captions, from
    which the denoiser is not to forget what it could draw before.

    Source: Avrahami et al. 2023, arXiv 2305.16311 (Break-A-Scene), the second phase: there the text encoder is tuned
    too, as here, 400 steps at 2e-6 after 400 at 5e-4 for the words, and the prior acts in both phases.

    Args:
        denoiser, image, masks, rng: as of ``extracted_concepts``. rows: {word: (D,)} that it returned.
        prior: (images (M, C, H, W) in [0, 1], their M captions), such as the denoiser itself has drawn.
    Raises:
        ValueError: as ``extracted_concepts``, or other words than the masks ask for.
    """
    if list(rows) != list(SLOTS[: len(masks)]):
        raise ValueError(f"tuned_concepts: rows: got {', '.join(rows)}, expected {', '.join(SLOTS[: len(masks)])}")
    made, slots = copy_of(denoiser), {word: Tensor(row.copy(), requires_grad=True) for word, row in rows.items()}
    for parameter in made.parameters():
        parameter.requires_grad = True
    objects = objects_loss(made, image, masks, rng, batch, attention_weight, True, True)
    pictures, ids = 2 * prior[0] - 1, made.ids(prior[1])

    def loss():
        chosen = rng.integers(len(pictures), size=batch)
        times, noise = middling_times(rng, batch), rng.standard_normal(pictures[chosen].shape, dtype=np.float32)
        kept = denoising_loss(made, pictures[chosen], noise, times, made.read(ids[chosen]))[0]
        return objects(slots) + kept * prior_weight

    descended({**made.named_parameters(), **slots}, loss, steps=steps, lr=lr)
    return TunedConcepts(copy_of(made), {word: slot.data for word, slot in slots.items()})


def objects_loss(denoiser, image, masks, rng, batch, attention_weight, union, masked):
    """A function of {word: tensor} to the loss of Break-A-Scene on one picture; see ``extracted_concepts``.

    Raises:
        ValueError: a mask without a pixel, or more masks than free words.
    """
    empty = int((~masks.any(axis=(1, 2))).sum())
    if empty or not 1 <= len(masks) <= len(SLOTS):
        raise ValueError(
            f"extracted_concepts: masks: got {len(masks)}, {empty} without a pixel, expected 1 to {len(SLOTS)}"
        )
    words, backend = SLOTS[: len(masks)], backend_of(denoiser.embed.weight.data)
    clean = np.repeat(2 * image[None] - 1, batch, axis=0).astype(np.float32)
    down, across = (length // cells for length, cells in zip(masks.shape[1:], denoiser.grid, strict=True))
    on_grid = masks.reshape(len(masks), denoiser.grid[0], down, denoiser.grid[1], across).any(axis=(2, 4))

    def loss_of(slots):
        shown = np.ones((batch, len(masks)), dtype=bool)
        if union:
            sizes = rng.integers(1, len(masks) + 1, size=batch)
            shown = rng.random((batch, len(masks))).argsort(axis=1).argsort(axis=1) < sizes[:, None]
        captions = [" and ".join(f"a {w}" for w, there in zip(words, row, strict=True) if there) for row in shown]
        times, noise = middling_times(rng, batch), rng.standard_normal(clean.shape, dtype=np.float32)
        ids = denoiser.ids(captions)
        within = (shown @ masks.reshape(len(masks), -1)).reshape(batch, 1, *masks.shape[1:]) > 0
        within = np.repeat(within, clean.shape[1], axis=1).astype(np.float32)
        text = denoiser.read(ids, slots)
        total, denoised = denoising_loss(denoiser, clean, noise, times, text, within if masked else None)
        if not attention_weight:
            return total
        mean = mean_map(denoised.maps)
        for k, word in enumerate(words):
            rows = np.flatnonzero(shown[:, k])
            if len(rows):
                places = (ids[rows] == denoiser.vocabulary.words.index(word)).argmax(axis=1)
                seen = mean[backend.asarray(rows), :, backend.asarray(places)].reshape(len(rows), *denoiser.grid)
                mask = backend.asarray(np.repeat(on_grid[k][None], len(rows), axis=0).astype(np.float32))
                total = total + map_in_mask(seen, mask) * (attention_weight * len(rows) / batch)
        return total

    return loss_of
