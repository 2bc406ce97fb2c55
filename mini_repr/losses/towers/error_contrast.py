"""Error contrast: an image must be denoised better under its own caption than under those of other images.

Definition. With E_ij the error with which image i is denoised under caption j, caption i its own, and logits

    "exp"       l_ij = scale e^{-E_ij / temperature}
    "negative"  l_ij = -E_ij / temperature

    L = mean_i [ -l_ii + log sum_j e^{l_ij} ] + denoise_weight mean_i E_ii

"exp" loses sight of captions that are hopeless, and is at least log(1 + (B - 1) e^-scale); where all errors are much
larger than the temperature, or all alike beside it, it has no slope. "negative" compares differences within a row, and
log B - L is then a bound on the information that images and captions share. Equal errors cost log B in both forms.

Gradient. With P the softmax over j and d_ij = [i = j]: "exp" dE_ij = -(P_ij - d_ij) l_ij / (temperature B), "negative"
dE_ij = -(P_ij - d_ij) / (temperature B); and denoise_weight d_ij / B.

Shapes: errors (B, B), numbers > 0. Ranges: temperature, scale > 0, denoise_weight >= 0.

Source. Lee, Cha, Kim, Ye 2025, arXiv 2503.08250 (SoftREPA); checked against the official code, softrepa/SoftREPA,
train.py: the "exp" form, temperature 0.07, scale 4; denoise_weight 0 for SD3 and 10 for SD1.5 and SDXL. That both
numbers can be trained there changes nothing: the optimiser is given the soft tokens alone.
"""

import math

from mini_repr.autograd import exp, log_softmax
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Choice, NonNegative, Positive, Rows
from mini_repr.pages.invariants import exact, permutation
from mini_repr.pages.loss import definition, loss, variant

_ALIKE, _APART = [[0.3] * 3] * 3, [[1e-300, 1e9], [1e9, 1e-300]]

_TEX = {
    "definition": r"""
L = \frac{1}{B} \sum_i \Bigl[ -l_{ii} + \log \sum_j e^{l_{ij}} \Bigr] + \frac{\lambda}{B} \sum_i E_{ii}

l_{ij} = s \, e^{-E_{ij}/t} \ \text{or} \ -\frac{E_{ij}}{t}
""",
    "gradient": r"""
\mathrm{d}E_{ij} = -\frac{(P_{ij} - [i = j]) \, l_{ij}}{t B} + \frac{\lambda \, [i = j]}{B}

\mathrm{d}E_{ij} = -\frac{P_{ij} - [i = j]}{t B} + \frac{\lambda \, [i = j]}{B}
""",
}


@loss(
    paper="089",
    tex=_TEX,
    variants={
        "negative": variant("differences of errors", form="negative"),
        "with_denoising": variant("and the own caption's error itself, as for SD1.5", denoise_weight=10.0),
    },
    invariants=[
        permutation("B"),
        exact("equal errors", math.log(3), errors=_ALIKE),
        exact("equal errors, as differences", math.log(3), errors=_ALIKE, form="negative"),
        exact("nothing but the own caption fits", math.log(1 + math.exp(-4.0)), errors=_APART),
        exact("so, as differences", 0.0, errors=_APART, form="negative"),
    ],
)
def error_contrast(
    errors: Rows("B B", above=0),
    temperature: Positive = 0.07,
    scale: Positive = 4.0,
    form: Choice("exp", "negative") = "exp",
    denoise_weight: NonNegative = 0.0,
):
    xp, count = backend_of(errors).xp, len(errors)
    own = xp.eye(count, dtype=errors.dtype)
    logits = -errors / temperature
    slope = -1 / temperature
    if form == "exp":
        logits = scale * xp.exp(logits)
        slope = slope * logits
    shifted = logits - logits.max(axis=1, keepdims=True)
    p = xp.exp(shifted)
    total = p.sum(axis=1, keepdims=True)
    p /= total
    contrast = (xp.log(total[:, 0]) - xp.diagonal(shifted)).mean()
    denoising = xp.diagonal(errors).mean()

    def backward(g):
        return (((p - own) * slope + denoise_weight * own) * (g / count),)

    return contrast + denoise_weight * denoising, backward, {"contrast": contrast, "denoising": denoising}


@definition(error_contrast)
def error_contrast_definition(errors, temperature, scale, form, denoise_weight):
    logits = -errors / temperature if form == "negative" else scale * exp(-errors / temperature)
    own = backend_of(errors.data).xp.eye(errors.shape[0], dtype=bool)
    return (denoise_weight * (errors * own) - log_softmax(logits) * own).sum() / errors.shape[0]
