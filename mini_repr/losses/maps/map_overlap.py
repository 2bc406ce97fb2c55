"""Map overlap: where two words look, as a share of where either does.

Definition. For two attention maps of an image, each stretched to 0 .. 1 over its places,

    n(a) = (a - min a) / (max a - min a)
    o    = sum n(a) n(b) / sum (n(a) + n(b))                        union = "sum": at most 1/2
    o    = sum n(a) n(b) / sum (n(a) + n(b) - n(a) n(b))            union = "iou": at most 1
    L    = mean over images of o  (goal "apart": entities must not mix),  or of 1 - o  ("together": an attribute is
           where its noun is)

A map that is the same everywhere has n = 0; two of them overlap by 0.

Gradient. With U the denominator, do/dn(a) = (n(b) - o u) / U, u = 1 or (iou) 1 - n(b). Through the stretching, R the
range of a: da = g / R, less sum g n(a) / R where a is largest and less sum g (1 - n(a)) / R where it is smallest
(shared by such places, if there are several); 0 where R = 0.

Shapes: a, b (B, H, W), numbers > 0. L is not changed by scaling or shifting a map.

Source. Izadi et al. 2025, arXiv 2503.06506; checked against the official code, hadi-hosseini/noise-refinement,
src/for_losses.py (compute_iou, mode 1; segregation and adjective losses): its "IoU" divides by the plain sum, so that
the goal "together" never gets below 1/2. ``iou`` is the usual ratio.
"""

from mini_repr.autograd import max as largest
from mini_repr.autograd import min as smallest
from mini_repr.autograd import where
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Choice, Rows
from mini_repr.pages.invariants import between, exact, permutation, scaling, swap
from mini_repr.pages.loss import definition, loss, variant

_LEFT, _RIGHT = [[[2.0, 1.0], [2.0, 1.0]]], [[[1.0, 3.0], [1.0, 3.0]]]

_TEX = {
    "definition": r"""
o = \frac{\sum_p n(a)_p \, n(b)_p}{\sum_p \bigl( n(a)_p + n(b)_p \bigr)}

n(a) = \frac{a - \min a}{\max a - \min a}

L = \frac{1}{B} \sum o \quad \text{or} \quad \frac{1}{B} \sum (1 - o)
""",
    "gradient": r"""
\frac{\mathrm{d}o}{\mathrm{d}n(a)} = \frac{n(b) - o}{\sum_p \bigl( n(a)_p + n(b)_p \bigr)}
""",
}


@loss(
    paper="055",
    tex=_TEX,
    variants={
        "together": variant("an attribute must be where its noun is", goal="together"),
        "iou": variant("divided by the union, not by the sum", union="iou"),
    },
    invariants=[
        permutation("B"),
        permutation("H"),
        permutation("W"),
        swap("a", "b"),
        scaling("a"),
        between(0, 0.5),
        exact("equal masks: half of their sum", 0.5, a=_LEFT, b=_LEFT),
        exact("equal masks: their union", 1.0, a=_LEFT, b=_LEFT, union="iou"),
        exact("masks apart", 0.0, a=_LEFT, b=_RIGHT),
    ],
)
def map_overlap(
    a: Rows("B H W", above=0),
    b: Rows("B H W", above=0),
    goal: Choice("apart", "together") = "apart",
    union: Choice("sum", "iou") = "sum",
):
    xp, count = backend_of(a).xp, len(a)
    (n, to_a), (m, to_b) = (stretched(x.reshape(count, -1)) for x in (a, b))
    shared = (n * m).sum(axis=1, keepdims=True)
    total = (n + m).sum(axis=1, keepdims=True) - (shared if union == "iou" else 0)
    safe = xp.where(total > 0, total, 1)
    overlap = shared / safe
    sign = 1 if goal == "apart" else -1
    value = sign * overlap.mean() + (0 if goal == "apart" else 1)

    def backward(g):
        share = g * (sign / count) / safe
        g_n, g_m = (share * (y - overlap * (1 - y if union == "iou" else 1)) for y in (m, n))
        return to_a(g_n).reshape(a.shape), to_b(g_m).reshape(b.shape)

    return value, backward


def stretched(x):
    """Rows (B, P) to 0 .. 1 each, 0 where a row is the same everywhere: (rows, backward)."""
    xp = backend_of(x).xp
    high, low = x.max(axis=1, keepdims=True), x.min(axis=1, keepdims=True)
    span = xp.where(high == low, 1, high - low)
    n = (x - low) / span
    top, bottom = (y / y.sum(axis=1, keepdims=True) for y in ((x == high).astype(x.dtype), (x == low).astype(x.dtype)))

    def backward(g):
        g = g / span
        along = (g * n).sum(axis=1, keepdims=True)
        g -= top * along
        g -= bottom * (g.sum(axis=1, keepdims=True))
        return g * (high > low)

    return n, backward


@definition(map_overlap)
def map_overlap_definition(a, b, goal, union):
    def stretch(x):
        low, span = smallest(x), largest(x) - smallest(x)
        return (x - low) / where(span.data == 0, 1.0, span)

    overlaps = []
    for k in range(a.shape[0]):
        n, m = stretch(a[k]), stretch(b[k])
        total = (n + m - n * m).sum() if union == "iou" else (n + m).sum()
        overlaps.append((n * m).sum() / where(total.data == 0, 1.0, total))
    mean = sum(overlaps[1:], overlaps[0]) / len(overlaps)
    return mean if goal == "apart" else 1 - mean
