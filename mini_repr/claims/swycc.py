"""Sample what you can't compress: a decoder that draws is sharper than one that averages, at the same code length.

Birodkar et al. 2024, arXiv 2409.02529. Digits, three numbers an image, the same MLP encoder and equal steps. *swycc*:
all trained at once, one draw of the denoiser; *first image*: what it starts from. *mean squared error*: encoder and
first decoder trained by that alone; *two stages*: one draw of a denoiser on top, whose error does not reach them.
*distance*: energy distance of rebuilt to true test digits; *off*: how far the mean absolute difference of neighbouring
pixels is from that of true digits, as a share; *error*: mean squared, the price of drawing (a perfect sampler has twice
that of the mean). Whether joint training beats two stages is measured and not claimed.
"""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.claims.bench.claim import Claim, higher, lower
from mini_repr.claims.bench.trained import trained
from mini_repr.metrics import energy_distance
from mini_repr.training.config import merge

SETTINGS = {
    "method": {"name": "swycc", "latents": 3, "decoder_patch": 4},
    "encoder": {"name": "mlp", "width": 64, "hidden": 256, "depth": 2, "norm": "layer"},
    "optimizer": {"lr": 1e-3},
    "train": {"epochs": 90, "batch_size": 128},
}


def sharpness(images):
    return np.abs(np.diff(images, axis=2)).mean() + np.abs(np.diff(images, axis=3)).mean()


def measure(seed):
    found = {}
    for first_arm, arm, joint in (("first image", "swycc", True), ("mean squared error", "two stages", False)):
        run = trained(seed, **merge(SETTINGS, {"method": {"joint": joint}}))
        test = run.data.test.images
        run.method.eval()
        with no_grad():
            z, first = (x.data for x in run.method.encoded(test))
        noise = np.random.default_rng(seed).standard_normal(test.shape, dtype=np.float32)
        for name, images in ((first_arm, np.clip((first + 1) / 2, 0, 1)), (arm, run.method.decode(z, first, noise))):
            found[name] = {
                "distance": energy_distance(*(x.reshape(len(x), -1) for x in (images, test))),
                "off": abs(sharpness(images) / sharpness(test) - 1),
                "error": float(((images - test) ** 2).mean()),
            }
    return found


CLAIM = Claim(
    paper="047",
    says="a denoiser trained with the encoder rebuilds sharper images, nearer to true ones, than a mean squared error",
    measure=measure,
    expects=(
        lower("distance", "swycc", "mean squared error", by=0.02),
        lower("off", "swycc", "mean squared error"),
        higher("error", "swycc", "mean squared error"),
    ),
    designs=1,
)
