"""W-MSE: whitening does what negatives do, and four positives teach more than two.

Ermolov et al. 2020, arXiv 2007.06346: the mean squared error of positives alone invites collapse, whitening scatters
them; W-MSE 4 (four views an image, six pairs) is better than W-MSE 2, and both stand beside contrastive losses. Here:
an MLP on digits, batches of 256 whitened as one. Four views an image for 10 epochs are compared with two views for 20,
which are as many. *few labels*: a linear probe with 10 labels per class. *rank*: effective rank of test rows.
Four views and two for as many epochs were compared first.
"""

from itertools import combinations

from mini_repr.backend import CPU
from mini_repr.claims.bench.claim import Claim, higher, no_worse
from mini_repr.claims.bench.trained import few_labels, scores
from mini_repr.claims.bench.views import trained_on_views
from mini_repr.data import load
from mini_repr.losses.pairs.align_uniform import align_uniform
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.losses.pairs.wmse import wmse
from mini_repr.methods import encode
from mini_repr.metrics import effective_rank

ARMS = {
    "MSE alone": (lambda a, b: align_uniform(a, b, uniformity_weight=0.0), 2, 10),
    "W-MSE 2": (wmse, 2, 10),
    "W-MSE 2, twice the epochs": (wmse, 2, 20),
    "W-MSE 4": (wmse, 4, 10),
    "InfoNCE": (lambda a, b: infonce(a, b, temperature=0.2), 2, 20),
}


def measure(seed):
    data = load("digits")
    found = {}
    for name, (loss, count, epochs) in ARMS.items():

        def loss_of(views, index, loss=loss):
            pairs = list(combinations(views, 2))
            return sum(loss(a, b) for a, b in pairs) / len(pairs)

        encoder = trained_on_views(data.train, loss_of, seed, views=count, batch=256, epochs=epochs)
        rank = effective_rank(encode(encoder, data.test.images, CPU))
        found[name] = {"few labels": few_labels(encoder, data), **scores(encoder, data), "rank": rank}
    return found


CLAIM = Claim(
    paper="026",
    says="whitening scatters what the error of positives alone lets collapse; four positives are better than two",
    measure=measure,
    expects=(
        higher("few labels", "W-MSE 2", "MSE alone"),
        higher("rank", "W-MSE 2", "MSE alone"),
        higher("few labels", "W-MSE 4", "W-MSE 2, twice the epochs"),
        no_worse("few labels", "W-MSE 4", "InfoNCE", by=0.01),
    ),
    seeds=5,
    designs=2,
)
