"""Spatial relation: the centre of one word's map must lie on the right side of another's.

Definition. With E_x[a] = sum x a / sum a the mean column of a map's mass, E_y[a] its mean row, counted from 0,

    "left of"   L = mean over images of sigmoid(E_x[a] - E_x[b])        "above"  of sigmoid(E_y[a] - E_y[b])
    "right of"  and "below": a and b exchanged

Gradient. With s the sigmoid, S = sum a: da_p = s (1 - s) (x_p - E_x[a]) / S over the B images, db_p with the other
sign.

Shapes: a, b (B, H, W), numbers > 0. "left of" and "right of" of the same maps add up to 1.

Source. Izadi et al. 2025, arXiv 2503.06506; checked against the official code, hadi-hosseini/noise-refinement,
src/for_losses.py (compute_new_spatial_loss, sigmoid_distance_loss). Its maps are of 16 x 16 places, each place a
softmax over the words of 100 times the weights: what is compared here is given.
"""

from mini_repr.autograd import sigmoid
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Choice, Rows
from mini_repr.pages.invariants import between, exact, permutation, scaling
from mini_repr.pages.loss import definition, loss, variant

_RELATIONS = ("left of", "right of", "above", "below")

_TEX = {
    "definition": r"""
L = \frac{1}{B} \sum \sigma \bigl( E_x[a] - E_x[b] \bigr)

E_x[a] = \frac{\sum_p x_p \, a_p}{\sum_p a_p}
""",
    "gradient": r"""
\mathrm{d}a_p = \frac{\sigma \, (1 - \sigma) \, (x_p - E_x[a])}{B \sum_q a_q}
""",
}


@loss(
    paper="055",
    tex=_TEX,
    variants={name.replace(" ", "_"): variant(f"a {name} b", relation=name) for name in _RELATIONS[1:]},
    invariants=[
        permutation("B"),
        permutation("H", relation="left of"),
        permutation("W", relation="above"),
        scaling("a"),
        between(0, 1),
        exact("equal maps say nothing", 0.5, a=[[[1.0, 3.0]]], b=[[[2.0, 6.0]]]),
    ],
)
def spatial_relation(
    a: Rows("B H W", above=0),
    b: Rows("B H W", above=0),
    relation: Choice(*_RELATIONS) = "left of",
):
    xp, count = backend_of(a).xp, len(a)
    (first, to_first), (second, to_second) = (centre(x, relation) for x in (a, b))
    sign = 1 if relation in ("left of", "above") else -1
    share = 0.5 * (1 + xp.tanh(0.5 * sign * (first - second)))

    def backward(g):
        slope = (g * sign / count) * share * (1 - share)
        return to_first(slope), to_second(-slope)

    return share.mean(), backward


def centre(maps, relation):
    """Mean column, or row, of the mass of maps (B, H, W): ((B,), backward)."""
    xp = backend_of(maps).xp
    across = relation in ("left of", "right of")
    size = maps.shape[2 if across else 1]
    place = xp.arange(size, dtype=maps.dtype).reshape((1, 1, -1) if across else (1, -1, 1))
    total = maps.sum(axis=(1, 2))
    middle = (maps * place).sum(axis=(1, 2)) / total
    return middle, lambda g: (g / total)[:, None, None] * (place - middle[:, None, None]) * xp.ones_like(maps)


@definition(spatial_relation)
def spatial_relation_definition(a, b, relation):
    xp = backend_of(a.data).xp
    axis = 2 if relation in ("left of", "right of") else 1

    def middle(x):
        return (x.sum(axis=3 - axis) * xp.arange(x.shape[axis])).sum(axis=1) / x.sum(axis=(1, 2))

    apart = middle(a) - middle(b)
    return sigmoid(apart if relation in ("left of", "above") else -apart).mean()
