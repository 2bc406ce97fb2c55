"""VTAB: labels serve natural tasks best, rebuilding images structured ones, and tuning starts better from either.

Zhai et al. 2019, arXiv 1910.04867, find supervised representations best on natural tasks, generative and
self-supervised ones nearer to them, or ahead, on structured ones, and networks tuned from supervised or self-supervised
weights better than from scratch. Eleven tasks of 8 x 8 images, 1,000 examples each, by a linear probe, and, of all but
the autoencoder, by tuning all weights (*tuned*). One MLP (64 columns, 256 hidden), 30 epochs on the digits: untrained,
InfoNCE with the default views, an autoencoder (MS-SSIM), a classifier of the digits, whose labels the natural tasks
share; and the pixels. The linear part was measured before the tuned one was there; its arms are as they were.
"""

from mini_repr.backend import CPU
from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.trained import trained
from mini_repr.methods import encode
from mini_repr.posthoc.vtab import benchmark, finetuned_benchmark
from mini_repr.training.run import Run
from mini_repr.training.session import prepare

ENCODER = {"name": "mlp", "width": 64, "hidden": 256, "depth": 2}
LOSSES = {"InfoNCE": "infonce", "autoencoder": "ms_ssim", "supervised": "cross_entropy"}


def scores(found, suffix=""):
    return {f"{group}{suffix}": value for group, value in {**found.groups, "all": found.total}.items()}


def of_run(run, seed, tuned=True):
    encoder = run.method.encoder
    linear = benchmark(lambda task, part, images: encode(encoder, images, CPU), seed)
    return scores(linear) | (scores(finetuned_benchmark(encoder, seed), ", tuned") if tuned else {})


def measure(seed):
    arms = {"pixels": scores(benchmark(lambda task, part, images: images.reshape(len(images), -1), seed))}
    settings, data = prepare({"loss": {"name": "infonce"}, "encoder": ENCODER, "train": {"seed": seed}})
    arms["untrained"] = of_run(Run(settings, data, CPU), seed)
    for name, loss in LOSSES.items():
        run = trained(seed, loss={"name": loss}, encoder=ENCODER, train={"epochs": 30})
        arms[name] = of_run(run, seed, tuned=name != "autoencoder")
    return arms


CLAIM = Claim(
    paper="107",
    says="labels serve natural tasks best, rebuilding images structured ones, and tuning starts better from either",
    measure=measure,
    expects=(
        higher("natural", "supervised", "InfoNCE"),
        higher("natural", "supervised", "autoencoder"),
        higher("structured", "autoencoder", "supervised"),
        higher("structured", "autoencoder", "InfoNCE"),
        higher("all, tuned", "InfoNCE", "untrained"),
        higher("all, tuned", "supervised", "untrained"),
    ),
    designs=2,
)
