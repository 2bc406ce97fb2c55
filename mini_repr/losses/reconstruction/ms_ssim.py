"""MS-SSIM: one minus the structural similarity of images, compared in local windows at several scales.

Definition. Per image and channel, with μ, σ² and σ_xy the means, variances and covariance under a Gaussian window, at
every place where it lies wholly inside, R = ``data_range``, C1 = (k1 R)², C2 = (k2 R)²,

    l  = (2 μ_x μ_y + C1) / (μ_x² + μ_y² + C1)        luminance
    cs = (2 σ_xy + C2) / (σ_x² + σ_y² + C2)           contrast and structure

    SSIM = mean(l cs),      MS-SSIM = mean(l cs at scale M)^{w_M} prod_{m<M} mean(cs at scale m)^{w_m},      L = 1 - it

means over places; from scale to scale images shrink to half by averages of 2 x 2 (an odd last line is dropped). L is
the mean over channels and images. w are the first M of Wang's five exponents, scaled to sum to 1, so that one scale is
SSIM. ``scales=None`` takes as many, up to five, as leave the window inside the image.

A mean that is not above 0 has no power: with ``negative="clip"`` it makes the product 0 and the gradient 0, with
"normalize" every mean v enters as (1 + v)/2, which learns from any start. One scale needs neither.

Gradient. With D1, D2 the denominators, dcs/dσ_xy = 2/D2, dcs/dσ_x² = -cs/D2, dl/dμ_x = 2 (μ_y - l μ_x)/D1; with
filters F, σ_x² = F(x²) - μ_x², so dx = Fᵀ(g_μ - 2 μ_x g_σx² - μ_y g_σxy) + 2x Fᵀ(g_σx²) + y Fᵀ(g_σxy): three
transposed filters per scale. Filter and halving are products with small banded matrices, and so are their transposes.

Shapes: prediction, target (B, C, H, W), values in a range of size R; the target is a constant. window up to the smaller
side at the last scale: 11 and sigma 1.5 are Wang's; images of 8 to 32 pixels want 3 to 7. 0 <= L <= 2.

Source. SSIM: Wang et al. 2004, doi 10.1109/TIP.2003.819861; scales and exponents: Wang, Simoncelli, Bovik 2003, doi
10.1109/ACSSC.2003.1292216; as a loss for autoencoders: Snell et al. 2015, arXiv 1511.06409 (known here from its
abstract). Form and constants are those of VainF/pytorch-msssim 1.0, which was read: the same values in float32, for
its window is made in that, where the exponents given to it sum to 1.

That code clips like "clip", asks for sides above 16 (window - 1), leaves the exponents' sum 1.0001 and pads odd sides
by zeros. torchmetrics reflects the images at their borders first, and averages over those places too. scikit-image's
default is a uniform 7 x 7 window with sample covariances; with gaussian_weights=True and use_sample_covariance=False it
is variant ``ssim``. Some ports use (1 + v)/2 to survive the first steps.
"""

import math

from mini_repr.autograd import where
from mini_repr.backend import backend_of
from mini_repr.kernels.filters import along_both, gaussian, halving_matrix, window_matrix
from mini_repr.pages.arguments import Choice, Count, Positive, Reduction, Rows
from mini_repr.pages.invariants import between, exact, permutation, swap
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_BRIGHT, _DIM = [[[[1.0] * 3] * 3]], [[[[0.5] * 3] * 3]]
_IMAGE = [[[[0.0, 1.0, 0.3], [0.5, 0.2, 0.9], [0.1, 0.4, 0.4]]]]

_TEX = {
    "definition": r"""
L = 1 - \mathrm{mean}(l \, c_s \text{ at scale } M)^{w_M} \prod_{m < M} \mathrm{mean}(c_s \text{ at scale } m)^{w_m}

l = \frac{2 \mu_x \mu_y + C_1}{\mu_x^2 + \mu_y^2 + C_1}

c_s = \frac{2 \sigma_{xy} + C_2}{\sigma_x^2 + \sigma_y^2 + C_2}
""",
    "gradient": r"""
\frac{\mathrm{d}c_s}{\mathrm{d}\sigma_{xy}} = \frac{2}{D_2}

\frac{\mathrm{d}c_s}{\mathrm{d}\sigma_x^2} = -\frac{c_s}{D_2}

\frac{\mathrm{d}l}{\mathrm{d}\mu_x} = \frac{2 \, (\mu_y - l \, \mu_x)}{D_1}

D_1, D_2: \text{the denominators of } l, c_s
""",
}


@loss(
    paper="117",
    tex=_TEX,
    variants={
        "ssim": variant("SSIM: one scale", scales=1),
        "eight_bit": variant("pixels from 0 to 255, two scales of a small window", scales=2, window=5, data_range=255),
        "normalized": variant("means moved from -1..1 to 0..1", scales=2, window=3, negative="normalize"),
    },
    invariants=[
        permutation("B"),
        permutation("C"),
        swap("prediction", "target"),
        between(0, 2),
        between(0, 1, scales=2, window=3),
        exact("identical images", 0.0, prediction=_IMAGE, target=_IMAGE, window=2),
        exact(
            "of constant images luminance alone",
            0.2501 / 1.2501 - 1e-4 / 1.2501,
            prediction=_BRIGHT,
            target=_DIM,
            window=3,
        ),
    ],
    sizes={"B": 2, "C": 2, "H": 12, "W": 13},
)
def ms_ssim(
    prediction: Rows("B C H W"),
    target: Rows("B C H W", frozen=True),
    scales: Count(choose="as many as fit, up to 5") = None,
    window: Count() = 11,
    sigma: Positive = 1.5,
    data_range: Positive = 1.0,
    k1: Positive = 0.01,
    k2: Positive = 0.03,
    negative: Choice("clip", "normalize") = "clip",
    reduction: Reduction = "mean",
):
    xp = backend_of(prediction).xp
    weights = _exponents(min(prediction.shape[2:]), window, scales)
    constants = ((k1 * data_range) ** 2, (k2 * data_range) ** 2)
    x, y, means, steps = prediction, target, [], []
    for scale in range(len(weights)):
        shrink = (halving_matrix(xp, x.shape[2], x.dtype), halving_matrix(xp, x.shape[3], x.dtype)) if scale else None
        x, y = (along_both(image, shrink) if scale else image for image in (x, y))
        blur = tuple(window_matrix(xp, side, window, sigma, x.dtype) for side in x.shape[2:])
        mean, back = _similarity(x, y, blur, *constants, luminance=scale == len(weights) - 1)
        means.append(mean)
        steps.append((shrink, back))

    similarity, slopes = means[0], [1]
    if len(weights) > 1:
        moved = negative == "normalize"
        bases = [(1 + mean) / 2 if moved else mean for mean in means]
        alive = xp.stack(bases).min(axis=0) > 0
        bases = [xp.where(alive, base, 1) for base in bases]
        similarity = alive * math.prod(base**w for base, w in zip(bases, weights, strict=True))
        slopes = [similarity * (w / (2 if moved else 1)) / base for base, w in zip(bases, weights, strict=True)]
    value, spread = reduce_rows(1 - similarity.mean(axis=1), reduction)

    def backward(g):
        g_similarity = -spread(g)[:, None] / prediction.shape[1]
        g_x = 0
        for (shrink, back), slope in zip(reversed(steps), reversed(slopes), strict=True):
            g_x = g_x + back(g_similarity * slope)
            if shrink is not None:
                g_x = along_both(g_x, [matrix.T for matrix in shrink])
        return (g_x,)

    return value, backward


def _similarity(x, y, blur, c1, c2, luminance):
    """Mean over places (B, C) of cs, or of l cs, and its backward, to x."""
    mean_x, mean_y = along_both(x, blur), along_both(y, blur)
    below_cs = along_both(x * x + y * y, blur) - mean_x * mean_x - mean_y * mean_y + c2
    cs = (2 * (along_both(x * y, blur) - mean_x * mean_y) + c2) / below_cs
    below_l = mean_x * mean_x + mean_y * mean_y + c1
    light = (2 * mean_x * mean_y + c1) / below_l if luminance else 1
    places = cs.shape[2] * cs.shape[3]

    def backward(g):
        g = g[:, :, None, None] / places
        g_cross = 2 * g * light / below_cs
        g_square = -0.5 * g_cross * cs
        g_mean = -2 * mean_x * g_square - mean_y * g_cross
        if luminance:
            g_mean += 2 * g * cs * (mean_y - light * mean_x) / below_l
        back = [matrix.T for matrix in blur]
        return along_both(g_mean, back) + 2 * x * along_both(g_square, back) + y * along_both(g_cross, back)

    return (light * cs).mean(axis=(2, 3)), backward


def _exponents(side, window, scales):
    """Wang's exponents of the scales, of sum 1; ``side`` is the smaller one of the images."""
    if window > side:
        raise ValueError(f"ms_ssim: window: got {window}, expected at most {side}, the smaller side of the images")
    fitting = sum(side >> scale >= window for scale in range(len(EXPONENTS)))
    if scales is not None and scales > fitting:
        raise ValueError(f"ms_ssim: scales: got {scales}, expected at most {fitting} for window {window}, side {side}")
    chosen = EXPONENTS[: scales or fitting]
    return [w / sum(chosen) for w in chosen]


@definition(ms_ssim)
def ms_ssim_definition(prediction, target, scales, window, sigma, data_range, k1, k2, negative, reduction):
    weights = _exponents(min(prediction.shape[2:]), window, scales)
    kernel = gaussian(window, sigma)
    c1, c2 = (k1 * data_range) ** 2, (k2 * data_range) ** 2
    x, y = prediction, target

    def blurred(image):
        height, width = image.shape[2] - window + 1, image.shape[3] - window + 1
        parts = [
            image[:, :, p : p + height, q : q + width] * (kernel[p] * kernel[q])
            for p in range(window)
            for q in range(window)
        ]
        return sum(parts[1:], parts[0])

    def halved(image):
        height, width = image.shape[2] // 2 * 2, image.shape[3] // 2 * 2
        return sum(image[:, :, p:height:2, q:width:2] for p in (0, 1) for q in (0, 1)) / 4

    factors = []
    for scale, weight in enumerate(weights):
        if scale:
            x, y = halved(x), halved(y)
        mean_x, mean_y = blurred(x), blurred(y)
        covariance = blurred(x * y) - mean_x * mean_y
        variances = blurred(x * x) - mean_x**2 + blurred(y * y) - mean_y**2
        similar = (2 * covariance + c2) / (variances + c2)
        if scale == len(weights) - 1:
            similar = similar * (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
        mean = similar.mean(axis=(2, 3))
        if len(weights) > 1:
            mean = (1 + mean) / 2 if negative == "normalize" else mean
            positive = mean.data.real > 0
            mean = where(positive, mean, 1) ** weight * positive
        factors.append(mean)
    return reduced(1 - math.prod(factors[1:], start=factors[0]).mean(axis=1), reduction)
