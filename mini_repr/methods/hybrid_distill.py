"""Learn from two other runs: how one relates its tokens, and what the other makes of them."""

import numpy as np

from mini_repr.autograd import concatenate, no_grad
from mini_repr.backend import backend_of
from mini_repr.losses.reconstruction.masked_regression import masked_regression, normalise_patches
from mini_repr.methods.method import Method, Step
from mini_repr.nn import ViT
from mini_repr.pages.arguments import Fraction, NonNegative
from mini_repr.pages.declare import part
from mini_repr.tokens import least_redundant


@part("method", "hybrid_distill", paper="025")
class HybridDistill(Method):
    """Hybrid Distill: a student learns a masked autoencoder's token relations and another teacher's features.

    Shi et al. 2023, arXiv 2306.15876. Two teachers that stay as they are, both a ViT as wide and deep as the student,
    with as many heads: ``--set method.relations_of=RUN``, of masked images, and ``--set method.features_of=RUN``,
    contrastive or supervised. L = relations * (the loss ``token_relations``, of queries with keys and of values with
    values in the last block but one) + features * (smooth L1 distance of the student's tokens from the second
    teacher's, which are normalised to mean 0 and variance 1 each).

    ``drop``: the share of the tokens that the student is not given, those most alike to others in the second teacher's
    output; it rises evenly from 0 over the run, and what is compared is that of the tokens that are left. The block,
    the two kinds of relations and how tokens are dropped are this page's reading: no code is public, and of the text
    only the abstract and reviews could be read.
    """

    compares = ("teachers",)
    sample_asks_network = True

    def __init__(
        self,
        parts,
        *,
        relations_of="",
        features_of="",
        relations: NonNegative = 1.0,
        features: NonNegative = 1.0,
        drop: Fraction = 0.3,
    ):
        super().__init__(parts)
        if type(self.encoder) is not ViT or self.encoder.depth < 2:
            came = _kind_of(self.encoder)
            raise ValueError(f"method hybrid_distill: got {came}, expected --encoder vit, of depth 2 or more")
        self.weights, self.drop = (relations, features), drop
        self.block = self.encoder.depth - 1
        self.fixed_relations = self._teacher(parts, "relations_of", relations_of)
        self.fixed_features = self._teacher(parts, "features_of", features_of)
        self.register_buffer("progress", np.zeros(1))  # of the run, 0 to 1

    def _teacher(self, parts, name, path):
        if not path:
            raise ValueError(
                f"method hybrid_distill: {name}: got none, expected the folder of a run, such as --set "
                f"method.{name}=runs/masked_regression-digits-001"
            )
        teacher = parts.encoder_of(path)
        kind, own = _kind_of(teacher), _kind_of(self.encoder)
        if kind != own:
            raise ValueError(f"method hybrid_distill: {name}: {path} has {kind}, the student {own}; expected the same")
        for parameter in teacher.parameters():
            parameter.requires_grad = False
        return teacher

    @classmethod
    def fits(cls, loss):
        return super().fits(loss) and loss.required == ["query", "key", "teacher_query", "teacher_key"]

    def sample(self, images, rng):
        images, count = self.views(images, rng), self.encoder.patch_count
        with no_grad():
            features = self.fixed_features.eval()(images).tokens.data
        dropped = int(self.drop * float(self.progress[0]) * count)
        if not dropped:
            return images, np.tile(np.arange(count), (len(images), 1)), features
        return images, least_redundant(backend_of(images).to_numpy(features), count - dropped), features

    def embed(self, images, visible, features):
        encoded = self.encoder(images, visible=visible, project=(self.block,))
        return (*_by_head(encoded.projections[0], self.encoder), encoded.tokens, encoded.pooled)

    def targets(self, images, visible, features):
        backend = backend_of(images)
        rows = backend.xp.arange(len(images))[:, None], backend.asarray(visible)
        with no_grad():
            projected = self.fixed_relations.eval()(images, project=(self.block,)).projections[0]
            goals = _by_head([x[rows] for x in projected], self.encoder)
        features = features[rows]  # a copy
        normalise_patches(features, ddof=0)
        return (*(x.data for x in goals), features)

    def compare(self, rows, targets, batch, objective):
        *related, tokens, pooled = rows
        *goals, features = targets
        related, goals = ([x.reshape(-1, *x.shape[2:]) for x in some] for some in (related, goals))
        relations = objective(*related, *goals, embeddings=(pooled,))
        everywhere = np.ones(tokens.shape[:2], dtype=bool)
        distance = masked_regression(tokens, features, everywhere, norm="smooth_l1", normalize_target=False)
        total = self.weights[0] * relations + self.weights[1] * distance
        total.terms = {**relations.terms, "features": distance.data}
        return Step(total, pooled.data)

    def after_step(self, step, total_steps):
        self.progress[:] = step / total_steps


def _by_head(projected, encoder):
    """(first, second) rows of relations, (B, 2 heads, N, D / heads): queries and keys, then values twice."""
    heads = encoder.blocks[0]._heads
    q, k, v = (x.reshape(*x.shape[:2], heads, -1).transpose(0, 2, 1, 3) for x in projected)
    return concatenate(q, v, axis=1), concatenate(k, v, axis=1)


def _kind_of(encoder):
    """What teacher and student must share, in words."""
    if type(encoder) is not ViT:
        return f"an encoder {encoder.page.name}"
    shape = " x ".join(map(str, encoder.image_shape))
    sizes = f"patch {encoder.patch}, width {encoder.width}, depth {encoder.depth}, heads {encoder.blocks[0]._heads}"
    return f"a ViT of {shape}, {sizes}"
