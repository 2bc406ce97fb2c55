"""I-Con: other supervision for the same learned distribution, neighbours besides partners, and debiased ones.

Alshammari et al. 2025, arXiv 2504.16929: methods are pairs of a supervisory and a learned distribution, and can be
mixed. Two of its mixtures, small: contrastive learning (an MLP on digits, both views as one set of rows) whose targets
are also the 15 nearest training images in pixels, no labels used; and targets, or both distributions, debiased with
alpha = 0.2. *few labels*: a linear probe with 10 labels per class. Same temperature (0.2) and epochs (10) in all arms.
"""

import numpy as np

from mini_repr.autograd import concatenate
from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.trained import few_labels, scores
from mini_repr.claims.bench.views import trained_on_views
from mini_repr.data import load
from mini_repr.kernels.supervision import nearest_neighbours
from mini_repr.losses.pairs.icon import icon

ARMS = {
    "partners": {},
    "partners, targets debiased": {"alpha": 0.2},
    "partners, both debiased": {"alpha": 0.2, "learned_alpha": 0.2},
    "partners and neighbours": {},
    "partners and neighbours, both debiased": {"alpha": 0.2, "learned_alpha": 0.2},
}


def measure(seed):
    data = load("digits")
    partners = np.eye(len(data.train), dtype=np.float32)
    neighbours = nearest_neighbours(data.train.images.reshape(len(data.train), -1), 15)
    found = {}
    for name, settings in ARMS.items():
        targets = partners + neighbours if "neighbours" in name else partners

        def loss_of(views, index, targets=targets, settings=settings):
            z = concatenate(*views)
            of_batch = np.tile(targets[np.ix_(index, index)], (2, 2))
            return icon(z, z, of_batch, exclude_self=True, temperature=0.2, **settings)

        encoder = trained_on_views(data.train, loss_of, seed, batch=256, epochs=10)
        found[name] = {"few labels": few_labels(encoder, data), **scores(encoder, data)}
    return found


CLAIM = Claim(
    paper="008",
    says="contrastive learning gains from neighbours as further targets, and from debiased distributions",
    measure=measure,
    expects=(
        higher("few labels", "partners and neighbours", "partners"),
        higher("few labels", "partners, both debiased", "partners"),
    ),
    seeds=5,
)
