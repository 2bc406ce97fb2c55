"""A-MIM: an autoencoder with random codes that become certain, a mutual information machine.

Definition. An encoder gives q(z|x) = N(µ, v), a decoder p(x|z) = N(y, scale² I) with y decoded from z, a sample of
q(z|x); the prior is P(z) = N(0, I). With Q values x and K numbers z per row,

    log p = -|x - y|² / (2 scale²) - Q log scale - Q/2 log 2π       log P = -|z|²/2 - K/2 log 2π
    log q = -sum_k (z_k - µ_k)² / (2 v_k) - 1/2 sum_k log v_k - K/2 log 2π

    "mim"  L_b = -1/2 (log p + log P + log q)          "vae"  L_b = -(log p + log P - log q)

and L = mean_b L_b. The two differ in the sign of log q: a VAE raises the entropy of q(z|x), MIM lowers it, so that
codes become certain and keep what tells inputs apart. "mim" is half the cross-entropy of each joint distribution,
q(z|x) data and p(x|z) P(z), at samples of the encoder.

Gradient, with c = 1/2 and signs + for "mim", 1 and - for "vae": dy = c (y - x)/scale², dz = c (z ± (z - µ)/v), dµ =
∓c (z - µ)/v, dv = ±c/2 (1 - (z - µ)²/v) / v, each over B for the mean. z is an argument of its own: with z = µ +
sqrt(v) ξ made outside, its gradient goes on to µ and v there, and (z - µ)²/v = ξ² whatever they are.

Shapes: prediction, target (B, Q), code, mean, variance (B, K). Ranges: variance, scale > 0. "mim" has no least value,
as v goes to 0: keep v above a floor in training.

Source. Livne, Swersky, Fleet 2019, arXiv 1910.03175, A-MIM (samples of the encoder alone), which Livne 2025, arXiv
2502.19642 (cMIM) builds on. github.com/seraphlabs-ca/MIM, src/vae-as-mim-dataset.py (read in part): its VAE takes the
divergence by log q - log P at the sample, as here. Left out are its terms that train a density of x and samples of the
decoder. ``scale`` is this page's: there it is predicted for each value.
"""

import math

from mini_repr.autograd import log
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Choice, Positive, Reduction, Rows
from mini_repr.pages.invariants import exact, permutation, translation
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

_AT_REST = {
    "prediction": [[1.0, 2.0]],
    "target": [[1.0, 2.0]],
    "code": [[0.0]],
    "mean": [[0.0]],
    "variance": [[1.0]],
    "scale": 1.0,
}

_TEX = {
    "definition": r"""
L_\mathrm{mim} = -\frac{1}{2} \bigl( \log p + \log P + \log q \bigr)

L_\mathrm{vae} = -\bigl( \log p + \log P - \log q \bigr)

\log p = -\frac{\lVert x - y \rVert^2}{2 \sigma^2} - Q \log \sigma - \frac{Q}{2} \log 2\pi

\log P = -\frac{\lVert z \rVert^2}{2} - \frac{K}{2} \log 2\pi

\log q = -\sum_k \frac{(z_k - \mu_k)^2}{2 v_k} - \frac{1}{2} \sum_k \log v_k - \frac{K}{2} \log 2\pi
""",
    "gradient": r"""
\mathrm{d}y = \frac{c \, (y - x)}{\sigma^2}

\mathrm{d}z = c \Bigl( z \pm \frac{z - \mu}{v} \Bigr)

\mathrm{d}\mu = \mp \frac{c \, (z - \mu)}{v}

\mathrm{d}v = \pm \frac{c}{2v} \Bigl( 1 - \frac{(z - \mu)^2}{v} \Bigr)

c, \pm: \frac{1}{2}, + \text{ for mim;} \ 1, - \text{ for vae}
""",
}


@loss(
    paper="032",
    tex=_TEX,
    variants={
        "vae": variant("the sampled evidence bound: entropy of the code is raised", form="vae"),
        "sum": variant("summed over rows", reduction="sum"),
    },
    invariants=[
        permutation("B"),
        permutation("Q"),
        permutation("K"),
        translation("prediction", "target"),
        exact("nothing to pay but the constants", math.log(2 * math.pi), **_AT_REST),
        exact("of a VAE those of the input alone", math.log(2 * math.pi), form="vae", **_AT_REST),
    ],
)
def a_mim(
    prediction: Rows("B Q"),
    target: Rows("B Q", frozen=True),
    code: Rows("B K"),
    mean: Rows("B K"),
    variance: Rows("B K", above=0),
    form: Choice("mim", "vae") = "mim",
    scale: Positive = 0.5,
    reduction: Reduction = "mean",
):
    xp = backend_of(prediction).xp
    (_, values), (_, numbers) = prediction.shape, code.shape
    half, sign = (0.5, 1.0) if form == "mim" else (1.0, -1.0)
    error, apart = prediction - target, code - mean
    scaled = apart / variance
    constant = values * math.log(scale) + (values + (1 + sign) * numbers) / 2 * math.log(2 * math.pi)
    costs = (error * error).sum(axis=1) / (2 * scale**2) + (code * code).sum(axis=1) / 2
    costs += sign * ((apart * scaled).sum(axis=1) + xp.log(variance).sum(axis=1)) / 2
    value, to_rows = reduce_rows(half * (costs + constant), reduction)

    def backward(g):
        r = half * to_rows(g)[:, None]
        d_mean = r * (-sign) * scaled
        return r * error / scale**2, r * code - d_mean, d_mean, r * (sign / 2) * (1 - apart * scaled) / variance

    return value, backward


@definition(a_mim)
def a_mim_definition(prediction, target, code, mean, variance, form, scale, reduction):
    def log_density(x, centre, variance, log_of_variance):
        return (-((x - centre) ** 2) / (2 * variance) - log_of_variance / 2 - math.log(2 * math.pi) / 2).sum(axis=1)

    of_input = log_density(target, prediction, scale**2, 2 * math.log(scale))
    of_prior = log_density(code, 0.0, 1.0, 0.0)
    of_code = log_density(code, mean, variance, log(variance))
    if form == "mim":
        return reduced(-(of_input + of_prior + of_code) / 2, reduction)
    return reduced(-(of_input + of_prior - of_code), reduction)
