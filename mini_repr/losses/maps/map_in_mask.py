"""Map in mask: a word must be looked at where its object is, and only there.

Definition. For the attention map a of a word and the mask m of its object, 0 to 1 over the same places,

    L = mean over images and places of (a / max a - m)²

Gradient. With u = a / max a and g = 2 (u - m) / (B P): da = g / max a, less sum g u / max a where a is largest (ties
share).

Shapes: a (B, H, W), numbers > 0; mask (B, H, W), numbers >= 0, never differentiated. L is not changed by scaling a map.

Source. Avrahami et al. 2023, arXiv 2305.16311 (Break-A-Scene), eq. 3, the mean over heads and layers; the official
code, google/break-a-scene, divides by the largest value, which the paper's formula leaves out: without that the weight
of the loss must be much larger.
"""

from mini_repr.autograd import max as largest
from mini_repr.pages.arguments import Rows
from mini_repr.pages.invariants import at_least, exact, permutation, scaling
from mini_repr.pages.loss import definition, loss

_MAP = [[[2.0, 1.0], [1.0, 2.0]]]

_TEX = {
    "definition": r"""
L = \frac{1}{B P} \sum_{b,p} \Bigl( \frac{a_{bp}}{\max_q a_{bq}} - m_{bp} \Bigr)^2
""",
    "gradient": r"""
\mathrm{d}a_p = \frac{g_p - [a_p = \max a] \sum_q g_q u_q}{\max a}

u = \frac{a}{\max a}

g = \frac{2 \, (u - m)}{B P}
""",
}


@loss(
    paper="064",
    tex=_TEX,
    invariants=[
        permutation("B"),
        permutation("H"),
        permutation("W"),
        scaling("a"),
        at_least(0),
        exact("a map that is its mask", 0.0, a=_MAP, mask=[[[1.0, 0.5], [0.5, 1.0]]]),
        exact("half of the places off by a half", 0.125, a=_MAP, mask=[[[1.0, 0.0], [0.0, 1.0]]]),
    ],
)
def map_in_mask(a: Rows("B H W", above=0), mask: Rows("B H W", frozen=True, least=0)):
    high = a.max(axis=(1, 2), keepdims=True)
    top = (a == high).astype(a.dtype)
    top /= top.sum(axis=(1, 2), keepdims=True)
    u = a / high
    off = u - mask

    def backward(g):
        slope = off * (2 * g / off.size) / high
        return (slope - top * (slope * u).sum(axis=(1, 2), keepdims=True),)

    return (off * off).mean(), backward


@definition(map_in_mask)
def map_in_mask_definition(a, mask):
    each = [((a[k] / largest(a[k]) - mask[k]) ** 2).mean() for k in range(len(mask))]
    return sum(each[1:], each[0]) / len(each)
