"""Fit tokens that both towers of a frozen pair read to a few labelled images."""

from mini_repr.autograd import no_grad, unit_rows
from mini_repr.backend import backend_of
from mini_repr.losses.towers.mmrl import mmrl
from mini_repr.nn import trimmed
from mini_repr.optim import descended
from mini_repr.pages.declare import part


@part("procedure", "fitted_tokens", paper=("058", "086"))
def fitted_tokens(space, towers, images, labels, captions, rng, *, steps=100, lr=3e-3, batch=16, alpha=0.7, anchor=0.5):
    """Fit ``nn.RepresentationTokens`` in place by the loss ``mmrl``, at the towers' scale; the towers stay as they are.

    Source: Guo, Gu 2025, arXiv 2503.08497 and 2505.10088; official code: yunncheng/MMRL (read). It multiplies cosines
    by 100, which is what its towers have learned; its rate warms up and falls along a cosine, here it stays.

    Args:
        space: ``nn.RepresentationTokens``. towers: ``nn.CaptionTowers`` whose parameters want no gradient. images: (N,
            C, H, W) host array in [0, 1]. labels: (N,) host integers, places in ``captions``: one a class.
        alpha, anchor: of the loss.
    """
    images = backend_of(towers.words.weight.data).asarray(images)
    ids = caption_ids(towers, captions)
    with no_grad():
        image_before, text_before = towers.images(images).data, towers.texts(ids).data

    def loss():
        chosen = rng.integers(len(images), size=batch)
        at = backend_of(images).asarray(chosen)
        image, tokens = space.images(towers, images[at])
        text = space.texts(towers, ids)
        return mmrl(
            image, tokens, text, image_before[at], text_before, labels[chosen], towers.scale, alpha=alpha, anchor=anchor
        )

    descended(space.named_parameters(), loss, steps=steps, lr=lr)
    return space


def class_cosines(space, towers, images, captions):
    """(cosines (N, K) of images with classes, those of their tokens with classes), arrays."""
    with no_grad():
        text = unit_rows(space.texts(towers, caption_ids(towers, captions))).data
        return tuple(unit_rows(rows).data @ text.T for rows in space.images(towers, images))


def caption_ids(towers, captions):
    """The words' numbers of captions, without the places that none reaches."""
    ids = towers.ids(captions)
    return trimmed(ids, ids != 0)[0]
