"""VTAB: labels make the best rows for natural tasks, rebuilding images those for structured ones.

Zhai et al. 2019, arXiv 1910.04867, find supervised representations best on natural tasks, and generative and
self-supervised ones nearer to them, or ahead, on structured ones. Eleven tasks of 8 x 8 images, 1,000 examples each, a
linear probe. One MLP (64 columns, 256 hidden), 30 epochs on the digits: untrained, InfoNCE with the default views, an
autoencoder (MS-SSIM), a classifier of the digits, whose labels the natural tasks share; and the pixels.
"""

from mini_repr.backend import CPU
from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.trained import trained
from mini_repr.methods import encode
from mini_repr.posthoc.vtab import benchmark
from mini_repr.training.run import Run
from mini_repr.training.session import prepare

ENCODER = {"name": "mlp", "width": 64, "hidden": 256, "depth": 2}
LOSSES = {"InfoNCE": "infonce", "autoencoder": "ms_ssim", "supervised": "cross_entropy"}


def scores(embed, seed):
    found = benchmark(embed, seed)
    return {**found.groups, "all": found.total}


def of_run(run, seed):
    return scores(lambda task, part, images: encode(run.method.encoder, images, CPU), seed)


def measure(seed):
    arms = {"pixels": scores(lambda task, part, images: images.reshape(len(images), -1), seed)}
    settings, data = prepare({"loss": {"name": "infonce"}, "encoder": ENCODER, "train": {"seed": seed}})
    arms["untrained"] = of_run(Run(settings, data, CPU), seed)
    for name, loss in LOSSES.items():
        arms[name] = of_run(trained(seed, loss={"name": loss}, encoder=ENCODER, train={"epochs": 30}), seed)
    return arms


CLAIM = Claim(
    paper="107",
    says="labels make the best rows for natural tasks, rebuilding images those for structured ones",
    measure=measure,
    expects=(
        higher("natural", "supervised", "InfoNCE"),
        higher("natural", "supervised", "autoencoder"),
        higher("structured", "autoencoder", "supervised"),
        higher("structured", "autoencoder", "InfoNCE"),
    ),
)
