"""Opinion shortfall: how far the opinions that a model expects of images lie below the best one.

Definition. With p = softmax(scores) over opinions 1 .. C and s_i = sum_b b p_ib the expected opinion of image i,

    L = mean_i (C - s_i)

between 0, where all mass lies on the best, and C - 1. No image is compared with another: which one was asked for does
not enter, so it stands beside a loss that knows.

Gradient. dscores_ib = -p_ib (b - s_i) / N.

Shapes: scores (N, C), C >= 2.

Source. Yoshida, Akita, Haris, Ukita 2020, arXiv 2009.00382: super-resolution against the score that a frozen model of
opinions gives, in place of distances in a classifier's features; the abstract was read, no official code was found.
Scores without a reference, followed far enough, make artefacts that fool them (arXiv 2405.20392).
"""

from mini_repr.autograd import softmax
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Rows
from mini_repr.pages.invariants import constant_shift, exact, permutation
from mini_repr.pages.loss import definition, loss

_TEX = {
    "definition": r"""
L = \frac{1}{N} \sum_i (C - s_i)

s_i = \sum_b b \, p_{ib}

p_i = \mathrm{softmax}(\text{scores}_i)
""",
    "gradient": r"""
\mathrm{d}\,\text{scores}_{ib} = -\frac{p_{ib} \, (b - s_i)}{N}
""",
}


@loss(
    paper="069",
    tex=_TEX,
    invariants=[
        permutation("N"),
        constant_shift("scores"),
        exact("even opinions from 1 to 3", 1.0, scores=[[4.0, 4.0, 4.0]]),
        exact("nothing but the best", 0.0, scores=[[0.0, 0.0, 800.0]]),
    ],
)
def opinion_shortfall(scores: Rows("N C>=2")):
    p, to_scores = softmax.on_arrays(scores)
    short = backend_of(scores).xp.arange(scores.shape[1] - 1, -1, -1).astype(scores.dtype)
    return (p @ short[:, None]).mean(), lambda g: (to_scores((g / len(p)) * (short + 0 * p)),)


@definition(opinion_shortfall)
def opinion_shortfall_definition(scores):
    opinions = backend_of(scores.data).xp.arange(1, scores.shape[1] + 1)
    return (scores.shape[1] - (softmax(scores) * opinions).sum(axis=1)).mean()
