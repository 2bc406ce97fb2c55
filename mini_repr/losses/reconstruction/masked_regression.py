"""Masked regression: rebuild the patches that were hidden.

Definition. For patches i of Q values (pixels) each, predicted y_i, target x_i and the set M of hidden ones over the
whole batch (``mask`` True),

    L = 1/|M| sum_{i in M}  1/Q sum_q norm(y_iq - x_iq)

    norm(d):  d²  ("l2")     |d|  ("l1")     d²/(2 beta) where |d| < beta, else |d| - beta/2  ("smooth_l1")

``normalize_target`` replaces x_i by (x_i - mean(x_i)) / sqrt(var(x_i) + eps), each patch separately, the variance
divided by Q - ddof. ``over="all"`` averages over every patch, hidden or not; the mask then has no effect.

Gradient. dy_iq = norm'(y_iq - x_iq) / (Q |M|) on hidden patches and exactly 0 elsewhere, with norm' = 2d, sign(d) or
clip(d/beta, -1, 1); sign(0) = 0. The target is a constant: no gradient.

Shapes: prediction, target (B, P, Q), mask (B, P) with at least one True; Q > ddof where the target is normalised.
Ranges: beta, eps > 0. A patch of one single colour is normalised to zeros. All hidden patches weigh the same, so a
sample with more of them weighs more, and one with none nothing.

Source. Feichtenhofer et al. 2022, arXiv 2205.09113, and its official code (facebookresearch/mae_st): squared error on
normalised patches, variance unbiased, eps 1e-6 inside the root; as in He et al. 2021, arXiv 2111.06377 (pixels without
normalisation are its baseline, and its code's default). "l1" on raw pixels: Xie et al. 2021, arXiv 2111.09886 (SimMIM),
whose official code divides by |M| + 1e-5 pixels. "smooth_l1" is that of PyTorch.

Ports differ in the biased variance (ddof 0), in averaging over all patches (a factor near the mask ratio) and in the
mask's meaning: here, and in the official codes, it marks what was removed.
"""

from mini_repr.autograd import absolute, sqrt, stop_gradient, where
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Choice, Count, Flag, Mask, Positive, Rows
from mini_repr.pages.invariants import at_least, constant_shift, exact, permutation, translation
from mini_repr.pages.loss import definition, loss, variant

_PATCHES = [[[1.0, 2.0], [3.0, 5.0]]]

_TEX = {
    "definition": r"""
L = \frac{1}{|M| \, Q} \sum_{i \in M} \sum_q \rho(y_{iq} - x_{iq})

\rho(d) = d^2 \ \text{or} \ |d| \ \text{or smooth}

x_i \leftarrow \frac{x_i - \mathrm{mean}(x_i)}{\sqrt{\mathrm{var}(x_i) + \varepsilon}} \quad (\text{normalised targets})
""",
    "gradient": r"""
\mathrm{d}y_{iq} = \frac{\rho'(y_{iq} - x_{iq})}{Q \, |M|} \quad (i \in M)
""",
}


@loss(
    paper=("096", "020"),
    tex=_TEX,
    variants={
        "raw_pixels": variant("MAE without pixel normalisation, its code's default", normalize_target=False),
        "biased": variant("variance divided by Q, not Q - 1", ddof=0),
        "simmim": variant("SimMIM: absolute error of raw pixels", norm="l1", normalize_target=False),
        "smooth_l1": variant("Huber-like error of raw targets", norm="smooth_l1", normalize_target=False),
        "all_patches": variant("averaged over visible patches too", over="all"),
    },
    invariants=[
        permutation("B"),
        permutation("P"),
        permutation("Q"),
        constant_shift("target"),
        translation("prediction", "target", normalize_target=False),
        at_least(0),
        exact(
            "only hidden patches count",
            12.5,
            prediction=[[[1.0, 2.0], [0.0, 9.0]]],
            target=_PATCHES,
            mask=[[False, True]],
            normalize_target=False,
        ),
        exact(
            "a perfect copy costs nothing",
            0.0,
            prediction=_PATCHES,
            target=_PATCHES,
            mask=[[True, True]],
            normalize_target=False,
        ),
    ],
    sizes={"Q": 4},
)
def masked_regression(
    prediction: Rows("B P Q"),
    target: Rows("B P Q", frozen=True),
    mask: Mask("B P", stays=True),
    norm: Choice("l2", "l1", "smooth_l1") = "l2",
    normalize_target: Flag = True,
    over: Choice("masked", "all") = "masked",
    beta: Positive = 1.0,
    ddof: Count(least=0) = 1,
    eps: Positive = 1e-6,
):
    backend, mask_xp = backend_of(prediction), backend_of(mask).xp
    xp = backend.xp
    width = prediction.shape[-1]
    if normalize_target and width <= ddof:
        raise ValueError(f"masked_regression: ddof: got {ddof}, expected less than the {width} values of a patch")
    # Numbers of the patches that count: a mask would be searched through three times. Where it lies on the host, it is
    # searched there, and no GPU is waited for.
    counted = backend.asarray(mask_xp.flatnonzero(mask) if over == "masked" else mask_xp.arange(mask.size))
    goal = target.reshape(-1, width)[counted]  # (|M|, Q), a copy
    if normalize_target:
        normalise_patches(goal, ddof, eps)
    error = xp.subtract(prediction.reshape(-1, width)[counted], goal, out=goal)
    if norm == "l2":
        cost, slope = error * error, 2 * error
    elif norm == "l1":
        cost, slope = abs(error), xp.sign(error)
    else:
        slope = xp.clip(error / beta, -1, 1)
        cost = slope * (error - 0.5 * beta * slope)

    def backward(g):
        gradient = xp.zeros((mask.size, width), dtype=prediction.dtype)
        gradient[counted] = slope * (g / slope.size)
        return (gradient.reshape(prediction.shape),)

    return cost.mean(), backward


def normalise_patches(patches, ddof=1, eps=1e-6):
    """Take patches (..., Q) to mean 0 and variance 1 each, in place; the variance is divided by Q - ddof."""
    patches -= patches.mean(axis=-1, keepdims=True)
    variance = (patches * patches).sum(axis=-1, keepdims=True) / (patches.shape[-1] - ddof)
    patches /= backend_of(patches).xp.sqrt(variance + eps)


@definition(masked_regression)
def masked_regression_definition(prediction, target, mask, norm, normalize_target, over, beta, ddof, eps):
    target = stop_gradient(target)
    if normalize_target:
        centred = target - target.mean(axis=-1, keepdims=True)
        variance = (centred * centred).sum(axis=-1, keepdims=True) / (target.shape[-1] - ddof)
        target = centred / sqrt(variance + eps)
    error = prediction - target
    size = absolute(error)
    cost = {
        "l2": lambda: error * error,
        "l1": lambda: size,
        "smooth_l1": lambda: where(size.data.real < beta, size * size / (2 * beta), size - beta / 2),
    }[norm]()
    per_patch = cost.mean(axis=-1)
    return (per_patch * mask).sum() / mask.sum() if over == "masked" else per_patch.mean()
