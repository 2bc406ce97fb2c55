"""Teach a denoiser of captions the object of one picture, beginning from what a pair of towers knows of it."""

import numpy as np

from mini_repr.autograd import Tensor, no_grad
from mini_repr.backend import backend_of
from mini_repr.losses.reconstruction.flow_matching import flow_matching
from mini_repr.losses.towers.prototype import prototype
from mini_repr.methods.flow import denoising_loss, middling_times, mixed
from mini_repr.methods.textual_subspace import subspace_weights
from mini_repr.nn import copy_of, patchify
from mini_repr.nn.low_rank import Adapted
from mini_repr.optim import descended
from mini_repr.pages.declare import part


@part("procedure", "prototype_weights", paper="112")
def prototype_weights(towers, image, mask, name, words, *, among="all", steps=200, lr=1e-2):
    """Weights (M,) over known words, whose sum is a new word that means what the picture's object and its class mean.

    Fitted by ``prototype`` with the caption "a s1". The paper fits the word's row itself; a denoiser whose captions
    pass another table than the towers' has no use for that row, but for these weights: they make one of its own rows.

    Source: Lu, Xie, Guo 2024, arXiv 2401.15708, the prototypical embedding; no code was found.

    Args:
        towers: ``nn.CaptionTowers`` whose parameters want no gradient. image: (C, H, W) in [0, 1]. mask: (H, W)
            booleans, the object's pixels. name: the class's word. words: to be weighted, ``name`` the first of them;
            the start is that word.
    Raises:
        ValueError: an empty mask, or words of which the first is not ``name``.
    """
    if not mask.any() or words[0] != name:
        came = f"words from {words[0]!r}" if mask.any() else "an empty mask"
        raise ValueError(f"prototype_weights: got {came}, expected some pixel, and words from {name!r}")
    backend, vocabulary = backend_of(towers.words.weight.data), towers.vocabulary.words
    with no_grad():
        seen = towers.images(backend.asarray(np.stack([image, image * mask]).astype(np.float32))).data
        called = towers.texts(towers.ids([f"a {name}"])).data
    basis, ids = towers.words.weight.data[[vocabulary.index(word) for word in words]], towers.ids(["a s1"])

    def loss_of(slots):
        return prototype(towers.texts(ids, slots), seen[:1], seen[1:], called, among=among)

    return subspace_weights(basis, loss_of, steps=steps, lr=lr)


@part("procedure", "implanted", paper="112")
def implanted(
    denoiser,
    image,
    mask,
    start,
    name,
    rng,
    *,
    steps=200,
    lr=3e-3,
    rank=4,
    object_weight=1.0,
    class_weight=0.5,
    batch=8,
):
    """A denoiser that can draw the object of one picture as "s1": (the tuned copy, {"s1": its row}).

    Products of low rank are added to the maps by which blocks read captions, and fitted with the word's row on

        L = flow_matching( picture under "a s1" ) + object_weight flow_matching( where the mask is )
            + class_weight mean ( what the tuned and the frozen denoiser say of it under "a NAME" )²

    The last term holds what the class's word does; its picture is as noisy as that of the others.

    Source: Lu, Xie, Guo 2024, arXiv 2401.15708. No code was found: the forms of the last two terms are read from the
    paper's words, and the weights are chosen here.

    Args:
        denoiser: ``nn.CaptionDenoiser`` whose parameters want no gradient; it stays as it is. image: (C, H, W) in [0,
            1]. mask: (H, W) booleans. start: (D,) row that the word starts from. name: the class's word.
    """
    tuned, backend = copy_of(denoiser), backend_of(denoiser.embed.weight.data)
    for block in tuned.blocks:
        block.key, block.value = Adapted(block.key, rank, rng), Adapted(block.value, rank, rng)
    low = {n: p for n, p in tuned.named_parameters().items() if ".residual." in n}
    row = Tensor(start.copy(), requires_grad=True)
    clean = np.repeat(2 * image[None] - 1, batch, axis=0).astype(np.float32)
    x, within = (backend.asarray(patchify(y, tuned.patch)) for y in (clean, np.broadcast_to(mask, clean.shape)))
    own, class_ids = (denoiser.ids([caption] * batch) for caption in ("a s1", f"a {name}"))

    def loss():
        times, noise = middling_times(rng, batch), rng.standard_normal(clean.shape, dtype=np.float32)
        text = tuned.read(own, {"s1": row})
        total, denoised = denoising_loss(tuned, clean, noise, times, text)
        if object_weight:
            n, m = backend.asarray(patchify(noise, tuned.patch)), within.astype(x.dtype)
            total = total + flow_matching(denoised.patches, x, n, m) * object_weight
        if class_weight:
            noised, told = backend.asarray(mixed(clean, noise, times)), tuned.read(class_ids)
            with no_grad():
                said = denoiser.denoise(noised, times, text=told).patches.data
            now = tuned.denoise(noised, times, text=told).patches
            total = total + flow_matching(now, said, said, predicts="clean") * class_weight
        return total

    descended({**low, "s1": row}, loss, steps=steps, lr=lr)
    for parameter in low.values():
        parameter.requires_grad = False
    return tuned, {"s1": row.data}
