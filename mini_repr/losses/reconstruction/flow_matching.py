"""Flow matching: what a denoiser must say of an image between data and noise.

Definition. With clean patches x, noise n ~ N(0, I) and x_t = (1 - t) x + t n, t in [0, 1] (0 is data), a network sees
x_t and t and its output y is compared with a goal g, behind a stop-gradient:

    L_b = mean over p, q of (y_bpq - g_bpq)²,    L = mean_b L_b    ("sum": sum_b; "none": L_b)

    predicts = "velocity": g = n - x, the derivative of x_t in t     "towards_data": g = x - n, with time reversed
    predicts = "noise": g = n                                        "clean": g = x

With a ``mask`` m, such as where an object is, the error is m (y - g): what lies outside does not count. ``over="mask"``
divides by the mean of m too, so that small objects weigh as much as large ones.

One output gives the others: with v the velocity, x = x_t - t v and n = x_t + (1 - t) v. So the squared error of a
velocity is that of the clean image it implies times 1/t², and that of the noise times 1/(1 - t)².

Gradient. dy = 2 m² (y - g) / (P Q), over B for the mean and over the mean of m; x, n and m are constants.

Shapes: prediction, clean, noise (B, P, Q): patches, or rows with P = 1; mask (B, P, Q), numbers >= 0; an image of which
it leaves nothing has L_b = 0. Zero noise is allowed: the velocity is then -x.

Source. The survey of Fuest et al. 2024, arXiv 2407.00783, section 2: denoising with predicted noise (Ho et al. 2020,
arXiv 2006.11239, eq. 14, unweighted) and flow matching on straight lines (Lipman et al. 2022, arXiv 2210.02747; Liu et
al. 2022, arXiv 2209.03003). Public code runs time either way: with t = 1 at the data the velocity is x - n, which is
``towards_data``; mixing both conventions trains to sample noise from data. The mask: Avrahami et al. 2023, arXiv
2305.16311 (Break-A-Scene), eq. 2; the official code, google/break-a-scene, divides by all pixels.
"""

from mini_repr.autograd import stop_gradient
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Choice, Optional, Reduction, Rows
from mini_repr.pages.invariants import at_least, exact, permutation, translation
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

_CLEAN, _NOISE = [[[1.0, 2.0]]], [[[3.0, -2.0]]]

_TEX = {
    "definition": r"""
L = \frac{1}{B P Q} \sum_{b,p,q} (y_{bpq} - g_{bpq})^2

x_t = (1 - t) \, x + t \, n

g = n - x \ \text{or} \ x - n \ \text{or} \ n \ \text{or} \ x
""",
    "gradient": r"""
\mathrm{d}y = \frac{2 \, (y - g)}{B P Q}
""",
}


@loss(
    paper=("036", "064", "112"),
    tex=_TEX,
    variants={
        "noise": variant("the noise is predicted, as in DDPM", predicts="noise"),
        "clean": variant("the clean image is predicted", predicts="clean"),
        "towards_data": variant("the velocity with time reversed, 1 at the data", predicts="towards_data"),
        "masked": variant("where the mask is; divided by all values", ["mask"]),
        "over_mask": variant("where the mask is; divided by its mean", ["mask"], over="mask"),
    },
    invariants=[
        permutation("B"),
        permutation("P"),
        permutation("Q"),
        translation("clean", "noise"),
        translation("prediction", "noise", predicts="noise"),
        at_least(0),
        exact(
            "the velocity leads from the data to the noise",
            0.0,
            prediction=[[[2.0, -4.0]]],
            clean=_CLEAN,
            noise=_NOISE,
        ),
        exact("a perfect copy of the data", 0.0, prediction=_CLEAN, clean=_CLEAN, noise=_NOISE, predicts="clean"),
    ],
)
def flow_matching(
    prediction: Rows("B P Q"),
    clean: Rows("B P Q", frozen=True),
    noise: Rows("B P Q", frozen=True),
    mask: Optional(Rows("B P Q", frozen=True, least=0)) = None,
    predicts: Choice("velocity", "towards_data", "noise", "clean") = "velocity",
    over: Choice("all", "mask") = "all",
    reduction: Reduction = "mean",
):
    error = (
        prediction
        - {
            "velocity": lambda: noise - clean,
            "towards_data": lambda: clean - noise,
            "noise": lambda: noise,
            "clean": lambda: clean,
        }[predicts]()
    )
    share = 1.0
    if mask is not None:
        error *= mask
        if over == "mask":
            covered = mask.mean(axis=(1, 2))
            share = 1 / backend_of(covered).xp.where(covered > 0, covered, 1)
    value, per_image = reduce_rows((error * error).mean(axis=(1, 2)) * share, reduction)

    def backward(g):
        gradient = error * ((per_image(g) * share)[:, None, None] * (2 / error[0].size))
        return (gradient if mask is None else gradient * mask,)

    return value, backward


@definition(flow_matching)
def flow_matching_definition(prediction, clean, noise, mask, predicts, over, reduction):
    goal = {"velocity": noise - clean, "towards_data": clean - noise, "noise": noise, "clean": clean}[predicts]
    error = prediction - stop_gradient(goal)
    if mask is None:
        return reduced((error * error).mean(axis=(1, 2)), reduction)
    per_image = ((error * mask) ** 2).mean(axis=(1, 2))
    covered = mask.mean(axis=(1, 2))
    if over == "mask":
        per_image = per_image / (covered + (covered == 0))
    return reduced(per_image, reduction)
