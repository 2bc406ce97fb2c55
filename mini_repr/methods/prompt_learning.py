"""Words in front of a class's name that are fitted to a few images, for a pair of towers that stays as it is."""

import numpy as np

from mini_repr.autograd import broadcast_to, no_grad, unit_rows
from mini_repr.backend import backend_of
from mini_repr.data.generated.scenes import SLOTS
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.losses.towers.prompt_distribution import prompt_distribution
from mini_repr.losses.towers.prompt_orthogonality import prompt_orthogonality
from mini_repr.methods.concepts import fitted_rows
from mini_repr.nn import trimmed
from mini_repr.pages.declare import part


@part("procedure", "learned_prompts", paper="062")
def learned_prompts(
    towers, images, labels, names, rng, *, prompts=8, length=4, bound=True, diversity=0.1, steps=150, lr=1e-2, batch=20
):
    """Prompts for classes, a set of rows in front of each name, fitted by a few labelled images: (prompts, length, D).

    With ``bound`` the loss is ``prompt_distribution`` at the towers' scale, which knows how the rows of all classes
    move from prompt to prompt; else the cross-entropy of their means alone. Beside it ``diversity`` times
    ``prompt_orthogonality`` of the prompts without a name. Rows start as large as those of words.

    Source: Lu et al. 2022, arXiv 2205.03340 (ProDA). There a step draws some of 32 prompts, and names stand at the end,
    in the middle or in front; here all are in a step and names come last. No official code was found.

    Args:
        towers: ``nn.CaptionTowers`` whose parameters want no gradient. images: (N, C, H, W) host array in [0, 1].
        labels: (N,) host integers, places in ``names``. names: words of the vocabulary, one a class.
        length: words of a prompt, at most 8. lr: of AdamW, without weight decay. batch: images a step.
    Raises:
        ValueError: a length that there are no words for, or fewer than one prompt.
    """
    if not 1 <= length <= len(SLOTS) or prompts < 1:
        raise ValueError(
            f"learned_prompts: got {prompts} prompts of length {length}, expected 1 or more of 1 to {len(SLOTS)} words"
        )
    table = towers.words.weight.data
    backend, size = backend_of(table), float(table.std())
    start = backend.asarray(size * rng.standard_normal((prompts, length, towers.width)), dtype=table.dtype)
    with no_grad():
        rows = towers.images(backend.asarray(images)).data

    def loss_of(slots):
        chosen = rng.integers(len(rows), size=batch)
        image, text = rows[backend.asarray(chosen)], prompted_classes(towers, slots["prompts"], names)
        if bound:
            total = prompt_distribution(image, text, labels[chosen], scale=towers.scale)
        else:
            cosines = unit_rows.on_arrays(image)[0] @ unit_rows(text).mean(axis=1).T
            total = cross_entropy(cosines * towers.scale, labels[chosen])
        if not diversity:
            return total
        alone = prompted_classes(towers, slots["prompts"], [""]).reshape(prompts, -1)
        return total + prompt_orthogonality(alone) * diversity

    return fitted_rows({"prompts": start}, loss_of, steps=steps, lr=lr)["prompts"]


def prompted_classes(towers, prompts, names):
    """Rows (K, prompts, dimensions) of classes under prompts (prompts, length, D), a tensor or an array."""
    count, length, width = prompts.shape
    words = SLOTS[:length]
    ids = np.repeat(towers.ids([" ".join([*words, name]) for name in names]), count, axis=0)
    ids, _ = trimmed(ids, ids != 0)
    texts = len(names) * count

    def of_each_text(k):
        return broadcast_to(prompts[:, k], (len(names), count, width)).reshape(texts, 1, width)

    rows = towers.texts(ids, {word: of_each_text(k) for k, word in enumerate(words)})
    return rows.reshape(len(names), count, -1)


def classified(towers, images, prompts, names):
    """(N,): of each image the class whose mean over prompts of rows of length 1 has the largest product with its row.

    Source: Lu et al. 2022, arXiv 2205.03340: prediction by the mean of the Gaussian.
    """
    with no_grad():
        mean = unit_rows(prompted_classes(towers, prompts, names)).data.mean(axis=1)
        return (towers.images(images).data @ mean.T).argmax(axis=1)
