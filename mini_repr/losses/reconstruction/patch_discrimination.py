"""Patch discrimination: tell a hidden patch's own latent from those of the other hidden patches of its image.

Definition. For M hidden patches of an image, predictions y_j and latents x_j (``target``), per dimension d

    z_jd = (y_jd - mean_j(y_jd)) / (std_j(y_jd) + eps)         (unbiased; y itself without ``standardise``)
    c_jk = cos(z_j, x_k)
    L    = 2 temperature * mean over images and j of [ log sum_k e^(c_jk / temperature) - c_jj / temperature ]

The negatives are the patches of the same image only. Latents that are all alike cost 2 temperature log M, whatever is
predicted: nothing is won by making them so.

Gradient. With P_jk = softmax_k(c_jk / temperature), dc = 2 (P - I) / (B M), the temperature cancels. With u, v the unit
rows of z and x: du = dc v, dv = dcᵀ u, through the unit rows; then with n = y - mean(y), s its deviation and
a = 1/(s + eps), per dimension

    dn_j = a dz_j - n_j a² / (s (M - 1)) sum_k dz_k n_k,        dy = dn - mean_j(dn),     second term 0 where s = 0

so dy sums to 0 over the patches of an image. The target receives its gradient too; a method with a teacher has no use
for it.

Shapes: prediction, target (B, M, D), M >= 2. Ranges: temperature, eps > 0; L >= 0. A zero row has cosine 0 with all.

Source. Wei, Gupta, Morgado 2024, arXiv 2407.15837, section 4; checked against the official code, yibingwei-1/LatentMIM,
models_lmim.py (forward_loss): temperature 0.2, eps 1e-4, targets as unit rows, not standardised. Its lengths are kept
above 1e-12.
"""

import math

from mini_repr.autograd import log_softmax, logsumexp, sqrt, unit_rows
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Flag, Positive, Rows
from mini_repr.pages.invariants import at_least, exact, permutation, row_scaling, translation
from mini_repr.pages.loss import definition, loss, variant

_TEX = {
    "definition": r"""
L = \frac{2 t}{B M} \sum_{b,j} \Bigl( \log \sum_k e^{c_{jk}/t} - \frac{c_{jj}}{t} \Bigr)

c_{jk} = \cos(z_j, x_k)

z_{jd} = \frac{y_{jd} - \mathrm{mean}_j(y_{jd})}{\mathrm{std}_j(y_{jd}) + \varepsilon}
""",
    "gradient": r"""
\mathrm{d}c = \frac{2 \, (P - I)}{B M}

\mathrm{d}n_j = a \, \mathrm{d}z_j - \frac{a^2 \, n_j}{s \, (M - 1)} \sum_k \mathrm{d}z_k \, n_k

n = y - \mathrm{mean}(y)

a = \frac{1}{s + \varepsilon}
""",
}


@loss(
    paper="052",
    tex=_TEX,
    variants={"plain": variant("predictions as they are, not standardised", standardise=False)},
    invariants=[
        permutation("B"),
        permutation("M"),
        row_scaling("target"),
        row_scaling("prediction", "target", standardise=False),
        translation("prediction"),
        at_least(0),
        exact(
            "latents that are all alike cost 2 temperature log M",
            0.4 * math.log(3),
            prediction=[[[1.0, 2.0], [0.0, 5.0], [-1.0, 1.0]]],
            target=[[[3.0, 4.0]] * 3],
        ),
        exact(
            "opposite patches, foretold",
            2 * math.log1p(math.exp(-2)),
            prediction=[[[2.0, 0.0], [-2.0, 0.0]]],
            target=[[[1.0, 0.0], [-3.0, 0.0]]],
            temperature=1.0,
        ),
    ],
)
def patch_discrimination(
    prediction: Rows("B M>=2 D"),
    target: Rows("B M D"),
    temperature: Positive = 0.2,
    standardise: Flag = True,
    eps: Positive = 1e-4,
):
    xp = backend_of(prediction).xp
    z, to_prediction = _standardised(prediction, eps) if standardise else (prediction, lambda g: g)
    (u, to_z), (v, to_target) = unit_rows.on_arrays(z), unit_rows.on_arrays(target)
    log_p, _ = log_softmax.on_arrays(u @ v.swapaxes(-1, -2) / temperature)
    own = xp.arange(log_p.shape[-1])

    def backward(g):
        slope = xp.exp(log_p)
        slope[:, own, own] -= 1
        slope *= 2 * g / (len(slope) * len(own))
        return to_prediction(to_z(slope @ v)), to_target(slope.swapaxes(-1, -2) @ u)

    return -2 * temperature * log_p[:, own, own].mean(), backward


def _standardised(y, eps):
    """y (B, M, D) to mean 0 and deviation s/(s + eps) over M, and its backward function."""
    xp, ddof = backend_of(y).xp, y.shape[1] - 1
    n = y - y.mean(axis=1, keepdims=True)
    s = xp.sqrt((n * n).sum(axis=1, keepdims=True) / ddof)
    a = 1 / (s + eps)

    def backward(g):
        along = a * a * (g * n).sum(axis=1, keepdims=True) / xp.where(s > 0, s * ddof, 1)
        gradient = a * g - n * along
        return gradient - gradient.mean(axis=1, keepdims=True)

    return n * a, backward


@definition(patch_discrimination)
def patch_discrimination_definition(prediction, target, temperature, standardise, eps):
    z, patches = prediction, prediction.shape[1]
    if standardise:
        centred = z - z.mean(axis=1, keepdims=True)
        variance = (centred * centred).sum(axis=1, keepdims=True) / (patches - 1)
        z = centred / (sqrt(variance) + eps)
    logits = unit_rows(z) @ unit_rows(target).transpose(0, 2, 1) / temperature
    own = (unit_rows(z) * unit_rows(target)).sum(axis=-1) / temperature
    return 2 * temperature * (logsumexp(logits, axis=-1) - own).mean()
