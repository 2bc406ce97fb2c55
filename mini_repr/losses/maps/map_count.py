"""Map count: the mass of a map of where things are, over a scale, must be how many there should be.

Definition. With the density a_bp of image b over places p, scale s_b and goal N_b, both constants,

    n_b = sum_p a_bp / s_b,     L = mean_b |n_b - N_b|     ("squared": (n_b - N_b)²)

A counting model counts each thing an unknown number of times; the scale makes up for it. A *dynamic* scale is taken
from what a detector finds in the image, s_b = sum_p a_bp / d_b: then n_b = d_b exactly, and the gradient still flows.

Gradient. da_bp = sign(n_b - N_b) / (B s_b), "squared" 2 (n_b - N_b) / (B s_b): the same at all places, so that what is
not to be moved must have no slope of its own. sign(0) = 0.

Shapes: density (B, P), in use numbers >= 0; goal (B,), numbers >= 0; scale (B,), numbers > 0.

Source. Zafar, Wolf, Schwartz 2024, arXiv 2408.11721; checked against the official code, ozzafar/
count_token_optimization, run.py: the absolute error, static scale 70 or a dynamic one, from YOLOS's detections. Its
README speaks of the squared error.
"""

from mini_repr.autograd import absolute
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Choice, Rows
from mini_repr.pages.invariants import at_least, exact, permutation, scaling
from mini_repr.pages.loss import definition, loss, variant

_MAP = [[1.0, 3.0, 2.0]]

_TEX = {
    "definition": r"""
L = \frac{1}{B} \sum_b \bigl| n_b - N_b \bigr|

n_b = \frac{1}{s_b} \sum_p a_{bp}
""",
    "gradient": r"""
\mathrm{d}a_{bp} = \frac{\mathrm{sign}(n_b - N_b)}{B \, s_b}
""",
}


@loss(
    paper="084",
    tex=_TEX,
    variants={"squared": variant("the squared error", error="squared")},
    invariants=[
        permutation("B"),
        permutation("P"),
        scaling("density", "scale"),
        at_least(0),
        exact("three, and three are asked", 0.0, density=_MAP, goal=[3.0], scale=[2.0]),
        exact("six, and two are asked", 4.0, density=_MAP, goal=[2.0], scale=[1.0]),
        exact("squared", 16.0, density=_MAP, goal=[2.0], scale=[1.0], error="squared"),
    ],
)
def map_count(
    density: Rows("B P"),
    goal: Rows("B", frozen=True, least=0),
    scale: Rows("B", frozen=True, above=0),
    error: Choice("absolute", "squared") = "absolute",
):
    xp = backend_of(density).xp
    off = density.sum(axis=1) / scale - goal
    value, slope = (xp.abs(off), xp.sign(off)) if error == "absolute" else (off * off, 2 * off)

    def backward(g):
        return ((slope * (g / len(off)) / scale)[:, None] * xp.ones_like(density),)

    return value.mean(), backward


@definition(map_count)
def map_count_definition(density, goal, scale, error):
    off = density.sum(axis=1) / scale - goal
    return (absolute(off) if error == "absolute" else off**2).mean()
