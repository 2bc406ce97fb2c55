"""Flow matching: what a denoiser must say of an image between data and noise.

Definition. With clean patches x, noise n ~ N(0, I) and x_t = (1 - t) x + t n, t in [0, 1] (0 is data), a network sees
x_t and t and its output y is compared with a goal g, behind a stop-gradient:

    L_b = mean over p, q of (y_bpq - g_bpq)²,    L = mean_b L_b    ("sum": sum_b; "none": L_b)

    predicts = "velocity": g = n - x, the derivative of x_t in t     "towards_data": g = x - n, with time reversed
    predicts = "noise": g = n                                        "clean": g = x

One output gives the others: with v the velocity, x = x_t - t v and n = x_t + (1 - t) v. So the squared error of a
velocity is that of the clean image it implies times 1/t², and that of the noise times 1/(1 - t)².

Gradient. dy = 2 (y - g) / (P Q), over B for the mean; x and n are constants.

Shapes: prediction, clean, noise (B, P, Q): patches, or rows with P = 1. Zero noise is allowed: the velocity is then -x.

Source. The survey of Fuest et al. 2024, arXiv 2407.00783, section 2: denoising with predicted noise (Ho et al. 2020,
arXiv 2006.11239, eq. 14, unweighted) and flow matching on straight lines (Lipman et al. 2022, arXiv 2210.02747; Liu et
al. 2022, arXiv 2209.03003). Public code runs time either way: with t = 1 at the data the velocity is x - n, which is
``towards_data``; mixing both conventions trains to sample noise from data.
"""

from mini_repr.autograd import stop_gradient
from mini_repr.pages.arguments import Choice, Reduction, Rows
from mini_repr.pages.invariants import at_least, exact, permutation, translation
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

_CLEAN, _NOISE = [[[1.0, 2.0]]], [[[3.0, -2.0]]]


@loss(
    paper="036",
    variants={
        "noise": variant("the noise is predicted, as in DDPM", predicts="noise"),
        "clean": variant("the clean image is predicted", predicts="clean"),
        "towards_data": variant("the velocity with time reversed, 1 at the data", predicts="towards_data"),
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
    predicts: Choice("velocity", "towards_data", "noise", "clean") = "velocity",
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
    value, per_image = reduce_rows((error * error).mean(axis=(1, 2)), reduction)
    return value, lambda g: (error * (per_image(g)[:, None, None] * (2 / error[0].size)),)


@definition(flow_matching)
def flow_matching_definition(prediction, clean, noise, predicts, reduction):
    goal = {"velocity": noise - clean, "towards_data": clean - noise, "noise": noise, "clean": clean}[predicts]
    error = prediction - stop_gradient(goal)
    return reduced((error * error).mean(axis=(1, 2)), reduction)
