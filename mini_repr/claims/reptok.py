"""RepTok: one vector of a self-supervised encoder, tuned with a generator, lets its token rebuild images.

Gui et al. 2025, arXiv 2510.14630. Digits, a ViT of two blocks trained by InfoNCE for ten epochs; a denoiser of two
blocks is told its class row, three hundred steps of 64. *frozen*: the encoder stays; *token*: the class token's vector
moves too, with weight 0.1 on the cosine to the row as it was; *no cosine*: with weight 0; *whole*: the whole encoder
moves, without that weight. One learning rate for all. On test images: *error*: mean squared, of one image drawn for
each; *neighbours*: 20-nearest-neighbour accuracy of the row; *few*: of a linear probe with ten labels a class;
*cosine*: of the row with that of the encoder as it was; *distance*: energy distance to test images of images drawn from
latents that a second network draws.
"""

import numpy as np

from mini_repr.claims.bench.claim import Claim, higher, lower, no_worse
from mini_repr.claims.bench.trained import few_labels, scores, trained
from mini_repr.methods.reptok import RepTok, fitted_reptok, latent_flow
from mini_repr.metrics import energy_distance

SETTINGS = {"loss": {"name": "infonce"}, "encoder": {"width": 64, "depth": 2, "patch": 4}, "train": {"epochs": 10}}
DENOISER = {"patch": 4, "width": 96, "depth": 2}
ARMS = {
    "frozen": ("nothing", 0.0),
    "token": ("token", 0.1),
    "no cosine": ("token", 0.0),
    "whole": ("all", 0.0),
}


def measure(seed):
    run = trained(seed, **SETTINGS)
    encoder, test, train = run.method.encoder.eval(), run.data.test.images, run.data.train.images
    before, found = rows_of(encoder, test), {}
    for arm, (tuned, weight) in ARMS.items():
        rng = np.random.default_rng([seed, 1])
        model = RepTok(encoder, rng, tuned=tuned, **DENOISER)
        fitted_reptok(model, train, rng, cosine_weight=weight, steps=300, batch=64)
        z, noise = rows_of(model.encoder, test), rng.standard_normal(test.shape, dtype=np.float32)
        draw = latent_flow(rows_of(model.encoder, train), rng, steps=300)
        drawn = model.rebuilt(draw(rng.standard_normal(z.shape, dtype=np.float32)).astype(np.float32), noise)
        found[arm] = {
            "error": float(((model.rebuilt(z, noise) - test) ** 2).mean()),
            "neighbours": scores(model.encoder, run.data)["knn"],
            "few": few_labels(model.encoder, run.data),
            "cosine": float(
                np.mean([a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(z, before, strict=True)])
            ),
            "distance": energy_distance(drawn.reshape(len(drawn), -1), test.reshape(len(test), -1)),
        }
    return found


def rows_of(encoder, images):
    """The class rows (N, D) of images."""
    return encoder(images).pooled.data


CLAIM = Claim(
    paper="095",
    says="one tuned vector of an encoder rebuilds images better from its row, which stays as good for other ends",
    measure=measure,
    expects=(
        lower("error", "token", "frozen"),
        no_worse("few", "token", "frozen", by=0.02),
        higher("few", "token", "whole"),
        lower("distance", "token", "whole"),
    ),
    seeds=5,
    designs=1,
)
