"""Two views of each image through one encoder and one projector."""

from mini_repr.autograd import concatenate, split, stop_gradient
from mini_repr.backend import backend_of
from mini_repr.masking import random_mask, visible_patches
from mini_repr.methods.kept import keepers_for
from mini_repr.methods.method import Method, Step, views_of
from mini_repr.nn import PredictionHead, ProjectionHead, ViT


class Siamese(Method):
    """Two views through one network: SimCLR and its kin (pairs), SimSiam (teachers, with a predictor), regularisers.

    Chen et al. 2020, arXiv 2002.05709, section 2.1; Chen, He 2021, arXiv 2011.10566, algorithm 1. The encoder sees all
    views in one batch (two, or as many as the loss takes predictions); the projector sees each by itself, so that its
    batch statistics never mix the views. A loss of sequences gets the projected patch tokens: of the first view all, of
    the second a random half, in order.
    """

    folders = ("pairs", "teachers", "embeddings")

    def __init__(
        self,
        encoder,
        objective,
        views,
        data,
        rng,
        *,
        hidden=256,
        dimensions=64,
        layers=2,
        batch_norm=False,
        predictor_hidden=64,
    ):
        super().__init__(encoder, objective, views)
        self.projector = ProjectionHead(encoder.width, hidden, dimensions, rng, layers=layers, batch_norm=batch_norm)
        self.sequences = len(objective.loss.arrays[0].annotation.letters) == 3
        if self.sequences and not isinstance(encoder, ViT):
            raise ValueError(f"method siamese: {objective.loss.name} compares sequences of patches: --encoder vit")
        self.predictor = None
        if objective.loss.compares == "teachers":
            self.predictor = PredictionHead(dimensions, predictor_hidden, rng)
        self.keepers = keepers_for(objective.loss, objective.settings, data, dimensions, rng)

    def draw(self, images, rng):
        views = tuple(self.views(images, rng) for _ in range(views_of(self.objective.loss)))
        if not self.sequences:
            return views
        return *views, visible_patches(random_mask(rng, len(images), self.encoder.patch_count, 0.5))

    def embed(self, *views):
        if self.sequences:
            first, second, visible = views
            visible = backend_of(first).asarray(visible)
            encoded = self.encoder(first), self.encoder(second, visible=visible)
            return tuple(self.projector(one.tokens) for one in encoded)
        together = backend_of(views[0]).xp.concatenate(views)
        pooled = split(self.encoder(together).pooled, tuple(len(images) for images in views))
        rows = tuple(self.projector(part) for part in pooled)
        return rows if self.predictor is None else (*rows, *(self.predictor(z) for z in rows))

    def compare(self, rows, targets, batch):
        if self.predictor is not None:
            views, predictions = rows[: len(rows) // 2], rows[len(rows) // 2 :]
            total = self.objective(*predictions, *map(stop_gradient, views), embeddings=views)
            return Step(total, rows[0].data)
        za, zb = rows
        if self.sequences:
            means = za.mean(axis=1), zb.mean(axis=1)
            return Step(self.objective(za, zb, embeddings=means), means[0].data)
        if self.objective.loss.compares == "embeddings":
            total = self.objective(concatenate(za, zb), embeddings=(za, zb))
        else:
            total = self.compare_pairs(za, zb, batch, (za, zb))
        return Step(total, za.data)
