"""Steer the drawing of an image by where the words of its caption look."""

import numpy as np

from mini_repr.autograd import Tensor
from mini_repr.backend import backend_of
from mini_repr.data.generated.scenes import ATTRIBUTES, parse
from mini_repr.losses.maps.entity_missing import entity_missing
from mini_repr.losses.maps.map_overlap import map_overlap
from mini_repr.losses.maps.spatial_relation import spatial_relation
from mini_repr.methods.flow import of_length_one
from mini_repr.nn.denoiser import mean_map
from mini_repr.pages.declare import part


class Layout:
    """What captions ask of the attention maps of their images: the sum of four losses, and how to follow it.

    Izadi et al. 2025, arXiv 2503.06506: with a relation, ``spatial_relation`` + ``entity_missing`` + the attributes'
    ``map_overlap`` ("together"); without one the nouns' ``map_overlap`` ("apart") in its place. A map is the mean over
    blocks and heads of what the patches give a word.

    Args:
        captions: texts as ``data.generated.scenes.parse`` reads them, each with as many nouns as the others.
    Raises:
        ValueError: captions with different numbers of nouns.
    """

    def __init__(self, captions):
        said = [parse(caption) for caption in captions]
        counts = sorted({len(one.nouns) for one in said})
        if len(counts) > 1:
            raise ValueError(f"Layout: captions name {' and '.join(map(str, counts))} things, expected as many in each")
        words = [caption.split() for caption in captions]
        self.nouns = np.array([[noun.place for noun in one.nouns] for one in said])
        # The word before a noun is its attribute where it is one, not the article.
        before = [[w[noun.place - 2] for noun in one.nouns] for w, one in zip(words, said, strict=True)]
        self.told = np.isin(before, ATTRIBUTES)
        self.relations = [one.relation for one in said]

    def loss(self, maps, grid):
        """The sum over images, a tensor.

        Args:
            maps: tensors (B, heads, P, T), one a block. grid: (rows, columns) of the patches.
        """
        total = 0.0
        mean = mean_map(maps)
        every = np.arange(len(self.nouns))

        def of(rows, places):
            index = backend_of(mean.data).asarray
            return mean[index(rows), :, index(places)].reshape(len(rows), *grid)

        count = self.nouns.shape[1]
        if count > 1:
            images = mean[backend_of(mean.data).asarray(every[:, None]), :, backend_of(mean.data).asarray(self.nouns)]
            total = total + entity_missing(images.reshape(len(every), count, *grid)) * len(every)
        for relation in {r for r in self.relations if r}:
            rows = np.flatnonzero([r == relation for r in self.relations])
            first, second = (of(rows, self.nouns[rows, k]) for k in (0, 1))
            total = total + spatial_relation(first, second, relation) * len(rows)
        free = np.flatnonzero([r is None for r in self.relations])
        for i in range(count if len(free) else 0):
            for j in range(i):
                pair = (of(free, self.nouns[free, k]) for k in (j, i))
                total = total + map_overlap(*pair) * len(free)
        for k in range(count):
            rows = np.flatnonzero(self.told[:, k])
            if len(rows):
                pair = (of(rows, self.nouns[rows, k] - offset) for offset in (1, 0))
                total = total + map_overlap(*pair, goal="together") * len(rows)
        return total

    def gradient(self, denoiser, x, t, text):
        """The loss's gradient for images x (B, C, H, W) at time t, of length 1 each (0 where there is none)."""
        x = Tensor(x, requires_grad=True)
        total = self.loss(denoiser.denoise(x, np.full(len(x), t), text=text).maps, denoiser.grid)
        if not isinstance(total, Tensor):  # captions of one thing without an attribute ask for nothing
            return 0 * x.data
        total.backward()
        return of_length_one(x.grad)


@part("procedure", "guided_by_maps", paper="055")
def guided_by_maps(denoiser, captions, *, size=1.0, until=0.5, layout=None):
    """A ``before_step`` of drawing that follows what captions ask of the attention maps.

    Before each step with t above ``until`` the image moves by ``size`` against the gradient of the captions' losses, in
    the pass with the caption alone; the gradient is scaled to length 1 an image. The denoiser's weights should want no
    gradient.

    Source: Izadi et al. 2025, arXiv 2503.06506, stage 2. In the official code, hadi-hosseini/noise-refinement, too the
    first half of the steps is guided; there the gradient is not scaled to 1, and the size falls.

    Args:
        denoiser: ``nn.CaptionDenoiser``. layout: ``Layout`` of other captions than those that are drawn.
    Returns:
        function (number of the step, t, x) to x.
    """
    layout, text = layout or Layout(captions), denoiser.read(denoiser.ids(captions))

    def before_step(k, t, x):
        return x - size * layout.gradient(denoiser, x, t, text) if t > until else x

    return before_step


@part("procedure", "refined_noise", paper="055")
def refined_noise(denoiser, noise, captions, *, steps=5, size=1.0):
    """Noises from which their captions are better met: steps against the same losses before anything is drawn.

    Source: Izadi et al. 2025, arXiv 2503.06506, stage 1: for captions that a verifier found unmet, from the same noise.

    Args:
        noise: (B, C, H, W) at t = 1.
    """
    layout, text = Layout(captions), denoiser.read(denoiser.ids(captions))
    for _ in range(steps):
        noise = noise - size * layout.gradient(denoiser, noise, 1.0, text)
    return noise
